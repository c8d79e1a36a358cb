"""Power analysis: the number of samples that a difference needs, and the detectable difference.

A paired difference over N samples has the standard error ``sqrt(variance / N)``, where ``variance``
is the variance per sample, including the correlation within groups (videos). The difference is
detected with power :data:`~llava_eval.metrics.paired.POWER` if it is at least the standard error
times the sum of Student's quantiles of the test and of the power (Miller, arXiv 2411.00640,
section 5).
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

import numpy as np

from llava_eval.metrics.intervals import (
    NO_SPREAD,
    FloatArray,
    IntArray,
    clustered_stderr,
)
from llava_eval.metrics.paired import PairedEstimate, errors_shown

#: Upper limit of a plan.
MAX_SAMPLES = 10**15


@dataclass(frozen=True)
class Spread:
    """The random spread of a paired difference.

    Attributes:
        variance: variance of the difference times the number of samples, in its squared unit.
        samples_per_cluster: mean number of samples per group.
    """

    variance: float
    samples_per_cluster: float

    @classmethod
    def of_pair(cls, estimate: PairedEstimate) -> Spread | None:
        """Return the spread implied by the interval of two runs' difference; None if unknown.

        Args:
            estimate: paired estimate of the two runs.
        """
        # with two clusters the interval is cut at the ends of the scale, so the spread is unknown
        if estimate.smallest_detectable is None or estimate.num_clusters == 2:
            return None
        stderr = estimate.smallest_detectable / errors_shown(estimate.num_clusters - 1)
        per_cluster = estimate.num_samples / estimate.num_clusters
        return cls(stderr**2 * estimate.num_samples, per_cluster)

    @classmethod
    def of_one(cls, values: FloatArray, membership: IntArray) -> Spread | None:
        """Return the spread of a difference between a run and an independent one like it.

        Real runs mostly agree on which questions are hard, so this is an upper bound; a pair of
        runs gives a better estimate. None if there is one cluster only or all scores are equal.

        Args:
            values: (N,) scores of one run, none of them NaN.
            membership: (N,) cluster of each sample, numbered from 0.
        """
        num_clusters = int(membership.max()) + 1
        if num_clusters < 2 or np.ptp(values) <= NO_SPREAD:
            return None
        influence = (values - values.mean()) / len(values)
        variances = [
            clustered_stderr(influence, clusters) ** 2
            for clusters in (membership, np.arange(len(values)))
        ]
        return cls(2 * len(values) * max(variances), len(values) / num_clusters)

    @classmethod
    def of_flips(cls, share: float, samples_per_cluster: float = 1.0, scale: float = 1.0) -> Spread:
        """Return the spread if a given share of right-or-wrong scores changes either way.

        The samples of a group are assumed to change together, which gives an upper bound.

        Args:
            share: share of samples whose score changes, in (0, 1].
            samples_per_cluster: mean number of samples per group.
            scale: value of a right answer, in the unit of the difference.
        """
        return cls(share * samples_per_cluster * scale**2, samples_per_cluster)

    def detectable(self, num_samples: float) -> float:
        """Return the smallest true difference that this many samples detect with 80 % power."""
        freedom = max(1.0, num_samples / self.samples_per_cluster - 1)
        return errors_shown(freedom) * math.sqrt(self.variance / num_samples)

    def samples_for(self, difference: float) -> int:
        """Return the number of samples that detect a true difference with 80 % power.

        Args:
            difference: the difference, above 0, in the unit of the spread.
        """
        numbers = range(1, MAX_SAMPLES)  # the detectable difference falls with the number
        index = bisect.bisect_left(numbers, True, key=lambda n: self.detectable(n) <= difference)
        return max(index + 1, math.ceil(2 * self.samples_per_cluster))
