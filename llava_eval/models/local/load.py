"""Load a checkpoint's model and processor, and say exactly what was loaded."""

from __future__ import annotations

import gc
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, GenerationConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from llava_eval.errors import CheckpointError
from llava_eval.models.local.attention import AttentionChoice, choose_attention
from llava_eval.models.local.checkpoint import CheckpointFolder, plain_size, stored_bytes
from llava_eval.models.local.media import FramePreprocessor
from llava_eval.models.local.quantization import Quantization, quantization_config

#: Settings of a checkpoint's generation_config.json that say which tokens end and pad a text.
_TOKEN_SETTINGS = ("bos_token_id", "eos_token_id", "pad_token_id")


@dataclass(frozen=True)
class ModelPlan:
    """All that decides which model runs and how, before its weights are read.

    Attributes:
        checkpoint: the folder.
        device, dtype: where and in which precision the model runs.
        attention: the attention implementation and why.
        quantization: how weights are quantized.
        rope_scaling: (name, value) pairs that replace entries of the RoPE parameters.
        trust_remote_code: run code from the checkpoint's folder.
    """

    checkpoint: CheckpointFolder
    device: torch.device
    dtype: torch.dtype
    attention: AttentionChoice
    quantization: Quantization
    rope_scaling: tuple[tuple[str, Any], ...]
    trust_remote_code: bool

    def identity(self) -> dict[str, Any]:
        """Return what about the model can change a generation, for a run's identity."""
        return {
            "checkpoint_files": dict(self.checkpoint.file_sha256),
            "model": {
                "device": self.device.type,
                "dtype": str(self.dtype),
                "attention": self.attention.implementation,
                "rope_scaling": dict(self.rope_scaling),
                "quantization": self.quantization.describe(),
            },
        }


def plan_model(
    checkpoint: CheckpointFolder,
    *,
    device: str = "auto",
    dtype: str = "auto",
    attention: str = "auto",
    quantization: Quantization | None = None,
    rope_scaling: Mapping[str, Any] | None = None,
    trust_remote_code: bool = False,
) -> ModelPlan:
    """Choose what is left open, and check what can be checked without reading weights.

    Args:
        checkpoint: the folder.
        device: "auto" is CUDA where there is one.
        dtype: "auto" is float32 on a CPU, where half precision is slow and gains nothing, and the
            checkpoint's own dtype elsewhere.
        attention: see :func:`llava_eval.models.local.attention.choose_attention`.
        quantization: how weights are quantized; None for not at all.
        rope_scaling: entries that replace the checkpoint's RoPE parameters; None keeps them.
        trust_remote_code: run code from the checkpoint's folder.

    Raises:
        CheckpointError: the checkpoint is of another kind, or something cannot run here.
    """
    config = _read_config(checkpoint, trust_remote_code)
    _check_kind(config, checkpoint, trust_remote_code)
    if rope_scaling:
        _scaled_rope(config, rope_scaling)
    place = _choose_device(device)
    precision = _choose_dtype(dtype, place, config)
    quantization = quantization or Quantization()
    quantization_config(quantization, precision, place)
    return ModelPlan(
        checkpoint,
        place,
        precision,
        choose_attention(attention, place, precision),
        quantization,
        tuple((rope_scaling or {}).items()),
        trust_remote_code,
    )


@dataclass(frozen=True)
class LoadedModel:
    """A model with its processor.

    Attributes:
        model: the transformers model, in evaluation mode on its device.
        processor: the checkpoint's processor; its tokenizer pads on the left.
        plan: where it came from and how it runs.
        pixels: preprocesses the frames of a video as the processor does.
        ignored_generation_settings: what generation_config.json would have changed silently.
    """

    model: Any
    processor: Any
    plan: ModelPlan
    pixels: FramePreprocessor
    ignored_generation_settings: Mapping[str, Any]

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record of the model."""
        plan, checkpoint = self.plan, self.plan.checkpoint
        text = self.model.config.get_text_config()
        template = getattr(self.processor, "chat_template", None)
        num_parameters = sum(weight.numel() for weight in self.model.parameters())
        memory_bytes = unquantized = stored_bytes(self.model)
        if plan.quantization.method is not None:  # packed weights have other shapes
            config = _read_config(checkpoint, plan.trust_remote_code)
            num_parameters, unquantized = plain_size(config, plan.dtype, plan.trust_remote_code)
        return {
            "checkpoint": checkpoint.name,
            "path": str(checkpoint.path),
            "commit": checkpoint.commit,
            "weights_sha256": checkpoint.weights_sha256,
            "file_sha256": dict(checkpoint.file_sha256),
            "class": type(self.model).__name__,
            "processor": type(self.processor).__name__,
            "num_parameters": num_parameters,
            "memory_bytes": memory_bytes,
            "memory_bytes_unquantized": unquantized,
            "device": str(plan.device),
            "device_name": device_name(plan.device),
            "dtype": dtype_name(plan.dtype),
            "attention": plan.attention.implementation,
            "attention_reason": plan.attention.reason,
            "quantization": plan.quantization.describe(),
            "max_position_embeddings": getattr(text, "max_position_embeddings", None),
            "rope_parameters": getattr(text, "rope_parameters", None),
            "chat_template": template,
            "chat_template_sha256": _text_sha256(template),
            "ignored_generation_settings": dict(self.ignored_generation_settings),
        }


def _text_sha256(text: Any) -> str | None:
    return hashlib.sha256(text.encode()).hexdigest() if isinstance(text, str) else None


def dtype_name(dtype: torch.dtype) -> str:
    """Return "float16" for ``torch.float16``."""
    return str(dtype).removeprefix("torch.")


def device_name(device: torch.device) -> str:
    """Return the product name of a CUDA device, or the device's type."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _choose_device(requested: str) -> torch.device:
    if requested == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(requested)
    except RuntimeError as error:
        raise CheckpointError(
            f"model.device={requested} is no device; expected auto, cpu, cuda, cuda:1, ..."
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise CheckpointError(f"model.device={requested}, but torch finds no CUDA device here")
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, NotImplementedError, AssertionError, ImportError) as error:
        raise CheckpointError(
            f"model.device={requested} cannot be used here: {_reason(error)}"
        ) from error
    return device


def _choose_dtype(requested: str, device: torch.device, config: Any) -> torch.dtype:
    if requested == "auto" and device.type == "cpu":
        return torch.float32
    if requested == "auto":
        stored = getattr(config, "dtype", None)
        return stored if isinstance(stored, torch.dtype) else torch.float16
    dtype = getattr(torch, requested)
    assert isinstance(dtype, torch.dtype)
    return dtype


def load_model(plan: ModelPlan) -> LoadedModel:
    """Load model and processor.

    Raises:
        CheckpointError: the checkpoint is damaged.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    checkpoint = plan.checkpoint
    processor = _load_processor(checkpoint, plan.trust_remote_code)
    quantization = quantization_config(plan.quantization, plan.dtype, plan.device)
    config = _read_config(checkpoint, plan.trust_remote_code)
    if plan.rope_scaling:
        text = config.get_text_config()
        text.rope_parameters = _scaled_rope(config, dict(plan.rope_scaling))
    placement: dict[str, Any] = {}
    if quantization is not None:
        placement = {"quantization_config": quantization, "device_map": {"": plan.device}}
    try:
        loaded: Any = AutoModelForImageTextToText.from_pretrained(
            checkpoint.path,
            config=config,
            output_loading_info=True,
            dtype=plan.dtype,
            attn_implementation=plan.attention.implementation,
            trust_remote_code=plan.trust_remote_code,
            ignore_mismatched_sizes=True,  # _check_complete names them
            **placement,
        )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError) as error:
        raise CheckpointError(f"{checkpoint.name} cannot be loaded: {_reason(error)}") from error
    model, report = loaded
    _check_complete(checkpoint, report)
    if quantization is None:
        model = model.to(plan.device)
    model.eval()
    pixels = FramePreprocessor(getattr(processor, "video_processor", None))
    return LoadedModel(model, processor, plan, pixels, _keep_token_settings(model))


_last_loaded: dict[ModelPlan, LoadedModel] = {}


def load_model_once(plan: ModelPlan) -> LoadedModel:
    """Return the model of a plan; the one loaded last stays loaded for the next run of a sweep.

    Only one is kept, and it is let go before another is read: two may not fit.
    """
    if plan not in _last_loaded:
        _last_loaded.clear()
        gc.collect()
        _last_loaded[plan] = load_model(plan)
    return _last_loaded[plan]


def _read_config(checkpoint: CheckpointFolder, trust_remote_code: bool) -> Any:
    try:
        return AutoConfig.from_pretrained(checkpoint.path, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{checkpoint.name}: config.json cannot be used: {_reason(error)}"
        ) from error


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
    rope = {**(config.get_text_config().rope_parameters or {}), **scaling}
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


def _load_processor(checkpoint: CheckpointFolder, trust_remote_code: bool) -> Any:
    try:
        processor = AutoProcessor.from_pretrained(
            checkpoint.path, trust_remote_code=trust_remote_code
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise CheckpointError(
            f"{checkpoint.name}: its processor cannot be loaded: {_reason(error)}"
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
    return processor


def _keep_token_settings(model: Any) -> dict[str, Any]:
    """Drop everything from the model's generation settings but its special tokens.

    A checkpoint may bring a temperature or a repetition penalty that would change scores without
    a word; how to generate is the protocol's to say. Returns what was dropped.
    """
    stored = model.generation_config.to_diff_dict()
    kept = {name: getattr(model.generation_config, name, None) for name in _TOKEN_SETTINGS}
    model.generation_config = GenerationConfig(**kept)
    bookkeeping = {*_TOKEN_SETTINGS, "transformers_version", "_from_model_config"}
    return {name: value for name, value in stored.items() if name not in bookkeeping}


def _reason(error: BaseException) -> str:
    """Return the first line of a message, and those after a line that ends in a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    end = next((number for number, line in enumerate(lines) if not line.endswith(":")), 0)
    return " ".join(lines[: end + 1]) if lines else type(error).__name__
