"""How many tokens fit into memory at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from llava_eval.models.local.load import LoadedModel

#: Share of the free memory that a batch may take; the rest is for fragments and temporary copies.
_SHARE = 0.4

_FALLBACK_BYTES = 4 << 30


def max_batch_tokens(loaded: LoadedModel) -> int:
    """Return how many tokens, padding included, a batch may hold on the model's device.

    An estimate on the safe side: each token needs its keys and values in every layer, and the
    activations of one layer. Where it is wrong, running out of memory halves the batch.
    """
    needed = _bytes_per_token(loaded.model.config.get_text_config(), loaded.plan.dtype)
    return max(1, int(_SHARE * _free_bytes(loaded.plan.device) / needed))


def _bytes_per_token(config: Any, dtype: torch.dtype) -> int:
    heads = config.num_attention_heads
    head_size = getattr(config, "head_dim", None) or config.hidden_size // heads
    key_value_heads = getattr(config, "num_key_value_heads", None) or heads
    cached = 2 * config.num_hidden_layers * key_value_heads * head_size
    inner = getattr(config, "intermediate_size", 4 * config.hidden_size)
    return int(dtype.itemsize * (cached + 8 * config.hidden_size + 3 * inner))


def _free_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return _FALLBACK_BYTES
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else _FALLBACK_BYTES


def peak_device_bytes(device: torch.device) -> int | None:
    """Return the most memory that torch has held on a CUDA device; None elsewhere."""
    return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None
