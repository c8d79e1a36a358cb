"""The difference between two runs that answered the same questions.

Pairing removes the variance that comes from questions being hard for both runs, so it shows
differences that two separate intervals hide (Miller, arXiv 2411.00640, section 4). Questions about
one video form one cluster, as in :mod:`llava_eval.metrics.intervals`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from llava_eval.metrics.intervals import (
    CONFIDENCE,
    NO_SPREAD,
    FloatArray,
    IntArray,
    clustered_stderr,
    percentile_interval,
    resampled_sums,
    sign_p_value,
    student_quantile,
)
from llava_eval.metrics.means import width_of

#: Probability of detecting a true difference of ``smallest_detectable``.
POWER = 0.8
#: With at most this many clusters, resamples of a single cluster are more frequent than the tail
#: of an interval, so percentiles are not usable.
_FEW_CLUSTERS = 6
#: At most this many clusters that all differ by the same amount prove nothing.
_FEW_ALIKE = 4

#: If a larger share of the replicates is undefined, the others are not used either.
_MOST_UNKNOWN = 0.5


@dataclass(frozen=True, slots=True)
class PairedEstimate:
    """A paired difference, second minus first, with its clustered uncertainty.

    Attributes:
        first, second: the two values on the compared samples.
        difference: second - first.
        low, high: confidence interval; like the next two, None for fewer than two clusters.
        p_value: two-sided p-value of no difference; below 1 - confidence if and only if the
            interval excludes 0.
        smallest_detectable: true difference that this number of samples detects with power
            :data:`POWER`; None if all clusters differ by the same amount, which leaves their spread
            unknown.
        num_samples, num_clusters: numbers of compared samples and clusters.
    """

    first: float
    second: float
    difference: float
    low: float | None
    high: float | None
    p_value: float | None
    smallest_detectable: float | None
    num_samples: int
    num_clusters: int

    def scaled(self, scale: float, unit: str = "") -> PairedEstimate:
        """Return the estimate in another unit, with its interval cut to the unit's range."""
        names = ("first", "second", "difference", "low", "high", "smallest_detectable")
        values = {name: getattr(self, name) for name in names}
        known = {name: scale * value for name, value in values.items() if value is not None}
        if (most := width_of(unit)) is not None and "low" in known:
            known |= {"low": max(-most, known["low"]), "high": min(most, known["high"])}
        return replace(self, **known)


class Test(NamedTuple):
    """Interval and two-sided p-value of a difference."""

    low: float
    high: float
    p_value: float


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's exact test.

    Attributes:
        num_first_only: samples that only the first run got right.
        num_second_only: samples that only the second run got right.
        p_value: two-sided.
    """

    num_first_only: int
    num_second_only: int
    p_value: float


def paired_means(
    first: FloatArray, second: FloatArray, membership: IntArray, *, confidence: float = CONFIDENCE
) -> PairedEstimate | None:
    """Compare two means over the same samples.

    A sample may be in the denominator of only one mean (a reply that one run's rule left out).
    Both means then keep their own denominators, as in the tables of the runs.

    Right-or-wrong values get Tango's score interval (see :func:`_score_bound`), other values the
    cluster bootstrap.

    Args:
        first: (N,) values of one run, NaN for samples that do not count.
        second: (N,) values of the other run, in the same order of samples.
        membership: (N,) cluster numbers.
        confidence: confidence level of the two-sided interval.

    Returns:
        None if one of the two has no value at all.
    """
    kept = ~(np.isnan(first) & np.isnan(second))
    first, second, membership = first[kept], second[kept], membership[kept]
    first_counts, second_counts = ~np.isnan(first), ~np.isnan(second)
    if not first_counts.any() or not second_counts.any():
        return None
    _, membership = np.unique(membership, return_inverse=True)
    ours, theirs = float(first[first_counts].mean()), float(second[second_counts].mean())
    num_clusters = int(membership.max()) + 1
    values = np.concatenate([first[first_counts], second[second_counts]])
    test: Test | None = None
    if num_clusters >= 2 and _are_right_or_wrong(values):
        influence = influence_of(second, theirs) - influence_of(first, ours)
        test = _proportions(theirs - ours, influence, membership, confidence)
    elif num_clusters >= 2:
        test = _bootstrapped_means(first, second, membership, confidence)
    return paired_estimate(ours, theirs, test, len(first), num_clusters, confidence)


def paired_estimate(
    first: float,
    second: float,
    test: Test | None,
    num_samples: int,
    num_clusters: int,
    confidence: float = CONFIDENCE,
) -> PairedEstimate:
    """Return the estimate from two values and the test of their difference, if there is one."""
    low, high, p_value = test or (None, None, None)
    width = 0.0 if test is None else test.high - test.low
    smallest = detectable(width, num_clusters, confidence) if width > NO_SPREAD else None
    return PairedEstimate(
        first, second, second - first, low, high, p_value, smallest, num_samples, num_clusters
    )


def detectable(width: float, num_clusters: int, confidence: float = CONFIDENCE) -> float:
    """Return the true difference that is found with :data:`POWER`, from an interval's width."""
    stderr = width / 2 / student_quantile(num_clusters - 1, confidence)
    return stderr * errors_shown(num_clusters - 1, confidence)


def errors_shown(freedom: float, confidence: float = CONFIDENCE) -> float:
    """Return the effect size, in standard errors, that a test detects with :data:`POWER`."""
    from scipy.special import stdtrit

    return student_quantile(freedom, confidence) + float(stdtrit(freedom, POWER))


def influence_of(values: FloatArray, mean: float) -> FloatArray:
    """Return each sample's influence on a mean; 0 outside its denominator."""
    return np.nan_to_num(values - mean) / np.count_nonzero(~np.isnan(values))


def _proportions(
    difference: float, influence: FloatArray, membership: IntArray, confidence: float
) -> Test:
    """Return interval and p-value of a difference between two shares of right answers.

    The score interval assumes independent pairs. Here it uses the number of independent pairs that
    the clustered variance implies, but never more than there are samples: a few flips that happen
    to cancel within videos are no evidence of higher precision.
    """
    num_clusters = int(membership.max()) + 1
    num_samples = len(influence)
    clustered = clustered_stderr(influence, membership) ** 2
    independent = clustered_stderr(influence, np.arange(num_samples)) ** 2
    # The share of samples that changed either way, if both means count the same samples.
    discordance = (num_samples - 1) * independent + difference**2
    discordance = min(1.0, max(abs(difference), discordance))
    size = (
        num_samples / max(1.0, clustered / independent) if independent > 0 else float(num_clusters)
    )
    return _score_test(difference, discordance, size, num_clusters, confidence)


def _score_test(
    difference: float, discordance: float, size: float, num_clusters: int, confidence: float
) -> Test:
    """Return Tango's interval and the score test of no difference, with Student's quantiles."""
    from scipy.special import stdtr

    quantile = student_quantile(num_clusters - 1, confidence)
    low = _score_bound(difference, discordance, size, quantile, -1.0)
    high = _score_bound(difference, discordance, size, quantile, 1.0)
    statistic = _score_statistic(difference, discordance, size, 0.0)
    return Test(low, high, min(1.0, 2 * float(stdtr(num_clusters - 1, -abs(statistic)))))


def _score_bound(
    difference: float, discordance: float, size: float, quantile: float, end: float
) -> float:
    """Return the bound of Tango's interval that lies between the difference and ``end`` (-1 or 1).

    It is the true difference at which the score test just rejects, so the interval excludes 0
    exactly if McNemar's (asymptotic) test rejects no difference. Tango 1998,
    doi:10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B.
    """

    def is_rejected(assumed: float) -> bool:
        return abs(_score_statistic(difference, discordance, size, assumed)) > quantile

    kept, rejected = float(difference), end * (1 - 1e-12)
    if difference * end >= 1 - 1e-9 or not is_rejected(rejected):
        return end
    while abs(rejected - kept) > 1e-12:
        middle = (kept + rejected) / 2
        if is_rejected(middle):
            rejected = middle
        else:
            kept = middle
    return (kept + rejected) / 2


def _score_statistic(difference: float, discordance: float, size: float, assumed: float) -> float:
    """Return the score statistic of "the true difference is ``assumed``".

    With shares p_up = (discordance + difference) / 2 and p_down = (discordance - difference) / 2
    of samples that got better and worse, the likelihood under p_up = p_down + assumed is maximal at
    the larger root of a quadratic in p_down.
    """
    falls = (discordance - difference) / 2
    linear = discordance * (1 - assumed) - 2 * falls * assumed - 2 * (1 - discordance) * assumed
    constant = falls * assumed * (1 - assumed)
    p_down = (linear + math.sqrt(max(0.0, linear**2 + 8 * constant))) / 4
    variance = (2 * p_down + assumed * (1 - assumed)) / size
    if variance <= 1e-15:
        return 0.0 if abs(difference - assumed) < 1e-12 else math.inf
    return (difference - assumed) / math.sqrt(variance)


def _bootstrapped_means(
    first: FloatArray, second: FloatArray, membership: IntArray, confidence: float
) -> Test | None:
    columns = [np.nan_to_num(first), ~np.isnan(first), np.nan_to_num(second), ~np.isnan(second)]
    drawn = resampled_sums(cluster_sums(np.stack(columns, axis=1), membership))
    with np.errstate(invalid="ignore", divide="ignore"):
        replicates = drawn[:, 2] / drawn[:, 3] - drawn[:, 0] / drawn[:, 1]
    seen = np.concatenate([first, second, [0.0]])
    width = max(1.0, float(np.nanmax(seen) - np.nanmin(seen)))
    num_clusters = int(membership.max()) + 1
    if num_clusters <= _FEW_ALIKE and np.nanstd(replicates) <= NO_SPREAD * width:
        # A few clusters that all differ by the same amount are treated like right-or-wrong pairs of
        # which this share changed.
        share = float(np.nanmean(replicates)) / width
        low, high, p_value = _score_test(share, abs(share), num_clusters, num_clusters, confidence)
        return Test(width * low, width * high, p_value)
    return bootstrap_test(replicates, num_clusters, confidence, width)


def cluster_sums(columns: FloatArray, membership: IntArray) -> FloatArray:
    """Return (G, K) sums within clusters of (N, K) columns."""
    summed = [np.bincount(membership, weights=column) for column in columns.T]
    return np.stack(summed, axis=1).astype(np.float64)


def bootstrap_test(
    replicates: FloatArray, num_clusters: int, confidence: float, width: float
) -> Test | None:
    """Return the test of a difference from bootstrap replicates; undefined ones are not finite.

    Returns None if most are undefined, for instance because the metric needs a video of each task,
    which most resamples lack.

    With few clusters, percentiles cannot lie outside the values of single clusters. Then only the
    replicates' spread is used, for Student's interval. If nothing differs at all, each cluster
    counts as one pair of equal right-or-wrong answers.

    Args:
        replicates: bootstrap replicates of the difference.
        num_clusters: number of clusters, at least 2.
        confidence: confidence level of the interval.
        width: width of the range of the compared values.
    """
    from scipy.special import stdtr

    known = np.where(np.isfinite(replicates), replicates, np.nan)
    if np.isnan(known).mean() > _MOST_UNKNOWN:
        return None
    quantile = student_quantile(num_clusters - 1, confidence)
    stderr = float(np.nanstd(known)) * math.sqrt(num_clusters / (num_clusters - 1))
    if np.nanmax(np.abs(known)) <= NO_SPREAD * width:
        half = width * _score_bound(0.0, 0.0, num_clusters, quantile, 1.0)
        return Test(-half, half, 1.0)
    if num_clusters <= _FEW_CLUSTERS and stderr > NO_SPREAD * width:
        centre = float(np.nanmean(known))
        p_value = 2 * float(stdtr(num_clusters - 1, -abs(centre) / stderr))
        return Test(centre - quantile * stderr, centre + quantile * stderr, p_value)
    low, high = percentile_interval(known, num_clusters, confidence)
    return Test(low, high, sign_p_value(known, num_clusters))


def mcnemar_exact(first: FloatArray, second: FloatArray) -> McNemar | None:
    """Return McNemar's exact test on samples that count in both runs; None for graded scores.

    The test treats samples as independent; if several share a video, use the clustered p-value of
    :func:`paired_means` instead.
    """
    from scipy.special import bdtr

    both = ~np.isnan(first) & ~np.isnan(second)
    first, second = first[both], second[both]
    if not _are_right_or_wrong(np.concatenate([first, second])):
        return None
    first_only, second_only = int((first > second).sum()), int((first < second).sum())
    smaller, total = min(first_only, second_only), first_only + second_only
    return McNemar(first_only, second_only, min(1.0, 2 * float(bdtr(smaller, total, 0.5))))


def _are_right_or_wrong(values: FloatArray) -> bool:
    """Return whether all values are 0 or 1, or, for the negative of an error, 0 or -1."""
    return bool(np.isin(values, (0.0, 1.0)).all() or np.isin(values, (0.0, -1.0)).all())


def holm_of(estimates: Iterable[PairedEstimate | None]) -> list[float | None]:
    """Return Holm's adjusted p-values of some differences; None for an unknown one."""
    return holm([None if estimate is None else estimate.p_value for estimate in estimates])


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return Holm's adjusted p-values; None stays None and does not count as a comparison."""
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p_value, index) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p_value))
        adjusted[index] = largest
    return adjusted
