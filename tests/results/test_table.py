"""One table in every form."""

from __future__ import annotations

import csv
import io

from llava_eval.results.table import Table, interval, number, p_text

TABLE = Table(
    ["level", "value"], [["short | a_b", "12.5"], ["a very long name of a level", "-3.0"]]
)


def test_a_terminal_table_is_aligned_and_cut_to_its_width() -> None:
    assert TABLE.to_text(80).splitlines() == [
        "level                        value",
        "short | a_b                   12.5",
        "a very long name of a level   -3.0",
    ]
    narrow = TABLE.to_text(20).splitlines()
    assert max(map(len, narrow)) <= 20
    assert narrow[2] == "a very long …   -3.0"
    assert TABLE.to_text(80, indent="  ").startswith("  level")


def test_markdown_csv_latex_and_html() -> None:
    assert TABLE.to_markdown().splitlines() == [
        "| level | value |",
        "| --- | ---: |",
        "| `short \\| a_b` | 12.5 |",
        "| a very long name of a level | -3.0 |",
    ]
    assert list(csv.reader(io.StringIO(TABLE.to_csv()))) == [TABLE.header, *TABLE.rows]
    latex = Table(TABLE.header, TABLE.rows, title="by 100 %").to_latex()
    assert "\\begin{tabular}{lr}" in latex
    assert "short | a\\_b & 12.5 \\\\" in latex
    assert latex.startswith("% by 100 %\n")
    page = TABLE.to_html()
    assert '<th scope="row">short | a_b</th><td>12.5</td>' in page
    assert '<th scope="col">value</th>' in page


def test_a_cell_that_a_spreadsheet_would_run_is_text() -> None:
    text = Table(["sample", "change"], [["=1+1", "-3.0"], ["@x", "+1.0"]]).to_csv()
    assert list(csv.reader(io.StringIO(text)))[1:] == [["'=1+1", "-3.0"], ["'@x", "+1.0"]]


def test_numbers_have_the_decimals_of_their_unit() -> None:
    assert number(12.345) == "12.3"
    assert number(3.456, "0-5") == "3.46"
    assert number(1.0, signed=True) == "+1.0"
    assert number(-0.04, signed=True) == "+0.0"
    assert number(None) == "-"
    assert interval(-1.25, 2.0, signed=True) == "-1.2 to +2.0"
    assert interval(None, None) == "-"
    assert [p_text(one) for one in (None, 0.04999, 0.00001)] == ["-", "0.0500", "<0.0001"]
