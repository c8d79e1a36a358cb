"""The file for a server that knows the answers."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from llava_eval.results.exchange.submission import answers_by_id
from llava_eval.types import Generation, SampleResult, Score


def result(name: str, row: int, answer: str | None, text: str | None = "t") -> SampleResult:
    return SampleResult(
        id=name,
        row=row,
        group="v",
        facets={},
        question="",
        choices=(),
        prompt="",
        media=(),
        frame_indices=(),
        target=(),
        generation=Generation(text, error=None if text is not None else "MediaError: gone"),
        score=Score(None, answer, unreadable=answer is None and text is not None),
    )


RESULTS = [result("b", 1, None), result("a", 0, "C", "(C)"), result("c", 2, None, None)]


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("index", {"a": 2, "b": -1}),
        ("letter", {"a": "C", "b": ""}),
        ("text", {"a": "(C)", "b": "t"}),
    ],
)
def test_answers_by_id(form: Literal["index", "letter", "text"], expected: dict[str, Any]) -> None:
    written = answers_by_id(RESULTS, form=form)
    assert written == expected
    assert list(written) == ["a", "b"]
