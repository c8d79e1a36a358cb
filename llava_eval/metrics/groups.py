"""Metrics of related samples: means over levels, over details, and over whole groups."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from llava_eval.errors import RowsError
from llava_eval.metrics.intervals import (
    FloatArray,
    bounded_interval,
    clustered_mean,
    clustered_stderr,
    number_clusters,
)
from llava_eval.metrics.means import Denominator, highest_value, mean_score, sample_values
from llava_eval.types import MetricValue, SampleResult, levels_of


def macro_mean(
    results: Sequence[SampleResult],
    *,
    facet: str,
    levels: list[str] | None = None,
    denominator: Denominator = "scored",
    scale: float = 100.0,
    unit: str = "percent",
) -> MetricValue:
    """Return the mean over levels of the mean score within each.

    The standard error is clustered by group over all levels, so that questions about one video
    in several levels are not treated as independent.

    Args:
        results: results of the set.
        facet: the facet whose levels are averaged.
        levels: the levels of the mean. As in some references, a level without samples counts as 0;
            "action+object" is one level if it is listed. null takes the levels that occur.
        denominator: see :func:`llava_eval.metrics.means.mean_score`.
        scale: see the same function.
        unit: see the same function.

    Raises:
        RowsError: a sample has a level that ``levels`` does not list.
    """
    members = results_by_level(results, facet, levels or ())
    unknown = sorted(set(members) - set(levels)) if levels is not None else []
    if unknown:
        raise RowsError(
            f"the {facet} {unknown[0]!r} is none of the levels that the mean is taken over: "
            f"{', '.join(levels or ())}"
        )
    parts = _counted_parts(members.values(), denominator)
    num_levels = len(parts) if levels is None else len(levels)
    if not parts:
        return MetricValue.none(0, unit)
    found = _by_parts(parts, [num_levels] * len(parts), scale, unit)
    return _each_once(found, members.values(), results, denominator)


def results_by_level(
    results: Sequence[SampleResult], facet: str, named: Sequence[str] = ()
) -> dict[str, list[SampleResult]]:
    """Return the results of each level; a sample with several levels is in each of them.

    Args:
        results: results of the set.
        facet: the facet whose levels are returned.
        named: values that are a single level; see :func:`levels_of`.
    """
    members: dict[str, list[SampleResult]] = defaultdict(list)
    for result in results:
        for level in levels_of(result.facets[facet], named):
            members[level].append(result)
    return members


def rows_by_level(
    results: Sequence[SampleResult], facet: str, *, of_whole_groups: bool = False
) -> dict[str, list[int]]:
    """Return the positions of each level's results; a sample may be in several levels.

    Args:
        results: results of the set.
        facet: the facet whose levels are returned.
        of_whole_groups: give each sample the levels of its group's last row.
    """
    ordered = sorted(results, key=lambda result: result.row) if of_whole_groups else ()
    last = {result.group: result for result in ordered}
    members: dict[str, list[int]] = defaultdict(list)
    for number, result in enumerate(results):
        for level in levels_of(last.get(result.group, result).facets.get(facet, "")):
            members[level].append(number)
    return dict(members)


def part_mean(
    results: Sequence[SampleResult],
    *,
    facet: str,
    levels: list[str],
    detail: str | None = None,
    denominator: Denominator = "scored",
    empty_as: float | None = None,
    scale: float = 100.0,
    unit: str = "percent",
) -> MetricValue:
    """Return the mean score of the samples that have one of some levels.

    Args:
        results: results of the set.
        facet: the facet of the levels; a sample with several levels has them joined by "+".
        levels: levels of the samples to average.
        detail: see :func:`llava_eval.metrics.means.mean_score`.
        denominator: see the same function.
        empty_as: see the same function.
        scale: see the same function.
        unit: see the same function.
    """
    chosen = [
        result for result in results if not set(levels).isdisjoint(levels_of(result.facets[facet]))
    ]
    if not chosen:  # within a level of another facet there may be no such samples: "-", not 0
        empty_as = None
    return mean_score(
        chosen, detail=detail, denominator=denominator, empty_as=empty_as, scale=scale, unit=unit
    )


def nested_mean(
    results: Sequence[SampleResult],
    *,
    outer: str,
    inner: str,
    level: str | None = None,
    empty_as: float | None = None,
    scale: float = 100.0,
    unit: str = "percent",
) -> MetricValue:
    """Return the mean over levels of a facet, each the mean over levels of an inner facet.

    Source: vision-x-nyu/thinking-in-space, lmms_eval/tasks/vsibench/utils.py,
    vsibench_aggregate_results: three kinds of questions about directions are one task of eight.

    Args:
        results: results of the set.
        outer: the facet whose levels are averaged, for instance the task.
        inner: the facet within each of them, for instance the kind of question.
        level: the only level of the outer facet to use; null averages all that occur.
        empty_as: the value that the reference prints if there is none; null gives no value.
        scale: factor to the unit of the published table.
        unit: that unit.
    """
    tasks = results_by_level(results, outer, () if level is None else (level,))
    if level is not None:
        results, tasks = tasks[level], {level: tasks[level]}
    kinds = [results_by_level(members, inner).values() for members in tasks.values()]
    by_task = [_counted_parts(members, "scored") for members in kinds]
    scored = [parts for parts in by_task if parts]
    if not scored:
        return MetricValue(empty_as, None, None, None, 0, unit)
    divisors = [len(parts) * len(scored) for parts in scored for _ in parts]
    found = _by_parts([part for parts in scored for part in parts], divisors, scale, unit)
    return _each_once(found, itertools.chain(*kinds), results, "scored")


def relative_gain(
    results: Sequence[SampleResult], *, facet: str, level: str, before: float | None = None
) -> MetricValue:
    """Return the gain in accuracy as a percentage of the largest possible gain.

    Video-MMMU's Δknowledge: (after - before) / (100 - before), where after is the accuracy of one
    level, and before is that of another run that saw less. The interval treats ``before`` as exact.

    Source: EvolvingLMMs-Lab/VideoMMMU 88b4ac3, README.

    Args:
        results: results of the set.
        facet: the facet of the level.
        level: level of the samples to average.
        before: accuracy of the other run, in percent; null gives no value.

    Raises:
        ValueError: ``before`` is 100, or not a percentage.
    """
    if before is not None and not 0.0 <= before < 100.0:
        raise ValueError(f"before={before:g} is no accuracy that leaves something to gain")
    after = part_mean(results, facet=facet, levels=[level])
    if before is None or after.value is None:
        note = "" if before is not None else "not available: it needs the accuracy before"
        return MetricValue.none(after.num_samples, "percent", note)
    known, room = before, 100.0 - before

    def gain(value: float | None) -> float | None:
        return None if value is None else 100.0 * (value - known) / room

    stderr = None if after.stderr is None else 100.0 * after.stderr / room
    low, high = gain(after.ci_low), gain(after.ci_high)
    return MetricValue(gain(after.value), stderr, low, high, after.num_samples, "percent")


def part_ratio(
    results: Sequence[SampleResult], *, facet: str, level: str, over: str
) -> MetricValue:
    """Return the ratio of two levels' mean scores, in percent, without an interval.

    CG-Bench's clue recovery rate: the accuracy with the whole video divided by that with only the
    clue (arXiv 2412.12075; its published code has no function for it).

    Args:
        results: results of the set.
        facet: the facet of the levels.
        level: level of the samples in the numerator.
        over: level of the samples in the denominator.
    """
    above, below = (part_mean(results, facet=facet, levels=[name]) for name in (level, over))
    if above.value is None or not below.value:
        return MetricValue.none(above.num_samples, "percent")
    value = 100.0 * above.value / below.value
    return MetricValue(value, None, None, None, above.num_samples, "percent")


class _Counted(NamedTuple):
    """The values in one level's denominator, and their groups."""

    values: FloatArray
    groups: list[str]


def _counted(results: Sequence[SampleResult], denominator: Denominator) -> _Counted:
    values = sample_values(results, denominator=denominator)
    inside = ~np.isnan(values)
    groups = [result.group for result, counts in zip(results, inside, strict=True) if counts]
    return _Counted(values[inside], groups)


def _counted_parts(
    levels: Iterable[Sequence[SampleResult]], denominator: Denominator
) -> list[_Counted]:
    """Return the values of each level that has any."""
    parts = [_counted(results, denominator) for results in levels]
    return [part for part in parts if part.groups]


def _each_once(
    found: MetricValue,
    levels: Iterable[Sequence[SampleResult]],
    results: Sequence[SampleResult],
    denominator: Denominator,
) -> MetricValue:
    """Return a metric over levels with its samples counted once each, also those in several."""
    if sum(map(len, levels)) == len(results):
        return found
    return dataclasses.replace(found, num_samples=len(_counted(results, denominator).groups))


def _by_parts(
    parts: Sequence[_Counted],
    divisors: Sequence[int],
    scale: float,
    unit: str,
    highest: float | None = None,
) -> MetricValue:
    """Return the sum of the parts' means, each divided by its divisor; see :func:`estimated`.

    ``highest`` is the largest value that a sample can have; None derives it from the unit.
    """
    common = math.lcm(*divisors)  # exact: seven sevenths are 1
    if highest is None:
        highest = highest_value(np.concatenate([part.values for part in parts]), None, scale, unit)
    means = [float(part.values.mean()) for part in parts]
    total = sum(mean * (common // each) for mean, each in zip(means, divisors, strict=True))
    value = scale * total / common
    influence = [
        scale * (part.values - mean) / (len(part.values) * each)
        for part, mean, each in zip(parts, means, divisors, strict=True)
    ]
    groups = [group for part in parts for group in part.groups]
    lowest = 0.0 if all(part.values.min() >= 0 for part in parts) else None
    share = sum(common // each for each in divisors) / common
    most = None if highest is None else scale * highest * share
    ends = (lowest, most) if scale > 0 else (most, lowest)
    return estimated(value, np.concatenate(influence), groups, ends, unit)


def estimated(
    value: float,
    influence: FloatArray,
    groups: Sequence[str],
    ends: tuple[float | None, float | None],
    unit: str,
) -> MetricValue:
    """Return an estimate with its clustered standard error and its interval.

    Args:
        value: the estimate.
        influence: (N,) contribution of each observation to the estimate, in its unit.
        groups: (N,) cluster of each observation.
        ends: smallest and largest possible value of the estimate; None if unknown.
        unit: unit of the estimate.
    """
    membership, num_clusters = number_clusters(groups)
    if num_clusters < 2:
        return MetricValue(value, None, None, None, len(groups), unit)
    stderr = clustered_stderr(influence, membership)
    low, high = bounded_interval(value, stderr, num_clusters, *ends)
    return MetricValue(value, stderr, low, high, len(groups), unit)


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
        detail: name of the scorer's detail that says what is right; null uses the score itself.
        lead: count only groups that contain the sample with the group's own name, as circular
            evaluation does: copies without their original do not count.
        size: count only groups with this number of samples; null counts all.
    """
    by_id: dict[str, dict[str, float]] = defaultdict(dict)
    for result, value in zip(results, sample_values(results, detail=detail), strict=True):
        by_id[result.group][result.id] = value
    hits: dict[str, float] = {}
    for group, values in by_id.items():
        is_whole = not any(map(math.isnan, values.values()))
        has_lead = not lead or group in values
        if is_whole and has_lead and size in (None, len(values)):
            hits[group] = float(all(value == 1.0 for value in values.values()))
    if not hits:
        return MetricValue.none(0, "percent")
    return clustered_mean(list(hits.values()), list(hits), scale=100.0)


def mme_score(
    results: Sequence[SampleResult],
    *,
    facet: str = "category",
    only: list[str] | None = None,
    without: list[str] | None = None,
) -> MetricValue:
    """Return MME's score: the sum over categories of accuracy and accuracy+ in percent.

    An image has two questions and belongs to one category; it contributes 50 for each right answer
    and 100 more if both are right. An image with an unscored question is left out.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mme/utils.py, mme_aggregate_results.

    Args:
        results: results of the set or of one level of a facet.
        facet: the facet with the category.
        only: categories to sum; null for all.
        without: categories to leave out; null for none.

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
        return MetricValue.none(0, "points")
    parts = [_Counted(np.array(list(scores.values())), list(scores)) for scores in images.values()]
    # At most 200 for each category: accuracy and accuracy+ in percent.
    total = _by_parts(parts, [1] * len(parts), 1.0, "points", 200.0)
    return dataclasses.replace(total, num_samples=_MME_QUESTIONS_PER_IMAGE * total.num_samples)


def mean_of_means(
    results: Sequence[SampleResult], *, details: list[str], scale: float = 1.0, unit: str = "0-5"
) -> MetricValue:
    """Return the unweighted mean of the means of several details.

    The standard error is the cluster-robust one of the whole average: the contributions of a group
    (a video) to all means are added before they are squared, so that dimensions judged on the same
    videos are not treated as independent.

    Args:
        results: results of the set or of one level of a facet.
        details: names of the scorer's details; if one of them has no value, there is no average.
        scale: factor to the unit of the published table.
        unit: that unit.
    """
    # (K, N), NaN if there is no value
    observed = np.stack([sample_values(results, detail=name) for name in details])
    known = ~np.isnan(observed)
    num_samples = int(known.any(axis=0).sum())
    if not known.any(axis=1).all():
        return MetricValue.none(num_samples, unit)
    groups = np.array([result.group for result in results], object)
    parts = [
        _Counted(row[at], groups[at].tolist()) for row, at in zip(observed, known, strict=True)
    ]
    total = _by_parts(parts, [len(parts)] * len(parts), scale, unit)
    return dataclasses.replace(total, num_samples=num_samples)
