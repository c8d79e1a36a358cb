"""Clustered means against hand-worked cases, textbook formulas and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from llava_eval.metrics.intervals import bounded_interval, clustered_mean, number_clusters


def test_by_hand() -> None:
    # mean 0.5; cluster sums of residuals: a = 0.5 + 0.5 = 1, b = -0.5 - 0.5 = -1, c = 0.5 - 0.5 = 0
    # variance of the mean = 3/2 * (1 + 1 + 0) / 6^2 = 1/12
    estimate = clustered_mean([1, 1, 0, 0, 1, 0], ["a", "a", "b", "b", "c", "c"])
    assert estimate.value == 0.5
    assert estimate.stderr == pytest.approx(math.sqrt(1 / 12))
    assert estimate.num_samples == 6
    assert number_clusters(["a", "a", "b", "b", "c", "c"])[1] == 3


def test_clusters_of_one_give_the_textbook_standard_error_and_t_interval() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, size=40)
    estimate = clustered_mean(values, range(40))
    low, high = stats.t.interval(0.95, 39, loc=values.mean(), scale=stats.sem(values))
    assert estimate.stderr == pytest.approx(stats.sem(values))
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((low, high))


def test_independent_proportions_approach_wilsons_interval() -> None:
    values = [1.0] * 720 + [0.0] * 280
    estimate = clustered_mean(values, range(1000))
    wilson = stats.binomtest(720, 1000).proportion_ci(0.95, method="wilson")
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((wilson.low, wilson.high), abs=2e-4)


def test_the_ends_of_a_negative_scale_change_places() -> None:
    """Of an error less is better, and more of its negative."""
    plain = clustered_mean([0.1, 0.5, 0.3, 0.9], range(4), scale=2.0)
    negative = clustered_mean([0.1, 0.5, 0.3, 0.9], range(4), scale=-2.0)
    assert negative.value == pytest.approx(-0.9)
    assert negative.stderr == plain.stderr
    assert plain.ci_low is not None
    assert plain.ci_high is not None
    assert (negative.ci_low, negative.ci_high) == (-plain.ci_high, -plain.ci_low)


def test_copies_within_a_cluster_add_no_information() -> None:
    once = clustered_mean([1, 0, 0, 1, 1], range(5))
    thrice = clustered_mean([1, 0, 0, 1, 1] * 3, list(range(5)) * 3)
    assert thrice.stderr == pytest.approx(once.stderr)
    assert thrice.ci_low == pytest.approx(once.ci_low)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_all_equal_proportions_still_have_an_interval(value: float) -> None:
    estimate = clustered_mean([value] * 30, [number // 3 for number in range(30)])
    assert estimate.stderr == 0.0
    assert estimate.ci_low is not None
    assert estimate.ci_high is not None
    assert estimate.ci_high - estimate.ci_low > 0.2  # ten clusters say no more than ten samples
    assert 0.0 <= estimate.ci_low <= estimate.ci_high <= 1.0


@pytest.mark.parametrize(("num_right", "size"), [(1, 3), (2, 3), (4, 9)])
def test_as_many_right_answers_in_every_cluster_leave_an_interval(
    num_right: int, size: int
) -> None:
    values = ([1.0] * num_right + [0.0] * (size - num_right)) * 100
    estimate = clustered_mean(values, [number // size for number in range(len(values))])
    # Wilson's ends for a hundred samples: (mean - p)^2 = t^2 p (1 - p) / 100
    mean, square = num_right / size, stats.t.ppf(0.975, 99) ** 2 / 100
    ends = np.roots([1 + square, -(2 * mean + square), mean**2])
    assert estimate.stderr == 0.0
    assert (estimate.ci_low, estimate.ci_high) == pytest.approx((min(ends), max(ends)))


def test_the_interval_of_values_that_cannot_be_negative_ends_at_zero() -> None:
    assert clustered_mean([0.0, 0.0, 0.0, 5.0], range(4)).ci_low == 0.0
    low = clustered_mean([0.0, 0.0, -0.1, 5.0], range(4)).ci_low
    assert low is not None
    assert low < 0


def test_one_cluster_has_no_interval() -> None:
    estimate = clustered_mean([1, 0, 1], ["a"] * 3)
    assert estimate.value == pytest.approx(2 / 3)
    assert (estimate.stderr, estimate.ci_low, estimate.ci_high) == (None, None, None)
    # Of two they stray by (1 - 1/2) / 2 each, which G / (G - 1) doubles before it is rooted.
    assert clustered_mean([1, 0], ["a", "b"]).stderr == pytest.approx(0.5)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="0 observations"):
        clustered_mean([], [])
    with pytest.raises(ValueError, match="2 observations and 1 clusters"):
        clustered_mean([1, 0], ["a"])


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "spread"), [(0.5, 0.25), (0.85, 0.1), (0.95, 0.04)])
def test_coverage_of_the_interval_with_clusters_of_three(rate: float, spread: float) -> None:
    """The 95 % interval covers the true rate in 93 to 97 % of simulated benchmarks."""
    random = np.random.default_rng(20261122)
    shape = rate * (rate * (1 - rate) / spread**2 - 1)
    other = shape * (1 - rate) / rate
    clusters = np.repeat(np.arange(90), 3)
    num_covered = 0
    for _ in range(2000):
        per_video = random.beta(shape, other, size=90)
        values = (random.random(270) < per_video[clusters]).astype(float)
        estimate = clustered_mean(values, clusters.tolist())
        assert estimate.ci_low is not None
        assert estimate.ci_high is not None
        num_covered += estimate.ci_low <= rate <= estimate.ci_high
    assert 0.93 <= num_covered / 2000 <= 0.97


@pytest.mark.parametrize("value", [-1.0, -0.25, 0.5, 1.0])
def test_without_spread_the_interval_is_wilsons_within_the_range(value: float) -> None:
    share = (value + 1) / 2
    z = stats.t.ppf(0.975, 6)  # seven clusters count as seven observations
    centre = (share + z**2 / 14) / (1 + z**2 / 7)
    half = z * math.sqrt(share * (1 - share) / 7 + z**2 / 196) / (1 + z**2 / 7)
    low, high = bounded_interval(value, 0.0, 7, -1.0, 1.0)
    assert low == pytest.approx(2 * max(0.0, centre - half) - 1)
    assert high == pytest.approx(2 * min(1.0, centre + half) - 1)
    assert bounded_interval(value, 0.0, 7, None, 1.0) == (None, None)
    assert bounded_interval(value, 0.0, 7, -1.0, None) == (None, None)


@pytest.mark.parametrize(
    ("lowest", "highest", "ends"),
    [(None, None, (-1.5, 4.5)), (0.0, None, (0.0, 4.5)), (None, 4.0, (-1.5, 4.0))],
)
def test_students_interval_ends_where_its_range_does(
    lowest: float | None, highest: float | None, ends: tuple[float, float]
) -> None:
    stderr = 3.0 / stats.t.ppf(0.975, 9)
    assert bounded_interval(1.5, stderr, 10, lowest, highest) == pytest.approx(ends)
