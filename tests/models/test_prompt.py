"""Prompts without the weights: those of the checkpoint's own processor."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from llava_eval.config.schema import ConversationConfig, ModelConfig
from llava_eval.errors import CheckpointError
from llava_eval.models.local.checkpoint import CheckpointFolder, find_checkpoint
from llava_eval.models.local.doctor import examine
from llava_eval.models.local.model import LoadedModel, load_model
from llava_eval.models.local.plan import plan_checkpoint
from llava_eval.models.local.prepared_media import shown_medium
from llava_eval.models.local.processor import load_processor
from llava_eval.models.local.prompt import preview_prompt
from llava_eval.models.local.runner import ModelRunner
from tests.models.families import FAMILIES
from tests.models.helpers import make_clip, make_request


@pytest.mark.parametrize("shows_images", [False, True])
def test_a_prompt_is_that_of_the_processor_on_the_same_frames(
    shows_images: bool, checkpoint: CheckpointFolder
) -> None:
    plan = dataclasses.replace(
        plan_checkpoint(checkpoint, ModelConfig(device="cpu")), shows_images=shows_images
    )
    clip, processor = make_clip(3), load_processor(plan)
    request = make_request(shown_medium("video", clip, as_images=shows_images), "Why?")
    text, tokens = preview_prompt(plan, ConversationConfig(), request)
    frames = clip.frames.permute(0, 2, 3, 1).numpy()
    kinds = ["image"] * 3 if shows_images else ["video"]
    content = [*({"type": kind} for kind in kinds), {"type": "text", "text": "Why?"}]
    turns = [{"role": "user", "content": content}]
    expected = processor.apply_chat_template(turns, add_generation_prompt=True)
    shown = {"images": list(frames)} if shows_images else {"videos": [np.stack(list(frames))]}
    ids = processor(text=expected, return_tensors="pt", **shown)["input_ids"][0]
    assert text == expected
    assert tokens == processor.tokenizer.convert_ids_to_tokens(ids.tolist())


def test_an_image_is_shown_as_one() -> None:
    medium = shown_medium("image", make_clip(1), as_images=False)
    assert (medium.kind, medium.shown_kinds) == ("image", ("image",))


@pytest.mark.slow
def test_what_the_processor_cannot_read_is_one_line(checkpoint: CheckpointFolder) -> None:
    plan = plan_checkpoint(checkpoint, ModelConfig(device="cpu"))
    video = shown_medium("video", make_clip(2), as_images=False)
    request = make_request(dataclasses.replace(video, shown=("no frames",)), "Why?")
    with pytest.raises(CheckpointError, match="its processor fails on the first prompt: ") as told:
        preview_prompt(plan, ConversationConfig(), request)
    assert "\n" not in str(told.value)


def of_family(name: str, folder: Path) -> LoadedModel:
    FAMILIES[name].make(folder)
    return load_model(plan_checkpoint(find_checkpoint(str(folder)), ModelConfig(device="cpu")))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of numpy, about transformers
@pytest.mark.parametrize(("name", "written"), [("paligemma", "\n"), ("chameleon", "<sep>")])
def test_likelihoods_need_a_prompt_that_the_option_ends(
    name: str, written: str, tmp_path: Path
) -> None:
    loaded = of_family(name, tmp_path)
    conversation = ConversationConfig("plain", "USER: {user} ASSISTANT:{prefill}")
    runner = ModelRunner(loaded, conversation)
    request = make_request(
        runner.prepare("image", make_clip(1)), "Which?", options=("Yes", "No, not at all")
    )
    (answer,) = (generation for _, generation in runner.generate([request]))
    assert answer.error == (
        f"PromptError: sample q: {type(loaded.processor).__name__} writes {written!r} behind every "
        "text; likelihoods of options cannot be asked of it"
    )
    assert all(finding.is_right for finding in examine(loaded, conversation))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "no_token"), [("llava_onevision", 16), ("llava", 1)])
def test_numbers_of_tokens_are_no_tokens(name: str, no_token: int, tmp_path: Path) -> None:
    loaded = of_family(name, tmp_path)
    assert no_token not in loaded.media_token_ids
    runner = ModelRunner(loaded, ConversationConfig())
    question = "Why?" + loaded.tokenizer.decode([no_token])
    request = make_request(medium := runner.prepare("image", make_clip(1)), question)
    assert len(list(runner.generate([request, make_request(medium, "Who?", name="r")]))) == 2
    (shown,) = (value for key, value in runner.guards.items() if key == "image_tokens")
    ids = loaded.processor(text="<image>", images=list(medium.shown))["input_ids"][0]
    assert shown == list(ids).count(loaded.tokenizer.convert_tokens_to_ids("<image>"))
    assert runner.settings()["prompts_asked_as"]["one image"].startswith("shared prefixes")
