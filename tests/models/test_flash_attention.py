"""A faster attention is taken where it gives a model's own logits; a stand-in needs no GPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import flash_attention_mask

from llava_eval.config.schema import ConversationConfig, ModelConfig
from llava_eval.models.local.checkpoint import find_checkpoint
from llava_eval.models.local.hardware import AttentionChoice
from llava_eval.models.local.model import LoadedModel, load_model
from llava_eval.models.local.plan import plan_checkpoint
from llava_eval.models.local.runner import ModelRunner
from llava_eval.types import GenerationSettings, Request
from tests.models.families import FAMILIES
from tests.models.families.plain import NEW_TOKENS, Plain, Turn, image

#: transformers' about itself.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

CHAT = ConversationConfig("chat_template")
PLAIN = ConversationConfig("plain", "{system}USER: {user} ASSISTANT:{prefill}")
SETTINGS = GenerationSettings(max_new_tokens=NEW_TOKENS)
QUESTIONS = ("What is it?", "Where is the blue one?", "Why?")

#: Attention that sees what flash-attention's functions are given: causality, and which are padding.
STAND_IN = "causal_and_padding"


def causal_and_padding(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **arguments: Any
) -> Any:
    """Attend as flash-attention documents it: the causal mask ends at the bottom right.

    Args:
        module: the layer.
        query: (B, heads, S, size).
        key: (B, heads, T, size).
        value: (B, heads, T, size).
        attention_mask: (B, T), what is no padding; None where nothing is.
        arguments: those of transformers' own attention.
    """
    num_new, num_all = query.shape[2], key.shape[2]
    is_causal = arguments.pop("is_causal", None)
    allowed = torch.ones(num_new, num_all, dtype=torch.bool)
    if module.is_causal if is_causal is None else is_causal:
        allowed = allowed.tril(num_all - num_new)
    mask = allowed[None, None]
    if attention_mask is not None:
        mask = mask & attention_mask[:, None, None, :num_all].bool()
    return sdpa_attention_forward(module, query, key, value, mask, is_causal=False, **arguments)


@pytest.fixture(autouse=True, scope="module")
def stand_in() -> None:
    AttentionInterface.register(STAND_IN, causal_and_padding)
    AttentionMaskInterface.register(STAND_IN, flash_attention_mask)


def tiny(name: str, folder: Path, attention: str) -> LoadedModel:
    """Load a tiny checkpoint on a plan as one for a machine where an attention is to be tried."""
    FAMILIES[name].make(folder)
    plan = plan_checkpoint(find_checkpoint(str(folder)), ModelConfig(device="cpu"))
    return load_model(dataclasses.replace(plan, attention=AttentionChoice(attention, "installed")))


def texts(runner: ModelRunner) -> list[str | None]:
    medium = runner.prepare(*image(1))
    requests = [Request(question, (medium, question), SETTINGS) for question in QUESTIONS]
    answers = {request.id: generation for request, generation in runner.generate(requests)}
    assert [generation.error for generation in answers.values()] == [None] * 3
    return [answers[question].text for question in QUESTIONS]


def plain_texts(folder: Path) -> list[str]:
    plain = Plain.load(folder)
    turns: list[Turn] = [(image(1), question) for question in QUESTIONS]
    tokens = [plain.new_tokens(plain.inputs(turn, None)) for turn in turns]
    return [plain.processor.tokenizer.decode(row, skip_special_tokens=True) for row in tokens]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llava", "idefics3", "qwen2_5_vl"])
def test_it_is_taken_where_the_first_logits_are_the_same(name: str, tmp_path: Path) -> None:
    loaded = tiny(name, tmp_path, STAND_IN)
    assert loaded.model.config._attn_implementation == "sdpa"
    runner = ModelRunner(loaded, CHAT)
    assert texts(runner) == plain_texts(tmp_path)
    record = runner.record()
    assert record["model"]["attention"] == STAND_IN
    assert record["model"]["attention_reason"] == "installed"
    assert record["guards"]["flash_attention_logit_difference"] < 1e-3
    assert "shared prefixes" in record["runner"]["prompts_asked_as"]["one image"]


@pytest.mark.slow
def test_a_model_keeps_its_own_where_the_tokens_of_an_image_see_each_other(tmp_path: Path) -> None:
    loaded = tiny("gemma3", tmp_path, STAND_IN)
    runner = ModelRunner(loaded, CHAT)
    ((_, answer),) = runner.generate([Request("text alone", ("Why?",), SETTINGS)])
    assert answer.error is None
    assert runner.record()["model"]["attention"] == STAND_IN, "text has nothing but causality"
    assert texts(runner) == plain_texts(tmp_path)
    record = runner.record()
    assert record["model"]["attention"] == "sdpa"
    why = record["model"]["attention_reason"]
    assert why.startswith(
        "flash-attention is not used: logits with it differ from those of a plain"
    )
    assert record["guards"]["flash_attention_logit_difference"] > 1e-3
    parts = {part.config._attn_implementation for part in loaded.model.modules() if _has(part)}
    assert parts == {"sdpa"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "own"), [("mllama", "sdpa"), ("blip-2", "sdpa"), ("llava", "sdpa")]
)
def test_a_model_that_refuses_it_is_asked_with_its_own(name: str, own: str, tmp_path: Path) -> None:
    loaded = tiny(name, tmp_path, "flash_attention_2")
    runner = ModelRunner(loaded, CHAT if FAMILIES[name].has_template else PLAIN)
    assert len(set(texts(runner))) > 1
    described = runner.record()["model"]
    assert described["attention"] == own
    assert "Flash" in described["attention_reason"]


def _has(part: Any) -> bool:
    return hasattr(getattr(part, "config", None), "_attn_implementation")
