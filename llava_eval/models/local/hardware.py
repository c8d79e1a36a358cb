"""Chooses device, dtype, attention and batch memory for a model on this machine."""

from __future__ import annotations

import gc
import importlib.util
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch

from llava_eval.borders.machine_limits import control_groups, text_of
from llava_eval.errors import CheckpointError, first_line

_HALF = (torch.float16, torch.bfloat16)

#: Module that each version of flash-attention needs, and how to install it; 2 and 4 share a folder.
_FLASH_MODULES = {
    "flash_attention_4": ("flash_attn.cute", "pip install --pre flash-attn-4"),
    "flash_attention_3": ("flash_attn_interface", "see github.com/Dao-AILab/flash-attention"),
    "flash_attention_2": (
        "flash_attn.flash_attn_interface",
        'pip install "llava-eval[flash]" --no-build-isolation',
    ),
}

_ASKED_FOR = "asked for"

#: Value of ``model.device`` that spreads a model's layers over all GPUs.
ALL_GPUS = "all"

#: Share of the free memory for a batch; the rest is for fragmentation and temporary copies.
_BATCH_SHARE = 0.4

#: Free memory to assume if the system does not report it.
_FALLBACK_BYTES = 4 << 30


def choose_device(requested: str) -> torch.device:
    """Return the device for a model's inputs; "auto" is CUDA if available.

    Raises:
        CheckpointError: this machine has no such device.
    """
    if requested == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if requested == ALL_GPUS and importlib.util.find_spec("accelerate") is None:
        raise CheckpointError(
            f"model.device={requested}: accelerate is not installed (pip install accelerate)"
        )
    try:
        device = torch.device("cuda:0" if requested == ALL_GPUS else requested)
    except RuntimeError as error:
        raise CheckpointError(
            f"model.device={requested} is no device; expected auto, cpu, cuda, cuda:1, ..., or "
            "all for one model on all GPUs"
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise CheckpointError(f"model.device={requested}, but torch finds no CUDA device here")
    try:
        torch.zeros(1, device=device).item()
    except (RuntimeError, NotImplementedError, AssertionError, ImportError) as error:
        raise CheckpointError(
            f"model.device={requested} cannot be used here: {first_line(error)}"
        ) from error
    return device


def choose_dtype(requested: str, device: torch.device, config: Any) -> torch.dtype:
    """Return the dtype of the weights.

    Args:
        requested: a dtype, or "auto": float32 on a CPU, where half precision is slow without any
            gain; elsewhere, and for quantized checkpoints, the checkpoint's own dtype (float16 if
            it has none).
        device: the model's device.
        config: configuration of the model.
    """
    is_quantized = bool(getattr(config, "quantization_config", None))
    if requested == "auto" and device.type == "cpu" and not is_quantized:
        return torch.float32
    if requested == "auto":
        stored = getattr(config, "dtype", None)
        return stored if isinstance(stored, torch.dtype) else torch.float16
    dtype = getattr(torch, requested)
    assert isinstance(dtype, torch.dtype)
    return dtype


def device_name(device: torch.device) -> str:
    """Return the product name of a CUDA device, or the device's type."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


class AttentionChoice(NamedTuple):
    """An implementation of attention.

    Attributes:
        implementation: its name in transformers.
        reason: the reason for this choice, in words.
        is_default: transformers may choose another one for models without sdpa support.
    """

    implementation: str
    reason: str
    is_default: bool = False

    @property
    def is_to_be_tried(self) -> bool:
        """Whether the model is loaded with its default attention, and first prompts decide."""
        return not self.is_default and self.reason != _ASKED_FOR


def choose_attention(requested: str, device: torch.device, dtype: torch.dtype) -> AttentionChoice:
    """Choose the attention implementation.

    Args:
        requested: "auto" tries flash-attention if it is installed, the device is CUDA and the dtype
            is half precision, and otherwise uses sdpa; any other name is used as it is.
        device: the model's device.
        dtype: dtype of the weights.

    Raises:
        CheckpointError: the requested implementation cannot run here.
    """
    if requested != "auto":
        obstacle = _obstacle(requested, device, dtype)
        if obstacle:
            raise CheckpointError(f"model.attention={requested} cannot run: {obstacle}")
        return AttentionChoice(requested, _ASKED_FOR)
    names = ("flash_attention_2", "flash_attention_3")
    obstacles = [_obstacle(name, device, dtype) for name in names]
    if None in obstacles:
        name = names[obstacles.index(None)]
        return AttentionChoice(name, "installed, on CUDA, in half precision")
    return AttentionChoice("sdpa", f"flash-attention is not used: {obstacles[0]}", is_default=True)


def _obstacle(name: str, device: torch.device, dtype: torch.dtype) -> str | None:
    if name not in _FLASH_MODULES:
        return None
    module, install = _FLASH_MODULES[name]
    if device.type != "cuda":
        return f"it needs a CUDA device, and the model is on {device.type}"
    if dtype not in _HALF:
        return f"it needs float16 or bfloat16, and model.dtype is {dtype}".replace("torch.", "")
    try:
        found = importlib.util.find_spec(module)  # imports its package
    except (ImportError, OSError):  # OSError: a shared library cannot be loaded
        found = None
    return f"{module} is not installed ({install})" if found is None else None


def max_batch_tokens(config: Any, dtype: torch.dtype, device: torch.device) -> int:
    """Return the maximum number of tokens of a batch, including padding, on the model's device.

    This is a conservative estimate: each token needs its keys and values in every layer, and the
    activations of one layer. If it is wrong, running out of memory halves the batch.

    Args:
        config: configuration of the language model.
        dtype: dtype of the weights.
        device: the model's device.
    """
    return max(1, int(_BATCH_SHARE * free_bytes(device) / _bytes_per_token(config, dtype)))


def _bytes_per_token(config: Any, dtype: torch.dtype) -> int:
    layers = getattr(config, "per_layer_config", None) or [config]  # settings may differ

    def largest(name: str, otherwise: int) -> int:
        values = [getattr(layer, name, None) or otherwise for layer in layers]
        return max(max(value) if isinstance(value, list | tuple) else value for value in values)

    hidden = largest("hidden_size", 4096)
    heads = largest("num_attention_heads", 32)
    head_size = largest("head_dim", hidden // heads)
    key_value_heads = largest("num_key_value_heads", heads)
    cached = 2 * largest("num_hidden_layers", 32) * key_value_heads * head_size
    return int(
        dtype.itemsize * (cached + 8 * hidden + 3 * largest("intermediate_size", 4 * hidden))
    )


def free_memory() -> None:
    """Release memory that no tensor uses any more."""
    gc.collect()
    torch.cuda.empty_cache()  # has no effect if CUDA is not in use


def free_bytes(device: torch.device, root: Path = Path("/")) -> int:
    """Return the free memory of a device in bytes.

    Args:
        device: the device; for a CPU the machine's memory within limits of a container or job.
        root: folder that contains /proc and /sys.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available = re.search(r"MemAvailable: +(\d+)", text_of(root / "proc/meminfo"))
    free = int(available[1]) * 1024 if available else _FALLBACK_BYTES
    for folder in control_groups("memory", root):
        limit = text_of(folder / "memory.max") or text_of(folder / "memory.limit_in_bytes")
        used = text_of(folder / "memory.current") or text_of(folder / "memory.usage_in_bytes")
        if limit.strip().isdecimal() and used:
            stat = text_of(folder / "memory.stat")
            cached = re.findall(r"^(?:total_)?(?:in)?active_file (\d+)", stat, re.MULTILINE)
            # Version 1 states both twice; the last two values include subgroups.
            free = min(free, int(limit) - int(used) + sum(map(int, cached[-2:])))
    return max(free, 0)
