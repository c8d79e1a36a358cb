"""Quantization schemes, as transformers' quantization configurations."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import asdict, dataclass
from typing import Any

import torch

from llava_eval.errors import CheckpointError


@dataclass(frozen=True)
class Quantization:
    """A quantization scheme.

    Attributes:
        method: None, "bnb_nf4" or "bnb_int8".
        double_quant: nf4: quantize the quantization constants too.
        compute_dtype: nf4: dtype of the matrix products; None takes the model's.
        skip_modules: names of parts that keep their precision.
    """

    method: str | None = None
    double_quant: bool = True
    compute_dtype: str | None = None
    skip_modules: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Return the manifest's record."""
        return {**asdict(self), "skip_modules": list(self.skip_modules)}


def quantization_config(quantization: Quantization, dtype: torch.dtype) -> Any:
    """Return what ``from_pretrained(quantization_config=...)`` takes, or None for no quantization.

    Args:
        quantization: the scheme.
        dtype: of the weights that are not quantized.

    Raises:
        CheckpointError: an unknown method, or its library is not installed.
    """
    method = quantization.method
    # transformers matches these from the start of a module's full name, as regular expressions.
    skipped = [rf"(?:.*\.)?{re.escape(name)}" for name in quantization.skip_modules] or None
    if method is None:
        return None
    for module in ("bitsandbytes", "accelerate"):
        if importlib.util.find_spec(module) is None:
            raise CheckpointError(
                f"quantization {method} needs {module}, which is not installed; "
                'pip install "llava-eval[quant]"'
            )
    from transformers import BitsAndBytesConfig

    if method == "bnb_nf4":
        return BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=quantization.double_quant,
            bnb_4bit_compute_dtype=quantization.compute_dtype or dtype,
            llm_int8_skip_modules=skipped,
        )
    if method == "bnb_int8":
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    raise CheckpointError(f"unknown quantization method {method!r}; known: bnb_nf4, bnb_int8")
