"""What a metric returns.

Metrics that are means over samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llava_eval.metrics.intervals import clustered_mean
from llava_eval.types import SampleResult


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One number of a table.

    Attributes:
        value: the metric in ``unit``; None when no sample had a score.
        stderr: standard error in the same unit, clustered by the samples' group; None when fewer
            than two groups had a score.
        ci_low, ci_high: 95 % confidence interval; None with ``stderr``.
        num_samples: samples in the denominator.
        unit: unit of the published table, for instance "percent".
        note: what must be known of the number, or why there is none; empty for nothing.
    """

    value: float | None
    stderr: float | None
    ci_low: float | None
    ci_high: float | None
    num_samples: int
    unit: str
    note: str = ""


def mean_score(
    results: Sequence[SampleResult],
    *,
    detail: str | None = None,
    unscored_as: float | None = None,
    strict: bool = False,
    empty_as: float | None = None,
    scale: float = 100.0,
    unit: str = "percent",
    num_complete: int | None = None,
) -> MetricValue:
    """Return the mean score with a standard error clustered by group.

    Samples whose generation failed are never in the denominator; the table counts them.

    Args:
        results: results of the set or of one level of a facet.
        detail: name of the scorer's detail to average; null averages the score itself.
        unscored_as: what a sample counts that the scorer left without a score (an unread reply
            under some official rules); null leaves it out of the denominator.
        strict: count a sample as wrong whose reply was unreadable or whose answer was drawn at
            random, whatever the reference makes of it.
        empty_as: the value where no sample has a score, as some references print 0 there; null
            leaves it open.
        scale: factor to the unit of the published table.
        unit: that unit.
        num_complete: samples of the complete set, where a sample's value depends on which others
            there are, as CIDEr does; the number of another set says so.
    """
    values = sample_values(results, detail=detail, unscored_as=unscored_as, strict=strict)
    counted = ~np.isnan(values)
    note = ""
    if num_complete not in (None, len(results)):
        note = (
            f"over {len(results)} of {num_complete} samples, whose values depend on each other: "
            "not comparable with the complete set's"
        )
    if not counted.any():
        return MetricValue(empty_as, None, None, None, 0, unit, note)
    groups = [result.group for result, counts in zip(results, counted, strict=True) if counts]
    estimate = clustered_mean(values[counted], groups)
    return MetricValue(
        value=scale * estimate.mean,
        stderr=None if estimate.stderr is None else scale * estimate.stderr,
        ci_low=None if estimate.low is None else scale * estimate.low,
        ci_high=None if estimate.high is None else scale * estimate.high,
        num_samples=estimate.num_observations,
        unit=unit,
        note=note,
    )


def sample_values(
    results: Sequence[SampleResult],
    *,
    detail: str | None = None,
    unscored_as: float | None = None,
    strict: bool = False,
) -> npt.NDArray[np.float64]:
    """Return what each result puts into a mean, (N,), NaN where it is not in the denominator.

    Args:
        results: N results.
        detail, unscored_as, strict: see :func:`mean_score`.

    Raises:
        ValueError: a detail that is no number.
    """
    return np.array([_value(one, detail, unscored_as, strict) for one in results], dtype=np.float64)


def _value(
    result: SampleResult, detail: str | None, unscored_as: float | None, strict: bool
) -> float:
    if result.generation.error is not None:
        return math.nan
    score = result.score
    drawn = score.details.get("chosen_at_random")
    if strict and result.target and (score.unreadable or drawn):
        return 0.0
    value = score.value if detail is None else score.details.get(detail)
    value = unscored_as if value is None else value
    if value is None:
        return math.nan
    if not isinstance(value, int | float):
        raise ValueError(f"sample {result.id}: score detail {detail!r} is {value!r}, no number")
    return float(value)
