"""The numbers of a run: counts, metrics, metrics by facet, and published numbers beside ours."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llava_eval.config.schema import PublishedConfig
from llava_eval.metrics.differences import Metric
from llava_eval.metrics.groups import rows_by_level
from llava_eval.metrics.question_groups import is_of_whole_groups
from llava_eval.results.formatting import setting_text
from llava_eval.types import MetricValue, SampleResult

MetricsByLevel = Mapping[str, Mapping[str, MetricValue]]


@dataclass(frozen=True)
class Summary:
    """All numbers of one run.

    Attributes:
        benchmark: name of benchmark and protocol, followed by all overrides.
        model: name of the model, followed by all overrides; None if it is not known.
        num_samples: number of all samples.
        num_scored: samples with a score.
        num_unreadable: texts in which the rule found no answer.
        num_errors: samples without a text.
        metrics: values by metric name, the headline first.
        groups: values by facet, level and metric name.
        chance: the score that guessing reaches, by metric name.
        judge: the judge's report, if one judged.
        published: published numbers, each beside ours.
        flags: number of samples with each flag; see
            :attr:`~llava_eval.types.SampleResult.flags`.
        notes: sentences that qualify all numbers.
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
    published: Sequence[PublishedComparison] = ()
    flags: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def num_random(self) -> int:
        """Answers that the rule chose at random because the text has none."""
        return self.flags.get("chosen_at_random", 0)


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

    Levels are in the order in which they first occur in the source rows.

    Args:
        results: results of all samples, in any order.
        metrics: metric functions by name, the headline first.
        benchmark: the benchmark's name with its overrides.
        model: the model's name with its overrides; None if it is not known.
        facets: columns to group by.
        facet_metrics: names of the metrics to compute for each level; None for all.
        chance: the score that guessing reaches, by metric name.
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
        flags=flag_counts(ordered),
        metrics={name: metric(ordered) for name, metric in metrics.items()},
        groups={facet: _by_level(ordered, facet, by_level) for facet in facets},
        chance=chance or {},
        notes=_published_verdicts(ordered),
    )


def _published_verdicts(results: Sequence[SampleResult]) -> list[str]:
    """Return a note on how many of our scores agree with the verdicts published with the texts."""
    num_agreeing, differing = 0, []
    for result in results:
        published = result.generation.published_correct
        if result.score.value is None or published is None:
            continue
        if published == (result.score.value == 1.0):
            num_agreeing += 1
        else:
            differing.append(f"{result.id}, published as {'right' if published else 'wrong'}")
    total = num_agreeing + len(differing)
    if not total:
        return []
    first = f"; the first that differs: {differing[0]}" if differing else ""
    return [f"our scores agree with {num_agreeing} of {total} published verdicts{first}"]


def flag_counts(results: Sequence[SampleResult]) -> dict[str, int]:
    """Return the number of samples with each flag; see :attr:`SampleResult.flags`."""
    return dict(Counter(flag for result in results for flag in result.flags))


def _by_level(
    results: Sequence[SampleResult], facet: str, metrics: Mapping[str, Metric]
) -> MetricsByLevel:
    """Compute metrics for each level; a sample with several levels counts under each of them."""
    of_samples = rows_by_level(results, facet, of_whole_groups=False)
    of_groups = rows_by_level(results, facet, of_whole_groups=True)

    def value(metric: Metric, level: str) -> MetricValue:
        rows = of_groups if is_of_whole_groups(metric) else of_samples
        return metric([results[row] for row in rows.get(level, ())])

    return {
        level: {name: value(metric, level) for name, metric in metrics.items()}
        for level in of_samples
    }


def named_with_overrides(name: str, overrides: Mapping[str, object]) -> str:
    """Return "name (key=value, ...)", or the name alone without overrides."""
    if not overrides:
        return name
    listed = ", ".join(f"{key}={_short_text(value)}" for key, value in overrides.items())
    return f"{name} ({listed})"


def _short_text(value: object) -> str:
    text = setting_text(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


@dataclass(frozen=True, slots=True)
class PublishedComparison:
    """A published number beside ours, in the metric's unit.

    The interval is only ours, from the spread over videos; the random variation of the published
    run (sampled decoding, another judge snapshot) is not known. Both runs answered the same
    questions: a published number outside the interval differs, but one inside proves no agreement.

    Attributes:
        published: the published number and its source.
        value: our number; its value is None if nothing was scored.
    """

    published: PublishedConfig
    value: MetricValue

    @property
    def name(self) -> str:
        """The metric, with the facet's level if it is for one."""
        part = f" ({self.published.level})" if self.published.facet is not None else ""
        return f"{self.published.metric}{part}"

    @property
    def ours(self) -> float | None:
        """Our number."""
        return self.value.value

    @property
    def difference(self) -> float | None:
        """Ours minus published."""
        return None if self.ours is None else self.ours - self.published.value

    @property
    def is_within_interval(self) -> bool | None:
        """Whether our interval, if any, contains the published value, within its rounding."""
        low, high, step = self.value.ci_low, self.value.ci_high, self.published.half_step
        if low is None or high is None:
            return None
        return low - step <= self.published.value <= high + step


def compare_to_published(summary: Summary, published: PublishedConfig) -> PublishedComparison:
    """Return a published number beside ours.

    Args:
        summary: our numbers.
        published: the published number, its metric and, if it is for a part, its facet and level.
    """
    metrics = summary.metrics
    if published.facet is not None:
        metrics = summary.groups.get(published.facet, {}).get(str(published.level), {})
    return PublishedComparison(published, metrics.get(published.metric, MetricValue.none(0, "")))


#: Details that differ between failures with the same cause: words with a slash or a digit.
_PARTICULARS = re.compile(r"(?:[^\s:;,(][^\s:;,]*)?[/\d][^\s:;,]*")


def cause_of(result: SampleResult) -> str:
    """Return a sample's error without details of the sample: paths, ids and numbers.

    Args:
        result: result of a failed sample.
    """
    return _PARTICULARS.sub("...", result.generation.error or "")


def failures_by_cause(results: Iterable[SampleResult]) -> list[str]:
    """Return a line for each cause of failures, the most frequent first, with an example.

    Args:
        results: a run's results, failed or not.
    """
    failed = [result for result in results if result.generation.error is not None]
    counts = Counter(cause_of(result) for result in failed)
    examples = {cause_of(result): result for result in reversed(failed)}
    return [
        f"{count} x {cause}; for instance sample {examples[cause].id}: "
        f"{examples[cause].generation.error}"
        for cause, count in counts.most_common()
    ]
