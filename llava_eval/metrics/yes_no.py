"""Metrics of yes-or-no questions: accuracy, precision, recall, F1, and the share of yes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from llava_eval.metrics.groups import estimated, results_by_level
from llava_eval.metrics.intervals import FloatArray
from llava_eval.types import MetricValue, SampleResult

Measure = Literal["accuracy", "precision", "recall", "f1", "yes_ratio", "yes_ratio_of_answers"]

#: Measures for which neither higher nor lower is better.
UNDIRECTED = ("yes_ratio", "yes_ratio_of_answers")

#: Detail in which a scorer records that it counted an unreadable reply as yes or no.
COUNTED_AS = "counted_as"


def yes_no(
    results: Sequence[SampleResult],
    *,
    measure: Measure,
    mean_over: str | None = None,
    undefined_as: float | None = None,
) -> MetricValue:
    """Return one measure in percent; yes is the positive answer.

    A reply that is neither yes nor no is wrong, and is a positive in neither precision nor recall.
    The standard error is that of a ratio of sums, linearised and clustered by group.

    Args:
        results: results of the set or of one level of a facet; failed ones are left out.
        measure: the measure. ``yes_ratio`` is the share of yes among the replies,
            ``yes_ratio_of_answers`` among the right answers, as lmms-eval prints it.
        mean_over: a facet, to return the unweighted mean of its levels' values.
        undefined_as: value in percent if the measure's denominator is 0; null gives no value.
    """
    kept = [result for result in results if result.generation.error is None and result.target]
    levels = {"": kept} if mean_over is None else results_by_level(kept, mean_over)
    ratios = [_ratio(members, measure) for members in levels.values()]
    values = [undefined_as if ratio is None else 100 * ratio for ratio, _ in ratios]
    known = [value for value in values if value is not None]
    if not kept or len(known) < len(values):
        return MetricValue.none(len(kept), "percent")
    value = sum(known) / len(known)
    if any(ratio is None for ratio, _ in ratios):
        return MetricValue(value, None, None, None, len(kept), "percent")
    influence = np.concatenate([100 * influence / len(ratios) for _, influence in ratios])
    groups = [result.group for members in levels.values() for result in members]
    found = estimated(value, influence, groups, (0.0, 100.0), "percent")
    return replace(found, num_samples=len(kept))  # samples in several levels count once


def _ratio(results: Sequence[SampleResult], measure: Measure) -> tuple[float | None, FloatArray]:
    """Return a ratio of sums over samples, and each sample's influence on it."""
    scores = [result.score for result in results]
    answers = np.array([str(item.details.get(COUNTED_AS, item.answer)).lower() for item in scores])
    targets = np.array([result.target[0].strip().lower() for result in results])
    true_positive = (answers == "yes") & (targets == "yes")
    false_positive = (answers == "yes") & (targets == "no")
    false_negative = (answers == "no") & (targets == "yes")
    everything = np.ones(len(results))
    numerator, base = {
        "accuracy": (1.0 * (answers == targets), everything),
        "precision": (1.0 * true_positive, 1.0 * true_positive + false_positive),
        "recall": (1.0 * true_positive, 1.0 * true_positive + false_negative),
        # The harmonic mean of precision and recall.
        "f1": (2.0 * true_positive, 2.0 * true_positive + false_positive + false_negative),
        "yes_ratio": (1.0 * (answers == "yes"), everything),
        "yes_ratio_of_answers": (1.0 * (targets == "yes"), everything),
    }[measure]
    total = int(base.sum())
    if not total:
        return None, np.zeros(len(results))
    value = float(numerator.sum()) / total
    return value, (numerator - value * base) / total
