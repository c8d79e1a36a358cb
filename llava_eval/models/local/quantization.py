"""Quantization: schemes as transformers takes them, and how large the weights become."""

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
    """Return what ``from_pretrained(quantization_config=...)`` takes, or None for no quantization.

    Args:
        quantization: the scheme.
        dtype: of the weights that are not quantized.
        device: where the model will run.

    Raises:
        CheckpointError: the library of its method is not installed, or it cannot run so.
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
    """Raise where a model has none of the parts that are to keep their precision.

    It may lack some: one list holds the names of many families.

    Args:
        quantization: the scheme.
        model: that was loaded by it.

    Raises:
        CheckpointError: as said.
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
    """Weights only, activations stay in `dtype`.

    torchao has packed 4-bit products for CUDA in bfloat16 alone. Elsewhere the 4-bit codes, with a
    scale and a zero point per group as well, stay in 8-bit storage: that shows what the rounding
    does to scores and saves no memory; the zero point is rounded otherwise than on CUDA.
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
    """Return the bytes that parameters and buffers take as they are stored.

    A quantized tensor of torchao poses as one of the dtype it computes in; counted are its parts.
    """
    return sum(map(_tensor_bytes, [*model.parameters(), *model.buffers()]))  # shared ones come once


def _tensor_bytes(tensor: torch.Tensor) -> int:
    flatten = getattr(tensor, "__tensor_flatten__", None)
    if flatten is None:
        # Constants of a bitsandbytes weight lie beside it, not in it.
        state = getattr(tensor, "quant_state", None)
        constants = state.as_dict().values() if state is not None else ()
        beside = sum(_tensor_bytes(item) for item in constants if isinstance(item, torch.Tensor))
        return tensor.numel() * tensor.element_size() + beside
    names, _ = flatten()
    return sum(_tensor_bytes(getattr(tensor, name)) for name in names)
