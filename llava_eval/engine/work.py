"""The work of one run: a benchmark, and the engine or the file that provides its texts."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llava_eval.borders.json_text import digest
from llava_eval.config.build import TARGET_KEY, import_target
from llava_eval.config.compose import ComposedConfig
from llava_eval.config.roles import identity_of, short_keys
from llava_eval.config.schema import RunConfig
from llava_eval.engine.base import Engine
from llava_eval.engine.configured_benchmark import Benchmark
from llava_eval.engine.configured_engine import open_engine
from llava_eval.engine.replaced_media import replaced_samples
from llava_eval.errors import ConfigError
from llava_eval.models.backend import Needs
from llava_eval.models.clock import StageClock
from llava_eval.models.own import Model
from llava_eval.results import files
from llava_eval.results.directory import check_same_run, finished_results
from llava_eval.results.exchange.generations import read_generations
from llava_eval.results.formatting import setting_text
from llava_eval.results.identity import Identity, media_places, samples_digest
from llava_eval.results.ledger import rewrite_ledger
from llava_eval.results.manifest import Manifest, RunRecord, provenance, read_manifest
from llava_eval.results.summary import named_with_overrides
from llava_eval.scoring.judge.judge import read_judge_key
from llava_eval.scoring.scorer import JudgedScorer, judge_prompts
from llava_eval.types import Generation, Sample, SampleResult

log = logging.getLogger(__name__)

#: Packages whose version can change a generation; a run is not resumed with other versions.
_IDENTITY_PACKAGES = ("llava_eval", "torch", "torchvision", "transformers", "tokenizers", "av")


@dataclass(frozen=True)
class Work:
    """A benchmark and the engine that answers it: everything that one run needs.

    Attributes:
        benchmark: the samples, and the parts that score them.
        engine: an open engine, which knows its model and device.
        clock: seconds per stage.
    """

    benchmark: Benchmark
    engine: Engine
    clock: StageClock

    @property
    def model_label(self) -> str:
        """Name of the model with every override, and the form of videos if it is unusual."""
        name = self.benchmark.config.model.short_name
        beside = dict(self.benchmark.composed.model_overrides)
        shown_as = self.engine.identity()["model"].get("video_as", "video")
        media = (medium for sample in self.benchmark.samples for medium in sample.media)
        if shown_as != "video" and any(medium.kind == "video" for medium in media):
            beside["video_as"] = shown_as
        own_class = str(beside.pop(TARGET_KEY, "")).rpartition(".")[2]
        if own_class not in ("", name):
            beside["class"] = own_class
        return named_with_overrides(name, beside)

    @property
    def notes(self) -> list[str]:
        """Caveats that apply to every number, on the checkpoint's own generation settings."""
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
            "num_samples": len(samples),  # before the digest: the first difference is reported
            "samples": samples_digest(samples),
            "protocol": identity_of(composed.resolved),
            "conversation": composed.resolved["conversation"],
            **self.engine.identity(),
            **_own_code(self.benchmark.config),
            "versions": {name: versions.get(name) for name in _IDENTITY_PACKAGES},
        }

    def take_over(self, directory: Path) -> tuple[Manifest | None, list[SampleResult]]:
        """Read the finished results of an earlier process of the same run.

        Args:
            directory: the claimed run directory.

        Returns:
            The manifest of the run, None if the directory is new, and the results of its finished
            samples, except those whose media were replaced since.

        Raises:
            RunDirectoryError: the directory contains something else, or its ledger is damaged.
        """
        config = self.benchmark.config
        samples = {sample.id: sample for sample in self.benchmark.samples}
        manifest = check_same_run(directory, self.identity(), resume=config.resume)
        if manifest is None:
            return None, []
        finished = finished_results(directory, samples)
        log.info("continuing %s: %d samples are finished", directory, len(finished))
        sampler = self.benchmark.parts.prompts.sampler
        places = manifest.content.get("media_places")
        moved = places not in (None, media_places(self.benchmark.samples))
        if moved:
            log.info("media lie elsewhere than before; those of finished samples are read again")
        stale = replaced_samples(samples, finished, manifest, sampler, config.runner, moved=moved)
        results = [result for result in finished.values() if result.id not in stale]
        if stale:
            rewrite_ledger(directory / files.LEDGER, results)
        return manifest, results

    def unfinished(self, results: Sequence[SampleResult]) -> list[Sample]:
        """Return the samples that have no result yet, in the order of the rows."""
        finished = {result.id for result in results}
        return [sample for sample in self.benchmark.samples if sample.id not in finished]

    def record(self, directory: Path, earlier: Manifest | None) -> RunRecord:
        """Return the object that writes the manifest of the run."""
        composed, identity = self.benchmark.composed, self.identity()
        description = {
            **provenance(identity),
            "code": {**identity.get("code", {}), **_own_scoring(composed.config)},
            "benchmark": self.benchmark.label,
            "model_label": self.model_label,
            "choices": dict(composed.choices),
            "config": dict(composed.resolved),
            "conversation": dict(composed.resolved["conversation"]),
            "media_places": media_places(self.benchmark.samples),
        }
        return RunRecord(directory, description, earlier, self.clock.seconds)


def _own_code(config: RunConfig) -> dict[str, Any]:
    """Return digests of the user's own sampler and model, if their source can be read."""
    code = _digests({"sampler": config.sampler.get(TARGET_KEY), "model": config.model._target_})
    return {"code": code} if code else {}


def _own_scoring(config: RunConfig) -> dict[str, str]:
    """Return digests of the user's own scorer and metrics, if their source can be read."""
    metrics = config.benchmark.metrics.items()
    return _digests(
        {
            "scorer": config.scorer.get(TARGET_KEY),
            **{f"metrics.{name}": node.get(TARGET_KEY) for name, node in metrics},
        }
    )


def _digests(targets: Mapping[str, Any]) -> dict[str, str]:
    """Return, by key, digests of the source code of functions and classes outside the package."""
    code: dict[str, str] = {}
    for key, target in targets.items():
        if target is not None and not str(target).startswith("llava_eval."):
            with suppress(ConfigError, OSError, TypeError):  # from a notebook, or not in Python
                code[key] = digest(inspect.getsource(import_target(target, key=key)))
    return code


@contextmanager
def open_work(
    composed: ComposedConfig, only: Collection[str] | None = None, model: Model | None = None
) -> Iterator[Work]:
    """Build and check everything that a run needs, and close its engine after the block.

    Nothing is written, so a mistake leaves no run directory behind.

    Args:
        composed: the checked configuration.
        only: ids of the samples to answer; None answers all.
        model: a user's own model object, used instead of the configured model.

    Raises:
        LlavaEvalError: a mistake in the configuration, its rows or its checkpoint.
    """
    clock = StageClock()
    benchmark = Benchmark.read(composed, clock)
    if only is not None:
        benchmark = benchmark.part(only)
    if isinstance(benchmark.parts.scorer, JudgedScorer):  # both calls fail early if they fail
        read_judge_key(benchmark.config.judge)
        judged = [sample for sample in benchmark.samples if sample.targets][:1]
        judge_prompts(benchmark.parts.scorer, ["A"] * len(judged), judged)
    engine = open_engine(composed.config, clock, Needs.of(benchmark.samples), model)
    try:
        yield Work(benchmark, engine, clock)
    finally:
        engine.close()


def _scored(given: Generation) -> list[object]:
    """Return what a score is computed from: the text, and option losses or a verdict if given."""
    verdict = given.published_correct
    return [given.text, *(given.option_losses or ()), *([] if verdict is None else [verdict])]


@dataclass(frozen=True)
class GivenTexts:
    """A benchmark and texts that were generated for it, by another tool or an earlier run.

    Attributes:
        benchmark: the samples, and the parts that score them.
        path: file with the texts.
        source: manifest of the run that generated them; empty if they are another tool's.
        results: one unscored result per sample.
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
            clock: records the seconds of every stage.

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
        allowed = ["errors"] if resolved["errors"]["max"] else []  # a gate reads it
        return {name: resolved[name] for name in ("benchmark", "scorer", *judged, *allowed)}

    @property
    def notes(self) -> list[str]:
        """Caveats that apply to every number: generation settings of the texts that differ."""
        ours = identity_of(self.benchmark.composed.resolved)
        others = {key: value for key, value in self._settings.items() if ours.get(key) != value}
        named = short_keys({key.removesuffix(f".{TARGET_KEY}"): others[key] for key in others})
        settings = [f"{name}={setting_text(value)}" for name, value in named.items()]
        return [f"the texts were generated with {', '.join(settings)}"] if settings else []

    @property
    def _earlier(self) -> Mapping[str, Any]:
        """The source's record of texts that it was given; empty if it ran a model itself."""
        earlier = self.source.content.get("generations")
        return earlier if isinstance(earlier, Mapping) else {}

    @property
    def _settings(self) -> Mapping[str, Any]:
        """Settings with which the texts were generated, by dotted key; empty if unknown."""
        asked = self._earlier.get("asked")
        return asked if isinstance(asked, Mapping) else identity_of(self.source.config)

    @property
    def model_label(self) -> str | None:
        """Label of the model that wrote the texts; None if unknown."""
        label = self.source.model_label or self._earlier.get("model_label")
        return None if label is None else str(label)

    def identity(self) -> Identity:
        """Return everything that can change a score, except the scorer."""
        return {
            "benchmark": self.benchmark.config.benchmark.name,
            "samples": samples_digest(self.benchmark.samples),
            "generations": digest([[item.id, *_scored(item.generation)] for item in self.results]),
        }

    def record(self, directory: Path, clock: StageClock, model_label: str | None) -> RunRecord:
        """Return the object that writes the manifest."""
        texts = {"path": str(self.path), "model_label": model_label, "asked": dict(self._settings)}
        description = {
            **provenance(self.identity()),
            "code": _own_scoring(self.benchmark.config),
            "benchmark": self.benchmark.label,
            "model": self.source.content.get("model"),
            "generations": texts,
            "config": self.config,
        }
        return RunRecord(directory, description, None, clock.seconds)
