"""From the metrics that a run's configuration names to their paired differences."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from llava_eval.config.former_names import current_node, current_target
from llava_eval.errors import ComparisonError
from llava_eval.metrics.bootstrap import FloatArray, IntArray
from llava_eval.metrics.differences import (
    Metric,
    NoDifference,
    PairedMean,
    PairedMetric,
    paired_metric,
)
from llava_eval.metrics.intervals import CONFIDENCE
from llava_eval.metrics.paired import McNemar, PairedEstimate, mcnemar_exact
from llava_eval.results.pairing import Pairing

#: Where the functions of metrics live. Nothing else is imported for a run that names it: a run
#: directory may come from anyone.
_METRICS_PACKAGES = ("llava_eval.metrics.", "llava_eval.scoring.captions.")
#: A scorer whose score (and this detail) weighs words by the whole set that was judged.
_SET_SCORER = ("llava_eval.scoring.captions.scorer.CaptionScorer", "cider")


@dataclass(frozen=True, eq=False)
class ComparedMetric:
    """One metric of two runs.

    Attributes:
        name: as in the tables.
        unit: of the values.
        estimate: values and difference on the compared samples; None with ``reason``.
        mcnemar: exact test; None where values are not right or wrong.
        paired: for subsets of the samples; None with ``reason``.
        reason: why the metric is not compared.
    """

    name: str
    unit: str
    estimate: PairedEstimate | None
    mcnemar: McNemar | None = None
    paired: PairedMetric | None = None
    reason: str | None = None


def compare_metrics(pairing: Pairing, confidence: float = CONFIDENCE) -> list[ComparedMetric]:
    """Compare every metric of the first run's protocol, the headline first."""
    rows = np.arange(len(pairing.firsts))
    nodes = pairing.first.metric_nodes
    if not nodes:
        raise ComparisonError(
            f"{pairing.first.name}: its manifest names no metrics (config.benchmark.metrics)"
        )
    return [_compared(name, node, pairing, rows, confidence) for name, node in nodes.items()]


def _compared(
    name: str, node: Mapping[str, Any], pairing: Pairing, rows: IntArray, confidence: float
) -> ComparedMetric:
    reason = _set_reason(node, pairing)
    if reason is not None:
        return ComparedMetric(name, "", None, reason=reason)
    try:
        paired = paired_metric(metric_of(node), pairing.firsts, pairing.seconds)
        unit = paired.unit
        estimate = paired.difference(rows, pairing.membership, confidence)
    except (ValueError, TypeError, KeyError, ImportError, AttributeError) as error:
        return ComparedMetric(name, "", None, reason=f"{type(error).__name__}: {error}")
    if estimate is None:
        reason = (
            paired.reason if isinstance(paired, NoDifference) else "one of the runs has no value"
        )
        return ComparedMetric(name, unit, None, reason=reason)
    mcnemar = mcnemar_exact(paired.first, paired.second) if isinstance(paired, PairedMean) else None
    return ComparedMetric(name, unit, estimate, mcnemar, paired)


def mean_metric(
    name: str, pairing: Pairing, first: FloatArray, second: FloatArray
) -> ComparedMetric:
    """Return the comparison of two shares in percent, from a 0 or 1 for each compared sample."""
    paired = PairedMean(first, second)
    rows = np.arange(len(first))
    estimate = paired.difference(rows, pairing.membership, CONFIDENCE)
    return ComparedMetric(name, "percent", estimate, mcnemar_exact(first, second), paired)


def metric_of(node: Mapping[str, Any]) -> Metric:
    """Return the function that a node of the configuration names, with its parameters bound.

    Raises:
        ValueError: it is not one of this package.
        ImportError, AttributeError: this version of the package does not have it.
    """
    node = current_node({"_target_": "nothing", **node})
    target = node["_target_"]
    if not target.startswith(_METRICS_PACKAGES):
        raise ValueError(f"{target} is not a metric of llava_eval, and is not called")
    module, _, function = target.rpartition(".")
    parameters = {name: value for name, value in node.items() if name != "_target_"}
    return functools.partial(getattr(importlib.import_module(module), function), **parameters)


def _set_reason(node: Mapping[str, Any], pairing: Pairing) -> str | None:
    """Return why scores that depend on the whole set cannot be compared, or None."""
    scorer, detail = _SET_SCORER
    runs = (pairing.first, pairing.second)
    if not str(node.get("_target_")).endswith(".mean_score"):
        return None
    if node.get("detail") not in (None, detail):
        return None
    targets = [str((run.config.get("scorer") or {}).get("_target_")) for run in runs]
    if scorer not in map(current_target, targets):
        return None
    judged = [{one.id for one in run.results if one.generation.error is None} for run in runs]
    if judged[0] == judged[1]:
        return None
    return "its values weigh words by the whole set, and the runs scored different samples"
