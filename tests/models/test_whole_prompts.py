"""Whole prompts together: padded where the processor pads in front, and never otherwise."""

from __future__ import annotations

import copy
import dataclasses

import pytest

from llava_eval.config.schema import ConversationConfig
from llava_eval.errors import ForwardError
from llava_eval.models.local.conversation import Conversation
from llava_eval.models.local.decoding import Decoder
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.prepared_media import WholePrompts
from llava_eval.models.local.prompt import Prompt, PromptWriter
from llava_eval.models.local.whole_prompts import WholeBatches
from tests.models.helpers import make_request

PLAIN = ConversationConfig("plain", "{system}USER: {user} ASSISTANT:{prefill}")


def made(loaded: LoadedModel, *texts: str) -> tuple[WholeBatches, list[Prompt]]:
    whole = WholePrompts(loaded.processor)
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


def test_padding_behind_prompts_is_refused(loaded: LoadedModel) -> None:
    processor = copy.deepcopy(loaded.processor)
    processor.tokenizer.padding_side = "right"
    batches, prompts = made(dataclasses.replace(loaded, processor=processor), "Why is it?", "Why?")
    with pytest.raises(ForwardError, match=r"^sample Why\?: its processor pads it otherwise$"):
        batches._together(prompts)
    (alone,) = (batches._together(prompts[:1]),)
    assert alone.inputs["input_ids"].tolist() == [list(prompts[0].token_ids)]
