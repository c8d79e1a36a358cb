"""Denominators of means."""

from __future__ import annotations

from typing import Any

import pytest

from llava_eval.metrics.means import mean_score
from llava_eval.types import NOT_SCORED, Generation, SampleResult, Score


def result(value: float | None, *, group: str = "v", error: str | None = None) -> SampleResult:
    score = Score(value, None, unreadable=value is None, details={"cider": 2.0, "name": "x"})
    return SampleResult(
        id="1",
        row=0,
        group=group,
        facets={},
        question="",
        choices=(),
        prompt="",
        media=(),
        frame_indices=(),
        target=(),
        generation=Generation(text=None if error else "x", error=error),
        score=NOT_SCORED if error else score,
    )


RESULTS = [
    result(1.0, group="a"),
    result(1.0, group="b"),
    result(0.0, group="c"),
    result(None, group="d"),
    result(None, group="e", error="broken"),
]


def test_the_unscored_leave_the_denominator_or_count_as_wrong() -> None:
    left_out = mean_score(RESULTS)
    assert left_out.value == pytest.approx(200 / 3)
    assert left_out.num_samples == 3
    counted = mean_score(RESULTS, unscored_as=0.0)
    assert (counted.value, counted.num_samples) == (50.0, 4)


def test_a_detail_in_its_own_unit() -> None:
    metric = mean_score(RESULTS, detail="cider", scale=1.0, unit="points")
    assert (metric.value, metric.num_samples, metric.unit) == (2.0, 4, "points")


def test_nothing_scored_is_no_number_rather_than_zero() -> None:
    metric = mean_score(RESULTS[3:])
    assert (metric.value, metric.stderr, metric.num_samples) == (None, None, 0)


@pytest.mark.parametrize("detail", ["name"])
def test_a_detail_that_is_no_number_is_refused(detail: Any) -> None:
    with pytest.raises(ValueError, match="'x', no number"):
        mean_score(RESULTS, detail=detail)
