"""Which attention implementation runs, and why."""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

import torch

from llava_eval.errors import CheckpointError

_HALF = (torch.float16, torch.bfloat16)

#: Module that each flash-attention needs, and how to get it.
_FLASH_MODULES = {
    "flash_attention_4": ("flash_attn.cute", "pip install --pre flash-attn-4"),
    "flash_attention_3": ("flash_attn_interface", "see github.com/Dao-AILab/flash-attention"),
    "flash_attention_2": ("flash_attn", 'pip install "llava-eval[flash]" --no-build-isolation'),
}


class AttentionChoice(NamedTuple):
    """The implementation's name in transformers, and the reason for it in words."""

    implementation: str
    reason: str


def choose_attention(
    requested: str, device: torch.device, dtype: torch.dtype | None
) -> AttentionChoice:
    """Choose the attention implementation.

    Args:
        requested: "auto" takes flash-attention where it is installed, the device is CUDA and the
            dtype is half precision, otherwise sdpa; any other name is taken at its word.
        device: where the model runs.
        dtype: of the weights; None when the checkpoint decides.

    Raises:
        CheckpointError: the requested implementation cannot run here.
    """
    if requested in ("sdpa", "eager"):
        return AttentionChoice(requested, "asked for")
    if requested != "auto":
        obstacle = _obstacle(requested, device, dtype)
        if obstacle:
            raise CheckpointError(f"model.attention={requested} cannot run: {obstacle}")
        return AttentionChoice(requested, "asked for")
    obstacles = []
    for name in ("flash_attention_2", "flash_attention_3"):
        obstacle = _obstacle(name, device, dtype)
        if not obstacle:
            return AttentionChoice(name, "installed, on CUDA, in half precision")
        obstacles.append(obstacle)
    return AttentionChoice("sdpa", f"flash-attention is not used: {obstacles[0]}")


def _obstacle(name: str, device: torch.device, dtype: torch.dtype | None) -> str | None:
    module, install = _FLASH_MODULES[name]
    if device.type != "cuda":
        return f"it needs a CUDA device, and the model is on {device.type}"
    if dtype is not None and dtype not in _HALF:
        return f"it needs float16 or bfloat16, and model.dtype is {dtype}".replace("torch.", "")
    if not _importable(module):
        return f"{module} is not installed ({install})"
    return None


def _importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
