"""Whole prompts together: padded where the processor pads in front, and never otherwise."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from llava_eval.config.schema import ConversationConfig, ModelConfig
from llava_eval.errors import ForwardError
from llava_eval.models.local.checkpoint import find_checkpoint
from llava_eval.models.local.conversation import Conversation
from llava_eval.models.local.decoding import Decoder
from llava_eval.models.local.model import LoadedModel, load_model
from llava_eval.models.local.plan import plan_checkpoint
from llava_eval.models.local.prepared_media import WholePrompts, shown_medium
from llava_eval.models.local.prompt import Prompt, PromptWriter
from llava_eval.models.local.runner import ModelRunner
from llava_eval.models.local.whole_prompts import WholeBatches
from tests.models.families import FAMILIES
from tests.models.helpers import make_clip, make_request

PLAIN = ConversationConfig("plain", "{system}USER: {user} ASSISTANT:{prefill}")


def made(loaded: LoadedModel, *texts: str) -> tuple[WholeBatches, list[Prompt]]:
    whole = WholePrompts(loaded.processor, {})
    writer = PromptWriter(loaded, Conversation(PLAIN, loaded.processor), whole)
    prompts = [prompt for text in texts for prompt in writer.prompts(make_request(text, name=text))]
    return WholeBatches(loaded, writer, Decoder(loaded)), prompts


def test_rows_of_a_batch_are_the_prompts_behind_their_padding(loaded: LoadedModel) -> None:
    batches, prompts = made(loaded, "Why?", "Where is the red star now?", "Where?")
    (batch,) = batches.batches(prompts)
    lengths = [len(prompt.token_ids) for prompt in batch.prompts]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > lengths[-1]
    rows = batch.inputs["input_ids"].tolist()
    masks = batch.inputs["attention_mask"].tolist()
    for prompt, row, mask in zip(batch.prompts, rows, masks, strict=True):
        own = list(prompt.token_ids)
        assert row[lengths[0] - len(own) :] == own
        assert mask == [0] * (lengths[0] - len(own)) + [1] * len(own)
    assert batch.prefix_length == 0


def test_prompts_that_show_other_things_are_other_batches(loaded: LoadedModel) -> None:
    batches, (text,) = made(loaded, "Why?")
    prompts = [text]
    for name, size in (("wide", (60, 150)), ("square", (40, 40)), ("as wide", (60, 150))):
        image = shown_medium("image", make_clip(1, seed=len(name), size=size), as_images=True)
        prompts += batches.writer.prompts(make_request(image, "Why?", name=name))
    asked = [{item.request.id for item in batch.prompts} for batch in batches.batches(prompts)]
    assert sorted(map(sorted, asked)) == [["Why?"], ["as wide", "wide"], ["square"]]


def test_padding_behind_prompts_is_refused(loaded: LoadedModel) -> None:
    processor = copy.deepcopy(loaded.processor)
    processor.tokenizer.padding_side = "right"
    batches, prompts = made(dataclasses.replace(loaded, processor=processor), "Why is it?", "Why?")
    with pytest.raises(ForwardError, match=r"^sample Why\?: its processor pads it otherwise$"):
        batches._together(prompts)
    (alone,) = (batches._together(prompts[:1]),)
    assert alone.inputs["input_ids"].tolist() == [list(prompts[0].token_ids)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of numpy, about transformers
def test_a_repetition_penalty_counts_no_padding(tmp_path: Path) -> None:
    FAMILIES["blip-2"].make(tmp_path)
    stored = tmp_path / "generation_config.json"
    settings = {"repetition_penalty": 1.7, "no_repeat_ngram_size": 2}
    stored.write_text(json.dumps({**json.loads(stored.read_text()), **settings}))
    plan = plan_checkpoint(
        find_checkpoint(str(tmp_path)), ModelConfig(device="cpu"), keeps_generation_settings=True
    )
    loaded = load_model(plan)
    texts = []
    for batch_size in (32, 1):
        runner = ModelRunner(loaded, PLAIN, batch_size=batch_size)
        media = [
            runner.prepare("image", make_clip(1, seed=seed, size=size))
            for seed, size in ((1, (80, 120)), (2, (120, 80)))
        ]
        asked = [
            make_request(medium, question, name=f"{number} {question}")
            for number, medium in enumerate(media)
            for question in ("What is it?", "Where is the blue one?", "Why?")
        ]
        texts.append({request.id: answer.text for request, answer in runner.generate(asked)})
    assert texts[0] == texts[1]


@pytest.mark.slow
@pytest.mark.parametrize("share_prefixes", ["auto", False])
def test_several_images_are_given_as_those_of_one_prompt(
    share_prefixes: Any, tmp_path: Path
) -> None:
    """LLaVA-OneVision tiles an image only where it is its prompt's only one."""
    FAMILIES["llava_onevision"].make(tmp_path)
    loaded = load_model(plan_checkpoint(find_checkpoint(str(tmp_path)), ModelConfig(device="cpu")))
    clips = [make_clip(1, seed=seed, size=(80, 120)) for seed in (1, 2)]
    images = [
        {"type": "image", "image": Image.fromarray(clip.frames[0].permute(1, 2, 0).numpy())}
        for clip in clips
    ]
    runner = ModelRunner(loaded, ConversationConfig("chat_template"), share_prefixes=share_prefixes)
    media = [runner.prepare("image", clip) for clip in clips]
    turns = {"first": [0], "second": [1], "both": [0, 1]}
    asked = [
        make_request(*(media[number] for number in turn), "Which?", name=name)
        for name, turn in turns.items()
    ]
    done = {request.id: answer for request, answer in runner.generate(asked)}
    for name, turn in turns.items():
        content = [*(images[number] for number in turn), {"type": "text", "text": "Which?"}]
        inputs = AutoProcessor.from_pretrained(tmp_path).apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        with torch.inference_mode():
            (tokens,) = loaded.model.generate(**inputs, max_new_tokens=8, do_sample=False)
        length = inputs["input_ids"].shape[1]
        text = loaded.tokenizer.decode(tokens[length:], skip_special_tokens=True)
        assert (done[name].num_input_tokens, done[name].text) == (length, text)
