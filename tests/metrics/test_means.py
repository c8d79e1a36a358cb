"""Denominators of means."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest
from scipy import stats

from llava_eval.errors import LlavaEvalError
from llava_eval.metrics.means import Denominator, highest_value, mean_score
from llava_eval.types import NOT_SCORED, Generation, MetricValue, SampleResult, Score


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
    counted = mean_score(RESULTS, denominator="all")
    assert (counted.value, counted.num_samples) == (50.0, 4)


def test_the_strict_mean_counts_as_wrong_what_the_model_did_not_say() -> None:
    """Right by what was read, right by a letter drawn at random, unreadable, and hidden."""
    scores = [
        Score(1.0, "A"),
        Score(1.0, "A", details={"chosen_at_random": True}),
        Score(None, None, unreadable=True),
    ]
    results = [
        dataclasses.replace(RESULTS[0], target=("A",), group=str(number), score=score)
        for number, score in enumerate(scores)
    ]
    results += [RESULTS[3], RESULTS[4]]
    means = {name: mean_score(results, denominator=name) for name in get_args(Denominator)}
    assert {name: (mean.value, mean.num_samples) for name, mean in means.items()} == {
        "scored": (100.0, 2),
        "all": (50.0, 4),
        "strict": (pytest.approx(100 / 3), 3),
    }


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
    with pytest.raises(LlavaEvalError, match=r"score is 10000000000000\.0, no number"):
        mean_score([result(1e13)])


def partial(*values: float, unit: str = "percent", scale: float = 100.0) -> MetricValue:
    results = [result(value, group=str(n)) for n, value in enumerate(values)]
    return mean_score(results, scale=scale, unit=unit)


def test_the_interval_of_an_accuracy_is_wilsons() -> None:
    metric = partial(*[1.0] * 7, *[0.0] * 3)
    # Ten groups of one: (mean - p)^2 = t^2 p (1 - p) / 9, with the variance's divisor n - 1.
    square = float(stats.t.ppf(0.975, 9)) ** 2 / 9
    ends = np.roots([1 + square, -(1.4 + square), 0.49])
    assert (metric.ci_low, metric.ci_high) == pytest.approx((100 * min(ends), 100 * max(ends)))


@pytest.mark.parametrize("num_groups", [3, 18, 21, 23])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_an_interval_ends_at_the_mean_of_equal_scores(num_groups: int, share: float) -> None:
    metric = partial(*[share] * num_groups)
    assert (metric.ci_high if share else metric.ci_low) == metric.value == 100 * share


def test_the_interval_of_partial_scores_ends_at_the_best_score() -> None:
    metric = partial(1.0, 1.0, 1.0, 1.0, 0.9)
    assert metric.ci_high == 100.0
    assert metric.ci_low is not None
    assert metric.ci_low < 98.0
    judged = partial(5.0, 5.0, 5.0, 4.0, unit="0-5", scale=1.0)
    assert judged.ci_high == 5.0
    error = partial(1.0, 1.0, 1.0, 1.0, 0.9, scale=-100.0)
    assert error.ci_low == -100.0
    own_scale = partial(100.0, 100.0, 40.0, scale=1.0)
    assert own_scale.ci_high == 100.0


def test_a_score_without_a_known_range_is_not_cut() -> None:
    metric = partial(1.0, 3.0, 2.0, unit="points", scale=1.0)
    assert metric.ci_high == pytest.approx(2.0 + float(stats.t.ppf(0.975, 2)) / 3**0.5)


@pytest.mark.parametrize(
    ("value", "scale", "unit", "highest"),
    [(0.4, 100.0, "percent", 100.0), (4.0, 1.0, "0-5", 5.0), (0.1, 100.0, "points", 100.0)],
)
def test_equal_partial_scores_have_an_interval_with_a_width(
    value: float, scale: float, unit: str, highest: float
) -> None:
    metric = partial(*[value] * 12, unit=unit, scale=scale)
    # Wilson's formula with Student's quantile, each of twelve groups one observation.
    share, square = value * scale / highest, float(stats.t.ppf(0.975, 11)) ** 2
    centre = (share + square / 24) / (1 + square / 12)
    half = (square * (share * (1 - share) / 12 + square / 576)) ** 0.5 / (1 + square / 12)
    assert (metric.ci_low, metric.ci_high) == pytest.approx(
        (highest * (centre - half), highest * (centre + half))
    )


def test_equal_scores_without_a_known_range_have_no_interval() -> None:
    metric = partial(3.0, 3.0, 3.0, unit="points", scale=1.0)
    assert (metric.value, metric.ci_low, metric.ci_high) == (3.0, None, None)


@pytest.mark.parametrize("denominator", ["scored", "all", "strict"])
def test_hidden_answers_are_in_no_denominator(denominator: Denominator) -> None:
    hidden = "read 'A', so; not scored: the right answer is hidden"
    results = [
        dataclasses.replace(RESULTS[0], score=Score(None, "A", explanation=hidden)),
        dataclasses.replace(RESULTS[0], score=Score(None, None, True, explanation=hidden)),
        RESULTS[4],
    ]
    metric = mean_score(results, denominator=denominator)
    assert (metric.value, metric.num_samples) == (None, 0)
    assert metric.note == "not available: the right answer is hidden"


@pytest.mark.parametrize(
    ("values", "detail", "scale", "unit", "highest"),
    [
        ([0.2, 1.0], None, 100.0, "percent", 1.0),
        ([20.0, 100.0], None, 1.0, "percent", 100.0),
        ([0.2, 1.1], None, 100.0, "percent", None),  # above what the unit allows
        ([0.2, 1.0], None, 5.0, "0-5", 1.0),
        ([0.2, 1.0], None, -100.0, "percent", 1.0),  # an error's negative
        ([2.0, 5.0], None, -1.0, "0-5", 5.0),
        ([2.0, 10.0], None, 1.0, "0-10", 10.0),
        ([0.2, 1.0], None, -100.0, "-100-0", 1.0),
        ([0.2, 1.0], "bleu", 100.0, "points", 1.0),
        ([0.2, 9.0], "cider", 100.0, "points", 10.0),
        ([0.2, 9.0], None, 100.0, "points", None),
    ],
)
def test_the_unit_says_what_a_sample_can_have_at_most(
    values: list[float], detail: str | None, scale: float, unit: str, highest: float | None
) -> None:
    assert highest_value(np.array(values), detail, scale, unit) == highest
