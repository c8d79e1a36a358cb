"""Which models get flash-attention, shown with attentions of the tests' own on a CPU."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from llava_eval.config.schema import ConversationConfig
from llava_eval.models.local.hardware import AttentionChoice
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.runner import ModelRunner
from llava_eval.types import Clip, GenerationSettings, MediaKind
from tests.models.helpers import make_clip, make_request

#: A user's turn before its clips are prepared.
Turn = tuple[str | tuple[MediaKind, Clip], ...]

SHORT: tuple[MediaKind, Clip] = ("video", make_clip(2, seed=1))
LONG: tuple[MediaKind, Clip] = ("video", make_clip(4, seed=2))
SETTINGS = GenerationSettings(max_new_tokens=2)


def without_mask(module: Any, query: Any, key: Any, value: Any, mask: Any, **others: Any) -> Any:
    """Let tokens see all others."""
    return sdpa_attention_forward(module, query, key, value, None, **others | {"is_causal": False})


@pytest.fixture
def fast(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> LoadedModel:
    """A model that "exact" is installed for, and was chosen by itself."""
    for name, function in (("exact", sdpa_attention_forward), ("unmasked", without_mask)):
        monkeypatch.setitem(AttentionInterface._global_mapping, name, function)
        monkeypatch.setitem(AttentionMaskInterface._global_mapping, name, sdpa_mask)
    plan = replace(loaded.plan, attention=AttentionChoice("exact", "installed"))
    return replace(loaded, model=copy.deepcopy(loaded.model), plan=plan)


def attention_after(loaded: LoadedModel, *turns: Turn) -> tuple[str, str]:
    """Ask turns one after the other; return the attention that the manifest states, and why."""
    runner = ModelRunner(loaded, ConversationConfig("chat_template"))
    for turn in turns:
        content = (item if isinstance(item, str) else runner.prepare(*item) for item in turn)
        ((_, generation),) = runner.generate([make_request(*content, settings=SETTINGS)])
        assert generation.error is None
    model = runner.record()["model"]
    return model["attention"], model["attention_reason"]


def test_where_logits_stay_the_same_it_is_used(fast: LoadedModel) -> None:
    assert attention_after(fast, (SHORT, "Why?"), (SHORT, "Who?")) == ("exact", "installed")


def test_where_logits_differ_the_model_keeps_its_own(fast: LoadedModel) -> None:
    plan = replace(fast.plan, attention=AttentionChoice("unmasked", "installed"))
    name, reason = attention_after(replace(fast, plan=plan), (SHORT, "Why?"))
    assert name == "sdpa"
    assert reason.startswith("flash-attention is not used: logits with it differ from those of a")


def test_a_model_that_takes_no_other_is_not_said_to_use_it(
    fast: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PreTrainedModel, "_can_set_attn_implementation", lambda *_: False)
    assert attention_after(fast, (SHORT, "Why?")) == (
        "sdpa",
        "flash-attention is not used: LlavaNextVideoForConditionalGeneration does not take it",
    )


def test_prompts_that_cannot_show_it_leave_the_model_its_own(fast: LoadedModel) -> None:
    # The processor does not stack videos of two lengths.
    assert attention_after(fast, (SHORT, "Why?"), (SHORT, LONG, "Which?"), (SHORT, "Who?")) == (
        "sdpa",
        "flash-attention is not used: it cannot be tried on a prompt with videos",
    )


def test_logits_that_are_not_finite_show_nothing(fast: LoadedModel) -> None:
    with torch.no_grad():
        fast.model.lm_head.weight.fill_(torch.nan)
    runner = ModelRunner(fast, ConversationConfig("chat_template"))
    ((_, generation),) = runner.generate([make_request("Why?", settings=SETTINGS)])
    assert generation.error is not None
    assert runner.record()["model"]["attention"] == "sdpa"


def test_positions_that_would_be_taken_for_packed_sequences_are_refused(fast: LoadedModel) -> None:
    def widen(module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return arguments, {**named, "position_ids": torch.zeros((3, 1, 1), dtype=torch.long)}

    for layer in fast.model.model.language_model.layers:
        layer.self_attn.register_forward_pre_hook(widen, with_kwargs=True)
    name, reason = attention_after(fast, (SHORT, "Why?"))
    assert name == "sdpa"
    assert reason.endswith("ValueError: its attention is given positions in time, height and width")
