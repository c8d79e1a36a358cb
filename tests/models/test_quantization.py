"""Schemes of quantization as transformers takes them, and the size of what is stored."""

from __future__ import annotations

import importlib
import importlib.util
import re
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText
from transformers.quantizers.quantizers_utils import should_convert_module

from llava_eval.config.compose import compose_config
from llava_eval.config.schema import QUANTIZATIONS, QuantizationConfig
from llava_eval.errors import CheckpointError
from llava_eval.models.local.quantization import (
    check_skipped,
    describe_quantization,
    quantization_config,
    stored_bytes,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def needs(library: str) -> pytest.MarkDecorator:
    is_missing = importlib.util.find_spec(library) is None
    return pytest.mark.skipif(is_missing, reason=f"{library} is not installed")


def scheme(method: str | None, **changes: Any) -> QuantizationConfig:
    return QuantizationConfig(name="x", method=method, **changes)


@needs("bitsandbytes")
def test_four_bits_of_bitsandbytes() -> None:
    given = scheme("bnb_nf4", double_quant=False, skip_modules=["lm_head", "a.b"])
    found = quantization_config(given, torch.float16, CPU)
    assert (found.load_in_4bit, found.load_in_8bit) == (True, False)
    assert (found.bnb_4bit_quant_type, found.bnb_4bit_use_double_quant) == ("nf4", False)
    assert found.bnb_4bit_compute_dtype == torch.float16
    first, second = found.llm_int8_skip_modules
    assert re.match(first, "model.lm_head")
    assert re.match(first, "lm_head")
    assert not re.match(first, "xlm_head")
    assert not re.match(second, "model.axb")
    other = quantization_config(scheme("bnb_nf4", compute_dtype="bfloat16"), torch.float16, CPU)
    assert other.bnb_4bit_compute_dtype == torch.bfloat16
    assert other.bnb_4bit_use_double_quant is True
    assert other.llm_int8_skip_modules is None


def test_parts_to_be_kept_that_a_model_lacks_are_told() -> None:
    model = torch.nn.ModuleDict({"model": torch.nn.Linear(2, 2), "lm_head": torch.nn.Linear(2, 2)})
    for names in ([], ["lm_head"], ["vision_tower", "lm_head"]):  # a list for many families
        check_skipped(scheme("bnb_nf4", skip_modules=names), model)
    with pytest.raises(CheckpointError) as raised:
        check_skipped(scheme("bnb_nf4", skip_modules=["lm_haed", "head"]), model)
    assert str(raised.value) == (
        "quantization.skip_modules: the model has none of lm_haed, head; its parts: model, lm_head"
    )


@needs("bitsandbytes")
def test_eight_bits_of_bitsandbytes() -> None:
    found = quantization_config(scheme("bnb_int8"), torch.float16, CPU)
    assert (found.load_in_4bit, found.load_in_8bit) == (False, True)


@pytest.fixture(scope="module")
def kept_parts() -> list[str]:
    """Return patterns of the parts that every packaged method of quantization leaves alone."""
    configs = [compose_config([f"quantization={name}"]).config for name in QUANTIZATIONS]
    (skipped,) = {tuple(config.quantization.skip_modules) for config in configs}
    return [rf"(?:.*\.)?{name}" for name in skipped]


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        *("llava", "video_llava", "qwen2_vl", "smolvlm", "video_llama_3", "gemma4", "lighton_ocr"),
        *("kimi_k25", "deepseek_vl_hybrid", "ernie4_5_vl_moe"),
    ],
)
def test_what_sees_keeps_its_precision(kind: str, kept_parts: list[str]) -> None:
    """Its parts have other names in other families: Qwen2-VL's tower is ``visual``."""
    config = AutoConfig.for_model(kind)
    config.get_text_config().pad_token_id = 0  # SmolVLM's of transformers 5.17 is no token
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    language = set(model.get_decoder().modules())
    for title, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            assert should_convert_module(title, kept_parts) is (module in language), title


def test_what_is_no_scheme() -> None:
    assert quantization_config(scheme(None), torch.float16, CPU) is None


@needs("torchao")
def test_torchao_computes_four_bits_in_bfloat16_on_cuda_alone() -> None:
    with pytest.raises(CheckpointError, match=r"bfloat16 on CUDA, not in torch\.float16"):
        quantization_config(scheme("torchao_int4"), torch.float16, CUDA)
    on_cuda = quantization_config(scheme("torchao_int4", group_size=32), torch.bfloat16, CUDA)
    assert on_cuda.quant_type.group_size == 32
    on_cpu = quantization_config(scheme("torchao_int4", group_size=32), torch.float16, CPU)
    assert on_cpu.quant_type.granularity.group_size == 32
    assert str(on_cpu.quant_type.weight_dtype) == "torch.int4"


def test_a_scheme_is_recorded_without_its_name() -> None:
    recorded = describe_quantization(scheme("bnb_nf4", group_size=32))
    assert recorded == {
        "method": "bnb_nf4",
        "double_quant": True,
        "compute_dtype": None,
        "group_size": 32,
        "skip_modules": [],
    }


def test_shared_weights_are_stored_once() -> None:
    model = torch.nn.Sequential(
        torch.nn.Linear(3, 4, dtype=torch.float16), torch.nn.Linear(3, 4, dtype=torch.float32)
    )
    assert stored_bytes(model) == (12 + 4) * 2 + (12 + 4) * 4
    model[1].weight = model[0].weight
    assert stored_bytes(model) == (12 + 4) * 2 + 4 * 4
    model.register_buffer("seen", torch.zeros(5, dtype=torch.uint8))
    assert stored_bytes(model) == (12 + 4) * 2 + 4 * 4 + 5


@pytest.mark.slow
@needs("bitsandbytes")
@pytest.mark.parametrize(
    ("is_double", "constants"),
    [
        # One float32 for each of 64 blocks of 64 weights, and the 16 values of the code.
        (False, 64 * 4 + 16 * 4),
        # The blocks' constants in bytes, with a scale of their own and a code of 256 values.
        (True, 64 + 16 * 4 + 4 + 256 * 4),
    ],
)
def test_constants_of_four_bit_weights_are_counted(is_double: bool, constants: int) -> None:
    library: Any = importlib.import_module("bitsandbytes.nn")
    weights = library.Params4bit(
        torch.ones(64, 64),
        requires_grad=False,
        quant_type="nf4",
        blocksize=64,
        compress_statistics=is_double,
    ).to("cpu")
    model = torch.nn.Module()
    model.register_parameter("weight", weights)
    assert stored_bytes(model) == 64 * 64 // 2 + constants
