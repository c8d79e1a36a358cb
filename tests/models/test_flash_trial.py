"""flash-attention is kept where the first logits stay the model's own; others stand in for it."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from llava_eval.config.schema import ConversationConfig
from llava_eval.models.local.hardware import AttentionChoice
from llava_eval.models.local.model import LoadedModel, load_model
from llava_eval.models.local.runner import ModelRunner
from llava_eval.types import Generation, GenerationSettings
from tests.models.helpers import make_clip, make_request

CHAT = ConversationConfig("chat_template")
INSTALLED = "installed, on CUDA, in half precision"
#: Between the tokens of the prompt with a text alone and those of the one with a video.
NUM_TOKENS = 24


def refuses(*_: Any, **__: Any) -> Any:
    raise ValueError("no attention sinks")


def sees_all(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, _: Any, **named: Any
) -> Any:
    """Attend to later tokens too: a mask that is dropped without a word."""
    return sdpa_attention_forward(module, query, key, value, None, is_causal=False, **named)


def sees_all_of_videos(module: Any, query: torch.Tensor, *others: Any, **named: Any) -> Any:
    forward = sees_all if query.shape[2] > NUM_TOKENS else sdpa_attention_forward
    return forward(module, query, *others, **named)


for stand_in in (refuses, sees_all, sees_all_of_videos, sdpa_attention_forward):
    AttentionInterface.register(f"test_{stand_in.__name__}", stand_in)
    AttentionMaskInterface.register(f"test_{stand_in.__name__}", sdpa_mask)


def runner_of(
    loaded: LoadedModel, name: str, reason: str = INSTALLED, is_default: bool = False
) -> ModelRunner:
    plan = dataclasses.replace(loaded.plan, attention=AttentionChoice(name, reason, is_default))
    copied = dataclasses.replace(loaded, model=copy.deepcopy(loaded.model), plan=plan)
    return ModelRunner(copied, CHAT)


def answers(runner: ModelRunner, *names: str) -> list[Generation]:
    settings = GenerationSettings(max_new_tokens=2)
    turns: dict[str, tuple[Any, ...]] = {
        "text": ("Say it.",),
        "text again": ("Say it once more.",),
        "video": (runner.prepare("video", make_clip(4, seed=1)), "What is shown?"),
    }
    requests = [make_request(*turns[name], name=name, settings=settings) for name in names]
    done = {request.id: generation for request, generation in runner.generate(requests)}
    return [done[name] for name in names]


def attention_of_parts(runner: ModelRunner) -> set[str]:
    parts = [part for part in runner.loaded.model.modules() if isinstance(part, PreTrainedModel)]
    assert len(parts) > 2  # the whole, its language model and its vision tower
    return {part.config._attn_implementation for part in parts}


@pytest.fixture(scope="module")
def own(loaded: LoadedModel) -> list[Generation]:
    """What the model's own attention answers."""
    return answers(runner_of(loaded, "sdpa", "asked for"), "text", "video")


def test_what_gives_the_same_logits_is_kept(loaded: LoadedModel, own: list[Generation]) -> None:
    name = "test_sdpa_attention_forward"
    runner = runner_of(loaded, name)
    assert answers(runner, "text", "video") == own
    assert attention_of_parts(runner) == {name}
    assert runner.guards["flash_attention_logit_difference"] < 1e-4
    told = runner.record()["model"]
    assert (told["attention"], told["attention_reason"]) == (name, INSTALLED)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("test_refuses", "ValueError: no attention sinks"),
        ("flash_attention_2", "Error: "),  # transformers refuses it itself, on a CPU
        ("test_sees_all", "logits with it differ from those of a plain forward pass by "),
        # with texts alone nothing shows
        ("test_sees_all_of_videos", "logits with it differ from those of a plain forward pass by "),
    ],
)
def test_what_does_not_is_left_for_the_models_own(
    loaded: LoadedModel, own: list[Generation], name: str, why: str
) -> None:
    runner = runner_of(loaded, name)
    assert answers(runner, "text", "video") == own
    assert attention_of_parts(runner) == {"sdpa"}
    told = runner.record()["model"]
    assert told["attention"] == "sdpa"
    assert told["attention_reason"].startswith("flash-attention is not used: ")
    assert why in told["attention_reason"]
    if "logits" in why:  # the largest, not that of the text
        assert runner.guards["flash_attention_logit_difference"] > 1e-3
    else:
        assert "flash_attention_logit_difference" not in runner.guards


@pytest.mark.parametrize("is_default", [False, True])
def test_what_is_asked_for_or_the_default_is_not_tried(
    loaded: LoadedModel, is_default: bool
) -> None:
    runner = runner_of(loaded, "test_refuses", INSTALLED if is_default else "asked for", is_default)
    assert answers(runner, "text")[0].error is None  # it was loaded with another
    assert attention_of_parts(runner) == {"sdpa"}
    assert "model" not in runner.record()


def test_each_kind_of_prompt_is_tried_once(loaded: LoadedModel) -> None:
    runner = runner_of(loaded, "test_sdpa_attention_forward")
    for names in (("text", "text again"), ("video", "text again")):
        answers(runner, *names)
    assert runner._flash is not None
    assert runner._flash.kinds == {"no media", "one video"}
    following = ModelRunner(runner.loaded, CHAT)  # as the next run of a sweep
    answers(following, "text")
    assert following._flash is runner._flash


def test_a_part_with_another_attention_gets_that_again(loaded: LoadedModel) -> None:
    runner = runner_of(loaded, "test_sees_all")
    model = runner.loaded.model.model
    model.vision_tower.set_attn_implementation("eager")
    answers(runner, "text")
    assert model.vision_tower.config._attn_implementation == "eager"
    assert model.language_model.config._attn_implementation == "sdpa"


def test_a_model_is_loaded_with_its_own(loaded: LoadedModel) -> None:
    attention = AttentionChoice("flash_attention_2", INSTALLED)
    model = load_model(dataclasses.replace(loaded.plan, attention=attention)).model
    assert model.config._attn_implementation == "sdpa"


def test_what_was_left_once_is_not_taken_for_another_kind(loaded: LoadedModel) -> None:
    runner = runner_of(loaded, "test_sees_all_of_videos")
    answers(runner, "video")
    answers(runner, "text")
    assert attention_of_parts(runner) == {"sdpa"}
