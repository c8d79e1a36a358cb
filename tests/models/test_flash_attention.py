"""The trial of flash-attention, with attentions that run on a CPU in its place."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from llava_eval.config.schema import ConversationConfig, ModelConfig
from llava_eval.models.local.checkpoint import CheckpointFolder
from llava_eval.models.local.hardware import AttentionChoice
from llava_eval.models.local.model import load_model
from llava_eval.models.local.plan import plan_checkpoint
from llava_eval.models.local.runner import ModelRunner
from tests.models.helpers import make_clip, make_request


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factor", "used", "reason"),
    [
        (1.0, "tried", "installed"),
        (0.0, "sdpa", "not used: logits with it differ from those of a plain forward pass by "),
        (float("nan"), "sdpa", "pass by inf standard deviations"),
        (None, "sdpa", "not used: ValueError: "),  # as every fourth family refuses it
    ],
)
def test_it_is_used_where_first_logits_stay_the_same(
    factor: float | None,
    used: str,
    reason: str,
    checkpoint: CheckpointFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def attend(*arguments: Any, **settings: Any) -> tuple[torch.Tensor, None]:
        output, _ = ALL_ATTENTION_FUNCTIONS["sdpa"](*arguments, **settings)
        return output * factor, None

    if factor is not None:
        sdpa_mask = ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]
        monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "tried", attend)
        monkeypatch.setitem(ALL_MASK_ATTENTION_FUNCTIONS, "tried", sdpa_mask)
    plan = plan_checkpoint(checkpoint, ModelConfig(device="cpu"))
    choice = AttentionChoice("tried", "installed")
    loaded = load_model(dataclasses.replace(plan, attention=choice))
    runner = ModelRunner(loaded, ConversationConfig("plain", "{user}:"))
    assert runner.describe()["attention"] == "sdpa"  # its own, until a prompt has shown more
    video = runner.prepare("video", make_clip(4))
    for request in (make_request(video, "what?"), make_request("what?")):
        ((_, generation),) = runner.generate([request])
        assert generation.error is None
    record = runner.record()
    assert record["model"]["attention"] == used
    assert reason in record["model"]["attention_reason"]
    json.dumps(record, allow_nan=False)  # as the manifest is written


@pytest.mark.slow
def test_prompts_without_finite_logits_decide_nothing(
    checkpoint: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a model whose own attention overflows on the first prompt."""
    sdpa, sdpa_mask = ALL_ATTENTION_FUNCTIONS["sdpa"], ALL_MASK_ATTENTION_FUNCTIONS["sdpa"]

    def overflowing(*arguments: Any, **settings: Any) -> tuple[torch.Tensor, None]:
        return sdpa(*arguments, **settings)[0] * float("nan"), None

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "sdpa", overflowing)
    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "tried", sdpa)
    monkeypatch.setitem(ALL_MASK_ATTENTION_FUNCTIONS, "tried", sdpa_mask)
    plan = plan_checkpoint(checkpoint, ModelConfig(device="cpu"))
    choice = AttentionChoice("tried", "installed")
    loaded = load_model(dataclasses.replace(plan, attention=choice))
    runner = ModelRunner(loaded, ConversationConfig("plain", "{user}:"))
    ((_, generation),) = runner.generate([make_request("what?")])
    assert "logits are not finite" in (generation.error or "")
    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS, "sdpa", sdpa)
    ((_, generation),) = runner.generate([make_request("what?")])
    assert generation.error is None
    assert runner.record()["model"]["attention"] == "tried"
