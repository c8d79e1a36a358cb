"""The same texts scored by every rule and denominator of their benchmark that can read them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from llava_eval.config.build import TARGET_KEY, build_target
from llava_eval.config.choices import list_choices, quoted
from llava_eval.config.compose import compose_config, scorer_nodes
from llava_eval.config.former_names import current_node
from llava_eval.config.schema import ReplyConfig
from llava_eval.errors import ConfigError, ScoreError
from llava_eval.metrics.intervals import FloatArray, IntArray, number_clusters
from llava_eval.metrics.means import Denominator, sample_values
from llava_eval.metrics.paired import PairedEstimate, paired_means
from llava_eval.results.formatting import listed
from llava_eval.results.runs import Run
from llava_eval.scoring.evaluation import Evaluation
from llava_eval.scoring.scorer import SampleScorer, checked_scorer
from llava_eval.types import Sample, SampleResult

log = logging.getLogger(__name__)

DENOMINATORS: tuple[Denominator, ...] = get_args(Denominator)
#: Name of the rule with the scores of the run's own ledger.
OWN = "this run"


@dataclass(frozen=True, eq=False)
class Reading:
    """All texts of a run, scored by one rule.

    Attributes:
        names: names of the protocols (or scorers) that use this rule.
        results: the run's results with the rule's scores.
        denominator: the denominator of the protocol's headline metric.
        percents: the mean score in percent by denominator; None if no sample counts.
        change: change from the run's own score to this rule's own score, in percentage points.
    """

    names: Sequence[str]
    results: Sequence[SampleResult]
    denominator: Denominator
    percents: Mapping[Denominator, float | None]
    change: PairedEstimate | None

    @property
    def num_unreadable(self) -> int:
        """The number of texts in which the rule finds no answer."""
        return sum(result.score.unreadable for result in self.results)


def readings(run: Run, config_dir: Path | None = None) -> list[Reading]:
    """Return a run's texts scored by every rule of its benchmark, the run's own rule first.

    Rules that need a judge or the whole set, or cannot score a question, are left out; a warning
    names them.

    Args:
        run: a run of any protocol of the benchmark.
        config_dir: a user's folder of configurations.

    Raises:
        ConfigError: a protocol's file cannot be read.
    """
    own = _denominator(next(iter(run.metric_nodes.values()), {}))
    answered = [result for result in run.results if result.generation.error is None]
    membership, _ = number_clusters([result.group for result in answered])
    base = sample_values(answered, denominator=own)
    found: list[tuple[str, Sequence[SampleResult], Denominator]] = [(OWN, answered, own)]
    scored: dict[str, list[SampleResult]] = {}
    left_out: dict[str, list[str]] = {}
    for name, node, reply, denominator in _rules(run, config_dir):
        scorer = checked_scorer(build_target(node, key=f"scorer of {name}"))
        if not isinstance(scorer, SampleScorer):
            left_out.setdefault("needs a judge or the whole set", []).append(name)
            continue
        key = repr((sorted(node.items(), key=str), reply))
        try:
            scored[key] = scored.get(key) or rescored(answered, scorer, reply)
        except (ConfigError, ScoreError) as error:  # for instance a rule for options without any
            left_out.setdefault(str(error), []).append(name)
            continue
        found.append((name, scored[key], denominator))
    for reason, names in left_out.items():
        log.warning("rules that are left out: %s: %s", listed(names), reason)
    # Rules with the same scores and answers for all texts and the same denominator are one.
    alike: dict[Any, tuple[list[str], Sequence[SampleResult]]] = {}
    for name, results, denominator in found:
        scores = tuple((item.score.value, item.score.answer) for item in results)
        alike.setdefault((scores, denominator), ([], results))[0].append(name)
    return [
        _reading(names, results, denominator, base, membership)
        for (_, denominator), (names, results) in alike.items()
    ]


def _reading(
    names: Sequence[str],
    results: Sequence[SampleResult],
    denominator: Denominator,
    base: FloatArray,
    membership: IntArray,
) -> Reading:
    percents: dict[Denominator, float | None] = {}
    for name in DENOMINATORS:
        values = sample_values(results, denominator=name)
        percents[name] = None if np.isnan(values).all() else 100 * float(np.nanmean(values))
    change = paired_means(base, sample_values(results, denominator=denominator), membership)
    return Reading(
        names,
        results,
        denominator,
        percents,
        None if change is None else change.scaled(100, "percent"),
    )


def rescored(
    results: Sequence[SampleResult], scorer: SampleScorer, reply: ReplyConfig
) -> list[SampleResult]:
    """Return results with another rule's scores.

    Args:
        results: a ledger's results.
        scorer: the rule.
        reply: the preparation of a reply before scoring.
    """
    samples = [  # with the fields that a rule for texts needs
        Sample(
            id=result.id,
            row=result.row,
            group=result.group,
            content=(result.prompt,),
            targets=result.target,
            choices=result.choices,
            question=result.question,
            facets=result.facets,
            options=result.choices,  # for answers by likelihood
        )
        for result in results
    ]
    evaluation = Evaluation(samples, scorer, reply=reply)
    return [evaluation.scored(result) for result in results]


def _rules(
    run: Run, config_dir: Path | None
) -> Iterator[tuple[str, Mapping[str, Any], ReplyConfig, Denominator]]:
    """Yield the rules of the benchmark's protocols, and shared scorers of the same kind.

    Each is a name, the scorer's node, the preparation of replies, and the denominator of the
    headline metric.
    """
    family = run.benchmark.partition("/")[0]
    kind = _adapter(run.config)
    modules = {_module(run.parts.scorer)}
    seen = []
    # No rows are read, but a user's own protocol may require a source from the command line.
    source = run.config.get("benchmark", {}).get("source", "-")
    for name in list_choices("benchmark", config_dir):
        if name.partition("/")[0] != family:
            continue
        chosen = [f"benchmark={name}", f"benchmark.source={quoted(source)}"]
        composed = compose_config(chosen, config_dir)
        if kind not in (None, _adapter(composed.resolved)):
            continue
        node, nodes = composed.resolved["scorer"], composed.resolved["benchmark"]["metrics"]
        modules.add(_module(node))
        seen.append(node)
        yield name, node, composed.config.benchmark.reply, _denominator(next(iter(nodes.values())))
    shared = list_choices("scorer", config_dir)
    for name, node in zip(shared, scorer_nodes(shared, config_dir), strict=True):
        if name != "protocol" and node not in seen and _module(node) in modules:
            yield f"scorer={name}", node, ReplyConfig(), "scored"


def _adapter(config: Mapping[str, Any]) -> str | None:
    node = config.get("benchmark", {}).get("adapter")
    return str(current_node(node)[TARGET_KEY]) if isinstance(node, Mapping) else None


def _module(node: Mapping[str, Any]) -> str:
    return str(current_node({TARGET_KEY: "", **node})[TARGET_KEY]).rpartition(".")[0]


def _denominator(node: Mapping[str, Any]) -> Denominator:
    """Return the denominator of a metric's node; "scored" if it names none."""
    given = current_node({TARGET_KEY: "", **node}).get("denominator", "scored")
    if given not in DENOMINATORS:
        raise ConfigError(f"benchmark.metrics: denominator is {given!r}")
    return cast(Denominator, given)


def disagreements(found: Sequence[Reading]) -> list[Sequence[SampleResult]]:
    """Return the texts whose score differs between rules, in the order of the rows.

    Each is a sequence of its results by each rule, in the order of the readings.
    """
    rows = zip(*(reading.results for reading in found), strict=True)
    return [row for row in rows if len({result.score.value for result in row}) > 1]
