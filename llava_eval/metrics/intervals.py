"""Means of clustered observations, with honest intervals.

Questions about one video succeed and fail together, so they count for less than as many
independent ones. Standard errors follow the cluster-robust estimator that Miller recommends for
evaluations (arXiv 2411.00640, section 2.2), with the usual G / (G - 1) correction for the number
of clusters.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class MeanEstimate:
    """A mean with its clustered standard error and 95 % interval.

    Attributes:
        mean: arithmetic mean over observations.
        stderr: clustered standard error; None for fewer than two clusters.
        low, high: interval; None with ``stderr``.
        num_observations, num_clusters: what it rests on.
    """

    mean: float
    stderr: float | None
    low: float | None
    high: float | None
    num_observations: int
    num_clusters: int


def clustered_mean(
    values: Sequence[float] | npt.NDArray[np.float64], clusters: Sequence[Hashable]
) -> MeanEstimate:
    """Estimate a mean from observations that are dependent within clusters.

    Proportions (all values 0 or 1) get Wilson's interval with the effective sample size that the
    clustered variance implies, so that the interval stays inside [0, 1] and does not collapse at
    the ends; with no variance at all, each cluster counts as one observation. Other values get
    Student's interval, cut at 0 where no value is negative. Both use G - 1 degrees of freedom for
    G clusters.

    Args:
        values: (N,) observations.
        clusters: (N,) cluster of each observation.

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
        return MeanEstimate(mean, None, None, None, observed.size, num_clusters)
    stderr = clustered_stderr((observed - mean) / observed.size, membership)
    quantile = student_quantile(num_clusters - 1)
    if np.isin(observed, (0.0, 1.0)).all():
        low, high = _wilson(mean, stderr, quantile, num_clusters)
    else:
        low, high = mean - quantile * stderr, mean + quantile * stderr
        if observed.min() >= 0:
            low = max(0.0, low)
    return MeanEstimate(mean, stderr, low, high, observed.size, num_clusters)


def number_clusters(clusters: Sequence[Hashable]) -> tuple[npt.NDArray[np.int64], int]:
    """Return the number of each observation's cluster, counted from 0, and how many there are."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(clusters))}
    membership = np.fromiter((numbers[name] for name in clusters), np.int64, len(clusters))
    return membership, len(numbers)


def clustered_stderr(
    influence: npt.NDArray[np.float64], membership: npt.NDArray[np.int64]
) -> float:
    """Return the standard error of an estimate from what each observation contributes to it.

    Args:
        influence: (N,) contributions, which add up to 0; (value - mean) / N for a mean.
        membership: (N,) cluster of each, from :func:`number_clusters`; at least two clusters.
    """
    sums = np.bincount(membership, weights=influence)
    return math.sqrt(len(sums) / (len(sums) - 1) * float(sums @ sums))


def student_quantile(degrees_of_freedom: int, confidence: float = CONFIDENCE) -> float:
    """Return the half-width, in standard errors, of a two-sided Student interval."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, 0.5 + confidence / 2))


def _wilson(mean: float, stderr: float, quantile: float, num_clusters: int) -> tuple[float, float]:
    """Return Wilson's score interval for the sample size that would give this standard error."""
    size = mean * (1 - mean) / stderr**2 if stderr > 0 else float(num_clusters)
    square = quantile**2
    centre = (mean + square / (2 * size)) / (1 + square / size)
    half = quantile * math.sqrt(mean * (1 - mean) / size + square / (4 * size**2))
    half /= 1 + square / size
    return max(0.0, centre - half), min(1.0, centre + half)
