"""Means of clustered observations, with valid intervals.

Questions about one video tend to succeed or fail together, so they carry less information than the
same number of independent questions. Standard errors use the cluster-robust estimator that Miller
recommends for evaluations (arXiv 2411.00640, section 2.2), with the usual G / (G - 1) correction
for the number of clusters.

Estimates without a formula for their standard error use the cluster bootstrap: whole clusters (the
questions of one video) are drawn with replacement, so that dependent observations stay together.
The generator is seeded, so the same results give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from llava_eval.types import MetricValue

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

CONFIDENCE = 0.95

#: A standard error below this share (of a value, a range, the deviations) is rounding error.
NO_SPREAD = 1e-12


def clustered_mean(
    values: Sequence[float] | FloatArray,
    clusters: Sequence[Hashable],
    *,
    highest: float | None = None,
    scale: float = 1.0,
    unit: str = "percent",
    note: str = "",
) -> MetricValue:
    """Return the mean of observations that are dependent within clusters, with its interval.

    Proportions (all values 0 or 1) get Wilson's interval with the effective sample size that the
    clustered variance implies, so that the interval stays inside [0, 1] and does not collapse at
    the ends. Other values get the interval of :func:`bounded_interval`, with the lower limit 0 if
    no value is negative. Both use G - 1 degrees of freedom for G clusters. There is no interval for
    fewer than two clusters, or if all observations are equal and their range is unknown.

    Args:
        values: (N,) observations.
        clusters: (N,) cluster of each observation.
        highest: the largest value that an observation can have; None if unknown.
        scale: factor from the observations to the unit of the table.
        unit: that unit.
        note: caveat about the number.

    Raises:
        ValueError: no observations, or different lengths.
    """
    observed = np.asarray(values, dtype=np.float64)
    if observed.size == 0 or observed.size != len(clusters):
        raise ValueError(
            f"a mean needs as many clusters as observations and at least one, got "
            f"{observed.size} observations and {len(clusters)} clusters"
        )
    mean = float(observed.mean())
    membership, num_clusters = number_clusters(clusters)
    if num_clusters < 2:
        return MetricValue(scale * mean, None, None, None, observed.size, unit, note)
    stderr = clustered_stderr((observed - mean) / observed.size, membership)
    if highest in (None, 1.0) and np.isin(observed, (0.0, 1.0)).all():
        found: tuple[float | None, float | None] = _wilson(mean, stderr, num_clusters)
    else:
        lowest = 0.0 if observed.min() >= 0 else None
        found = bounded_interval(mean, stderr, num_clusters, lowest, highest)
    low, high = sorted(scale * end for end in found if end is not None) or (None, None)
    return MetricValue(scale * mean, abs(scale) * stderr, low, high, observed.size, unit, note)


def bounded_interval(
    value: float, stderr: float, num_clusters: int, lowest: float | None, highest: float | None
) -> tuple[float | None, float | None]:
    """Return Student's interval of an estimate, cut to the estimate's possible range.

    If all observations are equal, the standard error is 0, but that does not mean that the estimate
    is exact. With a known range the result is then Wilson's interval for one observation per
    cluster, the widest that any spread within the range can justify; otherwise there is none.

    Args:
        value: the estimate.
        stderr: its clustered standard error.
        num_clusters: G, at least 2.
        lowest: smallest possible value of the estimate; None if unknown.
        highest: largest possible value of the estimate; None if unknown.

    Returns:
        Lower and upper bound, or None for both.
    """
    if stderr > NO_SPREAD * max(1.0, abs(value)):
        half = student_quantile(num_clusters - 1) * stderr
        low = value - half if lowest is None else max(lowest, value - half)
        high = value + half if highest is None else min(highest, value + half)
        return low, high
    if lowest is None or highest is None:
        return None, None
    width = highest - lowest
    low, high = _wilson((value - lowest) / width, 0.0, num_clusters)
    return lowest + width * low, lowest + width * high


def number_clusters(clusters: Sequence[Hashable]) -> tuple[IntArray, int]:
    """Return each observation's cluster number, counted from 0, and the number of clusters."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    membership = np.fromiter((numbers[name] for name in clusters), np.int64, len(clusters))
    return membership, len(numbers)


def clustered_stderr(influence: FloatArray, membership: IntArray) -> float:
    """Return the standard error of an estimate from the observations' influences on it.

    Args:
        influence: (N,) influences, which add up to 0; (value - mean) / N for a mean.
        membership: (N,) cluster of each, from :func:`number_clusters`; at least two clusters.
    """
    sums = np.bincount(membership, weights=influence)
    stderr = math.sqrt(len(sums) / (len(sums) - 1) * float(sums @ sums))
    # If influences cancel within every cluster (one of three right in each video), only rounding
    # errors are left.
    return stderr if stderr > NO_SPREAD * float(np.abs(influence).sum()) else 0.0


def student_quantile(degrees_of_freedom: float, confidence: float = CONFIDENCE) -> float:
    """Return the half-width, in standard errors, of a two-sided Student interval."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, 0.5 + confidence / 2))


def _wilson(mean: float, stderr: float, num_clusters: int) -> tuple[float, float]:
    """Return Wilson's score interval for the sample size that implies this standard error.

    Without any spread, each cluster counts as one observation.
    """
    size = mean * (1 - mean) / stderr**2 if stderr > 0 else float(num_clusters)
    quantile = student_quantile(num_clusters - 1)
    square = quantile**2
    centre = (mean + square / (2 * size)) / (1 + square / size)
    half = quantile * math.sqrt(mean * (1 - mean) / size + square / (4 * size**2))
    half /= 1 + square / size
    # for a mean of 0 or 1 one bound is the mean itself, except for rounding
    return max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half))


NUM_RESAMPLES = 2000
SEED = 20260101

#: Numbers kept in memory at once while resampling.
_CHUNK_SIZE = 4_000_000
#: Numbers counted together, so that they fit into the processor's cache.
_BLOCK_SIZE = 16_384


def resample_counts(num_clusters: int, num_resamples: int = NUM_RESAMPLES) -> Iterator[IntArray]:
    """Yield (b, num_clusters) arrays: counts of each cluster in each of b resamples."""
    generator = np.random.default_rng(SEED)
    chunk = max(1, min(num_resamples, _CHUNK_SIZE // num_clusters))
    for start in range(0, num_resamples, chunk):
        rows = min(chunk, num_resamples - start)
        drawn = generator.integers(num_clusters, size=(rows, num_clusters))
        # Count only as many rows together as fit into the processor's cache.
        block = max(1, _BLOCK_SIZE // num_clusters)
        yield np.concatenate([_counted(drawn[n : n + block]) for n in range(0, rows, block)])


def _counted(drawn: IntArray) -> IntArray:
    """Return, for each row of a (B, N) array, how often each number from 0 to N - 1 occurs."""
    num_rows, length = drawn.shape
    places = drawn + length * np.arange(num_rows)[:, None]
    return np.bincount(places.ravel(), minlength=drawn.size).reshape(drawn.shape)


def resampled_sums(sums: FloatArray) -> FloatArray:
    """Return (NUM_RESAMPLES, K) sums over resampled clusters.

    Args:
        sums: (G, K) contribution of each cluster to each of K sums.
    """
    return np.concatenate([counts @ sums for counts in resample_counts(len(sums))])


def percentile_interval(
    replicates: FloatArray, num_clusters: int, confidence: float
) -> tuple[float, float]:
    """Return the expanded percentile interval of bootstrap replicates.

    Plain percentiles give too narrow intervals for few clusters. The quantiles are moved outwards
    to match Student's quantile with G - 1 degrees of freedom (Hesterberg 2015,
    doi:10.1080/00031305.2015.1089789, section 5.2).
    """
    from scipy.special import ndtr

    quantile = student_quantile(num_clusters - 1, confidence)
    tail = float(ndtr(-math.sqrt(num_clusters / (num_clusters - 1)) * quantile))
    low, high = np.nanquantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


def sign_p_value(replicates: FloatArray, num_clusters: int) -> float:
    """Return the two-sided p-value at which :func:`percentile_interval` reaches 0.

    If no replicate reaches 0, the smallest tail that B replicates can show is 1 / (B + 1), which is
    too large to survive Holm's correction of dozens of differences. The tail is then derived from
    the mean and the spread of the replicates.
    """
    from scipy.special import ndtr, ndtri, stdtr

    known = replicates[~np.isnan(replicates)]
    beyond = min(int((known <= 0).sum()), int((known >= 0).sum()))
    tail = min(0.5, (beyond + 1) / (len(known) + 1))
    spread = float(known.std())
    if not beyond and spread > NO_SPREAD * abs(known.mean()):
        tail = min(tail, float(ndtr(-abs(known.mean()) / spread)))
    statistic = float(ndtri(tail)) * math.sqrt((num_clusters - 1) / num_clusters)
    return 2 * float(stdtr(num_clusters - 1, statistic))
