"""From the results of a run to its numbers: counts, metrics, and metrics by facet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llava_eval.metrics import MetricValue
from llava_eval.types import SampleResult

if TYPE_CHECKING:
    from llava_eval.results.published import Comparison

Metric = Callable[[Sequence[SampleResult]], MetricValue]
MetricsByLevel = Mapping[str, Mapping[str, MetricValue]]


@dataclass(frozen=True)
class Summary:
    """All numbers of one run.

    Attributes:
        benchmark: name of benchmark and protocol, with every override beside it.
        model: name of the model, likewise; None where the texts' origin is not known.
        num_samples: samples that were to be asked.
        num_scored: samples with a score.
        num_unreadable: texts in which the rule found no answer.
        num_errors: samples without a text.
        metrics: by metric name, the headline first.
        groups: by facet, level and metric name.
        chance: by metric name, the score that guessing reaches.
        judge: what the judge did, where one judged.
        published: what our numbers are held against.
        num_random: answers that the rule drew at random, for want of one in the text.
    """

    benchmark: str
    model: str | None
    num_samples: int
    num_scored: int
    num_unreadable: int
    num_errors: int
    metrics: Mapping[str, MetricValue]
    groups: Mapping[str, MetricsByLevel]
    chance: Mapping[str, float]
    judge: Mapping[str, Any] | None = None
    published: Sequence[Comparison] = ()
    num_random: int = 0


def summarise(
    results: Sequence[SampleResult],
    metrics: Mapping[str, Metric],
    *,
    benchmark: str,
    model: str | None,
    facets: Sequence[str] = (),
    facet_metrics: Sequence[str] | None = None,
    chance: Mapping[str, float] | None = None,
) -> Summary:
    """Compute every metric over all results and over each level of each facet.

    Levels stand in the order in which they first occur in the source rows; ``facet_metrics`` limits
    what is computed for them.
    """
    by_level = {
        name: metric
        for name, metric in metrics.items()
        if facet_metrics is None or name in facet_metrics
    }
    ordered = sorted(results, key=lambda result: result.row)
    return Summary(
        benchmark=benchmark,
        model=model,
        num_samples=len(ordered),
        num_scored=sum(result.score.value is not None for result in ordered),
        num_unreadable=sum(result.score.unreadable for result in ordered),
        num_errors=sum(result.generation.error is not None for result in ordered),
        num_random=sum(bool(one.score.details.get("chosen_at_random")) for one in ordered),
        metrics={name: metric(ordered) for name, metric in metrics.items()},
        groups={facet: _by_level(ordered, facet, by_level) for facet in facets},
        chance=chance or {},
    )


def _by_level(
    results: Sequence[SampleResult], facet: str, metrics: Mapping[str, Metric]
) -> MetricsByLevel:
    members: dict[str, list[SampleResult]] = {}
    for result in results:
        members.setdefault(result.facets[facet], []).append(result)
    return {
        level: {name: metric(chosen) for name, metric in metrics.items()}
        for level, chosen in members.items()
    }


def named_with_overrides(name: str, overrides: Mapping[str, object]) -> str:
    """Return "name (key=value, ...)", or the name alone where nothing was overridden."""
    if not overrides:
        return name
    listed = ", ".join(f"{key}={_written(value)}" for key, value in overrides.items())
    return f"{name} ({listed})"


def _written(value: object) -> str:
    text = "null" if value is None else str(value)
    flat = " ".join(text.split())
    return flat if len(flat) <= 40 else f"{flat[:37]}..."
