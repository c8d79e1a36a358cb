"""Power: how many samples a difference takes, and what difference so many samples show.

A paired difference over N samples strays by ``sqrt(variance / N)``, where ``variance`` is what one
sample adds and holds what samples of one group (video) have in common. It is found with
:data:`~llava_eval.metrics.paired.POWER` when it is as large as Student's quantiles of the test and
of the power, added, times that (Miller, arXiv 2411.00640, section 5).
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

#: No plan asks for more.
MAX_SAMPLES = 10**15


@dataclass(frozen=True)
class Spread:
    """The spread of a paired difference by chance.

    Attributes:
        variance: of the difference, times the number of samples; in the square of its unit.
        samples_per_cluster: mean number of samples in a group.
    """

    variance: float
    samples_per_cluster: float

    @classmethod
    def of_pair(cls, estimate: PairedEstimate) -> Spread | None:
        """Return what the interval of two runs' difference implies; None where it is nothing.

        Args:
            estimate: of the two runs.
        """
        # an interval of two clusters ends where the scale does: no spread is told
        if estimate.smallest_detectable is None or estimate.num_clusters == 2:
            return None
        stderr = estimate.smallest_detectable / errors_shown(estimate.num_clusters - 1)
        per_cluster = estimate.num_samples / estimate.num_clusters
        return cls(stderr**2 * estimate.num_samples, per_cluster)

    @classmethod
    def of_one(cls, values: FloatArray, membership: IntArray) -> Spread | None:
        """Return the spread of a run against another that answers independently of it.

        Two runs mostly agree on what is hard, so this is the safe side; a pair of runs tells more.
        None where all samples are of one cluster, or all scores equal, which says nothing.

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
        """Return the spread where a share of right and wrong answers changes either way.

        Samples of a group are taken to change together, which is the safe side.

        Args:
            share: of samples whose score changes, in (0, 1].
            samples_per_cluster: mean number of samples in a group.
            scale: what a right answer is worth, in the unit of the difference.
        """
        return cls(share * samples_per_cluster * scale**2, samples_per_cluster)

    def detectable(self, num_samples: float) -> float:
        """Return the smallest true difference that so many samples show four times in five."""
        freedom = max(1.0, num_samples / self.samples_per_cluster - 1)
        return errors_shown(freedom) * math.sqrt(self.variance / num_samples)

    def samples_for(self, difference: float) -> int:
        """Return how many samples a true difference takes to be shown four times in five.

        Args:
            difference: above 0, in the unit of the spread.
        """
        numbers = range(1, MAX_SAMPLES)  # more samples show ever smaller differences
        index = bisect.bisect_left(numbers, True, key=lambda n: self.detectable(n) <= difference)
        return max(index + 1, math.ceil(2 * self.samples_per_cluster))
