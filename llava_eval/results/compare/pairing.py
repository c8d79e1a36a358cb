"""The samples that two runs have in common, and the metrics' paired differences."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from llava_eval.config.build import build_target
from llava_eval.config.former_names import current_node, current_target
from llava_eval.config.roles import flat
from llava_eval.errors import ComparisonError, ConfigError
from llava_eval.metrics.differences import Metric, PairedMean, PairedMetric, paired_metric
from llava_eval.metrics.intervals import CONFIDENCE, number_clusters
from llava_eval.metrics.paired import McNemar, PairedEstimate, mcnemar_exact
from llava_eval.results.formatting import listed
from llava_eval.results.runs import ComparableRun
from llava_eval.types import SampleResult


@dataclass(frozen=True, eq=False)
class Pairing:
    """The samples that two runs have in common.

    Attributes:
        first, second: the runs.
        firsts, seconds: results of samples that both answered, in the first run's order.
        membership: (N,) clusters of the compared samples, numbered from 0.
        first_only, second_only: ids that only one run has.
        failures: one failed result for each sample that failed in either run; not compared.
        differences: differing benchmarks, prompts, targets and media, in words.
    """

    first: ComparableRun
    second: ComparableRun
    firsts: Sequence[SampleResult]
    seconds: Sequence[SampleResult]
    membership: npt.NDArray[np.int64]
    first_only: Sequence[str]
    second_only: Sequence[str]
    failures: Sequence[SampleResult]
    differences: Sequence[str]

    @property
    def failed(self) -> list[str]:
        """The ids of samples that failed in either run."""
        return [result.id for result in self.failures]

    @property
    def num_clusters(self) -> int:
        """The number of groups (videos) of the compared samples."""
        return int(self.membership.max()) + 1 if len(self.membership) else 0


def pair(first: ComparableRun, second: ComparableRun) -> Pairing:
    """Pair two runs by sample id.

    Raises:
        ComparisonError: there is no sample that both answered.
    """
    by_id = {result.id: result for result in second.results}
    both = [(left, by_id[left.id]) for left in first.results if left.id in by_id]
    ids = {result.id for result in first.results}
    answered, failures = [], []
    for left, right in both:
        if left.generation.error is not None:
            failures.append(left)
        elif right.generation.error is not None:
            failures.append(right)
        else:
            answered.append((left, right))
    if not answered:
        reason = "no sample that both answered" if both else "no sample in common"
        labels = f": they are of {first.label} and {second.label}"
        raise ComparisonError(
            f"{first.name} and {second.name} have {reason}"
            f"{labels if first.label != second.label else ''}"
        )
    membership, _ = number_clusters([left.group for left, _ in answered])
    return Pairing(
        first=first,
        second=second,
        firsts=[left for left, _ in answered],
        seconds=[right for _, right in answered],
        membership=membership,
        first_only=[result.id for result in first.results if result.id not in by_id],
        second_only=[result.id for result in second.results if result.id not in ids],
        failures=failures,
        differences=[*_benchmark_differences(first, second), *_question_differences(both)],
    )


def _benchmark_differences(first: ComparableRun, second: ComparableRun) -> list[str]:
    if first.benchmark != second.benchmark:
        return [f"benchmarks {first.benchmark} and {second.benchmark}"]
    versions = [run.parts.benchmark.version for run in (first, second)]
    if versions[0] != versions[1]:
        return [f"versions {versions[0]} and {versions[1]} of {first.benchmark}"]
    return []


def _question_differences(both: Sequence[tuple[SampleResult, SampleResult]]) -> list[str]:
    differ = {
        ("prompt", "prompts"): [left.id for left, right in both if left.prompt != right.prompt],
        ("target", "targets"): [left.id for left, right in both if left.target != right.target],
        ("medium", "media"): [left.id for left, right in both if not _same_media(left, right)],
    }
    return [
        f"{len(ids)} {names[len(ids) > 1]} ({listed(ids)})" for names, ids in differ.items() if ids
    ]


def _same_media(left: SampleResult, right: SampleResult) -> bool:
    """Return whether media have the same file names; folders and extensions may differ."""
    if left.media == right.media:  # the usual case, and fast
        return True
    stems = [[PurePath(path).stem for path in result.media] for result in (left, right)]
    return stems[0] == stems[1]


#: Packages with metric functions. A run's configuration causes no other import, because a run
#: directory may come from anyone.
_METRICS_PACKAGES = ("llava_eval.metrics.", "llava_eval.scoring.captions.")
#: Errors that a metric may raise on results that it was not made for.
METRIC_ERRORS = (
    *(ValueError, TypeError, LookupError, ArithmeticError, AttributeError, ImportError),
    ConfigError,
)
#: A scorer whose score (and this detail) weights words by the whole set of scored samples.
_SET_SCORER = ("llava_eval.scoring.captions.corpus.CaptionScorer", "cider")


@dataclass(frozen=True, eq=False)
class ComparedMetric:
    """One metric of two runs.

    Attributes:
        name: the metric's name in tables.
        unit: the unit of the values.
        estimate: values and difference on the compared samples; None with ``reason``.
        mcnemar: McNemar's exact test; None unless all values are right or wrong.
        paired: the metric on subsets of the samples; None with ``reason``.
        reason: why the metric is not compared; None if it is.
    """

    name: str
    unit: str
    estimate: PairedEstimate | None
    mcnemar: McNemar | None = None
    paired: PairedMetric | None = None
    reason: str | None = None


def compare_metrics(pairing: Pairing) -> list[ComparedMetric]:
    """Compare every metric of the first run's protocol, the headline first."""
    nodes = pairing.first.metric_nodes
    if not nodes:
        raise ComparisonError(
            f"{pairing.first.name}: its manifest names no metrics (config.benchmark.metrics)"
        )
    return [compared(name, node, pairing) for name, node in nodes.items()]


def compared(name: str, node: Mapping[str, Any], pairing: Pairing) -> ComparedMetric:
    """Compare one metric.

    Args:
        name: the metric's name in tables.
        node: the metric's configuration node.
        pairing: the runs.
    """
    if (reason := _set_reason(node, pairing)) is not None:
        return ComparedMetric(name, "", None, reason=reason)
    try:
        metric = metric_of(node, pairing.first.allowed_targets)
        paired = paired_metric(metric, pairing.firsts, pairing.seconds, pairing.failures)
        unit = paired.unit
        rows = np.arange(len(pairing.firsts))
        estimate = paired.difference(rows, pairing.membership, CONFIDENCE)
    except METRIC_ERRORS as error:
        return ComparedMetric(name, "", None, reason=f"{type(error).__name__}: {error}")
    if estimate is None:
        reason = getattr(paired, "reason", "one of the runs has no value")
        return ComparedMetric(name, unit, None, reason=reason)
    mcnemar = mcnemar_exact(paired.first, paired.second) if isinstance(paired, PairedMean) else None
    return ComparedMetric(name, unit, estimate, mcnemar, paired)


def metric_of(node: Mapping[str, Any], allowed: Collection[str] = ()) -> Metric:
    """Return the metric function of a configuration node, with its parameters bound.

    Args:
        node: the node of a run's configuration.
        allowed: dotted paths outside this package that may be imported.

    Raises:
        ValueError: the function is neither in this package nor allowed.
        ConfigError: the function cannot be imported, or a parameter is wrong.
    """
    node = current_node({"_target_": "nothing", **node})
    target = node["_target_"]
    if target not in allowed and not str(target).startswith(_METRICS_PACKAGES):
        raise ValueError(
            f"{target} is not a metric of llava_eval, and is not called; --config-dir DIR allows "
            "those that its files name"
        )
    metric: Metric = build_target(node, key="benchmark.metrics")
    return metric


def is_otherwise(name: str, first: ComparableRun, second: ComparableRun) -> bool:
    """Return whether both runs have a metric of this name, but with different configurations."""
    nodes = [run.metric_nodes.get(name) for run in (first, second)]
    return None not in nodes and flat({name: nodes[0]}) != flat({name: nodes[1]})


def is_mean(node: Mapping[str, Any]) -> bool:
    """Return whether a metric's configuration node, of any version, is a mean over samples."""
    return str(current_node({"_target_": "", **node})["_target_"]).endswith(".mean_score")


def _set_reason(node: Mapping[str, Any], pairing: Pairing) -> str | None:
    """Return why scores that depend on the whole set cannot be compared; None if they can."""
    scorer, detail = _SET_SCORER
    runs = (pairing.first, pairing.second)
    scorers = [current_target(str(run.parts.scorer.get("_target_"))) for run in runs]
    if not is_mean(node) or node.get("detail") not in (None, detail) or scorer not in scorers:
        return None
    judged = [{result.id for result in run.results} - set(run.failed) for run in runs]
    if judged[0] == judged[1]:
        return None
    return "its values weigh words by the whole set, and the runs scored different samples"
