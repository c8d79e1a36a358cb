"""Means of means: every level of a facet counts the same, however many samples it has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from llava_eval.errors import RowsError
from llava_eval.metrics.intervals import clustered_stderr, number_clusters, student_quantile
from llava_eval.metrics.means import sample_values
from llava_eval.metrics.value import MetricValue
from llava_eval.types import SampleResult


def macro_mean(
    results: Sequence[SampleResult],
    *,
    facet: str,
    levels: list[str] | None = None,
    strict: bool = False,
    unscored_as: float | None = None,
    scale: float = 100.0,
    unit: str = "percent",
) -> MetricValue:
    """Return the mean over levels of the mean score within each.

    The standard error is clustered by group over all levels, so that questions about one video
    that stand in several levels are not taken for independent ones.

    Args:
        results: results of the set.
        facet: whose levels are averaged.
        levels: the levels that the mean is divided by, a level without samples counting 0, as some
            references have it; null takes the levels that there are.
        strict, unscored_as, scale, unit: see :func:`llava_eval.metrics.means.mean_score`.

    Raises:
        RowsError: a level that ``levels`` does not name.
    """
    members: dict[str, list[SampleResult]] = defaultdict(list)
    for result in results:
        members[result.facets[facet]].append(result)
    unknown = sorted(set(members) - set(levels)) if levels is not None else []
    if unknown:
        raise RowsError(
            f"the {facet} {unknown[0]!r} is none of the levels that the mean is taken over: "
            f"{', '.join(levels or ())}"
        )
    counted = {
        level: _counted(chosen, strict=strict, unscored_as=unscored_as)
        for level, chosen in members.items()
    }
    counted = {level: part for level, part in counted.items() if part.groups}
    num_levels = len(counted) if levels is None else len(levels)
    if not counted:
        return MetricValue(None, None, None, None, 0, unit)
    value = scale * sum(float(part.values.mean()) for part in counted.values()) / num_levels
    groups = [group for part in counted.values() for group in part.groups]
    membership, num_clusters = number_clusters(groups)
    if num_clusters < 2:
        return MetricValue(value, None, None, None, len(groups), unit)
    influence = [
        (part.values - part.values.mean()) / (len(part.values) * num_levels)
        for part in counted.values()
    ]
    stderr = scale * clustered_stderr(np.concatenate(influence), membership)
    half = stderr * student_quantile(num_clusters - 1)
    return MetricValue(value, stderr, max(0.0, value - half), value + half, len(groups), unit)


class _Counted(NamedTuple):
    """Values of one level's denominator, and what they cluster by."""

    values: npt.NDArray[np.float64]
    groups: list[str]


def _counted(
    results: Sequence[SampleResult], *, strict: bool, unscored_as: float | None
) -> _Counted:
    values = sample_values(results, strict=strict, unscored_as=unscored_as)
    inside = ~np.isnan(values)
    groups = [result.group for result, counts in zip(results, inside, strict=True) if counts]
    return _Counted(values[inside], groups)
