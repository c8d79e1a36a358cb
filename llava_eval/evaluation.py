"""A benchmark made ready: its samples, and everything that judges them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from llava_eval.benchmarks import Adapter, load_samples, media_folder
from llava_eval.config import ComposedConfig, build_target
from llava_eval.results.summary import Metric, Summary, named_with_overrides, summarise
from llava_eval.scorers import SampleScorer, Scorer, SetScorer
from llava_eval.types import NOT_SCORED, Generation, Media, Sample, SampleResult


class Parts(NamedTuple):
    """The functions that a protocol's file names."""

    adapter: Adapter
    scorer: Scorer
    metrics: Mapping[str, Metric]


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


@dataclass(frozen=True)
class Evaluation:
    """Samples and their judges.

    Attributes:
        samples: in the order of the source rows.
        scorer: judges one text, or the set of them.
        metrics: by name; the first is the headline.
        facets: columns of the tables.
        chance: by metric name, what guessing reaches.
        label: name of benchmark and protocol with every override beside it.
        media_root: folder that media lie in, if the benchmark has one.
    """

    samples: Sequence[Sample]
    scorer: Scorer
    metrics: Mapping[str, Metric]
    facets: Sequence[str]
    chance: Mapping[str, float]
    label: str
    media_root: Path | None = None

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
        )
        overrides = dict(composed.benchmark_overrides)
        if benchmark.limit is None and benchmark.num_rows not in (None, len(samples)):
            overrides["rows"] = f"{len(samples)} of {benchmark.num_rows}"
        return cls(
            samples,
            scorer,
            metrics,
            benchmark.facets,
            benchmark.chance,
            label=named_with_overrides(benchmark.name, overrides),
            media_root=media_folder(benchmark.media_root),
        )

    def result(
        self,
        sample: Sample,
        generation: Generation,
        frame_indices: tuple[tuple[int, ...], ...] = (),
    ) -> SampleResult:
        """Return a sample's result, scored already where the scorer judges texts alone."""
        score = NOT_SCORED
        if generation.text is not None and isinstance(self.scorer, SampleScorer):
            score = self.scorer.score(generation.text, sample)
        return SampleResult(
            id=sample.id,
            row=sample.row,
            group=sample.group,
            facets=sample.facets,
            question=sample.question,
            choices=sample.choices,
            prompt=sample.prompt,
            media=tuple(self._shown_path(medium) for medium in sample.media),
            frame_indices=frame_indices,
            target=sample.targets,
            generation=generation,
            score=score,
        )

    def _shown_path(self, medium: Media) -> str:
        """Return a medium's path from the media folder: the same wherever the data set lies."""
        path = Path(medium.path)
        if self.media_root is not None and path.is_relative_to(self.media_root):
            return path.relative_to(self.media_root).as_posix()
        return medium.path

    def rescored(self, results: Iterable[SampleResult]) -> list[SampleResult]:
        """Return results with today's targets, facets and scores, in the order of the rows.

        A resumed or corrected run must not mix scores of two rules, so every text is judged anew.
        """
        samples = {sample.id: sample for sample in self.samples}
        ordered = sorted(results, key=lambda result: result.row)
        fresh = [
            self.result(samples[result.id], result.generation, result.frame_indices)
            for result in ordered
        ]
        if not isinstance(self.scorer, SetScorer):
            return fresh
        judged = [result for result in fresh if result.generation.text is not None]
        scores = self.scorer.score_set(
            [str(result.generation.text) for result in judged],
            [samples[result.id] for result in judged],
        )
        by_id = {result.id: score for result, score in zip(judged, scores, strict=True)}
        return [
            dataclasses.replace(result, score=by_id.get(result.id, NOT_SCORED)) for result in fresh
        ]

    def summary(self, results: Sequence[SampleResult], model: str | None) -> Summary:
        """Return the numbers of all results."""
        return summarise(
            results,
            self.metrics,
            benchmark=self.label,
            model=model,
            facets=self.facets,
            chance=self.chance,
        )
