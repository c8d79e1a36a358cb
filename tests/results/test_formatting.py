"""Texts of models and data sets made safe, and one table in every form."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import ljust, rjust, width

from llava_eval.results.formatting import (
    Table,
    cut,
    formatted,
    from_difference,
    highest,
    html_text,
    interval,
    latex_text,
    markdown_text,
    number,
    p_text,
    printable,
    wrapped,
)

TABLE = Table(
    ["level", "value"], [["short | a_b", "12.5"], ["a very long name of a level", "-3.0"]]
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text", "plain text"),
        ("two\nlines\t and  spaces ", "two lines and spaces"),
        ("\x1b[31mred\x1b[0m", "\\u001b[31mred\\u001b[0m"),
        ("\u202eevil", "\\u202eevil"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("half \ud800", "half \\ud800"),
        ("naïve 日本 🎥", "naïve 日本 🎥"),
        ("a\u2028b", "a b"),
        ("::error::owned", "\\u003a:error::owned"),
        ("a  ::error::b", "a ::error::b"),
        ("std::string a::", "std::string a::"),
        ("x##[error]y", "x\\u0023#[error]y"),
        ("", ""),
    ],
)
def test_what_acts_is_shown_as_its_code(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_any_text_is_one_line_and_can_be_written(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    shown.encode("utf-8")
    assert "\x1b" not in shown


def test_no_line_of_a_wrapped_text_begins_a_command() -> None:
    assert wrapped("12345678 ::error::x", 12) == "12345678\n  \\u003a:error::x"


def test_wide_characters_take_two_columns() -> None:
    assert width("日本") == 4
    assert width("e\u0301") == 1
    assert cut("日本語", 5) == "日本…"
    assert cut("short", 5) == "short"


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (22, "the answer is a letter"),
        (21, "the answer is a…"),
        (16, "the answer is a…"),
        (15, "the answer is …"),
        (14, "the answer is…"),
        (13, "the answer…"),
        (6, "the…"),
        (5, "the …"),
        (4, "the…"),
        (3, "th…"),
    ],
)
def test_a_text_is_cut_between_words(width: int, shown: str) -> None:
    assert cut("the answer is a letter", width) == shown


def test_a_word_is_cut_where_little_would_be_left() -> None:
    assert cut("in /data/videos/of/a/benchmark", 20) == "in /data/videos/of/…"


def test_columns_of_wide_letters_are_padded() -> None:
    assert ljust("日", 4) == "日  "
    assert rjust("1", 3) == "  1"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain (text), 95 %", "plain (text), 95 %"),
        ("bnb_int8", "bnb_int8"),
        ("_x_", "\\_x\\_"),
        ("-12.6*", "-12.6\\*"),
        ("a|b", "`a\\|b`"),
        ("@someone", "`@someone`"),
        ("<img src=x onerror=alert(1)>", "`<img src=x onerror=alert(1)>`"),
        ("[link](http://x)", "`[link](http://x)`"),
        ("www.example.org", "`www.example.org`"),
        ("tick ` tick", "``tick ` tick``"),
        ("`", "`` ` ``"),
    ],
)
def test_markdown_shows_text_as_it_is(text: str, shown: str) -> None:
    assert markdown_text(text) == shown


def test_latex_shows_text_as_it_is() -> None:
    assert latex_text("50 % of a_b & {c} \\x") == r"50 \% of a\_b \& \{c\} \textbackslash{}x"
    # bare, after the end of a row, they would be a length and a mark of that row's break
    assert latex_text("[0, 60) s") == "{[}0, 60) s"
    assert latex_text("*all*") == "{*}all{*}"


@given(st.text())
def test_html_shows_text_as_it_is(text: str) -> None:
    shown = html_text(text)
    assert not set(shown) & set("<>\"'")
    assert html.unescape(shown) == printable(text)


def test_a_terminal_table_is_aligned_and_cut_to_its_width() -> None:
    assert TABLE.to_text(80).splitlines() == [
        "level                        value",
        "short | a_b                   12.5",
        "a very long name of a level   -3.0",
    ]
    narrow = TABLE.to_text(20).splitlines()
    assert max(map(len, narrow)) <= 20
    assert narrow[2] == "a very long …   -3.0"
    # Numbers are never cut, and six columns of a name are left.
    assert TABLE.to_text(5).splitlines()[1:] == ["short…   12.5", "a ver…   -3.0"]
    assert TABLE.to_text(80, indent="  ").startswith("  level")


def test_names_that_differ_at_their_ends_are_cut_at_their_starts() -> None:
    rows = [["llava-hf/LLaVA-Video-7B-hf", "1.0"], ["llava-hf/LLaVA-Video-34B-hf", "2.0"]]
    assert Table(["a checkpoint of the hub", "value"], rows).to_text(20).splitlines() == [
        "a checkpoint…  value",
        "…-Video-7B-hf    1.0",
        "…Video-34B-hf    2.0",
    ]


def test_markdown_latex_and_html() -> None:
    assert TABLE.to_markdown().splitlines() == [
        "| level | value |",
        "| --- | ---: |",
        "| `short \\| a_b` | 12.5 |",
        "| a very long name of a level | -3.0 |",
    ]
    latex = Table(TABLE.header, TABLE.rows).to_latex()
    assert "\\begin{tabular}{lr}" in latex
    assert "short | a\\_b & 12.5 \\\\" in latex
    assert latex.startswith("% \\usepackage{booktabs}\n")
    assert "a very long name of a level & $-$3.0 \\\\" in latex
    row = Table(["run", "B - A", "x"], [["B", "+1.0 to -0.5", "-"]], best=[(0, 1)])
    assert row.to_latex({"A": "a_1", "B": "b"}).splitlines()[3:6:2] == [
        "run & b $-$ a\\_1 & x \\\\",
        "b & \\textbf{$+$1.0 to $-$0.5} & -- \\\\",
    ]
    answers = Table(["sample", "A", "B"], [["A", "A", "B"]], num_names=3)
    assert answers.to_latex({"A": "a", "B": "b"}).splitlines()[3:6:2] == [
        "sample & a & b \\\\",
        "A & A & B \\\\",  # letters that were answered
    ]
    of_level = Table(["by x", "A"], [["A, as B", "1.0"]]).to_latex({"A": "a", "B": "b"})
    assert "A, as b & 1.0 \\\\" in of_level
    common = Table(["runs"], [["A, as B"]]).to_latex({"A": "a - 1", "B": "b"})
    assert "a - 1, as b \\\\" in common
    page = TABLE.to_html()
    assert '<th scope="row">short | a_b</th><td>12.5</td>' in page
    assert '<th scope="col">value</th>' in page


def test_numbers_have_the_decimals_of_their_unit() -> None:
    assert number(12.345) == "12.3"
    assert number(3.456, "0-5") == "3.46"
    assert number(0.0071, "seconds") == "0.007"
    assert number(0.9556, "0-1") == "0.956"
    assert number(1.0, signed=True) == "+1.0"
    assert number(-0.04, signed=True) == "+0.0"
    assert number(None) == "-"
    assert interval(-1.25, 2.0, signed=True) == "-1.2 to +2.0"
    assert interval(None, None) == "-"
    assert [p_text(one) for one in (None, 0.04999, 0.00001)] == ["-", "0.0500", "<0.0001"]


@pytest.mark.parametrize(
    ("values", "indices"),
    [
        ([1.0, 3.0, 2.0], [1]),
        ([3.0, None, 3.0, 1.0], [0, 2]),
        ([2.0, 2.0], []),
        ([2.0], []),
        ([None, 2.0], []),
        ([None], []),
        ([], []),
    ],
)
def test_the_highest_is_marked_where_values_differ(
    values: list[float | None], indices: list[int]
) -> None:
    assert highest(values) == indices


def test_texts_are_told_apart_where_they_differ_late() -> None:
    names = ["llava_eval.scoring.choice.StrictChoice", "llava_eval.scoring.text.ExactMatch"]
    assert from_difference(names) == ["…choice.StrictChoice", "…text.ExactMatch"]
    assert from_difference(["Answer the question in a word.", "Answer the question briefly."]) == [
        "…in a word.", "…briefly.",
    ]  # fmt: skip
    assert from_difference(["/data/models/step-5", "/data/models/step-10"]) == [
        "…step-5",
        "…step-10",
    ]
    assert from_difference(["16", "4"]) == ["16", "4"]
    assert from_difference(["short one", "short two"]) == ["short one", "short two"]


def test_a_large_number_has_no_exponent() -> None:
    """A model of 7B takes seconds a sample: "3.46e+04" ms stood in the table of costs."""
    texts = [formatted(value, ".3g") for value in (None, 0.03456, 3.456, 345.6, 3456.4, 34560.0)]
    assert texts == ["-", "0.0346", "3.46", "346", "3456", "34560"]
    assert formatted(0.00000123, ".3g") == "1.23e-06"
