"""The file for a server that knows the answers."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from llava_eval.results.exchange.submission import IdForm, answer_list, answers_by_id
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


@pytest.mark.parametrize(
    ("form", "name", "written"),
    [
        ("text", "391895", "391895"),
        ("integer", "391895", 391895),
        ("integer", "coco_17", "coco_17"),
        ("trailing_number", "COCO_val2014_000000391895.jpg", 391895),
        ("trailing_number", "COCO_val2014.jpg", "COCO_val2014.jpg"),
    ],
)
def test_an_id_is_written_as_its_server_reads_it(
    form: IdForm, name: str, written: str | int
) -> None:
    listed = answer_list([result(name, 0, "C")], id_key="image_id", id_form=form, answer="read")
    assert listed == [{"image_id": written, "answer": "C"}]


def test_answers_are_listed_in_the_order_of_the_rows() -> None:
    names: dict[str, Any] = {"id_key": "image", "id_format": "{id}.jpg", "answer_key": "caption"}
    a, b = {"image": "a.jpg", "caption": "(C)"}, {"image": "b.jpg", "caption": "t"}
    assert answer_list(RESULTS, **names, answer="text") == [a, b]
    failed = {"image": "c.jpg", "caption": "none"}
    assert answer_list(RESULTS, **names, answer="text", failed_as="none") == [a, b, failed]
    unread = [{**a, "caption": "C"}, {**b, "caption": ""}]
    assert answer_list(RESULTS, **names, answer="read") == unread
