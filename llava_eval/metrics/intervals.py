"""Means of clustered observations, with honest intervals.

Questions about one video succeed and fail together, so they count for less than as many
independent ones. Standard errors follow the cluster-robust estimator that Miller recommends for
evaluations (arXiv 2411.00640, section 2.2), with the usual G / (G - 1) correction for the number
of clusters.

Numbers that have no formula for their standard error get theirs by the cluster bootstrap: whole
clusters (the questions of one video) are drawn with replacement, so that what is dependent stays
together. The generator is seeded: the same results give the same interval.
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

#: A standard error below this share (of a value, a range, the deviations) is rounding.
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
    """Return a mean of observations that are dependent within clusters, with its interval.

    Proportions (all values 0 or 1) get Wilson's interval with the effective sample size that the
    clustered variance implies, so that the interval stays inside [0, 1] and does not collapse at
    the ends. Other values get the interval of :func:`bounded_interval`, from 0 where no value is
    negative. Both use G - 1 degrees of freedom for G clusters; there is none for fewer than two,
    or where all observations are equal and their range is not known.

    Args:
        values: (N,) observations.
        clusters: (N,) cluster of each observation.
        highest: the largest value that an observation can have; None where that is not known.
        scale: factor from the observations to the unit of the table.
        unit: that unit.
        note: what must be known of the number.

    Raises:
        ValueError: no observations, or lengths that differ.
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
    """Return Student's interval of an estimate, within the range that it can have.

    Observations that are all equal say nothing of how far others may be, so a standard error of 0
    gives no interval without width: with a known range it is Wilson's interval for as many
    observations as there are clusters, which no spread within the range can exceed; otherwise
    there is none.

    Args:
        value: the estimate.
        stderr: its clustered standard error.
        num_clusters: G, at least 2.
        lowest: the least that the estimate can be; None where that is not known.
        highest: the most that it can be; None where that is not known.

    Returns:
        Low and high end, or None for both.
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
    """Return the number of each observation's cluster, counted from 0, and how many there are."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    membership = np.fromiter((numbers[name] for name in clusters), np.int64, len(clusters))
    return membership, len(numbers)


def clustered_stderr(influence: FloatArray, membership: IntArray) -> float:
    """Return the standard error of an estimate from what each observation contributes to it.

    Args:
        influence: (N,) contributions, which add up to 0; (value - mean) / N for a mean.
        membership: (N,) cluster of each, from :func:`number_clusters`; at least two clusters.
    """
    sums = np.bincount(membership, weights=influence)
    stderr = math.sqrt(len(sums) / (len(sums) - 1) * float(sums @ sums))
    # What cancels within every cluster (one of three right, of each video) leaves rounding alone.
    return stderr if stderr > NO_SPREAD * float(np.abs(influence).sum()) else 0.0


def student_quantile(degrees_of_freedom: float, confidence: float = CONFIDENCE) -> float:
    """Return the half-width, in standard errors, of a two-sided Student interval."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, 0.5 + confidence / 2))


def _wilson(mean: float, stderr: float, num_clusters: int) -> tuple[float, float]:
    """Return Wilson's score interval for the sample size that would give this standard error.

    With no spread at all, each cluster counts as one observation.
    """
    size = mean * (1 - mean) / stderr**2 if stderr > 0 else float(num_clusters)
    quantile = student_quantile(num_clusters - 1)
    square = quantile**2
    centre = (mean + square / (2 * size)) / (1 + square / size)
    half = quantile * math.sqrt(mean * (1 - mean) / size + square / (4 * size**2))
    half /= 1 + square / size
    # of 0 and 1 one end is the mean itself, but for rounding
    return max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half))


NUM_RESAMPLES = 2000
SEED = 20260101

#: Numbers that are held at once while resampling.
_CHUNK_SIZE = 4_000_000
#: Of these, numbers that are counted together.
_BLOCK_SIZE = 16_384


def resample_counts(num_clusters: int, num_resamples: int = NUM_RESAMPLES) -> Iterator[IntArray]:
    """Yield (b, num_clusters) arrays: how often each cluster was drawn in each of b resamples."""
    generator = np.random.default_rng(SEED)
    chunk = max(1, min(num_resamples, _CHUNK_SIZE // num_clusters))
    for start in range(0, num_resamples, chunk):
        rows = min(chunk, num_resamples - start)
        drawn = generator.integers(num_clusters, size=(rows, num_clusters))
        # So many rows together that what is counted stays in the processor's cache.
        block = max(1, _BLOCK_SIZE // num_clusters)
        yield np.concatenate([_counted(drawn[n : n + block]) for n in range(0, rows, block)])


def _counted(drawn: IntArray) -> IntArray:
    """Return how often each number below its length is in each row of a (B, N) array."""
    num_rows, length = drawn.shape
    places = drawn + length * np.arange(num_rows)[:, None]
    return np.bincount(places.ravel(), minlength=drawn.size).reshape(drawn.shape)


def resampled_sums(sums: FloatArray) -> FloatArray:
    """Return (NUM_RESAMPLES, K) sums over resampled clusters.

    Args:
        sums: (G, K) what each cluster adds to each of K sums.
    """
    return np.concatenate([counts @ sums for counts in resample_counts(len(sums))])


def percentile_interval(
    replicates: FloatArray, num_clusters: int, confidence: float
) -> tuple[float, float]:
    """Return the expanded percentile interval of bootstrap replicates.

    Plain percentiles are too narrow for few clusters; the quantiles are moved outwards to where
    Student's quantile with G - 1 degrees of freedom would lie (Hesterberg 2015,
    doi:10.1080/00031305.2015.1089789, section 5.2).
    """
    from scipy.special import ndtr

    quantile = student_quantile(num_clusters - 1, confidence)
    tail = float(ndtr(-math.sqrt(num_clusters / (num_clusters - 1)) * quantile))
    low, high = np.nanquantile(replicates, [tail, 1 - tail])
    return float(low), float(high)


def sign_p_value(replicates: FloatArray, num_clusters: int) -> float:
    """Return the two-sided p-value at which :func:`percentile_interval` reaches 0.

    Replicates of which none does know no tail below 1 / (B + 1), with which nothing is left of
    dozens of differences after Holm's correction: there Student's test has the say.
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
