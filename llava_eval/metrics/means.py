"""Metrics that are means over samples."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from llava_eval.errors import ScoreError
from llava_eval.metrics.intervals import clustered_mean
from llava_eval.scoring.scorer import CHOSEN_AT_RANDOM, NOT_SCORED_BECAUSE
from llava_eval.types import MetricValue, SampleResult

#: The samples that a mean is divided by; failed ones never count.
#: scored: samples with a score.
#: all: all samples; one without a score counts as 0.
#: strict: samples with a score; unreadable replies and answers drawn at random count as 0, whatever
#: the reference does with them.
Denominator = Literal["scored", "all", "strict"]

#: Larger than any rule's score; sums of still larger values would overflow.
_HIGHEST_VALUE = 1e12
#: Largest value of the details that do not range from 0 to 1.
_HIGHEST = {"cider": 10.0}
_RANGE_AS_UNIT = re.compile(r"(-?\d+)-(\d+)")


def mean_score(
    results: Sequence[SampleResult],
    *,
    detail: str | None = None,
    denominator: Denominator = "scored",
    empty_as: float | None = None,
    scale: float = 100.0,
    unit: str = "percent",
    num_complete: int | None = None,
) -> MetricValue:
    """Return the mean score with a standard error clustered by group.

    Args:
        results: results of the set or of one level of a facet.
        detail: name of the scorer's detail to average; null averages the score itself.
        denominator: which samples count; see :data:`Denominator`.
        empty_as: the value that a reference prints if its denominator is empty; null gives no
            value.
        scale: factor to the unit of the published table.
        unit: that unit: "percent", a range of values such as "0-5", or any other name.
        num_complete: number of samples of the complete set, for scores such as CIDEr that depend on
            the other samples; the value of a set of another size gets a note.

    Raises:
        ScoreError: a detail is not a number.
    """
    values = sample_values(results, detail=detail, denominator=denominator)
    counted = ~np.isnan(values)
    note = ""
    if num_complete not in (None, len(results)):
        note = (
            f"over {len(results)} of {num_complete} samples, whose values depend on each other: "
            "not comparable with the complete set's"
        )
    if not counted.any():
        # a reference prints that value for replies that it cannot read, not for samples that
        # failed, whose right answer is hidden or which were not judged
        is_unread = any(
            result.score.unreadable and result.target and result.generation.error is None
            for result in results
        )
        value = empty_as if is_unread or not results else None
        reason = _why_none(results) if value is None else ""
        return MetricValue(value, None, None, None, 0, unit, reason or note)
    groups = [result.group for result, counts in zip(results, counted, strict=True) if counts]
    highest = highest_value(values[counted], detail, scale, unit)
    return clustered_mean(
        values[counted], groups, highest=highest, scale=scale, unit=unit, note=note
    )


def _why_none(results: Sequence[SampleResult]) -> str:
    """Return why nothing has a score, if the explanations of all samples agree."""
    reasons = {
        result.score.explanation.partition(NOT_SCORED_BECAUSE)[2]
        for result in results
        if result.generation.error is None
    }
    return f"not available: {reasons.pop()}" if len(reasons) == 1 and "" not in reasons else ""


def highest_value(
    observed: npt.NDArray[np.float64], detail: str | None, scale: float, unit: str
) -> float | None:
    """Return the largest value that a sample can have, before scaling; None if unknown.

    Args:
        observed: values of samples; if one exceeds the unit's range, the range is unknown.
        detail: name of the scorer's detail that was averaged; None for the score itself.
        scale: see :func:`mean_score`.
        unit: see :func:`mean_score`.
    """
    ends = range_of(unit)
    # The negative of an error lies between minus the largest value and 0.
    of_unit = None if ends is None else max(map(abs, ends)) / abs(scale)
    highest = _HIGHEST.get(detail or "", 1.0) if of_unit is None else of_unit
    return highest if observed.max() <= highest else None


def range_of(unit: str) -> tuple[float, float] | None:
    """Return the smallest and largest value of a unit ("0-5", "percent"); None for other units."""
    found = _RANGE_AS_UNIT.fullmatch("0-100" if unit == "percent" else unit)
    return None if found is None else (float(found[1]), float(found[2]))


def width_of(unit: str) -> float | None:
    """Return the width of a unit's range; None if unknown."""
    ends = range_of(unit)
    return None if ends is None else ends[1] - ends[0]


def sample_values(
    results: Sequence[SampleResult],
    *,
    detail: str | None = None,
    denominator: Denominator = "scored",
) -> npt.NDArray[np.float64]:
    """Return each result's contribution to a mean, (N,), NaN outside the denominator.

    If all right answers are hidden and nothing has a score, no denominator counts any sample.

    Args:
        results: N results.
        detail: see :func:`mean_score`.
        denominator: see :func:`mean_score`.

    Raises:
        ScoreError: a detail is not a number.
    """
    values = np.array([_value(item, detail, denominator) for item in results], dtype=np.float64)
    if not any(item.target or item.score.value is not None for item in results):
        values[:] = math.nan
    return values


def values_under(
    parameters: Mapping[str, Any], results: Sequence[SampleResult]
) -> npt.NDArray[np.float64]:
    """Return :func:`sample_values` for a mean with these parameters.

    Args:
        parameters: parameters of :func:`mean_score`; those that do not affect values are ignored.
        results: N results.

    Raises:
        ScoreError: a detail is not a number.
    """
    chosen = {key: parameters[key] for key in ("detail", "denominator") if key in parameters}
    return sample_values(results, **chosen)


def _value(result: SampleResult, detail: str | None, denominator: Denominator) -> float:
    if result.generation.error is not None:
        return math.nan
    score = result.score
    was_read = not score.unreadable and not score.details.get(CHOSEN_AT_RANDOM)
    if denominator == "strict" and result.target and not was_read:
        return 0.0
    value = score.value if detail is None else score.details.get(detail)
    if value is None:
        return 0.0 if denominator == "all" else math.nan
    if not isinstance(value, int | float) or not abs(value) <= _HIGHEST_VALUE:
        name = "score" if detail is None else f"score detail {detail!r}"
        raise ScoreError(f"sample {result.id}: {name} is {value!r}, no number that a rule gives")
    return float(value)
