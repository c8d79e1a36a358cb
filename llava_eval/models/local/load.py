"""From a checkpoint folder to a model that can be asked: what runs, and how, is decided here."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, GenerationConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from llava_eval.config.schema import QuantizationConfig
from llava_eval.errors import CheckpointError
from llava_eval.models.local.checkpoint import CheckpointFolder
from llava_eval.models.local.hardware import (
    AttentionChoice,
    choose_attention,
    choose_device,
    choose_dtype,
    first_line,
)
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.pixels import FramePreprocessor
from llava_eval.models.local.quantization import describe_quantization, quantization_config

#: Settings of a checkpoint's generation_config.json that say which tokens begin, end and pad a
#: text. They belong to the model's format, whatever a protocol asks for.
_TOKEN_SETTINGS = (
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "decoder_start_token_id",
    "forced_bos_token_id",
    "forced_eos_token_id",
)

#: Settings that a protocol always decides (how much, whether and how widely to sample or search).
_PROTOCOL_SETTINGS = (
    *("max_length", "max_new_tokens", "min_length", "do_sample", "temperature", "top_k", "top_p"),
    *("min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "num_beams", "num_return_sequences"),
    *("early_stopping", "length_penalty", "use_cache", "cache_implementation"),
)

#: Entries of a generation_config.json that are no settings.
_BOOKKEEPING = ("transformers_version", "_from_model_config")


@dataclass(frozen=True)
class ModelPlan:
    """All that decides which model runs and how, before its weights are read.

    Attributes:
        checkpoint: the folder.
        device, dtype: where and in which precision the model runs.
        attention: the attention implementation and why.
        quantization: how weights are quantized.
        rope_scaling: entries that replace those of the RoPE parameters.
        processor: settings that replace those of the image and video processor.
        keeps_generation_settings: generation settings of the checkpoint that no protocol states (a
            repetition penalty) stay in force.
        shows_images: each frame of a video is shown as an image of its own.
        trust_remote_code: run code from the checkpoint's folder.
    """

    checkpoint: CheckpointFolder
    device: torch.device
    dtype: torch.dtype
    attention: AttentionChoice
    quantization: QuantizationConfig
    rope_scaling: Mapping[str, Any] = field(default_factory=dict)
    processor: Mapping[str, Any] = field(default_factory=dict)
    keeps_generation_settings: bool = False
    shows_images: bool = False
    trust_remote_code: bool = False

    def identity(self) -> dict[str, Any]:
        """Return what about the model can change a generation, for a run's identity."""
        model: dict[str, Any] = {
            "device": self.device.type,
            "dtype": str(self.dtype),
            "attention": self.attention.implementation,
            "rope_scaling": dict(self.rope_scaling),
            "quantization": describe_quantization(self.quantization),
        }
        if self.processor:
            model["processor"] = dict(self.processor)
        if self.keeps_generation_settings:
            model["generation_settings"] = "checkpoint"
        if self.shows_images:
            model["video_as"] = "images"
        return {"checkpoint_files": dict(self.checkpoint.file_sha256), "model": model}


def plan_model(
    checkpoint: CheckpointFolder,
    *,
    device: str = "auto",
    dtype: str = "auto",
    attention: str = "auto",
    quantization: QuantizationConfig | None = None,
    rope_scaling: Mapping[str, Any] | None = None,
    processor: Mapping[str, Any] | None = None,
    keeps_generation_settings: bool = False,
    shows_images: bool = False,
    trust_remote_code: bool = False,
) -> ModelPlan:
    """Choose what is left open, and check what can be checked without reading weights.

    Args:
        checkpoint: the folder.
        device: see :func:`llava_eval.models.local.hardware.choose_device`.
        dtype: see :func:`llava_eval.models.local.hardware.choose_dtype`.
        attention: see :func:`llava_eval.models.local.hardware.choose_attention`.
        quantization: how weights are quantized; None for not at all.
        rope_scaling: entries that replace the checkpoint's RoPE parameters; None keeps them.
        processor: settings that replace those of the image and video processor.
        keeps_generation_settings: see :class:`ModelPlan`.
        shows_images: see :class:`ModelPlan`.
        trust_remote_code: see :class:`ModelPlan`.

    Raises:
        CheckpointError: the checkpoint is of another kind, or something cannot run here.
    """
    config = read_config(checkpoint, trust_remote_code)
    _check_kind(config, checkpoint, trust_remote_code)
    if rope_scaling:
        _scaled_rope(config, rope_scaling)
    chosen_device = choose_device(device)
    chosen_dtype = choose_dtype(dtype, chosen_device, config)
    quantization = quantization or QuantizationConfig(name="none")
    quantization_config(quantization, chosen_dtype, chosen_device)
    return ModelPlan(
        checkpoint,
        chosen_device,
        chosen_dtype,
        choose_attention(attention, chosen_device, chosen_dtype),
        quantization,
        dict(rope_scaling or {}),
        dict(processor or {}),
        keeps_generation_settings,
        shows_images,
        trust_remote_code,
    )


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
        text.rope_parameters = _scaled_rope(config, plan.rope_scaling)
    placement: dict[str, Any] = {}
    if quantization is not None:
        placement = {"quantization_config": quantization, "device_map": {"": plan.device}}
    try:
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
    except Exception as error:  # a border: foreign code reads files of any content
        raise CheckpointError(f"{checkpoint.name} cannot be loaded: {_cause(error)}") from error
    _check_complete(checkpoint, report)
    model.eval()
    kept, ignored = _settle_generation(model, keeps=plan.keeps_generation_settings)
    try:
        pixels = FramePreprocessor(getattr(processor, "video_processor", None))
    except Exception as error:  # a border, as above: it tries the processor on noise
        raise CheckpointError(
            f"{checkpoint.name}: its video processor fails on two small frames: {_cause(error)}"
        ) from error
    return LoadedModel(model, processor, plan, pixels, kept, ignored)


_last_loaded: list[tuple[ModelPlan, LoadedModel]] = []


def load_model_once(plan: ModelPlan) -> LoadedModel:
    """Return the model of a plan; the one loaded last stays loaded for the next run of a sweep.

    Only one is kept, and it is let go before another is read: two may not fit.
    """
    if not _last_loaded or _last_loaded[0][0] != plan:
        _last_loaded.clear()
        gc.collect()
        _last_loaded.append((plan, load_model(plan)))
    return _last_loaded[0][1]


def read_config(checkpoint: CheckpointFolder, trust_remote_code: bool) -> Any:
    """Return a checkpoint's configuration.

    Raises:
        CheckpointError: config.json is damaged or of an unknown kind.
    """
    try:
        config = AutoConfig.from_pretrained(checkpoint.path, trust_remote_code=trust_remote_code)
        config.get_text_config()
    except Exception as error:  # a border: foreign code reads a file of any content
        raise CheckpointError(
            f"{checkpoint.name}: config.json cannot be used: {_cause(error)}"
        ) from error
    return config


def _check_kind(config: Any, checkpoint: CheckpointFolder, trust_remote_code: bool) -> None:
    known = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
    remote = trust_remote_code and hasattr(config, "auto_map")
    if not known and not remote:
        raise CheckpointError(
            f"{checkpoint.name} is a {config.model_type!r} checkpoint; expected an "
            "image-text-to-text model of transformers such as 'llava_next_video'"
        )


def _scaled_rope(config: Any, scaling: Mapping[str, Any]) -> dict[str, Any]:
    """Return the RoPE parameters with these entries replaced.

    Raises:
        CheckpointError: transformers would refuse them, or ignore them without a word.
    """
    stored = getattr(config.get_text_config(), "rope_parameters", None)
    rope = {**(stored or {}), **scaling}
    kind, factor = rope.get("rope_type", "default"), rope.get("factor", 1.0)
    if kind not in ("default", *ROPE_INIT_FUNCTIONS):
        raise CheckpointError(
            f"model.rope_scaling: unknown rope_type {kind!r}; known: "
            f"default, {', '.join(ROPE_INIT_FUNCTIONS)}"
        )
    if not isinstance(factor, int | float) or not factor > 0:
        raise CheckpointError(f"model.rope_scaling: factor is {factor!r}, expected more than 0")
    if kind == "default" and "factor" in scaling:
        raise CheckpointError(
            "model.rope_scaling: a factor changes nothing without a rope_type such as linear"
        )
    return rope


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
    try:
        processor = AutoProcessor.from_pretrained(
            checkpoint.path, trust_remote_code=plan.trust_remote_code
        )
    except Exception as error:  # a border: foreign code reads files of any content
        raise CheckpointError(
            f"{checkpoint.name}: its processor cannot be loaded: {_cause(error)}"
        ) from error
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
        try:
            setattr(processor, name, type(part).from_dict({**part.to_dict(), **own}))
        except Exception as error:  # a border: foreign code is given any values
            raise CheckpointError(f"model.processor: {own} is refused: {_cause(error)}") from error
    for key in settings:
        if key not in known:
            raise CheckpointError(
                f"model.processor.{key}: {type(processor).__name__} has no such setting of images "
                "or videos"
            )


def _settle_generation(model: Any, *, keeps: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Leave the model's generation settings nothing but its special tokens.

    A checkpoint may bring a temperature or a repetition penalty that would change scores without
    a word; how to generate is the protocol's to say.

    Returns:
        Settings that stay in force beside the protocol's, and those that were dropped.
    """
    stored = {
        name: value
        for name, value in model.generation_config.to_diff_dict().items()
        if name not in (*_TOKEN_SETTINGS, *_BOOKKEEPING) and not name.startswith("output_")
    }
    tokens = {name: getattr(model.generation_config, name, None) for name in _TOKEN_SETTINGS}
    model.generation_config = GenerationConfig(**tokens)
    kept = {}
    if keeps:
        kept = {name: value for name, value in stored.items() if name not in _PROTOCOL_SETTINGS}
    return kept, {name: value for name, value in stored.items() if name not in kept}


def _cause(error: BaseException) -> str:
    """Return what an error of foreign code says; its class too where that says more."""
    said = first_line(error)
    usual = isinstance(error, OSError | ValueError | RuntimeError | ImportError)
    return said if usual or said == type(error).__name__ else f"{type(error).__name__}: {said}"
