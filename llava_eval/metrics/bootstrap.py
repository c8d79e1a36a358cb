"""The cluster bootstrap: intervals of numbers that have no formula for their standard error.

Whole clusters (the questions of one video) are drawn with replacement, so that what is dependent
stays together. The generator is seeded: the same results give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from llava_eval.metrics.intervals import student_quantile

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

NUM_RESAMPLES = 2000
SEED = 20260101

#: Numbers that are held at once while resampling.
_CHUNK_SIZE = 4_000_000


def resample_counts(num_clusters: int, num_resamples: int = NUM_RESAMPLES) -> Iterator[IntArray]:
    """Yield (b, num_clusters) arrays: how often each cluster was drawn in each of b resamples."""
    generator = np.random.default_rng(SEED)
    chunk = max(1, min(num_resamples, _CHUNK_SIZE // num_clusters))
    for start in range(0, num_resamples, chunk):
        rows = min(chunk, num_resamples - start)
        drawn = generator.integers(num_clusters, size=(rows, num_clusters))
        # Row by row, so that what is counted stays in the processor's cache.
        yield np.stack([np.bincount(row, minlength=num_clusters) for row in drawn])


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
    """Return the two-sided p-value at which :func:`percentile_interval` reaches 0."""
    from scipy.special import ndtri, stdtr

    known = replicates[~np.isnan(replicates)]
    beyond = min(int((known <= 0).sum()), int((known >= 0).sum()))
    tail = min(0.5, (beyond + 1) / (len(known) + 1))
    statistic = float(ndtri(tail)) * math.sqrt((num_clusters - 1) / num_clusters)
    return min(1.0, 2 * float(stdtr(num_clusters - 1, statistic)))
