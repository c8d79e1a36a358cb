"""One run as it is configured: every part built once, and checked to fit the others."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llava_eval.benchmarks.load import Adapter, read_samples
from llava_eval.config.build import TARGET_KEY, build_target
from llava_eval.config.compose import ComposedConfig
from llava_eval.config.describe import identity_of
from llava_eval.config.schema import JudgeConfig, PublishedConfig, RunConfig
from llava_eval.engine.base import Engine
from llava_eval.engine.batches import PromptSettings
from llava_eval.engine.configured_engine import check_engine, open_engine
from llava_eval.engine.replaced_media import replaced_samples
from llava_eval.errors import ConfigError, RowsError
from llava_eval.models.clock import StageClock
from llava_eval.models.configured_model import Needs, check_model
from llava_eval.models.own import Model
from llava_eval.results import files
from llava_eval.results.directory import check_owner, finished_results
from llava_eval.results.exchange.generations import read_generations
from llava_eval.results.exchange.submission import SubmissionMaker
from llava_eval.results.identity import Identity, digest, samples_digest
from llava_eval.results.ledger import rewrite_ledger
from llava_eval.results.manifest import Manifest, RunRecord, provenance, read_manifest
from llava_eval.results.summary import (
    Metric,
    Summary,
    compare_to_published,
    named_with_overrides,
    summarise,
)
from llava_eval.scoring.evaluation import Evaluation
from llava_eval.scoring.judge.judge import check_judge_model, read_judge_key
from llava_eval.scoring.judge.report import JudgeReport
from llava_eval.scoring.scorer import JudgedScorer, Scorer, checked_scorer
from llava_eval.types import Generation, MetricValue, Sample, SampleResult

log = logging.getLogger(__name__)

#: Packages whose version can change a generation; a run is not continued across them.
_IDENTITY_PACKAGES = ("llava_eval", "torch", "torchvision", "transformers", "tokenizers", "av")

#: Made-up replies that a file of answers must be able to hold.
_EXAMPLE_REPLIES = ("A", "a red ball", "")


@dataclass(frozen=True)
class Parts:
    """The functions and classes that a configuration names, built.

    Attributes:
        adapter: makes samples of rows.
        scorer: scores generations.
        metrics: by name; the first is the headline.
        submission: makes the file for a server that knows hidden answers.
        judge: the judge, where the scorer needs one.
        prompts: how questions are asked.
    """

    adapter: Adapter
    scorer: Scorer | JudgedScorer
    metrics: Mapping[str, Metric]
    submission: SubmissionMaker | None
    judge: JudgeConfig | None
    prompts: PromptSettings

    @classmethod
    def build(cls, config: RunConfig) -> Parts:
        """Build every part that the configuration names, without reading rows or weights.

        Raises:
            ConfigError: a part cannot be built, its parameters make no sense, or it does not fit
                the others.
        """
        benchmark = config.benchmark
        scorer = checked_scorer(build_target(config.scorer, key="scorer"))
        metrics = {name: _metric(name, node) for name, node in benchmark.metrics.items()}
        submission: SubmissionMaker | None = None
        if benchmark.submission is not None:
            submission = build_target(benchmark.submission, key="benchmark.submission")
            _check_submission(submission, scorer)
        if isinstance(scorer, JudgedScorer):
            check_judge_model(config.judge, benchmark.name)
        _check_published(config.published, metrics, benchmark.facets)
        check_model(config)
        check_engine(config)
        return cls(
            adapter=build_target(benchmark.adapter, key="benchmark.adapter"),
            scorer=scorer,
            metrics=metrics,
            submission=submission,
            judge=config.judge if isinstance(scorer, JudgedScorer) else None,
            prompts=PromptSettings.of(config),
        )


def _metric(name: str, node: Any) -> Metric:
    """Build a metric, and see by no results at all whether it is one.

    Raises:
        ConfigError: it cannot be built, or it gives no value of a metric.
    """
    key = f"benchmark.metrics.{name}"
    metric: Metric = build_target(node, key=key)
    try:
        value = metric([])
    except (TypeError, AttributeError) as error:
        raise ConfigError(f"{key}: {type(error).__name__}: {error}") from error
    if not isinstance(value, MetricValue):
        raise ConfigError(f"{key}: got a {type(value).__name__}, expected a MetricValue")
    return metric


def _check_submission(maker: SubmissionMaker, scorer: Scorer | JudgedScorer) -> None:
    """Raise ConfigError where answers as the scorer reads them do not go into the file.

    A file of option numbers, for instance, needs a scorer that reads letters. It is tried on
    made-up replies, so that a run does not end with this after all its work.
    """
    if isinstance(scorer, JudgedScorer):
        return
    choices = ("a red ball", "a blue ball")
    sample = Sample("1", 0, "1", ("Which?",), ("A",), choices=choices, options=choices)
    for reply in _EXAMPLE_REPLIES:
        generation = Generation(reply, option_losses=(0.0, 1.0))
        (score,) = scorer.score_all([generation], [sample])
        result = dataclasses.replace(SampleResult.of(sample, generation), score=score)
        try:
            maker([result])
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ConfigError(
                f"benchmark.submission does not fit the scorer: of {reply!r} it reads "
                f"{score.answer!r}, and the file cannot hold that ({error})"
            ) from error


def _check_published(
    published: Sequence[PublishedConfig], metrics: Mapping[str, Metric], facets: Sequence[str]
) -> None:
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


@dataclass(frozen=True)
class Benchmark:
    """A benchmark whose rows are read.

    Attributes:
        composed: the configuration.
        parts: what it names.
        samples: in the order of the rows.
    """

    composed: ComposedConfig
    parts: Parts
    samples: Sequence[Sample]

    @classmethod
    def read(cls, composed: ComposedConfig, clock: StageClock) -> Benchmark:
        """Build the parts of a configuration, and read and adapt the rows.

        Raises:
            ConfigError: a part cannot be built, or does not fit the others.
            RowsError: the rows cannot be used.
        """
        parts = Parts.build(composed.config)
        with clock.stage("load_rows"):
            samples = read_samples(composed.config.benchmark, parts.adapter)
        if parts.prompts.keeps_choice_logprobs and not any(
            sample.choices and not sample.options for sample in samples
        ):
            raise ConfigError(
                f"runner.keep_choice_logprobs=true: {composed.config.benchmark.name} asks nothing "
                "with options whose letter is generated"
            )
        return cls(composed, parts, samples)

    def part(self, ids: Collection[str]) -> Benchmark:
        """Return the benchmark with some of its samples alone.

        Raises:
            RowsError: it has none of an id.
        """
        wanted = set(ids)
        samples = [sample for sample in self.samples if sample.id in wanted]
        missing = sorted(wanted - {sample.id for sample in samples})
        if missing:
            raise RowsError(
                f"{self.config.benchmark.name}: no sample {missing[0]!r}"
                + (f", nor {len(missing) - 1} others" if missing[1:] else "")
            )
        return dataclasses.replace(self, samples=samples)

    @property
    def config(self) -> RunConfig:
        """The typed configuration."""
        return self.composed.config

    @property
    def label(self) -> str:
        """Name of benchmark and protocol with every override beside it."""
        return self._label({})

    @property
    def evaluation(self) -> Evaluation:
        """Scores results of these samples."""
        return Evaluation(
            self.samples,
            self.parts.scorer,
            judge=self.parts.judge,
            reply=self.config.benchmark.reply,
        )

    def summary(
        self,
        results: Sequence[SampleResult],
        model: str | None,
        judge: JudgeReport | None,
        notes: Sequence[str] = (),
    ) -> Summary:
        """Return the numbers of all results.

        Args:
            results: with their scores.
            model: its label; None where it is not known.
            judge: what the judge did, where there is one; it stands beside the name.
            notes: what must be known beside every number.
        """
        benchmark = self.config.benchmark
        numbers = summarise(
            results,
            self.parts.metrics,
            benchmark=self._label({} if judge is None else judge.label),
            model=model,
            facets=benchmark.facets,
            facet_metrics=benchmark.facet_metrics,
            chance=benchmark.chance,
        )
        return dataclasses.replace(
            numbers,
            judge=None if judge is None else judge.content,
            notes=(*numbers.notes, *notes),
            published=tuple(
                compare_to_published(numbers, number) for number in self.config.published
            ),
        )

    def _label(self, judged: Mapping[str, Any]) -> str:
        benchmark, composed = self.config.benchmark, self.composed
        overrides = {**composed.benchmark_overrides, **composed.judge_overrides}
        if self.parts.judge is not None:
            overrides["judge"] = self.parts.judge.model
        if benchmark.limit is None and benchmark.num_rows not in (None, len(self.samples)):
            overrides["rows"] = f"{len(self.samples)} of {benchmark.num_rows}"
        return named_with_overrides(benchmark.name, {**overrides, **judged})


@dataclass(frozen=True)
class Work:
    """A benchmark and the engine that answers it: everything that one run needs.

    Attributes:
        benchmark: its samples and what scores them.
        engine: open; which model runs, and on what, is known.
        clock: seconds by stage.
    """

    benchmark: Benchmark
    engine: Engine
    clock: StageClock

    @property
    def model_name(self) -> str:
        """Name of the model in paths of run directories."""
        return self.benchmark.config.model.short_name

    @property
    def model_label(self) -> str:
        """Name of the model with every override beside it."""
        beside = {**self.benchmark.composed.model_overrides, **self._video_as()}
        own_class = str(beside.pop(TARGET_KEY, "")).rpartition(".")[2]
        if own_class not in ("", self.model_name):
            beside["class"] = own_class
        return named_with_overrides(self.model_name, beside)

    def _video_as(self) -> dict[str, str]:
        """Return how videos are shown to the model, where not as one video of their frames."""
        how = self.engine.identity()["model"].get("video_as", "video")
        media = (medium for sample in self.benchmark.samples for medium in sample.media)
        has_videos = any(medium.kind == "video" for medium in media)
        return {"video_as": how} if how != "video" and has_videos else {}

    @property
    def notes(self) -> list[str]:
        """Notes beside every number: on the checkpoint's own generation settings."""
        settings = self.engine.identity()["model"].get("generation_settings", {})
        others = {
            "kept": "are in force; model.generation_settings=protocol drops them",
            "dropped": "are not in force; model.generation_settings=checkpoint keeps them",
        }
        return [
            "the checkpoint's own generation settings "
            f"({', '.join(f'{name}={value}' for name, value in values.items())}) {others[how]}"
            for how, values in settings.items()
        ]

    def identity(self) -> Identity:
        """Return everything that can change a generation."""
        composed, samples = self.benchmark.composed, self.benchmark.samples
        versions = self.engine.versions()
        return {
            "benchmark": composed.config.benchmark.name,
            "samples": samples_digest(samples),
            "num_samples": len(samples),
            "protocol": identity_of(composed.resolved),
            "conversation": composed.resolved["conversation"],
            **self.engine.identity(),
            "versions": {name: versions.get(name) for name in _IDENTITY_PACKAGES},
        }

    def take_over(self, directory: Path) -> tuple[Manifest | None, list[SampleResult]]:
        """Return what an earlier process of the same run left in a claimed directory.

        Args:
            directory: the claimed run directory.

        Returns:
            The manifest of the run, None where the directory is new, and the results of its
            finished samples, but for those whose media were replaced since.

        Raises:
            RunDirectoryError: it holds something else, or its ledger is damaged.
        """
        config = self.benchmark.config
        samples = {sample.id: sample for sample in self.benchmark.samples}
        manifest = check_owner(directory, self.identity(), resume=config.resume)
        if manifest is None:
            return None, []
        finished = finished_results(directory, samples)
        log.info("continuing %s: %d samples are finished", directory, len(finished))
        sampler = self.benchmark.parts.prompts.sampler
        stale = replaced_samples(samples, finished, manifest, sampler, config.runner)
        results = [result for result in finished.values() if result.id not in stale]
        if stale:
            rewrite_ledger(directory / files.LEDGER, results)
        return manifest, results

    def unfinished(self, results: Sequence[SampleResult]) -> list[Sample]:
        """Return the samples that have no result yet, in the order of the rows."""
        finished = {result.id for result in results}
        return [sample for sample in self.benchmark.samples if sample.id not in finished]

    def record(self, directory: Path, earlier: Manifest | None) -> RunRecord:
        """Return what writes the manifest of the run."""
        composed = self.benchmark.composed
        description = {
            **provenance(self.identity()),
            "benchmark": self.benchmark.label,
            "model_label": self.model_label,
            "choices": dict(composed.choices),
            "config": dict(composed.resolved),
            "conversation": dict(composed.resolved["conversation"]),
        }
        return RunRecord(directory, description, earlier, self.clock.seconds)


@contextmanager
def open_work(
    composed: ComposedConfig, only: Collection[str] | None = None, model: Model | None = None
) -> Iterator[Work]:
    """Build and check everything that a run needs, and close its engine after the block.

    Nothing is written yet, so a mistake leaves no run directory.

    Args:
        composed: the checked configuration.
        only: ids of the samples to answer; None answers all.
        model: an object of the user's own, instead of what the configuration names.

    Raises:
        LlavaEvalError: a mistake in the configuration, its rows or its checkpoint.
    """
    clock = StageClock()
    benchmark = Benchmark.read(composed, clock)
    if only is not None:
        benchmark = benchmark.part(only)
    if benchmark.parts.judge is not None:
        read_judge_key(benchmark.parts.judge)  # raises before any work is done
    engine = open_engine(composed.config, clock, Needs.of(benchmark.samples), model)
    try:
        yield Work(benchmark, engine, clock)
    finally:
        engine.close()


@dataclass(frozen=True)
class GivenTexts:
    """A benchmark and texts that answer it already, from another tool or an earlier run.

    Attributes:
        benchmark: its samples and what scores them.
        path: where the texts lie.
        source: manifest of the run that they are of; empty where it is none of ours.
        results: one per sample, not scored yet.
    """

    benchmark: Benchmark
    path: Path
    source: Manifest
    results: Sequence[SampleResult]

    @classmethod
    def read(cls, composed: ComposedConfig, path: Path, clock: StageClock) -> GivenTexts:
        """Read the rows and the texts.

        Args:
            composed: the configuration; its model and sampler are not used.
            path: see :mod:`llava_eval.results.exchange.generations`.
            clock: gets the seconds of every stage.

        Raises:
            LlavaEvalError: a mistake in the configuration, the rows or the texts.
        """
        benchmark = Benchmark.read(composed, clock)
        texts = read_generations(path, benchmark.samples)
        results = [SampleResult.of(sample, texts[sample.id]) for sample in benchmark.samples]
        return cls(benchmark, path, read_manifest(path.parent) or Manifest(), results)

    @property
    def config(self) -> dict[str, Any]:
        """The part of the configuration that is used."""
        judged = ["judge"] if self.benchmark.parts.judge is not None else []
        resolved = self.benchmark.composed.resolved
        return {name: resolved[name] for name in ("benchmark", "scorer", *judged)}

    def identity(self) -> Identity:
        """Return everything that can change a score but the scorer."""
        return {
            "benchmark": self.benchmark.config.benchmark.name,
            "samples": samples_digest(self.benchmark.samples),
            "generations": digest([[item.id, item.generation.text] for item in self.results]),
        }

    def record(self, directory: Path, clock: StageClock) -> RunRecord:
        """Return what writes the manifest."""
        description = {
            **provenance(self.identity()),
            "benchmark": self.benchmark.label,
            "model": self.source.content.get("model"),
            "generations": {"path": str(self.path), "model_label": self.source.model_label},
            "config": self.config,
        }
        return RunRecord(directory, description, None, clock.seconds)
