"""Paired differences against scipy, statsmodels, brute force, hand-worked cases and simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from llava_eval.metrics.paired import PairedEstimate, detectable, holm, mcnemar_exact, paired_means

FloatArray = npt.NDArray[np.float64]


def from_counts(first_only: int, second_only: int, total: int) -> tuple[FloatArray, FloatArray]:
    """Return right and wrong answers with so many samples that only one run got right."""
    first: FloatArray = np.ones(total)
    second: FloatArray = np.ones(total)
    second[:first_only] = 0
    first[first_only : first_only + second_only] = 0
    return first, second


def estimate_of(
    first: FloatArray, second: FloatArray, membership: npt.NDArray[np.int64] | None = None
) -> PairedEstimate:
    clusters = np.arange(len(first)) if membership is None else membership
    found = paired_means(first, second, clusters)
    assert found is not None
    return found


def likelihood_ratio_bound(
    first_only: int, second_only: int, total: int, quantile: float, end: float
) -> float:
    """Return where the score test just rejects, its likelihood maximised numerically."""

    def statistic(assumed: float) -> float:
        counts = (second_only, first_only, total - first_only - second_only)

        def loss(p_down: float) -> float:
            shares = (p_down + assumed, p_down, 1 - 2 * p_down - assumed)
            terms = [c * math.log(max(p, 1e-300)) for c, p in zip(counts, shares, strict=True) if c]
            return -sum(terms)

        bounds = (max(0.0, -assumed) + 1e-12, (1 - assumed) / 2 - 1e-12)
        p_down = optimize.minimize_scalar(loss, bounds=bounds, method="bounded").x
        refined = optimize.minimize_scalar(
            loss,
            bounds=(max(bounds[0], p_down - 1e-3), min(bounds[1], p_down + 1e-3)),
            method="bounded",
            options={"xatol": 1e-13},
        ).x
        variance = (2 * refined + assumed - assumed**2) / total
        return abs((second_only - first_only) / total - assumed) / math.sqrt(variance) - quantile

    middle = (second_only - first_only) / total
    return float(optimize.brentq(statistic, middle, end, xtol=1e-10))


@pytest.mark.parametrize(("first_only", "second_only", "total"), [(2, 12, 50), (41, 18, 270)])
def test_the_interval_of_independent_pairs_is_tangos(
    first_only: int, second_only: int, total: int
) -> None:
    found = estimate_of(*from_counts(first_only, second_only, total))
    quantile = float(stats.t.ppf(0.975, total - 1))
    low = likelihood_ratio_bound(first_only, second_only, total, quantile, -0.9)
    high = likelihood_ratio_bound(first_only, second_only, total, quantile, 0.9)
    assert found.difference == pytest.approx((second_only - first_only) / total)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)


def test_tangos_published_example() -> None:
    # Newcombe 1998, Statistics in Medicine 17, 2635: of 50 pairs 12 and 2 differ; with the normal
    # quantile Tango's interval is 0.0611 to 0.3447, a little wider with Student's of 49 degrees.
    found = estimate_of(*from_counts(2, 12, 50))
    assert found.low == pytest.approx(0.0611, abs=0.008)
    assert found.high == pytest.approx(0.3447, abs=0.008)


@pytest.mark.parametrize(("first_only", "second_only"), [(41, 18), (5, 1), (30, 30), (0, 4)])
def test_p_values_of_independent_pairs_are_mcnemars(first_only: int, second_only: int) -> None:
    first, second = from_counts(first_only, second_only, 200)
    table = [[200 - first_only - second_only, first_only], [second_only, 0]]
    exact = mcnemar_exact(first, second)
    assert exact is not None
    assert (exact.num_first_only, exact.num_second_only) == (first_only, second_only)
    assert exact.p_value == pytest.approx(mcnemar(table, exact=True).pvalue)
    smaller = min(first_only, second_only)
    assert exact.p_value == pytest.approx(stats.binomtest(smaller, first_only + second_only).pvalue)
    chi_square = mcnemar(table, exact=False, correction=False).statistic
    expected = 2 * stats.t.sf(math.sqrt(chi_square), 199)
    assert estimate_of(first, second).p_value == pytest.approx(expected)


def test_mcnemar_by_hand() -> None:
    # one sample for the first run, five for the second: 2 * (C(6,0) + C(6,1)) / 2^6 = 14 / 64
    found = mcnemar_exact(*from_counts(1, 5, 20))
    assert found is not None
    assert found.p_value == pytest.approx(14 / 64)
    same = mcnemar_exact(*from_counts(0, 0, 20))
    assert same is not None
    assert same.p_value == 1.0
    assert mcnemar_exact(np.array([0.5, 1.0]), np.array([1.0, 1.0])) is None


def test_mcnemar_leaves_out_what_counts_in_one_run_only() -> None:
    found = mcnemar_exact(np.array([1.0, 1.0, np.nan, 0.0]), np.array([0.0, np.nan, 1.0, 1.0]))
    assert found is not None
    assert (found.num_first_only, found.num_second_only) == (1, 1)


@pytest.mark.parametrize("membership", [np.arange(50), np.arange(50) // 2, np.arange(50) // 17])
def test_errors_in_negative_are_compared_as_right_and_wrong(
    membership: npt.NDArray[np.int64],
) -> None:
    first, second = from_counts(2, 12, 50)  # of errors: 2 in the first run only, 12 in the second
    right = estimate_of(1 - first, 1 - second, membership)
    errors = estimate_of(-first, -second, membership)
    assert (errors.first, errors.second) == pytest.approx((-38 / 50, -48 / 50))
    assert errors.difference == pytest.approx(-10 / 50)
    assert (errors.low, errors.high) == pytest.approx((right.low, right.high))
    assert errors.p_value == pytest.approx(right.p_value)
    if len(set(membership)) == 50:
        quantile = float(stats.t.ppf(0.975, 49))
        ends = (likelihood_ratio_bound(12, 2, 50, quantile, end) for end in (-0.9, 0.9))
        assert (errors.low, errors.high) == pytest.approx(tuple(ends), abs=1e-6)
    found = mcnemar_exact(-first, -second)
    assert found is not None
    assert (found.num_first_only, found.num_second_only) == (12, 2)
    assert found.p_value == pytest.approx(stats.binomtest(2, 14).pvalue)
    assert mcnemar_exact(np.array([1.0, -1.0]), np.zeros(2)) is None


def test_clusters_of_copies_count_once() -> None:
    first, second = from_counts(6, 2, 40)
    once = estimate_of(first, second)
    thrice = estimate_of(np.tile(first, 3), np.tile(second, 3), np.tile(np.arange(40), 3))
    assert (thrice.num_samples, thrice.num_clusters) == (120, 40)
    assert thrice.difference == pytest.approx(once.difference)
    assert thrice.low == pytest.approx(once.low, abs=2e-3)
    assert thrice.high == pytest.approx(once.high, abs=2e-3)


def test_right_and_wrong_of_two_videos_are_tested_as_pairs() -> None:
    first, second = np.tile([0.0, 1.0, 1.0, 1.0], 2), np.ones(8)
    found = estimate_of(first, second, np.arange(8) // 4)
    # McNemar's statistic of two changes one way is sqrt(2); two videos leave one degree of freedom.
    assert found.p_value == pytest.approx(2 * stats.t.sf(math.sqrt(2), 1))
    quantile = float(stats.t.ppf(0.975, 1))
    low, high = (likelihood_ratio_bound(0, 2, 8, quantile, end) for end in (-0.99, 0.99))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)


def test_flips_that_cancel_within_videos_are_no_evidence_of_precision() -> None:
    first, second = np.ones(60), np.ones(60)
    membership = np.arange(60) // 3
    for video in (0, 1, 2):
        first[3 * video] = 0
        second[3 * video + 1] = 0
    clustered, independent = estimate_of(first, second, membership), estimate_of(first, second)
    assert clustered.difference == 0.0
    assert clustered.high is not None
    assert independent.high is not None
    assert clustered.high >= independent.high - 1e-9


def test_equal_runs_still_have_an_interval() -> None:
    answers = np.ones(90)
    found = estimate_of(answers, answers, np.arange(90) // 3)
    assert (found.difference, found.p_value) == (0.0, 1.0)
    assert found.low is not None
    assert found.high is not None
    # 30 videos without a change: below 1 / (1 + 30 / t^2) either way, Wilson's bound at 0
    quantile = float(stats.t.ppf(0.975, 29))
    bound = quantile**2 / (30 + quantile**2)
    assert found.low == pytest.approx(-bound)
    assert found.high == pytest.approx(bound)


def test_opposite_runs() -> None:
    found = estimate_of(np.zeros(30), np.ones(30))
    assert (found.difference, found.high) == (1.0, 1.0)
    assert found.low is not None
    assert 0.7 < found.low < 1
    assert found.p_value is not None
    assert found.p_value < 1e-4


def test_each_mean_keeps_its_own_denominator() -> None:
    first = np.array([1.0, 0.0, 1.0, np.nan, np.nan])
    second = np.array([1.0, np.nan, 0.0, 0.0, np.nan])
    found = estimate_of(first, second)
    assert found.first == pytest.approx(2 / 3)
    assert found.second == pytest.approx(1 / 3)
    assert found.difference == pytest.approx(-1 / 3)
    assert found.num_samples == 4


def test_one_cluster_has_no_interval_and_no_values_no_estimate() -> None:
    found = estimate_of(np.array([1.0, 0.0]), np.array([0.0, 0.0]), np.zeros(2, np.int64))
    assert found.difference == -0.5
    assert (found.low, found.high, found.p_value, found.smallest_detectable) == (None,) * 4
    nothing = np.array([np.nan, np.nan])
    assert paired_means(nothing, np.ones(2), np.arange(2)) is None


def test_graded_scores_approach_the_paired_t_interval() -> None:
    random = np.random.default_rng(1)
    first = random.normal(size=400)
    second = first + random.normal(0.1, 1.0, size=400)
    found = estimate_of(first, second)
    low, high = stats.t.interval(
        0.95, 399, loc=(second - first).mean(), scale=stats.sem(second - first)
    )
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.012)
    assert found.p_value == pytest.approx(stats.ttest_rel(second, first).pvalue, abs=0.04)
    assert estimate_of(first, second) == found, "the bootstrap is seeded"


def test_equal_graded_runs_have_the_interval_of_equal_answers() -> None:
    answers = np.ones(20)
    right = estimate_of(answers, answers)
    graded = estimate_of(0.5 * answers, 0.5 * answers)
    assert right.low is not None
    assert right.low < 0
    assert (graded.low, graded.high) == pytest.approx((right.low, right.high))
    assert graded.p_value == 1.0


@pytest.mark.parametrize("num_clusters", [2, 3, 4, 5, 6])
def test_graded_scores_of_a_few_clusters_have_the_paired_t_interval(num_clusters: int) -> None:
    random = np.random.default_rng(5)
    first, second = random.random((2, num_clusters))
    found = estimate_of(first, second, np.arange(num_clusters))
    expected = stats.ttest_rel(second, first)
    interval = expected.confidence_interval(0.95)
    # The resamples' spread, of which 2000 are drawn, is that of the formula but for chance.
    assert (found.low, found.high) == pytest.approx(tuple(interval), rel=0.1)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.1)


@pytest.mark.parametrize("num_clusters", [2, 3, 4])
def test_a_few_clusters_that_differ_alike_prove_nothing(num_clusters: int) -> None:
    videos = np.repeat(np.arange(num_clusters), 2)
    first = np.tile([1.0, 0.75], num_clusters)
    found = estimate_of(first, first - 0.5, videos)
    # McNemar's statistic of pairs of which half changed, all of them one way: sqrt(n / 2).
    expected = 2 * stats.t.sf(math.sqrt(num_clusters / 2), num_clusters - 1)
    assert found.p_value == pytest.approx(expected)
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low < found.difference < 0 < found.high
    errors = estimate_of(-first, 0.5 - first, videos)  # by which the second is better
    assert errors.p_value == pytest.approx(expected)
    assert (errors.low, errors.high) == pytest.approx((-found.high, -found.low))
    for scale in (5.0, -5.0):  # of scores from 0 to 5, and of such an error in negative
        graded = estimate_of(scale * first, scale * (first - 0.5), videos)
        ends = (scale * found.low, scale * found.high)
        assert graded.p_value == pytest.approx(expected)
        assert (graded.low, graded.high) == pytest.approx((min(ends), max(ends)))


def test_a_scaled_estimate_is_in_the_other_unit() -> None:
    found = estimate_of(*from_counts(6, 2, 40))
    percent = found.scaled(100.0)
    assert percent.difference == pytest.approx(-10.0)
    assert percent.p_value == found.p_value
    assert percent.low == pytest.approx(100 * (found.low or 0))


def test_the_smallest_detectable_difference_is_found_four_times_in_five() -> None:
    """A model whose true difference is the stated one is found in about 80 % of repetitions."""
    random = np.random.default_rng(7)
    stated = estimate_of(*from_counts(30, 30, 300)).smallest_detectable
    assert stated is not None
    num_found = 0
    for _ in range(300):
        down = random.random(300) < 0.10 - stated / 2
        up = ~down & (random.random(300) < 0.10 + stated / 2)
        before = np.where(up, 0.0, np.where(down, 1.0, (random.random(300) < 0.7).astype(float)))
        after = np.where(up, 1.0, np.where(down, 0.0, before))
        p_value = estimate_of(before, after).p_value
        assert p_value is not None
        num_found += p_value < 0.05
    assert 0.73 <= num_found / 300 <= 0.87


def test_detectable_by_hand() -> None:
    # half the width is 1.984 standard errors for 101 clusters, 80 % power adds 0.845 more
    assert detectable(2 * 1.984, 101) == pytest.approx(1.984 + 0.845, abs=2e-3)
    # of three clusters, by Student's table for two degrees of freedom
    assert detectable(2 * 4.3027, 3) == pytest.approx(4.3027 + 1.0607, abs=2e-4)


@pytest.mark.slow
def test_holm_equals_statsmodels() -> None:
    for p_values in ([0.01, 0.04, 0.03, 0.005, 0.5], [0.6, 0.7, 0.01]):
        expected = multipletests(p_values, method="holm")[1]
        assert holm(p_values) == pytest.approx(list(expected))
    assert holm([0.01, None, 0.03]) == [pytest.approx(0.02), None, pytest.approx(0.03)]
    assert holm([]) == []


def two_models(
    random: np.random.Generator, rates: tuple[float, float], num_videos: int, per_video: int
) -> tuple[FloatArray, FloatArray]:
    """Return right and wrong answers that depend on the question, the video and the model."""
    question = random.normal(size=(num_videos, per_video))
    columns = []
    for rate in rates:
        luck = 0.55 * random.normal(size=(num_videos, 1)) + 0.835 * random.normal(
            size=(num_videos, per_video)
        )
        threshold = stats.norm.ppf(rate) * math.sqrt(1 + 0.55**2 + 0.835**2)
        columns.append((question + luck < threshold).astype(float).ravel())
    return columns[0], columns[1]


@pytest.mark.slow
@pytest.mark.parametrize("rates", [(0.6, 0.6), (0.6, 0.5), (0.9, 0.86)])
def test_coverage_of_the_interval_for_right_and_wrong(rates: tuple[float, float]) -> None:
    """The 95 % interval covers the true difference in 93 to 97 % of simulated benchmarks."""
    random = np.random.default_rng(20261122)
    membership = np.arange(270) // 3
    num_covered = 0
    for _ in range(1000):
        found = estimate_of(*two_models(random, rates, 90, 3), membership)
        assert found.low is not None
        assert found.high is not None
        num_covered += found.low <= rates[1] - rates[0] <= found.high
    assert 0.93 <= num_covered / 1000 <= 0.97


def partly_right(random: np.random.Generator) -> tuple[FloatArray, FloatArray, float]:
    """Return graded answers (0, 1/3, 2/3, 1) of two models, the second 0.05 better."""
    video = random.random((60, 1))

    def graded(shift: float) -> FloatArray:
        votes = random.random((60, 3, 3)) < 0.2 + shift + 0.5 * video[:, :, None]
        return np.asarray(votes.mean(axis=2).ravel(), np.float64)

    return graded(0.0), graded(0.05), 0.05


def skewed(random: np.random.Generator) -> tuple[FloatArray, FloatArray, float]:
    """Return scores like CIDEr's: never negative, a long tail, and alike within a video."""
    video = random.gamma(2.0, 0.5, size=(60, 1))
    scores = [video * random.gamma(2.0, 0.5, size=(60, 3)) for _ in range(2)]
    return scores[0].ravel(), 1.1 * scores[1].ravel(), 0.1


@pytest.mark.slow
@pytest.mark.parametrize("model", [partly_right, skewed])
def test_coverage_of_the_bootstrap_interval(
    model: Callable[[np.random.Generator], tuple[FloatArray, FloatArray, float]],
) -> None:
    """The same for graded scores."""
    random = np.random.default_rng(20261123)
    membership = np.arange(180) // 3
    num_covered = 0
    for _ in range(500):
        first, second, difference = model(random)
        found = estimate_of(first, second, membership)
        assert found.low is not None
        assert found.high is not None
        num_covered += found.low <= difference <= found.high
    assert 0.93 <= num_covered / 500 <= 0.97
