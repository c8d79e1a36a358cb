"""Questions that a judge answers: rows of the authors' files and of the hub's."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llava_eval.benchmarks.adapters.open import open_ended
from llava_eval.benchmarks.adapters.video_chatgpt import video_chatgpt
from llava_eval.benchmarks.rows import Row
from llava_eval.errors import RowsError

PAIR = {"question_1": "a?", "question_2": "b?"}
FLAT: dict[str, Any] = {
    "id": "{question_id}",
    "group": "{video_name}",
    "media": ["{video_name}.mp4"],
    "question": "{question}",
    "answers": "answer",
}


def asked(columns: dict[str, Any]) -> list[tuple[str, str, tuple[str, ...], str]]:
    made = video_chatgpt(
        Row(5, {"video_name": "v_1", **columns}, "rows.json"),
        media=["{video_name}.mp4"],
        prompt="Q: {question}",
    )
    assert {(one.row, one.group, one.media[0].path) for one in made} == {(5, "v_1", "v_1.mp4")}
    assert [one.prompt for one in made] == [f"Q: {one.question}" for one in made]
    return [(one.id, one.question, one.targets, one.facets["row_set"]) for one in made]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"Q": "a?", "A": "x"}, [("generic", "a?")]),
        ({"question": "a?", "answer": "x", "row_set": "Temporal"}, [("temporal", "a?")]),
        ({"Q1": "a?", "Q2": "b?", "A": "x"}, [("consistency_1", "a?"), ("consistency_2", "b?")]),
        ({**PAIR, "answer": "x"}, [("consistency_1", "a?"), ("consistency_2", "b?")]),
        ({**PAIR, "question_2": "None", "answer": "x"}, [("consistency_1", "a?")]),
        ({**PAIR, "question_1": None, "answer": "x"}, [("consistency_2", "b?")]),
        # a cell of a CSV file
        ({**PAIR, "question_2": "", "answer": "x"}, [("consistency_1", "a?")]),
        ({**PAIR, "question_1": math.nan, "answer": "x"}, [("consistency_2", "b?")]),
    ],
)
def test_the_set_of_a_row(columns: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert asked(columns) == [
        (f"{row_set}:v_1:5", question, ("x",), row_set) for row_set, question in expected
    ]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"question_1": "None", "question_2": None, "answer": "x"}, "neither of .* is a question"),
        ({"Q": "a?", "A": "x", "row_set": "consistency"}, "the row set is 'consistency'; expected"),
        ({"Q": "a?"}, "there is no column 'answer'"),
    ],
)
def test_rows_of_no_set(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(RowsError, match=said):
        asked(columns)


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        ("First.\nSecond.\n", "First.\n"),
        ("Alone.", "Alone."),
        ("\ufeffMarked.\nMore.", "Marked.\n"),
    ],
)
def test_the_reference_is_what_readlines_gives_first(answer: str, reference: str) -> None:
    row = Row(0, {"question_id": 1, "video_name": "v", "question": "?", "answer": answer}, "rows")
    made = open_ended(row, prompt="Describe.", first_line=True, **FLAT)
    assert made.targets == (reference,)
    assert open_ended(row, prompt="Describe.", **FLAT).targets == (answer,)


def test_a_question_with_a_capital_and_a_question_mark() -> None:
    columns = {"question_id": 1, "video_name": "v", "question": "is the Guitar red", "answer": "no"}
    made = open_ended(Row(0, columns, "rows"), prompt="{asked} Short.", **FLAT)
    assert made.prompt == "Is the guitar red? Short."
    assert made.question == "is the Guitar red"
