"""One run as it was configured: every part built and checked before any work is done."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from llava_eval.benchmarks import resolve_package_path
from llava_eval.config import ComposedConfig, build_target
from llava_eval.errors import ConfigError
from llava_eval.evaluation import Evaluation, build_parts, build_submission
from llava_eval.judging import check_judge
from llava_eval.results import manifest
from llava_eval.results.fingerprint import Identity, digest, samples_digest
from llava_eval.results.summary import named_with_overrides
from llava_eval.timing import StageClock
from llava_eval.types import GenerationSettings, VideoInfo

if TYPE_CHECKING:
    from llava_eval.models.conversation import Conversation
    from llava_eval.models.loading import ModelPlan
    from llava_eval.models.runner import ModelRunner
    from llava_eval.video.media import Policy

#: Packages whose version can change a generation; a run is not continued across them.
_IDENTITY_PACKAGES = ("llava_eval", "torch", "torchvision", "transformers", "tokenizers", "av")


@dataclass(frozen=True)
class Job:
    """Everything that one run needs, checked before any work is done."""

    composed: ComposedConfig
    evaluation: Evaluation
    policy: Policy
    conversation: Conversation
    plan: ModelPlan
    settings: GenerationSettings
    model_label: str
    clock: StageClock

    @classmethod
    def prepare(cls, composed: ComposedConfig) -> Job:
        """Build and check every part.

        Raises:
            LlavaEvalError: a mistake in the configuration, its rows or its checkpoint.
        """
        clock = StageClock()
        policy, conversation = check_parts(composed)
        with clock.stage("load_rows"):
            evaluation = Evaluation.from_config(composed)
        if evaluation.judge is not None:
            check_judge(evaluation.judge)
        with clock.stage("load_model"):
            plan = _plan_model(composed)
        settings = _generation_settings(composed)
        label = named_with_overrides(model_name(composed), composed.model_overrides)
        return cls(composed, evaluation, policy, conversation, plan, settings, label, clock)

    def identity(self) -> Identity:
        """Return everything that can change a generation."""
        resolved = self.composed.resolved
        versions = manifest.versions()
        return {
            "benchmark": self.composed.config.benchmark.name,
            "benchmark_version": self.composed.config.benchmark.version,
            "samples": samples_digest(self.evaluation.samples),
            "num_samples": len(self.evaluation.samples),
            "system": self.composed.config.benchmark.system,
            "assistant_prefill": self.composed.config.benchmark.assistant_prefill,
            "generation": resolved["benchmark"]["generation"],
            "seed": self.settings.seed if self.settings.temperature > 0 else None,
            "sampler": resolved["sampler"],
            "conversation": resolved["conversation"],
            "checkpoint_files": digest([list(pair) for pair in self.plan.checkpoint.file_sha256]),
            "model": {
                "device": self.plan.device.type,
                "dtype": str(self.plan.dtype),
                "attention": self.plan.attention.implementation,
                "rope_scaling": resolved["model"]["rope_scaling"],
                "quantization": resolved["quantization"],
            },
            "versions": {name: versions.get(name) for name in _IDENTITY_PACKAGES},
        }


def check_parts(composed: ComposedConfig) -> tuple[Policy, Conversation]:
    """Build every part that the configuration names, without reading rows or weights.

    Returns:
        The sampling policy and the conversation.

    Raises:
        ConfigError: a part cannot be built, or its parameters make no sense.
    """
    from llava_eval.models.conversation import Conversation

    build_parts(composed)
    build_submission(composed)
    _generation_settings(composed)
    policy: Policy = build_target(composed.config.sampler, key="sampler")
    example = VideoInfo("an example", 100, fps=10.0, seconds=10.0, width=8, height=8, codec="h264")
    try:
        policy(example)
    except ValueError as error:
        raise ConfigError(f"sampler: {error}") from error
    return policy, Conversation(**asdict(composed.config.conversation))


def _generation_settings(composed: ComposedConfig) -> GenerationSettings:
    generation = composed.config.benchmark.generation
    try:
        return GenerationSettings(
            max_new_tokens=generation.max_new_tokens,
            temperature=generation.temperature,
            top_p=generation.top_p,
            stop_strings=tuple(generation.stop_strings),
            seed=composed.config.seed,
        )
    except ValueError as error:
        raise ConfigError(f"benchmark.generation: {error}") from error


def model_name(composed: ComposedConfig) -> str:
    """Return what a run directory and the tables call the model."""
    model = composed.config.model
    return model.name or Path(model.checkpoint).name


def _plan_model(composed: ComposedConfig) -> ModelPlan:
    from llava_eval.models.checkpoint import find_checkpoint

    model, quantization = composed.config.model, composed.config.quantization
    checkpoint = find_checkpoint(resolve_package_path(model.checkpoint), model.revision)

    # These import torch and transformers, for seconds; a wrong path is known before.
    from llava_eval.models.loading import plan_model
    from llava_eval.models.quantization import Quantization

    return plan_model(
        checkpoint,
        device=model.device,
        dtype=model.dtype,
        attention=model.attention,
        quantization=Quantization(
            method=quantization.method,
            double_quant=quantization.double_quant,
            compute_dtype=quantization.compute_dtype,
            group_size=quantization.group_size,
            skip_modules=tuple(quantization.skip_modules),
        ),
        rope_scaling=model.rope_scaling,
        trust_remote_code=model.trust_remote_code,
    )


def make_runner(job: Job) -> ModelRunner:
    """Load the model, unless the run before used the same, and put a runner around it."""
    import torch

    from llava_eval.models.loading import load_model_once
    from llava_eval.models.runner import DEFAULT_BATCH_SIZE, ModelRunner

    config = job.composed.config
    if config.runner.num_threads is not None:
        torch.set_num_threads(config.runner.num_threads)
    with job.clock.stage("load_model"):
        loaded = load_model_once(job.plan)
    return ModelRunner(
        loaded=loaded,
        conversation=job.conversation,
        batch_size=config.runner.batch_size or DEFAULT_BATCH_SIZE,
        max_batch_tokens=config.runner.max_batch_tokens,
        share_prefixes=config.runner.share_prefixes,
        clock=job.clock,
    )
