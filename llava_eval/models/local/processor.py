"""Loads a checkpoint's processor, with the settings that a plan replaces."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from typing import Any

from transformers import AutoProcessor

from llava_eval.errors import CheckpointError
from llava_eval.models.local.plan import ModelPlan, foreign_code, read_config

log = logging.getLogger(__name__)


def load_processor(plan: ModelPlan) -> Any:
    """Load a checkpoint's processor, with the settings that a plan replaces.

    Args:
        plan: plan of the model.

    Raises:
        CheckpointError: it cannot be loaded, or has no such setting.
    """
    checkpoint = plan.checkpoint
    with foreign_code(f"{checkpoint.name}: its processor cannot be loaded"):
        processor = AutoProcessor.from_pretrained(
            checkpoint.path, trust_remote_code=plan.trust_remote_code
        )
    tokenizer = getattr(processor, "tokenizer", None)
    if tokenizer is None:
        raise CheckpointError(
            f"{checkpoint.name}: it brings a {type(processor).__name__}, expected a processor "
            "with a tokenizer"
        )
    config = read_config(checkpoint, plan.trust_remote_code)
    for name in ("patch_size", "vision_feature_select_strategy"):  # transformers 4 filled them in
        needed = getattr(config, name, "default") == "default"  # other models do not read it
        if needed and getattr(processor, name, 0) is None:
            raise CheckpointError(
                f"{checkpoint.name}: its processor_config.json lacks {name}; set it: "
                "patch_size and vision_feature_select_strategy as config.json has them, "
                "num_additional_image_tokens 1 for CLIP and 0 for SigLIP"
            )
    # New tokens must follow the prompt's last one in every row of a batch.
    tokenizer.padding_side = "left"
    # Processors would cut prompts to a maximum length that training left in a tokenizer.json.
    tokenizer.init_kwargs.pop("max_length", None)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    # Older tools saved the template only with the tokenizer, where vLLM looks too; some saved
    # several named templates.
    template = getattr(processor, "chat_template", None) or getattr(tokenizer, "chat_template", "")
    processor.chat_template = (
        template.get("default", template) if isinstance(template, dict) else template
    )
    _adjust_processor(processor, plan.processor)
    return processor


def _adjust_processor(processor: Any, settings: Mapping[str, Any]) -> None:
    """Replace settings of the image processor and the video processor, such as limits on pixels.

    Each key is applied to both if both have it. Both are created again, as from a file with these
    settings, because some settings (``min_pixels``) are read only on creation.

    Raises:
        CheckpointError: neither has a key, a key chooses frames, or a value is refused.
    """
    if not settings:
        return
    sample = getattr(getattr(processor, "video_processor", None), "sample_frames", None)
    choosing = {"do_sample_frames", *inspect.signature(sample).parameters} if sample else set()
    allowed = {key: value for key, value in settings.items() if key not in choosing}
    known: set[str] = set()
    for name in ("image_processor", "video_processor"):
        part = getattr(processor, name, None)
        if part is None:
            continue
        taken = getattr(getattr(part, "valid_kwargs", None), "__annotations__", {})
        own = {key: allowed[key] for key in allowed if key in taken or hasattr(part, key)}
        for key in known - own.keys():  # e.g. max_pixels with Qwen3-VL, whose videos have "size"
            kind = type(part).__name__
            log.warning(
                "model.processor.%s changes images alone: %s has no such setting", key, kind
            )
        known |= set(own)
        with foreign_code(f"model.processor: {own} is refused"):
            setattr(processor, name, type(part).from_dict({**part.to_dict(), **own}))
    for key in settings:
        if key in choosing:
            problem = "frames are chosen by the sampler, for instance sampler.num_frames=8"
            raise CheckpointError(f"model.processor.{key}: {problem}")
        if key not in known:
            problem = f"{type(processor).__name__} has no such setting of images or videos"
            raise CheckpointError(f"model.processor.{key}: {problem}")
