"""Quantization schemes, as transformers' quantization configurations."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import asdict, dataclass
from typing import Any

import torch

from llava_eval.errors import CheckpointError

#: Methods, and the library that each needs.
METHODS = {
    "bnb_nf4": "bitsandbytes",
    "bnb_int8": "bitsandbytes",
    "torchao_int8": "torchao",
    "torchao_int4": "torchao",
}


@dataclass(frozen=True)
class Quantization:
    """A quantization scheme.

    Attributes:
        method: None or one of `METHODS`.
        double_quant: nf4: quantize the quantization constants too.
        compute_dtype: nf4: dtype of the matrix products; None takes the model's.
        group_size: torchao_int4: how many weights of a row share a scale.
        skip_modules: names of parts that keep their precision.
    """

    method: str | None = None
    double_quant: bool = True
    compute_dtype: str | None = None
    group_size: int = 64
    skip_modules: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record."""
        return {**asdict(self), "skip_modules": list(self.skip_modules)}


def quantization_config(
    quantization: Quantization, dtype: torch.dtype, device: torch.device
) -> Any:
    """Return what ``from_pretrained(quantization_config=...)`` takes, or None for no quantization.

    Args:
        quantization: the scheme.
        dtype: of the weights that are not quantized.
        device: where the model will run.

    Raises:
        CheckpointError: an unknown method, its library is not installed, or it cannot run so.
    """
    method = quantization.method
    if method is None:
        return None
    if method not in METHODS:
        raise CheckpointError(
            f"unknown quantization method {method!r}; known: {', '.join(METHODS)}"
        )
    for module in (METHODS[method], "accelerate"):
        if importlib.util.find_spec(module) is None:
            raise CheckpointError(
                f"quantization {method} needs {module}, which is not installed; "
                'pip install "llava-eval[quant]"'
            )
    # transformers matches these from the start of a module's full name, as regular expressions.
    skipped = [rf"(?:.*\.)?{re.escape(name)}" for name in quantization.skip_modules] or None
    if METHODS[method] == "bitsandbytes":
        return _bitsandbytes_config(quantization, dtype, skipped)
    return _torchao_config(quantization, dtype, device, skipped)


def _bitsandbytes_config(
    quantization: Quantization, dtype: torch.dtype, skipped: list[str] | None
) -> Any:
    from transformers import BitsAndBytesConfig

    if quantization.method == "bnb_int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=quantization.double_quant,
        bnb_4bit_compute_dtype=quantization.compute_dtype or dtype,
        llm_int8_skip_modules=skipped,
    )


def _torchao_config(
    quantization: Quantization,
    dtype: torch.dtype,
    device: torch.device,
    skipped: list[str] | None,
) -> Any:
    """Weights only, activations stay in `dtype`.

    torchao has packed 4-bit products for CUDA in bfloat16 alone. Elsewhere the 4-bit codes, with a
    scale and a zero point per group as well, stay in 8-bit storage: that shows what the rounding
    does to scores and saves no memory; the zero point is rounded otherwise than on CUDA.
    """
    from torchao import quantization as ao
    from torchao.quantization.granularity import PerGroup
    from transformers import TorchAoConfig

    scheme: Any
    if quantization.method == "torchao_int8":
        scheme = ao.Int8WeightOnlyConfig()
    elif device.type != "cuda":
        scheme = ao.IntxWeightOnlyConfig(
            weight_dtype=torch.int4,  # type: ignore[attr-defined]
            granularity=PerGroup(quantization.group_size),
            mapping_type=ao.MappingType.ASYMMETRIC,
        )
    elif dtype != torch.bfloat16:
        raise CheckpointError(
            f"quantization torchao_int4 computes in bfloat16 on CUDA, not in {dtype}; "
            "set model.dtype=bfloat16"
        )
    else:
        scheme = ao.Int4WeightOnlyConfig(
            group_size=quantization.group_size, int4_packing_format="tile_packed_to_4d"
        )
    return TorchAoConfig(scheme, modules_to_not_convert=skipped)
