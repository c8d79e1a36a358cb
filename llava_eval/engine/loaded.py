"""A benchmark made ready: its samples, what scores them, and what its tables hold."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llava_eval.benchmarks.load import media_folder, samples_of
from llava_eval.config.build import build_target
from llava_eval.config.compose import ComposedConfig
from llava_eval.config.schema import PublishedConfig
from llava_eval.errors import ConfigError
from llava_eval.results.submission import SubmissionMaker
from llava_eval.results.summary import (
    Metric,
    PublishedNumber,
    Summary,
    held_against,
    named_with_overrides,
    summarise,
)
from llava_eval.scoring.evaluation import Evaluation
from llava_eval.scoring.judge.judge import check_judge_model
from llava_eval.scoring.judge.report import JudgeReport
from llava_eval.scoring.scorer import JudgedScorer, Scorer, checked_scorer
from llava_eval.types import Sample, SampleResult


def build_scorer(composed: ComposedConfig) -> Scorer | JudgedScorer:
    """Build the scorer that the configuration names.

    Raises:
        ConfigError: it cannot be built, or is no scorer.
    """
    return checked_scorer(build_target(composed.config.scorer, key="scorer"))


def build_metrics(composed: ComposedConfig) -> dict[str, Metric]:
    """Build the metrics that the configuration names, by name.

    Raises:
        ConfigError: one of them cannot be built.
    """
    return {
        name: build_target(node, key=f"benchmark.metrics.{name}")
        for name, node in composed.config.benchmark.metrics.items()
    }


def build_submission(composed: ComposedConfig) -> SubmissionMaker | None:
    """Build what makes the file for a server that knows hidden answers, where there is one.

    Raises:
        ConfigError: it cannot be built.
    """
    node = composed.config.benchmark.submission
    if node is None:
        return None
    maker: SubmissionMaker = build_target(node, key="benchmark.submission")
    return maker


@dataclass(frozen=True)
class LoadedBenchmark:
    """A benchmark whose rows are read.

    Attributes:
        evaluation: samples and their scorer.
        metrics: by name; the first is the headline.
        facets: columns of the tables.
        chance: by metric name, what guessing reaches.
        name: of benchmark and protocol.
        overrides: what differs from the protocol, by name.
        published: published numbers that ours are held against.
        facet_metrics: metrics of the tables by facet; None for all.
        submission: makes the file for a server that knows hidden answers.
    """

    evaluation: Evaluation
    metrics: Mapping[str, Metric]
    facets: Sequence[str]
    chance: Mapping[str, float]
    name: str
    overrides: Mapping[str, object]
    published: Sequence[PublishedConfig] = ()
    facet_metrics: Sequence[str] | None = None
    submission: SubmissionMaker | None = None

    @property
    def samples(self) -> Sequence[Sample]:
        """All samples, in the order of the source rows."""
        return self.evaluation.samples

    @property
    def label(self) -> str:
        """Name of benchmark and protocol with every override beside it."""
        return named_with_overrides(self.name, self.overrides)

    @classmethod
    def from_config(cls, composed: ComposedConfig) -> LoadedBenchmark:
        """Build the parts that the configuration names, and read and adapt the rows.

        Raises:
            ConfigError: a part cannot be built.
            RowsError: the rows cannot be used.
        """
        benchmark = composed.config.benchmark
        scorer, metrics = build_scorer(composed), build_metrics(composed)
        samples = samples_of(benchmark)
        overrides = {**composed.benchmark_overrides, **composed.judge_overrides}
        judge = None
        if isinstance(scorer, JudgedScorer):
            judge = composed.config.judge
            check_judge_model(judge, benchmark.name)
            overrides["judge"] = judge.model
        if benchmark.limit is None and benchmark.num_rows not in (None, len(samples)):
            overrides["rows"] = f"{len(samples)} of {benchmark.num_rows}"
        return cls(
            Evaluation(
                samples,
                scorer,
                media_root=media_folder(benchmark.media_root),
                judge=judge,
                strip_replies=benchmark.strip_replies,
            ),
            metrics,
            benchmark.facets,
            benchmark.chance,
            name=benchmark.name,
            overrides=overrides,
            facet_metrics=benchmark.facet_metrics,
            submission=build_submission(composed),
            published=_checked_published(composed.config.published, metrics, benchmark.facets),
        )

    def summary(
        self, results: Sequence[SampleResult], model: str | None, judge: JudgeReport | None = None
    ) -> Summary:
        """Return the numbers of all results, with what the judge did beside the name."""
        overrides = {**self.overrides, **(judge.label if judge is not None else {})}
        found = summarise(
            results,
            self.metrics,
            benchmark=named_with_overrides(self.name, overrides),
            model=model,
            facets=self.facets,
            facet_metrics=self.facet_metrics,
            chance=self.chance,
        )
        return dataclasses.replace(
            found,
            judge=judge.content if judge is not None else None,
            published=tuple(
                held_against(found, PublishedNumber(**dataclasses.asdict(number)))
                for number in self.published
            ),
        )


def _checked_published(
    published: Sequence[PublishedConfig], metrics: Mapping[str, Metric], facets: Sequence[str]
) -> Sequence[PublishedConfig]:
    for number in published:
        if number.metric not in metrics:
            raise ConfigError(
                f"published: there is no metric {number.metric!r}; metrics: {', '.join(metrics)}"
            )
        if number.facet is not None and number.facet not in facets:
            raise ConfigError(
                f"published: there is no facet {number.facet!r}; "
                f"facets: {', '.join(facets) or 'none'}"
            )
    return published
