"""A benchmark made ready: its samples, and everything that judges them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from llava_eval.benchmarks.load import Adapter, load_samples, media_folder
from llava_eval.benchmarks.select import Selection
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
from llava_eval.scoring.judge.report import JudgeReport, judge_settings, judge_texts
from llava_eval.scoring.judge.scorers import JudgedScorer
from llava_eval.scoring.judge.settings import JudgeSettings
from llava_eval.scoring.scorer import GenerationScorer, SampleScorer, Scorer
from llava_eval.types import NOT_SCORED, Generation, Media, Sample, SampleResult


class Parts(NamedTuple):
    """The functions that a protocol's file names."""

    adapter: Adapter
    scorer: Scorer | JudgedScorer
    metrics: Mapping[str, Metric]


class Scored(NamedTuple):
    """Results with their scores, and what the judge did where there is one."""

    results: list[SampleResult]
    judge: JudgeReport | None


def build_parts(composed: ComposedConfig) -> Parts:
    """Build adapter, scorer and metrics.

    Raises:
        ConfigError: one of them cannot be built.
    """
    benchmark = composed.config.benchmark
    return Parts(
        build_target(benchmark.adapter, key="benchmark.adapter"),
        build_target(composed.config.scorer, key="scorer"),
        {
            name: build_target(node, key=f"benchmark.metrics.{name}")
            for name, node in benchmark.metrics.items()
        },
    )


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
class Evaluation:
    """Samples and their judges.

    Attributes:
        samples: in the order of the source rows.
        scorer: judges one text, or the set of them.
        metrics: by name; the first is the headline.
        facets: columns of the tables.
        chance: by metric name, what guessing reaches.
        name: of benchmark and protocol.
        overrides: what differs from the protocol, by name.
        media_root: folder that media lie in, if the benchmark has one.
        judge: the judge, where the scorer needs one.
        published: published numbers that ours are held against.
        strip_replies: whether the scorer gets texts without outer white space.
        facet_metrics: metrics of the tables by facet; None for all.
        submission: makes the file for a server that knows hidden answers.
    """

    samples: Sequence[Sample]
    scorer: Scorer | JudgedScorer
    metrics: Mapping[str, Metric]
    facets: Sequence[str]
    chance: Mapping[str, float]
    name: str
    overrides: Mapping[str, object]
    media_root: Path | None = None
    judge: JudgeSettings | None = None
    published: Sequence[PublishedConfig] = ()
    strip_replies: bool = False
    facet_metrics: Sequence[str] | None = None
    submission: SubmissionMaker | None = None

    @property
    def label(self) -> str:
        """Name of benchmark and protocol with every override beside it."""
        return named_with_overrides(self.name, self.overrides)

    @classmethod
    def from_config(cls, composed: ComposedConfig) -> Evaluation:
        """Build the parts that the configuration names, and read and adapt the rows.

        Raises:
            ConfigError: a part cannot be built.
            RowsError: the rows cannot be used.
        """
        benchmark = composed.config.benchmark
        adapter, scorer, metrics = build_parts(composed)
        samples = load_samples(
            benchmark.source,
            adapter,
            facets=benchmark.facets,
            media_root=benchmark.media_root,
            subset=benchmark.subset,
            split=benchmark.split,
            revision=benchmark.revision,
            limit=benchmark.limit,
            selection=Selection(
                benchmark.where, benchmark.sample.size, benchmark.sample.by, benchmark.sample.seed
            ),
        )
        overrides = {**composed.benchmark_overrides, **composed.judge_overrides}
        judge = None
        if isinstance(scorer, JudgedScorer):
            judge = judge_settings(composed.config.judge, benchmark.name)
            overrides["judge"] = judge.model
        if benchmark.limit is None and benchmark.num_rows not in (None, len(samples)):
            overrides["rows"] = f"{len(samples)} of {benchmark.num_rows}"
        return cls(
            samples,
            scorer,
            metrics,
            benchmark.facets,
            benchmark.chance,
            name=benchmark.name,
            overrides=overrides,
            media_root=media_folder(benchmark.media_root),
            judge=judge,
            strip_replies=benchmark.strip_replies,
            facet_metrics=benchmark.facet_metrics,
            submission=build_submission(composed),
            published=_checked_published(composed.config.published, metrics, benchmark.facets),
        )

    def result(
        self,
        sample: Sample,
        generation: Generation,
        frame_indices: tuple[tuple[int, ...], ...] = (),
        prompt: str | None = None,
    ) -> SampleResult:
        """Return a sample's result, scored already where the scorer judges samples alone.

        Args:
            sample, generation, frame_indices: what was asked, answered and shown.
            prompt: the user's text as it was asked, where that depended on the frames.
        """
        score = NOT_SCORED
        if generation.text is not None and isinstance(self.scorer, SampleScorer):
            score = self.scorer.score(self._reply(generation.text), sample)
        elif generation.text is not None and isinstance(self.scorer, GenerationScorer):
            score = self.scorer.score_generation(generation, sample)
        return SampleResult(
            id=sample.id,
            row=sample.row,
            group=sample.group,
            facets=sample.facets,
            question=sample.question,
            choices=sample.choices,
            prompt=sample.prompt if prompt is None else prompt,
            media=tuple(self._shown_path(medium) for medium in sample.media),
            frame_indices=frame_indices,
            target=sample.targets,
            generation=generation,
            score=score,
        )

    def _reply(self, text: str) -> str:
        """Return a text as the protocol's scorer gets it."""
        return text.strip() if self.strip_replies else text

    def _shown_path(self, medium: Media) -> str:
        """Return a medium's path from the media folder: the same wherever the data set lies."""
        path = Path(medium.path)
        if self.media_root is not None and path.is_relative_to(self.media_root):
            return path.relative_to(self.media_root).as_posix()
        return medium.path

    def rescored(
        self, results: Iterable[SampleResult], directory: Path, others: Iterable[Path] = ()
    ) -> Scored:
        """Return results with today's targets, facets and scores, in the order of the samples.

        A resumed or corrected run must not mix scores of two rules, so every text is judged anew.

        Args:
            results: of every sample.
            directory: the run directory, where a judge's replies are kept.
            others: directories whose replies may be used as well.
        """
        places = {sample.id: place for place, sample in enumerate(self.samples)}
        ordered = sorted(results, key=lambda result: places[result.id])
        fresh = [
            self.result(
                self.samples[places[result.id]],
                result.generation,
                result.frame_indices,
                result.prompt,
            )
            for result in ordered
        ]
        if isinstance(self.scorer, SampleScorer | GenerationScorer):
            return Scored(fresh, None)
        judged = [result for result in fresh if result.generation.text is not None]
        texts = [self._reply(str(result.generation.text)) for result in judged]
        samples = [self.samples[places[result.id]] for result in judged]
        report = None
        if isinstance(self.scorer, JudgedScorer):
            assert self.judge is not None
            scores, report = judge_texts(
                self.scorer, self.judge, texts, samples, directory=directory, others=others
            )
        else:
            scores = self.scorer.score_set(texts, samples)
        by_id = {result.id: score for result, score in zip(judged, scores, strict=True)}
        return Scored(
            [
                dataclasses.replace(result, score=by_id.get(result.id, NOT_SCORED))
                for result in fresh
            ],
            report,
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
