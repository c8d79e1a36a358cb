"""Numbers of questions that belong together: MMBench's circular accuracy, MME's scores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from llava_eval.errors import RowsError
from llava_eval.metrics.intervals import (
    clustered_mean,
    clustered_stderr,
    number_clusters,
    student_quantile,
)
from llava_eval.metrics.means import sample_values
from llava_eval.metrics.value import MetricValue
from llava_eval.types import SampleResult

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
