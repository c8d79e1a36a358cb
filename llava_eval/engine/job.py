"""One run as it was configured: every part built and checked before any work is done.

The parts of a run that every process builds for itself from the configuration.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llava_eval.config.build import build_target
from llava_eval.config.compose import ComposedConfig
from llava_eval.config.schema import RunConfig
from llava_eval.engine.base import Engine
from llava_eval.engine.batches import PromptSettings
from llava_eval.engine.loaded import (
    LoadedBenchmark,
    build_metrics,
    build_scorer,
    build_submission,
)
from llava_eval.engine.open import check_engine, open_engine
from llava_eval.models.base import check_backend
from llava_eval.models.clock import StageClock
from llava_eval.results.identity import Identity, samples_digest
from llava_eval.results.summary import named_with_overrides
from llava_eval.scoring.judge.judge import read_judge_key

if TYPE_CHECKING:
    from llava_eval.models.local.conversation import Conversation


#: Packages whose version can change a generation; a run is not continued across them.
_IDENTITY_PACKAGES = ("llava_eval", "torch", "torchvision", "transformers", "tokenizers", "av")


@dataclass(frozen=True)
class Job:
    """Everything that one run needs, checked before any work is done."""

    composed: ComposedConfig
    benchmark: LoadedBenchmark
    engine: Engine
    model_label: str
    clock: StageClock

    @classmethod
    def prepare(cls, composed: ComposedConfig) -> Job:
        """Build and check every part; :attr:`engine` is open and wants to be closed.

        Raises:
            LlavaEvalError: a mistake in the configuration, its rows or its checkpoint.
        """
        clock = StageClock()
        check_parts(composed)
        with clock.stage("load_rows"):
            benchmark = LoadedBenchmark.from_config(composed)
        if benchmark.evaluation.judge is not None:
            read_judge_key(benchmark.evaluation.judge)  # raises before any work is done
        asks_likelihoods = any(sample.options for sample in benchmark.samples)
        engine = open_engine(composed, clock, asks_likelihoods=asks_likelihoods)
        beside = {**composed.model_overrides, **_video_as(engine, benchmark)}
        label = named_with_overrides(model_name(composed), beside)
        return cls(composed, benchmark, engine, label, clock)

    def identity(self) -> Identity:
        """Return everything that can change a generation."""
        config, resolved = self.composed.config, self.composed.resolved
        versions = self.engine.versions()
        return {
            "benchmark": config.benchmark.name,
            "benchmark_version": config.benchmark.version,
            "samples": samples_digest(self.benchmark.samples),
            "num_samples": len(self.benchmark.samples),
            "system": config.benchmark.system,
            "assistant_prefill": config.benchmark.assistant_prefill,
            "generation": resolved["benchmark"]["generation"],
            "seed": config.seed if config.benchmark.generation.temperature > 0 else None,
            "sampler": resolved["sampler"],
            "conversation": resolved["conversation"],
            **self.engine.identity(),
            "versions": {name: versions.get(name) for name in _IDENTITY_PACKAGES},
        }


def check_parts(composed: ComposedConfig) -> None:
    """Build every part that the configuration names, without reading rows or weights.

    Raises:
        ConfigError: a part cannot be built, or its parameters make no sense.
    """
    build_target(composed.config.benchmark.adapter, key="benchmark.adapter")
    build_scorer(composed)
    build_metrics(composed)
    build_submission(composed)
    PromptSettings.of(composed.config)
    conversation_of(composed.config)
    check_backend(composed.config)
    check_engine(composed)


def _video_as(engine: Engine, benchmark: LoadedBenchmark) -> dict[str, str]:
    """Return how videos are shown to a served model, where not as one video of their frames."""
    how = engine.identity()["model"].get("video_as", "video")
    media = (medium for sample in benchmark.samples for medium in sample.media)
    has_videos = any(medium.kind == "video" for medium in media)
    return {"video_as": how} if how != "video" and has_videos else {}


def model_name(composed: ComposedConfig) -> str:
    """Return what a run directory and the tables call the model."""
    model = composed.config.model
    return model.name or Path(model.checkpoint).name


def conversation_of(config: RunConfig) -> Conversation:
    """Return the conversation around every question.

    Raises:
        ConfigError: its template is broken.
    """
    from llava_eval.models.local.conversation import Conversation

    return Conversation(**asdict(config.conversation))
