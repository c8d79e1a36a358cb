"""Quantization: configurations for transformers, and the size of quantized weights."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import asdict
from typing import Any

import torch
from transformers import BitsAndBytesConfig, TorchAoConfig

from llava_eval.config.schema import QuantizationConfig
from llava_eval.errors import CheckpointError


def describe_quantization(quantization: QuantizationConfig) -> dict[str, Any]:
    """Return the manifest's record of a scheme."""
    return {name: value for name, value in asdict(quantization).items() if name != "name"}


def quantization_config(
    quantization: QuantizationConfig, dtype: torch.dtype, device: torch.device
) -> Any:
    """Return the value for ``from_pretrained(quantization_config=...)``; None for no quantization.

    Args:
        quantization: the scheme.
        dtype: dtype of the weights that are not quantized.
        device: the model's device.

    Raises:
        CheckpointError: the library of its method is not installed, or it does not support this.
    """
    method = quantization.method
    if method is None:
        return None
    library = "bitsandbytes" if method.startswith("bnb_") else "torchao"
    for module in (library, "accelerate"):
        if importlib.util.find_spec(module) is None:
            raise CheckpointError(
                f"quantization {method} needs {module}, which is not installed; "
                'pip install "llava-eval[quant]"'
            )
    skipped = _skipped(quantization) or None
    if library == "torchao":
        scheme = _torchao_scheme(quantization, dtype, device)
        return TorchAoConfig(scheme, modules_to_not_convert=skipped)
    return BitsAndBytesConfig(
        load_in_8bit=method == "bnb_int8",
        load_in_4bit=method == "bnb_nf4",
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=quantization.double_quant,
        bnb_4bit_compute_dtype=quantization.compute_dtype or dtype,
        llm_int8_skip_modules=skipped,
    )


def _skipped(quantization: QuantizationConfig) -> list[str]:
    """Return patterns that transformers matches from the start of a module's full name."""
    return [rf"(?:.*\.)?{re.escape(name)}" for name in quantization.skip_modules]


def check_skipped(quantization: QuantizationConfig, model: torch.nn.Module) -> None:
    """Check that a model has at least one of the parts that are to keep their precision.

    It may lack others, because one list contains the names of many families.

    Args:
        quantization: the scheme.
        model: the model that was loaded with it.

    Raises:
        CheckpointError: it has none of them.
    """
    patterns, names = _skipped(quantization), [name for name, _ in model.named_modules()]
    if patterns and not any(re.match(pattern, name) for pattern in patterns for name in names):
        parts = dict.fromkeys(name.rpartition(".")[2] for name in names if name.count(".") < 2)
        raise CheckpointError(
            f"quantization.skip_modules: the model has none of "
            f"{', '.join(quantization.skip_modules)}; its parts: {', '.join(filter(None, parts))}"
        )


def _torchao_scheme(
    quantization: QuantizationConfig, dtype: torch.dtype, device: torch.device
) -> Any:
    """Return a weight-only scheme; activations keep ``dtype``.

    torchao has packed 4-bit matrix products only for CUDA in bfloat16. Elsewhere the 4-bit codes,
    also with a scale and a zero point per group, are stored in 8 bits. This shows the effect of
    rounding on scores but saves no memory, and the zero point is rounded differently than on CUDA.
    """
    from torchao import quantization as ao
    from torchao.quantization.granularity import PerGroup

    if quantization.method == "torchao_int8":
        return ao.Int8WeightOnlyConfig()
    if device.type != "cuda":
        return ao.IntxWeightOnlyConfig(
            weight_dtype=torch.int4,  # type: ignore[attr-defined]
            granularity=PerGroup(quantization.group_size),
            mapping_type=ao.MappingType.ASYMMETRIC,
        )
    if dtype != torch.bfloat16:
        raise CheckpointError(
            f"quantization torchao_int4 computes in bfloat16 on CUDA, not in {dtype}; "
            "set model.dtype=bfloat16"
        )
    return ao.Int4WeightOnlyConfig(
        group_size=quantization.group_size, int4_packing_format="tile_packed_to_4d"
    )


def stored_bytes(model: torch.nn.Module) -> int:
    """Return the stored size of parameters and buffers in bytes.

    A quantized tensor of torchao looks like one of its compute dtype, so its parts are counted.
    """
    return sum(map(_tensor_bytes, [*model.parameters(), *model.buffers()]))  # without duplicates


def _tensor_bytes(tensor: torch.Tensor) -> int:
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        # Constants of a bitsandbytes weight are stored separately from it.
        state = getattr(tensor, "quant_state", None)
        constants = state.as_dict().values() if state is not None else ()
        beside = sum(_tensor_bytes(item) for item in constants if isinstance(item, torch.Tensor))
        return tensor.numel() * tensor.element_size() + beside
    names, _ = flatten()
    return sum(_tensor_bytes(getattr(tensor, name)) for name in names)
