"""The parts of a gap: some groups generated again, with one difference switched at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from llava_eval.benchmarks.load import seeded_order
from llava_eval.config.build import build_target
from llava_eval.config.schema import ReplyConfig
from llava_eval.errors import ComparisonError, LlavaEvalError
from llava_eval.metrics.attribution import attribute
from llava_eval.metrics.intervals import FloatArray, number_clusters
from llava_eval.metrics.means import values_under
from llava_eval.results.compare.pairing import is_mean, metric_of
from llava_eval.results.explain.explanation import Explanation, GapParts
from llava_eval.results.explain.rules import rescored
from llava_eval.results.explain.switches import Switch, switched
from llava_eval.results.files import file_name
from llava_eval.scoring.scorer import SampleScorer, checked_scorer
from llava_eval.types import SampleResult

Results = Mapping[str, SampleResult]
#: Generates again, given a configuration, ids of samples, and the run directory.
Rerun = Callable[[Mapping[str, Any], Collection[str], Path], Sequence[SampleResult]]


def attributed(
    explanation: Explanation, num_groups: int, seed: int, folder: Path, rerun: Rerun
) -> Explanation:
    """Return an explanation with the parts of the gap.

    The gap lies between the run's own results and the other run's. For an experiment, which has no
    results, a run with all changes at once takes their place.

    Args:
        explanation: the explanation of the run and the other side.
        num_groups: number of groups (videos) to draw.
        seed: the seed of the draw.
        folder: folder for the run directories.
        rerun: generates results.

    Raises:
        LlavaEvalError: no sample can be generated or compared.
    """
    run, side = explanation.run, explanation.side
    assert side is not None
    for config in (run.config, side.config):
        _parameters(config)  # before anything is generated
    chosen = drawn_groups([result.group for result in run.results], num_groups, seed)
    ours = {result.id: result for result in run.results if result.group in chosen}
    by_switch: dict[str, tuple[Switch, Results, Mapping[str, Any]]] = {}
    failed = []
    for switch in explanation.switches:
        config = switched(run.config, side.config, [switch])
        try:
            results = _results_under(config, switch, ours, folder, rerun)
        except LlavaEvalError as error:
            failed.append(f"{switch.name}: {error}")
            continue
        by_switch[switch.key] = (switch, results, config)
    if side.run is not None:
        everything: Results = {result.id: result for result in side.run.results}
        last, whole = side.run.config, f"{side.name} itself"
    else:
        made = [switch for switch, _, _ in by_switch.values()]
        last, whole = switched(run.config, side.config, made), "all of these changes made at once"
        results_of = rerun(last, list(ours), folder / "all")
        everything = {result.id: result for result in results_of}
    sides = (ours, everything, *(results for _, results, _ in by_switch.values()))
    answered = [{r.id for r in one.values() if r.generation.error is None} for one in sides]
    ids = [name for name in ours if all(name in known for known in answered)]
    if not ids:
        raise ComparisonError(f"{run.name} and {side.name}: no sample was answered on all sides")
    membership, number = number_clusters([ours[name].group for name in ids])
    node = next(iter(run.metric_nodes.values()))
    result = attribute(
        _values(ours, ids, run.config),
        {key: _values(results, ids, config) for key, (_, results, config) in by_switch.items()},
        _values(everything, ids, last),
        membership,
        scale=abs(float(node.get("scale", 100.0))),
    )
    if result is None:
        raise ComparisonError(f"{run.name} and {side.name}: one of the sides has no value")
    parts = GapParts(
        result,
        str(node.get("unit", "percent")),
        [switch.name for switch, _, _ in by_switch.values()],
        failed,
        number,
        len(ids),
        seed,
        whole,
    )
    return dataclasses.replace(explanation, parts=parts)


def drawn_groups(groups: Sequence[str], number: int, seed: int) -> set[str]:
    """Return ``number`` of the groups, chosen by the seed and their names only."""
    return set(seeded_order(set(groups), seed)[:number])


def _results_under(
    config: Mapping[str, Any], switch: Switch, ours: Results, folder: Path, rerun: Rerun
) -> Results:
    """Return the results of our samples with one change made."""
    if switch.work == "none":
        raise ComparisonError("other rows or another judge cannot be switched sample by sample")
    if switch.work == "generate":
        results = rerun(config, list(ours), folder / file_name(switch.key))
        return {result.id: result for result in results}
    if switch.key == "benchmark.metrics":
        return ours
    scorer = checked_scorer(build_target(config["scorer"], key="scorer"))
    if not isinstance(scorer, SampleScorer):
        raise ComparisonError("a rule that needs a judge or the whole set is not switched")
    reply = ReplyConfig(**config["benchmark"].get("reply", {}))
    return {result.id: result for result in rescored(list(ours.values()), scorer, reply)}


def _values(results: Results, ids: Collection[str], config: Mapping[str, Any]) -> FloatArray:
    """Return (N,) values of the headline metric, negated for an error measure."""
    parameters = _parameters(config)
    values = values_under(parameters, [results[name] for name in ids])
    return values if parameters.get("scale", 100.0) >= 0 else -values


def _parameters(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters of the headline metric; raise unless it is a mean over samples."""
    node = next(iter(config["benchmark"]["metrics"].values()))
    if not is_mean(node):
        raise ComparisonError(
            f"explain --run needs a mean over samples, and not {node['_target_']}"
        )
    return metric_of(node).keywords  # type: ignore[attr-defined, no-any-return]
