"""How large a model's weights are, before and after quantization."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoModelForImageTextToText


def stored_bytes(model: torch.nn.Module) -> int:
    """Return the bytes that parameters and buffers take as they are stored.

    A quantized tensor of torchao poses as one of the dtype it computes in; counted are its parts.
    """
    seen: set[int] = set()
    total = 0
    for tensor in [*model.parameters(), *model.buffers()]:
        if id(tensor) not in seen:
            seen.add(id(tensor))
            total += _tensor_bytes(tensor)
    return total


def _tensor_bytes(tensor: torch.Tensor) -> int:
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        # Constants of a bitsandbytes weight lie beside it, not in it.
        state = getattr(tensor, "quant_state", None)
        constants = state.as_dict().values() if state is not None else ()
        beside = sum(_tensor_bytes(one) for one in constants if isinstance(one, torch.Tensor))
        return tensor.numel() * tensor.element_size() + beside
    names, _ = flatten()
    return sum(_tensor_bytes(getattr(tensor, name)) for name in names)


def plain_size(config: Any, dtype: torch.dtype, trust_remote_code: bool) -> tuple[int, int]:
    """Return number of parameters, and bytes of weights, of a model that is not quantized.

    Args:
        config: of the model; nothing is allocated.
        dtype: of all weights.
        trust_remote_code: run code from the checkpoint's folder.
    """
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(
            config, dtype=dtype, trust_remote_code=trust_remote_code
        )
    return sum(weight.numel() for weight in model.parameters()), stored_bytes(model)
