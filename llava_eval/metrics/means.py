"""Metrics that are means over samples."""

from __future__ import annotations

from collections.abc import Sequence

from llava_eval.metrics.intervals import clustered_mean
from llava_eval.metrics.value import MetricValue
from llava_eval.types import SampleResult


def mean_score(
    results: Sequence[SampleResult],
    *,
    detail: str | None = None,
    unscored_as: float | None = None,
    scale: float = 100.0,
    unit: str = "percent",
) -> MetricValue:
    """Return the mean score with a standard error clustered by group.

    Samples whose generation failed are never in the denominator; the table counts them.

    Args:
        results: results of the set or of one level of a facet.
        detail: name of the scorer's detail to average; null averages the score itself.
        unscored_as: what a sample counts that the scorer left without a score (an unread reply
            under some official rules); null leaves it out of the denominator.
        scale: factor to the unit of the published table.
        unit: that unit.
    """
    values: list[float] = []
    groups: list[str] = []
    for result in results:
        if result.generation.error is not None:
            continue
        value = result.score.value if detail is None else result.score.details.get(detail)
        value = unscored_as if value is None else value
        if value is None:
            continue
        if not isinstance(value, int | float):
            raise ValueError(f"sample {result.id}: score detail {detail!r} is {value!r}, no number")
        values.append(float(value))
        groups.append(result.group)
    if not values:
        return MetricValue(None, None, None, None, 0, unit)
    estimate = clustered_mean(values, groups)
    return MetricValue(
        value=scale * estimate.mean,
        stderr=None if estimate.stderr is None else scale * estimate.stderr,
        ci_low=None if estimate.low is None else scale * estimate.low,
        ci_high=None if estimate.high is None else scale * estimate.high,
        num_samples=estimate.num_observations,
        unit=unit,
    )
