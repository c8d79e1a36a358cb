"""The part of a difference between two settings that each single change explains.

Every change is applied alone to the same samples, so each part is a paired difference. The rest,
which the changes cause only together (or which comes from changes that were not applied), is the
whole difference minus all parts, sample by sample; it has an interval too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from llava_eval.metrics.intervals import (
    NO_SPREAD,
    FloatArray,
    IntArray,
    clustered_stderr,
    student_quantile,
)
from llava_eval.metrics.paired import PairedEstimate, influence_of, paired_means


@dataclass(frozen=True)
class Attribution:
    """A difference, split into parts.

    Attributes:
        parts: by change, the difference that it makes alone.
        whole: the difference that all changes make together.
        rest: the whole minus the parts.
        rest_low, rest_high: interval of the rest; None for fewer than two clusters, or if the rest
            is the same for every sample.
    """

    parts: Mapping[str, PairedEstimate]
    whole: PairedEstimate
    rest: float
    rest_low: float | None
    rest_high: float | None


def attribute(
    base: FloatArray,
    switched: Mapping[str, FloatArray],
    whole: FloatArray,
    membership: IntArray,
    *,
    scale: float = 1.0,
) -> Attribution | None:
    """Split the difference between two settings into parts.

    Args:
        base: (N,) values under one setting, NaN outside the denominator.
        switched: by change, (N,) values with only this change.
        whole: (N,) values with all changes.
        membership: (N,) cluster of each sample, numbered from 0.
        scale: factor from the values to the unit of the differences.

    Returns:
        None if one of the settings has no value at all.
    """
    found = [paired_means(base, values, membership) for values in (whole, *switched.values())]
    total, *parts = [None if part is None else part.scaled(scale) for part in found]
    known = {name: part for name, part in zip(switched, parts, strict=True) if part is not None}
    if total is None or len(known) < len(parts):
        return None
    rest = total.difference - sum(part.difference for part in known.values())
    before, influence, *changed = (
        influence_of(values, float(np.nanmean(values)))
        for values in (base, whole, *switched.values())
    )
    influence = influence - before
    for item in changed:
        influence -= item - before
    low = high = None
    if total.num_clusters >= 2:
        half = student_quantile(total.num_clusters - 1) * clustered_stderr(influence, membership)
        # If the rest is the same for every sample, its spread is unknown.
        if half > NO_SPREAD:
            low, high = rest - scale * half, rest + scale * half
    return Attribution(known, total, rest, low, high)
