"""The part of a difference between two settings that each single change explains.

Every change is switched alone, over the same samples, so that each part is a paired difference of
its own. What the changes do only together (or what was not switched) is left over, with an
interval too: it is the difference of everything minus all parts, sample by sample.
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
    """A difference taken apart.

    Attributes:
        parts: by change, what it does alone.
        whole: what all changes do together.
        rest: the whole minus the parts.
        rest_low, rest_high: its interval; None for fewer than two clusters, or where nothing is
            left over of any sample.
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
    """Take the difference between two settings apart.

    Args:
        base: (N,) values under one setting, NaN outside the denominator.
        switched: by change, (N,) values with this change alone.
        whole: (N,) values with all changes.
        membership: (N,) cluster of each sample, numbered from 0.
        scale: factor from the values to the unit of the differences.

    Returns:
        None where one of the settings has no value at all.
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
        # Where no sample says anything else than the others, how far others may be is not known.
        if half > NO_SPREAD:
            low, high = rest - scale * half, rest + scale * half
    return Attribution(known, total, rest, low, high)
