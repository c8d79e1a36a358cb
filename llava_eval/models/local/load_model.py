"""Load the model and the processor that a plan names."""

from __future__ import annotations

import gc
import inspect
import logging
from collections.abc import Mapping
from typing import Any

import transformers
from transformers import AutoModelForImageTextToText, AutoProcessor, GenerationConfig

from llava_eval.errors import CheckpointError
from llava_eval.models.local.checkpoint import CheckpointFolder
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.pixels import FramePreprocessor
from llava_eval.models.local.plan import (
    TOKEN_SETTINGS,
    ModelPlan,
    foreign_code,
    read_config,
    scaled_rope,
)
from llava_eval.models.local.quantization import quantization_config

log = logging.getLogger(__name__)


def load_model(plan: ModelPlan) -> LoadedModel:
    """Load model and processor.

    Raises:
        CheckpointError: the checkpoint is damaged.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    checkpoint, attention = plan.checkpoint, plan.attention
    processor = load_processor(plan)
    quantization = quantization_config(plan.quantization, plan.dtype, plan.device)
    config = read_config(checkpoint, plan.trust_remote_code)
    if plan.rope_scaling:
        text = config.get_text_config()
        text.rope_parameters = scaled_rope(config, plan.rope_scaling)
    placement: dict[str, Any] = {}
    if quantization is not None:
        placement = {"quantization_config": quantization, "device_map": {"": plan.device}}
    with foreign_code(f"{checkpoint.name} cannot be loaded"):
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            checkpoint.path,
            config=config,
            output_loading_info=True,
            dtype=plan.dtype,
            attn_implementation=None if attention.is_default else attention.implementation,
            trust_remote_code=plan.trust_remote_code,
            ignore_mismatched_sizes=True,  # _check_complete names them
            **placement,
        )
        model, report = loaded
        if quantization is None:
            model = model.to(plan.device)
    _check_complete(checkpoint, report)
    model.eval()
    # What else generation_config.json says is in force where the plan keeps it.
    tokens = {name: getattr(model.generation_config, name, None) for name in TOKEN_SETTINGS}
    model.generation_config = GenerationConfig(**tokens)
    _ask_for_token_types(model, processor)
    with foreign_code(f"{checkpoint.name}: its video processor fails on two small frames"):
        pixels = FramePreprocessor(getattr(processor, "video_processor", None))
    return LoadedModel(model, processor, plan, pixels)


def _ask_for_token_types(model: Any, processor: Any) -> None:
    """Let the processor say which tokens stand for media where the model's positions need it.

    Those that need it say so by themselves, Cosmos 3 Edge's excepted.
    """
    positions = getattr(getattr(model, "model", None), "get_rope_index", None)
    types = positions and inspect.signature(positions).parameters.get("mm_token_type_ids")
    if types and types.default is types.empty:
        processor.return_mm_token_type_ids = True


_last_loaded: list[tuple[ModelPlan, LoadedModel]] = []


def load_model_once(plan: ModelPlan) -> LoadedModel:
    """Return the model of a plan; the one loaded last stays loaded for the next run of a sweep.

    Only one is kept, and it is let go before another is read: two may not fit.
    """
    if not _last_loaded or _last_loaded[0][0] != plan:
        _last_loaded.clear()
        gc.collect()
        if plan.memory_warning is not None:
            log.warning(plan.memory_warning)
        _last_loaded.append((plan, load_model(plan)))
    return _last_loaded[0][1]


def _check_complete(checkpoint: CheckpointFolder, report: Mapping[str, Any]) -> None:
    """Raise where transformers would go on with weights that it made up."""
    for kind in ("missing_keys", "mismatched_keys"):
        names = sorted(map(str, report.get(kind, ())))
        if names:
            raise CheckpointError(
                f"{checkpoint.name}: {len(names)} weights do not fit ({kind.replace('_', ' ')}), "
                f"first {names[0]}; they would be random numbers"
            )


def load_processor(plan: ModelPlan) -> Any:
    """Load a checkpoint's processor, with the settings that a plan replaces.

    Args:
        plan: of the model.

    Raises:
        CheckpointError: it cannot be loaded, or knows no such setting.
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
    # New tokens must follow the prompt's last one in every row of a batch.
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    _adjust_processor(processor, plan.processor)
    return processor


def _adjust_processor(processor: Any, settings: Mapping[str, Any]) -> None:
    """Replace settings of the image and the video processor, such as their budgets of pixels.

    Each key goes to every one of the two that knows it. Both are made anew, as from a file with
    these settings, because some settings (``min_pixels``) are only read when one is made.

    Raises:
        CheckpointError: neither knows a key, or a value is refused.
    """
    known: set[str] = set()
    for name in ("image_processor", "video_processor"):
        part = getattr(processor, name, None)
        if part is None or not settings:
            continue
        taken = getattr(getattr(part, "valid_kwargs", None), "__annotations__", {})
        own = {key: value for key, value in settings.items() if key in taken or hasattr(part, key)}
        known |= set(own)
        with foreign_code(f"model.processor: {own} is refused"):
            setattr(processor, name, type(part).from_dict({**part.to_dict(), **own}))
    for key in settings:
        if key not in known:
            raise CheckpointError(
                f"model.processor.{key}: {type(processor).__name__} has no such setting of images "
                "or videos"
            )
