"""Numbers of whole groups, against hand-worked cases and scipy's textbook formulas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from scipy import stats

from llava_eval.errors import RowsError
from llava_eval.metrics.groups import (
    all_right,
    macro_mean,
    mean_of_means,
    mme_score,
    nested_mean,
    part_mean,
    part_ratio,
    relative_gain,
)
from llava_eval.types import Generation, MetricValue, SampleResult, Score
from tests.results.helpers import make_result


def result(
    name: str,
    value: float | None,
    group: str,
    facets: Mapping[str, str] | None = None,
    details: Mapping[str, object] | None = None,
) -> SampleResult:
    return make_result(
        0,
        id=name,
        group=group,
        facets=facets or {},
        generation=Generation("x"),
        score=Score(value, "x", details=details or {}),
    )


def interval(metric: MetricValue) -> tuple[float, float]:
    assert metric.ci_low is not None
    assert metric.ci_high is not None
    return metric.ci_low, metric.ci_high


def students_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the textbook interval of a mean of independent values."""
    low, high = stats.t.interval(
        0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values)
    )
    return float(low), float(high)


def circular() -> list[SampleResult]:
    """MMBench's layout: question n is asked as n and as n + 1,000,000 k, its options shifted."""
    right = {"1": (1, 1, 1, 1), "2": (1, 0, 1, 1), "3": (1, 1), "4": (0, 0)}
    return [
        result(name if shift == 0 else f"{shift}00000{name}", float(value), name)
        for name, values in right.items()
        for shift, value in enumerate(values)
    ]


def test_circular_accuracy_counts_questions_that_are_right_in_every_order() -> None:
    metric = all_right(circular(), lead=True)
    assert (metric.value, metric.num_samples, metric.unit) == (50.0, 4, "percent")
    # Independent questions, 2 of 4 right: Wilson's formula with Student's quantile of 3 degrees
    # and the sample size 0.25 / (0.25 / 3) = 3 that the corrected variance stands for.
    square, size = float(stats.t.ppf(0.975, 3)) ** 2, 3.0
    half = math.sqrt(square) * math.sqrt(0.25 / size + square / (4 * size**2))
    half /= 1 + square / size
    assert metric.stderr == pytest.approx(100 * math.sqrt(0.25 / 3))
    assert interval(metric) == pytest.approx((50 - 100 * half, 50 + 100 * half))


def test_copies_without_their_original_count_nowhere() -> None:
    orphans = [one for one in circular() if one.id != "2"]
    assert all_right(orphans, lead=True).value == pytest.approx(200 / 3)
    assert all_right(orphans).num_samples == 4
    assert all_right(circular(), size=2).num_samples == 2


def test_a_group_with_an_unscored_question_is_left_out() -> None:
    results = [result("1", None, "1"), *circular()[4:]]
    assert all_right(results).num_samples == 3
    assert all_right([result("1", None, "1")]).value is None


def test_all_right_everywhere_still_has_an_interval() -> None:
    metric = all_right([result(str(n), 1.0, str(n)) for n in range(10)])
    low, high = interval(metric)
    assert (metric.value, high) == (100.0, 100.0)
    assert low == pytest.approx(100 / (1 + float(stats.t.ppf(0.975, 9)) ** 2 / 10))


def test_nested_means_count_a_sample_of_two_levels_in_both() -> None:
    rows = [("a+b", "k+l", 1.0), ("a", "k", 0.0), ("b", "l", 1.0)]
    results = [
        result(outer, value, outer, {"outer": outer, "inner": inner})
        for outer, inner, value in rows
    ]
    whole = nested_mean(results, outer="outer", inner="inner")
    # a: k (1, 0) and l (1), of mean 3/4; b: k (1) and l (1, 1), of mean 1
    assert (whole.value, whole.num_samples) == (87.5, 3)
    one = nested_mean(results, outer="outer", inner="inner", level="a")
    assert (one.value, one.num_samples) == (75.0, 2)
    named = nested_mean(results, outer="outer", inner="inner", level="a+b")
    assert (named.value, named.num_samples) == (100.0, 1)


def test_mme_adds_accuracy_and_accuracy_plus_of_each_category() -> None:
    answers = {"existence": [(1, 1), (1, 0), (1, 1)], "colour": [(0, 0), (1, 0)]}
    results = [
        result(f"{category}{number}{side}", float(pair[side]), f"{number}", {"category": category})
        for category, pairs in answers.items()
        for number, pair in enumerate(pairs)
        for side in (0, 1)
    ]
    metric = mme_score(results)
    # existence: accuracy 5/6, accuracy+ 2/3; colour: accuracy 1/4, accuracy+ 0.
    assert metric.value == pytest.approx(100 * (5 / 6 + 2 / 3 + 1 / 4))
    assert (metric.num_samples, metric.unit) == (10, "points")
    # Images 0, 1, 2 score 200, 50, 200 of mean 150 and 0, 50 of mean 25; image 0 has both.
    parts = [50 / 3 - 25 / 2, -100 / 3 + 25 / 2, 50 / 3]
    stderr = math.sqrt(3 / 2 * sum(part**2 for part in parts))
    assert metric.stderr == pytest.approx(stderr)
    half = float(stats.t.ppf(0.975, 2)) * stderr
    assert interval(metric) == pytest.approx(
        (max(0.0, 175 - half), min(400.0, 175 + half)), abs=1e-9
    )
    assert mme_score(results, only=["colour"]).value == pytest.approx(25.0)
    assert mme_score(results, without=["colour"]).value == pytest.approx(150.0)


def test_mme_knows_two_questions_about_an_image() -> None:
    thrice = [result(str(n), 1.0, "image", {"category": "count"}) for n in range(3)]
    with pytest.raises(RowsError, match="count has 3 questions about image, expected 2"):
        mme_score(thrice)
    assert mme_score(thrice[:1]).value is None


def test_the_interval_of_mme_stays_within_what_it_can_reach() -> None:
    right = [
        result(f"{n}{side}", 1.0, str(n), {"category": "count"})
        for n in range(8)
        for side in (0, 1)
    ]
    low, high = interval(mme_score(right))
    assert high == 200.0
    assert low == pytest.approx(200 / (1 + float(stats.t.ppf(0.975, 7)) ** 2 / 8))
    almost = [*right[1:], result("x", 0.0, "0", {"category": "count"})]
    low, high = interval(mme_score(almost))
    assert 0.0 < low < high == 200.0


def test_the_interval_of_one_level_is_students() -> None:
    values = [0.2, 0.9, 0.4, 0.5, 0.6]
    results = [result(str(n), value, str(n), {"task": "a"}) for n, value in enumerate(values)]
    metric = macro_mean(results, facet="task")
    assert metric.stderr == pytest.approx(100 * float(stats.sem(values)))
    assert interval(metric) == pytest.approx([100 * end for end in students_interval(values)])


@pytest.mark.parametrize(("value", "others"), [(0.0, 0.3), (1.0, 0.7)])
def test_the_interval_of_a_macro_mean_ends_where_its_range_does(
    value: float, others: float
) -> None:
    values = [value] * 5 + [others]
    results = [result(str(n), one, str(n), {"task": str(n % 2)}) for n, one in enumerate(values)]
    low, high = interval(macro_mean(results, facet="task"))
    assert (low if value == 0.0 else high) == 100 * value
    assert 0.0 <= low < high <= 100.0


def test_one_group_has_no_interval() -> None:
    results = [result(str(n), value, "v", {"task": "a"}) for n, value in enumerate((0.0, 1.0))]
    metric = macro_mean(results, facet="task")
    assert (metric.value, metric.stderr, metric.ci_low, metric.ci_high) == (50.0, None, None, None)


def test_a_mean_of_means_counts_each_detail_once() -> None:
    numbers = [(4, 2), (3, None), (5, 1), (2, 3)]
    results = [
        result(str(n), None, str(n), details={"detail": one, "context": other})
        for n, (one, other) in enumerate(numbers)
    ]
    metric = mean_of_means(results, details=["detail", "context"])
    assert metric.value == pytest.approx((3.5 + 2.0) / 2)
    # What each video adds: half of (its value - the mean) / count, over both details.
    parts = [0.5 / 8 + 0.0, -0.5 / 8, 1.5 / 8 - 1 / 6, -1.5 / 8 + 1 / 6]
    stderr = math.sqrt(4 / 3 * sum(part**2 for part in parts))
    assert metric.stderr == pytest.approx(stderr)
    half = float(stats.t.ppf(0.975, 3)) * stderr
    assert interval(metric) == pytest.approx((2.75 - half, 2.75 + half))
    assert metric.num_samples == 4


def test_a_mean_of_means_of_independent_values_has_students_interval() -> None:
    values = [1.0, 2.0, 4.0, 3.0, 3.0]
    results = [result(str(n), None, str(n), details={"a": one}) for n, one in enumerate(values)]
    assert interval(mean_of_means(results, details=["a"])) == pytest.approx(
        students_interval(values)
    )


def test_a_mean_of_means_stays_between_0_and_5() -> None:
    full = [result(str(n), None, str(n), details={"a": 5, "b": 5}) for n in range(6)]
    low, high = interval(mean_of_means(full, details=["a", "b"]))
    assert high == 5.0
    assert low == pytest.approx(5 / (1 + float(stats.t.ppf(0.975, 5)) ** 2 / 6))


def test_a_detail_that_nobody_has_gives_no_mean_of_means() -> None:
    results = [result("0", None, "v", details={"a": 1, "b": None})]
    metric = mean_of_means(results, details=["a", "b"])
    assert (metric.value, metric.num_samples) == (None, 1)
    assert mean_of_means([], details=["a"]).value is None


def by_level(**values: Sequence[float | None]) -> list[SampleResult]:
    """Return independent results, by the level of "kind" that they have; "a_x" is of task a."""
    return [
        result(f"{kind}{n}", value, f"{kind}{n}", {"kind": kind, "task": kind[0]})
        for kind, some in values.items()
        for n, value in enumerate(some)
    ]


def test_a_mean_of_tasks_of_kinds() -> None:
    results = by_level(a_x=[1.0, 0.0], a_y=[1.0], b_z=[0.0, 0.0, 1.0, 1.0], c_z=[None])
    metric = nested_mean(results, outer="task", inner="kind")
    # Task a is (1/2 + 1) / 2, task b 1/2. A result of a_x moves the number by 1/2 x 1/2 x 1/2 of
    # what it is from its mean, one of b_z by 1/2 x 1/4, which is 1/16 for each of these six.
    stderr = 100 * math.sqrt(7 / 6 * 6 / 16**2)
    half = float(stats.t.ppf(0.975, 6)) * stderr
    assert metric.value == pytest.approx(62.5)
    assert metric.num_samples == 7
    assert metric.stderr == pytest.approx(stderr)
    assert interval(metric) == pytest.approx((62.5 - half, min(100.0, 62.5 + half)))
    assert nested_mean(results, outer="task", inner="kind", level="a").value == pytest.approx(75.0)
    none = nested_mean(results, outer="task", inner="kind", level="c", empty_as=0.0)
    assert (none.value, none.stderr, none.num_samples) == (0.0, None, 0)


def test_a_gain_is_the_share_of_what_was_wrong_before() -> None:
    results = by_level(a_x=[1.0, 1.0, 1.0, 0.0, 0.0], b_x=[0.0] * 5)
    after = part_mean(results, facet="kind", levels=["a_x"])
    metric = relative_gain(results, facet="kind", level="a_x", before=20.0)
    assert metric.value == pytest.approx(100 * (60 - 20) / (100 - 20))
    assert metric.stderr == pytest.approx(100 * math.sqrt(0.6 * 0.4 / 4) / 0.8)
    assert interval(metric) == pytest.approx([(end - 20) / 0.8 for end in interval(after)])
    assert (metric.num_samples, metric.unit, metric.note) == (5, "percent", "")
    assert relative_gain(results, facet="kind", level="a_x", before=0.0).value == 60.0
    nothing = relative_gain(results, facet="kind", level="c_x", before=20.0)
    assert (nothing.value, nothing.note) == (None, "")
    unknown = relative_gain(results, facet="kind", level="a_x")
    assert (unknown.value, unknown.note) == (None, "not available: it needs the accuracy before")
    for before in (100.0, -0.1):
        with pytest.raises(ValueError, match="leaves something to gain"):
            relative_gain(results, facet="kind", level="a_x", before=before)


def test_a_ratio_of_two_levels() -> None:
    results = by_level(a_x=[1.0, 1.0, 0.0, 0.0], b_x=[1.0, 0.0, 1.0, 1.0, 1.0], c_x=[0.0])
    metric = part_ratio(results, facet="kind", level="a_x", over="b_x")
    assert metric.value == pytest.approx(62.5)
    assert (metric.stderr, metric.num_samples) == (None, 4)
    assert part_ratio(results, facet="kind", level="a_x", over="c_x").value is None
    assert part_ratio(results, facet="kind", level="d_x", over="b_x").value is None


def test_nothing_to_count_is_no_number_of_no_samples() -> None:
    for metric in (all_right([]), mme_score([]), all_right([], size=2)):
        assert (metric.value, metric.stderr, metric.num_samples) == (None, None, 0)
