"""Means of means: every level of a facet counts the same, however many samples it has.

Numbers of questions that belong together: MMBench's circular accuracy, MME's scores.

Averages of several means, as tables of judged dimensions print them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from llava_eval.errors import RowsError
from llava_eval.metrics.intervals import (
    clustered_mean,
    clustered_stderr,
    number_clusters,
    student_quantile,
)
from llava_eval.metrics.means import MetricValue, sample_values
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


_MME_QUESTIONS_PER_IMAGE = 2


def all_right(
    results: Sequence[SampleResult],
    *,
    detail: str | None = None,
    lead: bool = False,
    size: int | None = None,
) -> MetricValue:
    """Return the percentage of groups in which every sample is right.

    A group with a sample that failed or has no score is left out.

    Args:
        results: results of the set or of one level of a facet.
        detail: name of the scorer's detail that says what is right; null takes the score itself.
        lead: count only groups that hold the sample of the group's own name, as circular
            evaluation does: copies without their original count nowhere.
        size: count only groups of so many samples; null counts all.
    """
    right: dict[str, list[float]] = defaultdict(list)
    names: dict[str, set[str]] = defaultdict(set)
    for result, value in zip(results, sample_values(results, detail=detail), strict=True):
        right[result.group].append(value)
        names[result.group].add(result.id)
    kept = {
        group: values
        for group, values in right.items()
        if not np.isnan(values).any()
        and (not lead or group in names[group])
        and size in (None, len(values))
    }
    if not kept:
        return MetricValue(None, None, None, None, 0, "percent")
    hits = np.array([float(all(value == 1.0 for value in values)) for values in kept.values()])
    estimate = clustered_mean(hits, list(kept))
    return MetricValue(
        value=100 * estimate.mean,
        stderr=None if estimate.stderr is None else 100 * estimate.stderr,
        ci_low=None if estimate.low is None else 100 * estimate.low,
        ci_high=None if estimate.high is None else 100 * estimate.high,
        num_samples=len(hits),
        unit="percent",
    )


def mme_score(
    results: Sequence[SampleResult],
    *,
    facet: str = "category",
    only: list[str] | None = None,
    without: list[str] | None = None,
) -> MetricValue:
    """Return MME's score: the sum over categories of accuracy and accuracy+ in percent.

    An image has two questions and belongs to one category; its share is 50 for each right answer
    and 100 more for both. An image of which a question has no score is left out.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mme/utils.py, mme_aggregate_results.

    Args:
        results: results of the set or of one level of a facet.
        facet: the category.
        only, without: categories to sum, or not to sum; null for all, or none.

    Raises:
        RowsError: an image with more than two questions.
    """
    questions: dict[tuple[str, str], list[float]] = defaultdict(list)
    for result, value in zip(results, sample_values(results), strict=True):
        category = result.facets[facet]
        if (only is None or category in only) and category not in (without or ()):
            questions[category, result.group].append(value)
    images: dict[str, dict[str, float]] = defaultdict(dict)
    for (category, group), values in questions.items():
        if len(values) > _MME_QUESTIONS_PER_IMAGE:
            raise RowsError(
                f"MME: {category} has {len(values)} questions about {group}, expected 2"
            )
        if len(values) == _MME_QUESTIONS_PER_IMAGE and not np.isnan(values).any():
            images[category][group] = 50 * sum(values) + 100 * (sum(values) == 2)
    if not images:
        return MetricValue(None, None, None, None, 0, "points")
    return _sum_of_means(images)


def _sum_of_means(images: dict[str, dict[str, float]]) -> MetricValue:
    total, num_samples = 0.0, 0
    influence: list[npt.NDArray[np.float64]] = []
    groups: list[str] = []
    for scores in images.values():
        values = np.array(list(scores.values()))
        total += float(values.mean())
        num_samples += _MME_QUESTIONS_PER_IMAGE * len(values)
        influence.append((values - values.mean()) / len(values))
        groups += scores
    membership, num_clusters = number_clusters(groups)
    if num_clusters < 2:
        return MetricValue(total, None, None, None, num_samples, "points")
    stderr = clustered_stderr(np.concatenate(influence), membership)
    half = stderr * student_quantile(num_clusters - 1)
    return MetricValue(total, stderr, max(0.0, total - half), total + half, num_samples, "points")


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
