"""Exact match of free answers."""

from __future__ import annotations

import pytest

from llava_eval.scoring.text import ExactMatch
from llava_eval.types import Sample


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("red", 1.0),
        (" Red.\n", 1.0),
        ("dark  RED", 1.0),
        ("redder", 0.0),
        ("it is red", 0.0),
        ("red!", 0.0),
    ],
)
def test_exact_match(reply: str, value: float) -> None:
    sample = Sample(id="1", row=0, group="v", content=("q",), targets=("red", "dark red"))
    assert ExactMatch().score(reply, sample).value == value


@pytest.mark.parametrize("reply", ["", "  \n", "."])
def test_an_empty_reply_is_unreadable(reply: str) -> None:
    sample = Sample(id="1", row=0, group="v", content=("q",), targets=("red",))
    score = ExactMatch().score(reply, sample)
    assert (score.value, score.answer, score.unreadable) == (0.0, None, True)
