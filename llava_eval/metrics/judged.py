"""Averages of several means, as tables of judged dimensions print them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from llava_eval.metrics.value import MetricValue
from llava_eval.types import SampleResult


def mean_of_means(
    results: Sequence[SampleResult],
    *,
    details: list[str],
    scale: float = 1.0,
    unit: str = "0-5",
) -> MetricValue:
    """Return the plain mean of the means of several details, however many samples each has.

    The standard error is the cluster-robust one of the whole average: what a group (a video)
    adds to each mean is added up before it is squared, so that dimensions judged on the same videos
    are not taken for independent. The interval is 1.96 standard errors to either side.

    Args:
        results: results of the set or of one level of a facet.
        details: names of the scorer's details; all need a value, or there is no average.
        scale: factor to the unit of the published table.
        unit: that unit.
    """
    columns = {
        name: [
            (float(value), result.group)
            for result in results
            if isinstance(value := result.score.details.get(name), int | float)
        ]
        for name in details
    }
    num_samples = sum(
        any(isinstance(result.score.details.get(name), int | float) for name in details)
        for result in results
    )
    if not all(columns.values()):
        return MetricValue(None, None, None, None, num_samples, unit)
    influence: defaultdict[str, float] = defaultdict(float)
    total = 0.0
    for observed in columns.values():
        mean = sum(value for value, _ in observed) / len(observed)
        total += mean / len(details)
        for value, group in observed:
            influence[group] += (value - mean) / len(observed) / len(details)
    value, groups = scale * total, len(influence)
    if groups < 2:
        return MetricValue(value, None, None, None, num_samples, unit)
    squares = sum(part**2 for part in influence.values())
    stderr = scale * math.sqrt(groups / (groups - 1) * squares)
    half = 1.96 * stderr
    return MetricValue(value, stderr, max(0.0, value - half), value + half, num_samples, unit)
