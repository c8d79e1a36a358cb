"""Texts of models and data sets, made safe for terminals, Markdown, LaTeX, HTML and XML."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llava_eval.results.table import (
    columns,
    cut,
    html_text,
    latex_text,
    markdown_text,
    padded,
    printable,
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


def test_wide_characters_take_two_columns() -> None:
    assert columns("日本") == 4
    assert columns("e\u0301") == 1
    assert cut("日本語", 5) == "日本…"
    assert cut("short", 5) == "short"
    assert padded("日", 4) == "日  "
    assert padded("1", 3, right=True) == "  1"


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


@given(st.text())
def test_html_shows_text_as_it_is(text: str) -> None:
    shown = html_text(text)
    assert not set(shown) & set("<>\"'")
    assert html.unescape(shown) == printable(text)
