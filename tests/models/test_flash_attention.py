"""Which models get flash-attention: attentions that run on a CPU stand in for it."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import flash_attention_mask, sdpa_mask

from llava_eval.config.schema import ConversationConfig, ModelConfig
from llava_eval.models.local.checkpoint import find_checkpoint
from llava_eval.models.local.hardware import AttentionChoice
from llava_eval.models.local.model import LoadedModel, load_model
from llava_eval.models.local.plan import plan_checkpoint
from llava_eval.models.local.runner import ModelRunner
from llava_eval.types import Generation, GenerationSettings, Request
from tests.conftest import slow
from tests.models.families import FAMILIES
from tests.models.families.plain import NEW_TOKENS, Plain, Turn, image
from tests.models.helpers import make_clip, make_request

#: transformers' about itself.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

CHAT = ConversationConfig("chat_template")
PLAIN = ConversationConfig("plain", "{system}USER: {user} ASSISTANT:{prefill}")
SHORT = GenerationSettings(max_new_tokens=2)
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


def shares_nothing(
    module: Any, query: torch.Tensor, key: torch.Tensor, *others: Any, **named: Any
) -> Any:
    """Refuse to go on from a prefix, and drop the mask of short prompts."""
    if 1 < query.shape[2] < key.shape[2]:
        raise ValueError("no cache")
    forward = sees_all if 1 < query.shape[2] <= NUM_TOKENS else sdpa_attention_forward
    return forward(module, query, key, *others, **named)


def no_numbers(*arguments: Any, **named: Any) -> Any:
    return sdpa_attention_forward(*arguments, **named)[0] * float("nan"), None


for stand_in in (
    no_numbers,
    refuses,
    sees_all,
    sees_all_of_videos,
    shares_nothing,
    sdpa_attention_forward,
):
    AttentionInterface.register(f"test_{stand_in.__name__}", stand_in)
    AttentionMaskInterface.register(f"test_{stand_in.__name__}", sdpa_mask)


def runner_of(
    loaded: LoadedModel, name: str, reason: str = INSTALLED, is_default: bool = False
) -> ModelRunner:
    plan = dataclasses.replace(loaded.plan, attention=AttentionChoice(name, reason, is_default))
    copied = dataclasses.replace(loaded, model=copy.deepcopy(loaded.model), plan=plan)
    return ModelRunner(copied, CHAT)


def answers(runner: ModelRunner, *names: str) -> list[Generation]:
    turns: dict[str, tuple[Any, ...]] = {
        "text": ("Say it.",),
        "text again": ("Say it once more.",),
        "video": (runner.prepare("video", make_clip(4, seed=1)), "What is shown?"),
    }
    requests = [make_request(*turns[name], name=name, settings=SHORT) for name in names]
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


@pytest.mark.slow
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
        slow("flash_attention_2", "Error: "),  # transformers refuses it itself, on a CPU
        ("test_sees_all", "logits with it differ from those of a plain forward pass by "),
        # with texts alone nothing shows
        slow(
            "test_sees_all_of_videos",
            "logits with it differ from those of a plain forward pass by ",
        ),
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


@pytest.mark.parametrize("is_default", [False, slow(True)])
def test_what_is_asked_for_or_the_default_is_not_tried(
    loaded: LoadedModel, is_default: bool
) -> None:
    runner = runner_of(loaded, "test_refuses", INSTALLED if is_default else "asked for", is_default)
    assert answers(runner, "text")[0].error is None  # it was loaded with another
    assert attention_of_parts(runner) == {"sdpa"}
    assert "model" not in runner.record()


@pytest.mark.slow
def test_each_kind_of_prompt_is_tried_once(loaded: LoadedModel) -> None:
    runner = runner_of(loaded, "test_sdpa_attention_forward")
    for names in (("text", "text again"), ("video", "text again")):
        answers(runner, *names)
    assert runner._flash is not None
    assert runner._flash.kinds == {"no media", "one video"}
    following = ModelRunner(runner.loaded, CHAT)  # as the next run of a sweep
    answers(following, "text")
    assert following._flash is runner._flash


@pytest.mark.slow
def test_a_part_with_another_attention_gets_that_again(loaded: LoadedModel) -> None:
    runner = runner_of(loaded, "test_sees_all")
    model = runner.loaded.model.model
    model.vision_tower.set_attn_implementation("eager")
    answers(runner, "text")
    assert model.vision_tower.config._attn_implementation == "eager"
    assert model.language_model.config._attn_implementation == "sdpa"


@pytest.mark.slow
def test_a_model_is_loaded_with_its_own(loaded: LoadedModel) -> None:
    attention = AttentionChoice("flash_attention_2", INSTALLED)
    model = load_model(dataclasses.replace(loaded.plan, attention=attention)).model
    assert model.config._attn_implementation == "sdpa"


@pytest.mark.slow
def test_what_was_left_once_is_not_taken_for_another_kind(loaded: LoadedModel) -> None:
    runner = runner_of(loaded, "test_sees_all_of_videos")
    answers(runner, "video")
    answers(runner, "text")
    assert attention_of_parts(runner) == {"sdpa"}


@pytest.mark.slow
def test_whether_prefixes_are_shared_is_tried_with_each_attention(loaded: LoadedModel) -> None:
    runner = runner_of(loaded, "test_shares_nothing")
    video = runner.prepare("video", make_clip(4, seed=1))
    questions = [
        make_request(video, question, name=question, settings=SHORT)
        for question in ("What is it?", "Why is that?")
    ]
    first = dict(runner.generate(questions))
    asked_as = runner.record()["runner"]["prompts_asked_as"]
    assert asked_as["one video"].startswith("whole prompts, ")
    assert asked_as["one video"].endswith(": ValueError: no cache")
    answers(runner, "text")
    assert attention_of_parts(runner) == {"sdpa"}
    assert dict(runner.generate(questions)) == first
    asked_as = runner.record()["runner"]["prompts_asked_as"]
    assert asked_as["one video"].startswith("shared prefixes ")


@pytest.mark.slow
def test_a_model_that_takes_no_other_is_not_said_to_use_it(
    loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PreTrainedModel, "_can_set_attn_implementation", lambda *_: False)
    runner = runner_of(loaded, "test_sdpa_attention_forward")
    answers(runner, "text")
    told = runner.record()["model"]
    assert told["attention"] == "sdpa"
    assert told["attention_reason"].endswith("ForConditionalGeneration does not take it")


@pytest.mark.slow
def test_prompts_that_cannot_show_it_leave_the_model_its_own(loaded: LoadedModel) -> None:
    runner = runner_of(loaded, "test_sdpa_attention_forward")
    videos = [runner.prepare("video", make_clip(number, seed=1)) for number in (2, 4)]
    # The processor does not stack videos of two lengths.
    ((_, answer),) = runner.generate([make_request(*videos, "Which?", settings=SHORT)])
    assert answer.error is None
    told = runner.record()["model"]
    assert told["attention"] == "sdpa"
    assert told["attention_reason"].endswith("it cannot be tried on a prompt with videos")


@pytest.mark.parametrize("part", [slow("lm_head"), "the tried attention"])
def test_logits_that_are_no_numbers_show_nothing(loaded: LoadedModel, part: str) -> None:
    runner = runner_of(loaded, "test_no_numbers")
    if part == "lm_head":
        with torch.no_grad():
            runner.loaded.model.lm_head.weight.fill_(torch.nan)
    (answer,) = answers(runner, "text")
    assert (answer.error is None) == (part != "lm_head")
    record = runner.record()
    assert record["model"]["attention"] == "sdpa"
    json.dumps(record, allow_nan=False)  # as the manifest is written


@pytest.mark.slow
def test_positions_that_would_be_taken_for_packed_sequences_are_refused(
    loaded: LoadedModel,
) -> None:
    def widen(module: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        return arguments, {**named, "position_ids": torch.zeros((3, 1, 1), dtype=torch.long)}

    runner = runner_of(loaded, "test_sdpa_attention_forward")
    for layer in runner.loaded.model.model.language_model.layers:
        layer.self_attn.register_forward_pre_hook(widen, with_kwargs=True)
    answers(runner, "text")
    told = runner.record()["model"]
    assert told["attention"] == "sdpa"
    why = "ValueError: its attention is given positions in time, height and width"
    assert told["attention_reason"].endswith(why)


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


AttentionInterface.register(STAND_IN, causal_and_padding)
AttentionMaskInterface.register(STAND_IN, flash_attention_mask)


def tiny(name: str, folder: Path, attention: str, dtype: str = "auto") -> LoadedModel:
    """Load a tiny checkpoint on a plan as one for a machine where an attention is to be tried."""
    FAMILIES[name].make(folder)
    checkpoint, asked = find_checkpoint(str(folder)), ModelConfig(device="cpu", dtype=dtype)
    choice = AttentionChoice(attention, "installed")
    return load_model(dataclasses.replace(plan_checkpoint(checkpoint, asked), attention=choice))


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
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_model_keeps_its_own_where_the_tokens_of_an_image_see_each_other(
    dtype: str, tmp_path: Path
) -> None:
    """In bfloat16 logits alone would not show it: random weights differ little."""
    loaded = tiny("gemma3", tmp_path, STAND_IN, dtype)
    runner = ModelRunner(loaded, CHAT)
    ((_, answer),) = runner.generate([Request("text alone", ("Why?",), SETTINGS)])
    assert answer.error is None
    assert runner.record()["model"]["attention"] == STAND_IN, "text has nothing but causality"
    answered = texts(runner)
    if dtype == "float32":
        assert answered == plain_texts(tmp_path)
    told = runner.record()["model"]
    assert told["attention"] == "sdpa"
    assert "its tokens see later ones, of an image for instance" in told["attention_reason"]
    assert attention_of_parts(runner) == {"sdpa"}


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
