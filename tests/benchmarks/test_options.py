"""Options of a row: which there are, how they are written, and which is right."""

from __future__ import annotations

from typing import Any

import pytest

from llava_eval.benchmarks.adapters.options import (
    AnswerForm,
    Options,
    lettered,
    multiple_choice,
    right_letters,
)
from llava_eval.benchmarks.rows import Row
from llava_eval.errors import ConfigError, RowsError


def row(**columns: Any) -> Row:
    return Row(3, columns, "rows.jsonl")


@pytest.mark.parametrize(
    ("options", "choices", "written"),
    [
        (Options(column="o"), ("A. x ", " y"), "A. A. x \nB.  y"),
        (Options(column="o", strip=True), ("A. x", "y"), "A. A. x\nB. y"),
        (Options(column="o", carry_letters=True), ("x ", " y"), "A. x \n y"),
        (Options(column="o", carry_letters=True, keep_letters=True), ("A. x ", " y"), "A. x \n y"),
        (Options(column="o", form="({letter}) {option}", separator="|"), None, "(A) A. x |(B)  y"),
        (Options(column="o", separator="\n\n", form="{option}"), None, "A. x \n\n y"),
    ],
)
def test_options_are_written_by_a_form(
    options: Options, choices: tuple[str, ...] | None, written: str
) -> None:
    given = options.of(row(o=["A. x ", " y"]))
    assert options.choices(given) == (choices or ("A. x ", " y"))
    assert options.written(given) == written
    assert options.of(row(o={"A": "A. x ", "B": " y"})) == given


def test_options_under_letters_keep_their_letters() -> None:
    options = Options(column="o")
    assert options.of(row(o={"B": "y", "A": "x", "C": None})) == ("x", "y")
    assert options.of(row(o={"first": "x", "a": "y"})) == ("x", "y")
    assert options.of(row(o={"b": "y", "a": "x"})) == ("x", "y")
    assert options.of(row(o={"b": "y", "B": "x"})) == ("y", "x")
    assert options.of(row(o="{'B': \"it's\", 'A': 'x'}")) == ("x", "it's")
    with pytest.raises(RowsError, match="option 2 of 3 is empty"):
        options.of(row(o={"A": "x", "C": "z"}))


def test_options_that_a_pattern_finds_in_a_text() -> None:
    options = Options(column="o", pattern=r"\(\w\)([^(]+)")
    assert options.of(row(o="Which? (a) red \n(b) blue\n")) == ("red", "blue")
    with pytest.raises(RowsError, match="1 options, expected 2 to 26"):
        options.of(row(o="Which? (a) red"))
    for pattern in ("(", "red", "(r)(e)d"):
        with pytest.raises(ConfigError, match=r"^benchmark\.adapter\.option_pattern: .* should"):
            Options(column="o", pattern=pattern)
    with pytest.raises(ConfigError, match="option_pattern is for the column in options"):
        Options(columns=["a", "b"], pattern="(a)")


def test_the_end_of_the_list_is_stripped_where_asked() -> None:
    given = ("x", "y \n")
    assert Options(column="o").written(given) == "A. x\nB. y \n"
    assert Options(column="o", strip_end=True).written(given) == "A. x\nB. y"


@pytest.mark.parametrize(
    ("columns", "padding", "options"),
    [
        ({"a": "x", "b": "y"}, None, ("x", "y")),
        ({"a": "x", "b": "y", "c": ""}, None, ("x", "y")),
        ({"a": "x", "b": "y", "c": "N/A", "d": "N/A"}, "N/A", ("x", "y")),
        ({"a": "x", "b": "y", "c": None}, None, ("x", "y")),
        ({"a": 1, "b": 0, "c": float("nan")}, None, ("1", "0")),
        ({"a": "x", "b": "", "c": "z"}, None, ("x", "", "z")),
    ],
)
def test_columns_that_hold_one_option_each(
    columns: dict[str, Any], padding: str | None, options: tuple[str, ...]
) -> None:
    assert Options(columns=list(columns), padding=padding).of(row(**columns)) == options


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["x"], "1 options, expected 2 to 26"),
        (["x"] * 27, "27 options, expected 2 to 26"),
        (["x", None, "z"], "option 2 of 3 is empty"),
        ("x", "column 'o' should hold a list, got str 'x'"),
        (7, "column 'o' should hold a list, got int 7"),
    ],
)
def test_what_is_no_list_of_options(values: Any, said: str) -> None:
    with pytest.raises(RowsError) as caught:
        Options(column="o").of(row(o=values))
    assert str(caught.value).startswith(f"rows.jsonl, row 3: {said}")


@pytest.mark.parametrize("number", [2, 26])
def test_the_fewest_and_the_most_options(number: int) -> None:
    options = Options(column="o").of(row(o=["x"] * number))
    assert lettered(options)[-1] == f"{'ABCDEFGHIJKLMNOPQRSTUVWXYZ'[number - 1]}. x"


@pytest.mark.parametrize(
    ("form", "answer", "letter"),
    [
        ("letter", "A", "A"),
        ("letter", "D", "D"),
        ("letter", "E", None),
        ("letter", "a", None),
        ("letter", "AB", None),
        ("letter", "(B)", None),
        ("bracketed_letter", "(B)", "B"),
        ("bracketed_letter", "(E)", None),
        ("index", "0", "A"),
        ("index", "3", "D"),
        ("index", "4", None),
        ("index", "-1", None),
        ("index", "²", None),
        ("text", "red", "A"),
        ("text", "3", None),
        ("text", "Red", None),
        ("first_equal_text", "3", "B"),
        ("last_equal_text", "3", "D"),
        ("last_equal_text", "4", "@"),  # chr(ord("A") - 1)
        ("first_equal_text", "4", None),
        ("number_letter_or_text", "0", "A"),
        ("number_letter_or_text", " 3 ", "D"),
        ("number_letter_or_text", "4", "D"),
        ("number_letter_or_text", "5", None),
        ("number_letter_or_text", "b", "B"),
        ("number_letter_or_text", "Z", "Z"),
        ("number_letter_or_text", "THE  cat", "C"),
        ("number_letter_or_text", "the", None),
    ],
)
def test_the_right_option_by_letter_index_or_text(
    form: AnswerForm, answer: str, letter: str | None
) -> None:
    choices = ("red", "3", "the cat", "3")
    if letter is not None:
        assert right_letters(row(a=answer), choices, "{a}", form) == (letter,)
        return
    with pytest.raises(RowsError, match=r"is not the \w+ of one of 4 options"):
        right_letters(row(a=answer), choices, "{a}", form)


@pytest.mark.parametrize(
    ("form", "answer", "advice"),
    [
        ("letter", "the cat", "; answer_form: text in benchmark.adapter reads it"),
        ("letter", "2", "; answer_form: index in benchmark.adapter reads it, counted from 0"),
        ("index", "C", "; answer_form: letter in benchmark.adapter reads it"),
        ("letter", "5", ""),
        # Of the options two are "3", so that the text names none.
        ("text", "3", "; answer_form: index in benchmark.adapter reads it, counted from 0"),
    ],
)
def test_an_answer_of_another_form_is_told_which(
    form: AnswerForm, answer: str, advice: str
) -> None:
    choices = ("red", "3", "the cat", "3")
    with pytest.raises(RowsError) as caught:
        right_letters(row(a=answer), choices, "{a}", form)
    assert str(caught.value).endswith(f"{list(choices)}{advice}")


@pytest.mark.parametrize(
    ("value", "letters"),
    [
        *[(None, ()), (-1, ()), ("-1", ()), (float("nan"), ())],
        *[(0, ("A",)), (1, ("B",)), (1.0, ("B",)), ("1", ("B",))],
    ],
)
def test_hidden_answers(value: Any, letters: tuple[str, ...]) -> None:
    assert right_letters(row(a=value), ("x", "y"), "{a}", "index", may_be_hidden=True) == letters


@pytest.mark.parametrize("mark", ["-1", "-1.0", "hidden"])
def test_a_mark_of_a_hidden_answer_may_be_an_option(mark: str) -> None:
    marked, choices = row(a=mark), ("0", mark)
    assert right_letters(marked, choices, "{a}", "text", may_be_hidden=True) == ("B",)
    assert right_letters(marked, ("x", "y"), "{a}", "text", may_be_hidden=True) == ()
    assert right_letters(marked, choices, "{a}", "index", may_be_hidden=True) == ()


@pytest.mark.parametrize("columns", [{}, {"a": None}, {"a": ""}, {"a": "hidden"}])
def test_a_row_without_an_answer_is_told_how_such_are_asked(columns: dict[str, Any]) -> None:
    with pytest.raises(RowsError, match="; hidden_answers: true in benchmark"):
        right_letters(row(**columns), ("x", "y"), "{a}")


def test_an_answer_that_is_not_hidden_has_to_be_there() -> None:
    with pytest.raises(RowsError, match="row 3: "):
        right_letters(row(a=None), ("x", "y"), "{a}")


def test_options_that_begin_with_their_letters_get_no_others() -> None:
    columns = {"id": "1", "question": "Which?", "answer": "B"}
    parameters: dict[str, Any] = {"id": "{id}", "group": "{id}", "media": ["{id}.mp4"]}
    parameters |= {"question": "{question}", "answer": "{answer}", "prompt": "{options}"}
    for options in (["A. red", "B. blue"], ["(A) red", "(B) blue"]):
        with pytest.raises(RowsError, match=r"prompt writes them again; .*carry_letters=true"):
            multiple_choice(row(**columns, o=options), **parameters, options="o")
        as_given = {**parameters, "options": "o", "option_format": "{option}"}
        made = multiple_choice(row(**columns, o=options), **as_given)
        assert made.prompt == "\n".join(options)
    made = multiple_choice(row(**columns, o=["A. red", "blue"]), **parameters, options="o")
    assert made.prompt == "A. A. red\nB. blue"
