"""Which rows of a cache are asked together, and that each has its own tokens and its own cache."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import DynamicCache, LlamaConfig, MistralConfig, StaticCache

from llava_eval.models.local.microbatch import PromptGroup
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.prefix import CACHE, Prefix, RowRule, _row_rule, joined, position_ids
from llava_eval.models.local.prompt import Prompt
from tests.models.helpers import make_request

PAD = 0
#: Two media's prefixes of three and of two tokens, and questions by the last token of each.
FIRST, SECOND = (11, 12, 13), (21, 22)


def filled(config: Any, *lengths: int, rows: int = 1) -> DynamicCache:
    """Return a cache whose keys and values are the numbers of their positions, from 1."""
    cache = DynamicCache(config=config)
    for layer, length in enumerate(lengths):
        numbers = torch.arange(1.0, length + 1).reshape(1, 1, length, 1)
        states = numbers.expand(rows, 2, length, 4).contiguous()
        cache.update(states, -states, layer)
    return cache


@pytest.mark.parametrize(
    ("cache", "rule"),
    [
        (filled(LlamaConfig(num_hidden_layers=2), 3, 3), RowRule.PADDED),
        (filled(LlamaConfig(num_hidden_layers=2), 3, 4), RowRule.EQUAL),
        (filled(LlamaConfig(num_hidden_layers=2), 4, 4), RowRule.EQUAL),
        (filled(MistralConfig(num_hidden_layers=2, sliding_window=9), 3, 3), RowRule.EQUAL),
        (StaticCache(config=LlamaConfig(num_hidden_layers=2), max_cache_len=3), RowRule.SINGLE),
        (None, RowRule.SINGLE),
        (((torch.zeros(1), torch.zeros(1)),), RowRule.SINGLE),
    ],
)
def test_rows_that_may_be_padded(cache: Any, rule: RowRule) -> None:
    assert _row_rule(cache, 3) is rule


def prompts(prefix: tuple[int, ...], *questions: tuple[int, ...]) -> tuple[Prompt, ...]:
    return tuple(
        Prompt(make_request("x", name=str(question[-1])), "", prefix + question, len(prefix))
        for question in questions
    )


def prefix_of(rule: RowRule, *questions: tuple[int, ...]) -> Prefix:
    group = PromptGroup(prompts(FIRST, *questions), len(FIRST))
    ids = torch.tensor([FIRST])
    cache = filled(LlamaConfig(num_hidden_layers=1), len(FIRST))
    return Prefix((group,), ids, torch.ones_like(ids), cache, rule)


QUESTIONS = ((5, 6, 7), (8,), (5, 6, 9), (4, 3))


@pytest.mark.parametrize(
    ("rule", "batch_size", "expected"),
    [
        (RowRule.PADDED, 3, [["7", "8", "9"], ["3"]]),
        (RowRule.PADDED, 9, [["7", "8", "9", "3"]]),
        (RowRule.EQUAL, 9, [["8"], ["3"], ["7", "9"]]),
        (RowRule.EQUAL, 1, [["8"], ["3"], ["7"], ["9"]]),
        (RowRule.SINGLE, 9, [["7"], ["8"], ["9"], ["3"]]),
    ],
)
def test_the_questions_of_a_prefix(
    loaded: LoadedModel, rule: RowRule, batch_size: int, expected: list[list[str]]
) -> None:
    assert loaded.tokenizer.pad_token_id == PAD
    seen = []
    for batch in prefix_of(rule, *QUESTIONS).batches(loaded, batch_size):
        seen.append([prompt.request.id for prompt in batch.prompts])
        longest = max(len(prompt.token_ids) for prompt in batch.prompts)
        ids, mask = batch.inputs["input_ids"].tolist(), batch.inputs["attention_mask"].tolist()
        for prompt, row, here in zip(batch.prompts, ids, mask, strict=True):
            question = list(prompt.token_ids[3:])
            padding = longest - len(prompt.token_ids)
            assert row == [*FIRST, *[PAD] * padding, *question]
            assert here == [1, 1, 1, *[0] * padding, *[1] * len(question)]
        keys = batch.inputs[CACHE].layers[0].keys
        assert keys.shape == (len(batch.prompts), 2, 3, 4)
        assert keys[:, 0, :, 0].tolist() == [[1, 2, 3]] * len(batch.prompts)
        # A batch's own tokens go into its rows, never into those of the next.
        batch.inputs[CACHE].update(keys, keys, 0)
    assert seen == expected


def test_prefixes_of_several_media_are_padded_in_front(loaded: LoadedModel) -> None:
    parts = [
        Prefix(
            (PromptGroup(prompts(ids, (5, 6)), len(ids)),),
            torch.tensor([ids]),
            torch.ones((1, len(ids)), dtype=torch.long),
            filled(LlamaConfig(num_hidden_layers=1), len(ids)),
            RowRule.PADDED,
        )
        for ids in (FIRST, SECOND)
    ]
    (whole,) = joined(parts, loaded)
    assert parts[1].cache.layers[0].keys is None  # not twice in memory
    assert whole.token_ids.tolist() == [[11, 12, 13], [PAD, 21, 22]]
    assert whole.attention_mask.tolist() == [[1, 1, 1], [0, 1, 1]]
    (batch,) = whole.batches(loaded, 9)
    layer = batch.inputs[CACHE].layers[0]
    assert layer.keys[:, 1, :, 2].tolist() == [[1, 2, 3], [0, 1, 2]]
    assert layer.values[:, 1, :, 2].tolist() == [[-1, -2, -3], [0, -1, -2]]
    assert batch.inputs["input_ids"].tolist() == [[11, 12, 13, 5, 6], [PAD, 21, 22, 5, 6]]
    assert position_ids(batch).tolist() == [[3, 4], [2, 3]]


def test_prefixes_that_must_not_be_padded_stay_apart(loaded: LoadedModel) -> None:
    apart = [prefix_of(rule, (5,)) for rule in (RowRule.PADDED, RowRule.EQUAL)]
    assert joined(apart, loaded) == apart
    assert joined(apart[:1], loaded) == apart[:1]
