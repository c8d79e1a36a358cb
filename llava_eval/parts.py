"""The parts of a run that every process builds for itself from the configuration."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from llava_eval.config import build_target
from llava_eval.config.schema import RunConfig
from llava_eval.errors import ConfigError
from llava_eval.generating import Asking
from llava_eval.types import GenerationSettings, VideoInfo

if TYPE_CHECKING:
    from llava_eval.models.conversation import Conversation
    from llava_eval.video.media import Policy


def asking_of(config: RunConfig) -> Asking:
    """Return how the questions of a run are asked.

    Raises:
        ConfigError: the sampling policy cannot be built, or a setting makes no sense.
    """
    return Asking(
        policy=_policy(config),
        settings=_generation_settings(config),
        system=config.benchmark.system,
        assistant_prefill=config.benchmark.assistant_prefill,
    )


def conversation_of(config: RunConfig) -> Conversation:
    """Return the conversation around every question.

    Raises:
        ConfigError: its template is broken.
    """
    from llava_eval.models.conversation import Conversation

    return Conversation(**asdict(config.conversation))


def _policy(config: RunConfig) -> Policy:
    policy: Policy = build_target(config.sampler, key="sampler")
    example = VideoInfo("an example", 100, fps=10.0, seconds=10.0, width=8, height=8, codec="h264")
    try:
        policy(example)
    except ValueError as error:
        raise ConfigError(f"sampler: {error}") from error
    return policy


def _generation_settings(config: RunConfig) -> GenerationSettings:
    generation = config.benchmark.generation
    try:
        return GenerationSettings(
            max_new_tokens=generation.max_new_tokens,
            temperature=generation.temperature,
            top_p=generation.top_p,
            stop_strings=tuple(generation.stop_strings),
            seed=config.seed,
        )
    except ValueError as error:
        raise ConfigError(f"benchmark.generation: {error}") from error
