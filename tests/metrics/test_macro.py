"""Means of means, and strict counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from functools import partial

import pytest
from scipy import stats

from llava_eval.errors import RowsError
from llava_eval.metrics.groups import macro_mean, nested_mean, part_mean, rows_by_level
from llava_eval.metrics.means import mean_score
from llava_eval.results.summary import summarise
from llava_eval.types import Generation, MetricValue, SampleResult, Score


def result(level: str, score: Score, group: str = "v", target: str = "A") -> SampleResult:
    return SampleResult(
        id="x",
        row=0,
        group=group,
        facets={"task": level},
        question="",
        choices=(),
        prompt="",
        media=(),
        frame_indices=(),
        target=(target,) if target else (),
        generation=Generation("x"),
        score=score,
    )


def scored(level: str, *values: float) -> list[SampleResult]:
    return [result(level, Score(value, "A"), group=f"{level}{n}") for n, value in enumerate(values)]


def test_levels_count_the_same_however_large_they_are() -> None:
    results = [*scored("a", 1, 1, 1, 0), *scored("b", 0, 1)]
    metric = macro_mean(results, facet="task")
    assert metric.value == pytest.approx(62.5)
    # Each sample contributes (value - mean of its level) / (size of its level * levels).
    parts = [0.25 / 8] * 3 + [-0.75 / 8, -0.5 / 4, 0.5 / 4]
    expected = 100 * math.sqrt(6 / 5 * sum(part**2 for part in parts))
    assert metric.stderr == pytest.approx(expected)
    assert metric.num_samples == 6


def test_a_sample_of_two_levels_counts_in_both() -> None:
    """Levels a (1, 1, 0) and b (0, 0): the sample "a+b" adds to both what it has of each mean."""
    results = [*scored("a", 1, 1), *scored("a+b", 0), *scored("b", 0)]
    metric = macro_mean(results, facet="task")
    assert metric.value == pytest.approx(100 * (2 / 3 + 0) / 2)
    influence = [(1 / 3) / 3 / 2] * 2 + [(-2 / 3) / 3 / 2, 0]
    assert metric.stderr == pytest.approx(100 * math.sqrt(4 / 3 * sum(x**2 for x in influence)))
    assert metric.num_samples == 4
    with pytest.raises(RowsError, match="'b' is none of the levels"):
        macro_mean(results, facet="task", levels=["a"])


def test_a_level_of_two_that_is_named_is_one() -> None:
    results = [*scored("a", 1, 1), *scored("a+b", 0), *scored("a+c", 1)]
    metric = macro_mean(results, facet="task", levels=["a", "a+b", "c"])
    assert metric.value == pytest.approx(100 * (1 + 0 + 1) / 3)  # "a+c" counts under a and c


def test_the_interval_of_a_negative_scale_is_around_the_mean() -> None:
    results = [*scored("a", 0.1, 0.4, 0.2), *scored("b", 0.3, 0.5)]
    plain = macro_mean(results, facet="task", scale=1.0, unit="m")
    negative = macro_mean(results, facet="task", scale=-1.0, unit="m")
    assert plain.ci_low is not None
    assert plain.ci_high is not None
    assert negative.value == -(plain.value or 0)
    assert (negative.ci_low, negative.ci_high) == (-plain.ci_high, -plain.ci_low)


@pytest.mark.parametrize("num_levels", [7, 20, 49])
def test_all_right_in_all_levels_is_exactly_100(num_levels: int) -> None:
    results = [one for level in range(num_levels) for one in scored(str(level), 1, 1)]
    assert macro_mean(results, facet="task").value == 100.0
    assert nested_mean(results, outer="task", inner="task").value == 100.0


def test_a_fixed_number_of_levels_counts_missing_ones_as_0() -> None:
    results = scored("a", 1, 1)
    metric = macro_mean(results, facet="task", levels=["a", "b"])
    assert (metric.value, metric.ci_high) == (50.0, 50.0)  # more it cannot be
    assert macro_mean(results, facet="task").value == 100.0
    with pytest.raises(RowsError, match=r"task 'a' is none of .*: b, c"):
        macro_mean(results, facet="task", levels=["b", "c"])


@pytest.mark.parametrize("mean", [macro_mean, partial(nested_mean, inner="task")])
def test_intervals_of_judged_levels_end_where_their_scale_does(
    mean: Callable[..., MetricValue],
) -> None:
    judged = partial(mean, **{"outer" if mean is not macro_mean else "facet": "task"})
    all_one = judged([*scored("a", *[1] * 5), *scored("b", *[1] * 5)], scale=1.0, unit="0-5")
    # Wilson's interval of 0.2 for ten clusters, times 5.
    assert (all_one.ci_low, all_one.ci_high) == pytest.approx((0.238173359, 2.777352509))
    high = judged([*scored("a", 4, 3, 5), *scored("b", 4, 4, 5)], scale=1.0, unit="0-5")
    assert high.value == pytest.approx(25 / 6)
    assert high.ci_high is not None
    assert 25 / 6 < high.ci_high <= 5


def test_questions_about_one_video_in_two_levels_are_one_cluster() -> None:
    results = [
        result("a", Score(1.0, "A"), "v"),
        result("a", Score(0.0, "A"), "w"),
        result("b", Score(1.0, "A"), "v"),
        result("b", Score(0.0, "A"), "w"),
    ]
    assert macro_mean(results, facet="task").stderr == pytest.approx(50.0)


def test_nothing_scored_is_no_number() -> None:
    assert macro_mean([result("a", Score(None, None, True))], facet="task").value is None


def test_strict_counts_the_unread_and_the_drawn_as_wrong() -> None:
    results = [
        result("a", Score(1.0, "A")),
        result("a", Score(1.0, "A", details={"chosen_at_random": True})),
        result("a", Score(1.0, None, unreadable=True)),
        result("a", Score(None, None, unreadable=True)),
    ]
    assert mean_score(results).value == 100.0
    assert mean_score(results).num_samples == 3
    assert mean_score(results, denominator="strict").value == 25.0
    hidden = [result("a", Score(None, "B", details={"chosen_at_random": True}), target="")]
    assert mean_score(hidden, denominator="strict").value is None


def test_some_references_print_0_where_nothing_was_read() -> None:
    results = [result("a", Score(None, None, unreadable=True))]
    assert mean_score(results).value is None
    metric = mean_score(results, empty_as=0.0)
    assert (metric.value, metric.stderr, metric.num_samples) == (0.0, None, 0)
    failed = dataclasses.replace(results[0], generation=Generation(None, error="no such file"))
    assert mean_score([failed], empty_as=0.0).value is None  # the reference never got there
    assert mean_score([failed, *results], empty_as=0.0).value == 0.0
    hidden = [result("a", Score(None, "B"), target="")]
    hidden += [result("a", Score(None, None, unreadable=True), target="")]
    assert mean_score(hidden, empty_as=0.0).value is None  # a test set, or its judge was not asked


def test_a_level_without_a_sample_of_the_part_has_no_number() -> None:
    """A reference prints 0 where it can read nothing, not where there is nothing to read."""
    results = [result("a", Score(1.0, "A")), result("b", Score(None, None, unreadable=True))]
    metrics = {
        "all": partial(mean_score, empty_as=0.0),
        "only_a": partial(part_mean, facet="task", levels=["a"], empty_as=0.0),
    }
    found = summarise(results, metrics, benchmark="x", model=None, facets=["task"]).groups["task"]
    assert [found["a"][name].value for name in metrics] == [100.0, 100.0]
    assert [found["b"][name].value for name in metrics] == [0.0, None]


@pytest.mark.parametrize(("most", "bounded"), [(1.0, True), (1.5, False)])
def test_the_interval_ends_at_the_unit_where_no_value_lies_above(
    most: float, bounded: bool
) -> None:
    results = [
        result("xy"[n % 2], Score(value, "A"), f"video {n}")
        for n, value in enumerate([most, most, 0.2, 0.9, most, most])
    ]
    metric = macro_mean(results, facet="task", scale=10.0, unit="points")
    assert metric.ci_high is not None
    assert (metric.ci_high == 10.0) is bounded


def test_the_interval_of_negative_scores_holds_them() -> None:
    """Levels of -1, -0.5 and of -1, -1: -87.5, with Student's interval for four groups."""
    metric = macro_mean([*scored("a", -1, -0.5), *scored("b", -1, -1)], facet="task")
    assert metric.value == pytest.approx(-87.5)
    half = stats.t.ppf(0.975, 3) * 100 * math.sqrt(4 / 3 * 2 * (0.25 / 4) ** 2)
    assert (metric.ci_low, metric.ci_high) == pytest.approx((-87.5 - half, -87.5 + half))


def test_one_level_of_negative_scores_is_enough_for_an_interval_below_0() -> None:
    """Levels of -1, -0.5 and of 1, 1: 12.5, with Student's interval for four groups."""
    metric = macro_mean([*scored("a", -1, -0.5), *scored("b", 1, 1)], facet="task")
    half = stats.t.ppf(0.975, 3) * 100 * math.sqrt(4 / 3 * 2 * (0.25 / 4) ** 2)
    assert (metric.ci_low, metric.ci_high) == pytest.approx((12.5 - half, 12.5 + half))


def test_a_level_that_is_named_twice_counts_once() -> None:
    assert rows_by_level([result("a+b+a", Score(1.0, "A"))], "task") == {"a": [0], "b": [0]}


def test_a_sample_has_its_own_level_unless_whole_groups_count() -> None:
    score = Score(1.0, "A")
    later, earlier = (
        dataclasses.replace(result(level, score), row=row, group="g")
        for level, row in (("a", 1), ("b", 0))
    )
    assert rows_by_level([later, earlier], "task") == {"a": [0], "b": [1]}
    assert rows_by_level([later, earlier], "task", of_whole_groups=True) == {"a": [0, 1]}
