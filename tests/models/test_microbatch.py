"""Groups that share a prefix, and microbatches within limits."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llava_eval.models.local.microbatch import PromptGroup, group_prompts, plan_microbatches
from llava_eval.models.local.prefix_sharing import _examples, _paddings
from llava_eval.models.local.prompt import Prompt, common_prefix_length
from llava_eval.types import GenerationSettings, PreparedMedia
from tests.models.helpers import make_medium, make_request


def prompt(
    *token_ids: int, media: tuple[PreparedMedia, ...] = (), media_end: int = 0, new: int = 8
) -> Prompt:
    settings = GenerationSettings(max_new_tokens=new)
    request = make_request(*media, "text", settings=settings)
    return Prompt(request, "", token_ids, media_end)


@pytest.mark.slow
@given(st.lists(st.lists(st.integers(0, 2), max_size=6).map(tuple), min_size=1, max_size=5))
def test_common_prefix_length(sequences: list[tuple[int, ...]]) -> None:
    length = common_prefix_length(sequences)
    assert len({sequence[:length] for sequence in sequences}) == 1
    longer = {sequence[: length + 1] for sequence in sequences}
    assert len(longer) > 1 or min(map(len, sequences)) == length


def test_questions_about_one_video_share_its_prefix() -> None:
    video = make_medium()
    first = prompt(1, 4, 4, 9, 5, 6, media=(video,), media_end=3)
    second = prompt(1, 4, 4, 9, 7, media=(video,), media_end=3)
    (group,) = group_prompts([first, second])
    assert group == PromptGroup((first, second), 4)


def test_every_prompt_keeps_a_token_of_its_own() -> None:
    video = make_medium()
    same = [prompt(1, 4, 4, 9, media=(video,), media_end=3) for _ in range(2)]
    (group,) = group_prompts(same)
    assert group.prefix_length == 3


def test_other_media_or_settings_are_other_groups() -> None:
    one, other = make_medium(), make_medium()
    asked = [
        prompt(1, 4, 5, media=(one,), media_end=2),
        prompt(1, 4, 6, media=(other,), media_end=2),
        prompt(1, 4, 7, media=(one,), media_end=2, new=4),
    ]
    assert [len(group.prompts) for group in group_prompts(asked)] == [1, 1, 1]


def test_a_question_before_the_video_shares_nothing() -> None:
    video = make_medium()
    asked = [
        prompt(1, 5, 4, 4, 9, media=(video,), media_end=4),
        prompt(1, 6, 4, 4, 9, media=(video,), media_end=4),
    ]
    groups = group_prompts(asked)
    assert [(len(group.prompts), group.prefix_length) for group in groups] == [(1, 4), (1, 4)]


def test_texts_without_media_stand_alone() -> None:
    groups = group_prompts([prompt(1, 2, 3), prompt(1, 2, 4)])
    assert [group.prefix_length for group in groups] == [2, 2]


def groups_of(*lengths: int) -> list[PromptGroup]:
    return [PromptGroup((prompt(*range(length), new=1),), length - 1) for length in lengths]


def test_microbatches_hold_the_limits_and_begin_with_the_longest() -> None:
    microbatches = plan_microbatches(groups_of(4, 9, 5, 5, 2), max_questions=2, max_tokens=100)
    assert [[group.max_num_tokens for group in batch] for batch in microbatches] == [
        [10, 6],
        [6, 5],
        [3],
    ]
    microbatches = plan_microbatches(groups_of(4, 9, 5, 5, 2), max_questions=9, max_tokens=18)
    assert [[group.max_num_tokens for group in batch] for batch in microbatches] == [
        [10],
        [6, 6, 5],
        [3],
    ]


def test_a_group_over_the_limit_runs_alone() -> None:
    microbatches = plan_microbatches(groups_of(50, 3), max_questions=8, max_tokens=10)
    assert [len(batch) for batch in microbatches] == [1, 1]


@pytest.mark.slow
@given(
    st.lists(st.integers(2, 30), min_size=1, max_size=20), st.integers(1, 6), st.integers(10, 90)
)
def test_microbatches_lose_nothing(lengths: list[int], max_questions: int, max_tokens: int) -> None:
    groups = groups_of(*lengths)
    microbatches = plan_microbatches(groups, max_questions=max_questions, max_tokens=max_tokens)
    assert sorted(map(id, groups)) == sorted(id(group) for batch in microbatches for group in batch)
    for batch in microbatches:
        rows = sum(len(group.prompts) for group in batch)
        longest = max(group.max_num_tokens for group in batch)
        assert len(batch) == 1 or (rows <= max_questions and rows * longest <= max_tokens)


@pytest.mark.parametrize(("size", "parts"), [(1, [1]), (2, [1, 1]), (5, [3, 2])])
def test_split_group(size: int, parts: list[int]) -> None:
    group = PromptGroup(tuple(prompt(1, 2) for _ in range(size)), 1)
    assert [len(part.prompts) for part in group.halves()] == parts


def with_inputs(last: int, **inputs: Any) -> Prompt:
    asked = prompt(1, 4, 4, 9, last, media=(VIDEO,), media_end=3)
    ids = torch.tensor([asked.token_ids])
    return dataclasses.replace(asked, inputs={"input_ids": ids, **inputs})


VIDEO = make_medium()
PIXELS = torch.ones(1, 2, 3)


@pytest.mark.parametrize(
    ("left", "right", "are_shared"),
    [
        ({"pixel_values": PIXELS}, {"pixel_values": PIXELS}, True),
        ({"pixel_values": PIXELS}, {"pixel_values": PIXELS.clone()}, True),
        ({"pixel_values": PIXELS}, {"pixel_values": 2 * PIXELS}, False),
        ({"pixel_values": PIXELS}, {}, False),
        ({"pixel_values": [PIXELS, PIXELS]}, {"pixel_values": [PIXELS, PIXELS.clone()]}, True),
        ({"pixel_values": [PIXELS, PIXELS]}, {"pixel_values": [PIXELS]}, False),
        ({"pixel_values": [PIXELS, PIXELS]}, {"pixel_values": (PIXELS, 0 * PIXELS)}, False),
        ({"sizes": [(3, 4)]}, {"sizes": [(3, 4)]}, True),
        ({"sizes": [(3, 4)]}, {"sizes": [(3, 5)]}, False),
        ({"task": "a"}, {"task": "a"}, True),
        ({"task": "a"}, {"task": "b"}, False),
        # One entry a token: only those of the prefix, four tokens, have to be the same.
        (
            {"types": torch.tensor([[0, 1, 1, 0, 5]])},
            {"types": torch.tensor([[0, 1, 1, 0, 6]])},
            True,
        ),
        (
            {"types": torch.tensor([[0, 1, 1, 0, 5]])},
            {"types": torch.tensor([[0, 1, 1, 2, 5]])},
            False,
        ),
    ],
)
def test_a_prefix_is_shared_by_prompts_with_the_same_inputs(
    left: dict[str, Any], right: dict[str, Any], are_shared: bool
) -> None:
    asked = [with_inputs(5, **left), with_inputs(6, **right)]
    groups = group_prompts(asked)
    assert [len(group.prompts) for group in groups] == ([2] if are_shared else [1, 1])
    done = [item for group in groups for item in group.prompts]
    for old, item in zip(asked, done, strict=True):
        assert item.token_ids == old.token_ids
        assert old.inputs is not None
        assert item.inputs is not None
        assert item.inputs["input_ids"] is old.inputs["input_ids"]
    if are_shared and "pixel_values" in left:  # held once
        assert done[1].inputs is not None
        assert done[1].inputs["pixel_values"] is left["pixel_values"]


def test_prompts_with_and_without_inputs_share_nothing() -> None:
    bare = prompt(1, 4, 4, 9, 6, media=(VIDEO,), media_end=3)
    for asked in ([with_inputs(5), bare], [bare, with_inputs(5)]):
        assert [len(group.prompts) for group in group_prompts(asked)] == [1, 1]


def sized(prefix_length: int, *questions: int) -> PromptGroup:
    """Return a group with a prefix and questions of so many tokens."""
    prompts = (prompt(*range(prefix_length + number)) for number in questions)
    return PromptGroup(tuple(prompts), prefix_length)


@pytest.mark.parametrize(
    ("groups", "paddings", "lengths"),
    [
        ([sized(5, 2)], set(), [(5, [2])]),
        ([sized(5, 2, 2)], set(), [(5, [2, 2])]),
        ([sized(5, 3, 2, 4)], {"questions"}, [(5, [4, 2])]),
        ([sized(5, 2), sized(6, 2)], {"prefixes"}, [(5, [2]), (6, [2])]),
        # Rows of equal length, of which both parts differ.
        ([sized(5, 3), sized(6, 2)], {"prefixes", "questions"}, [(5, [3]), (6, [2])]),
        ([sized(5, 2), sized(5, 2, 9), sized(5, 3)], {"questions"}, [(5, [2]), (5, [9])]),
        (
            [sized(5, 2), sized(5, 2), sized(7, 2, 2), sized(5, 3)],
            {"prefixes", "questions"},
            [(5, [2]), (7, [2]), (5, [3])],
        ),
    ],
)
def test_a_trial_pads_wherever_a_run_does(
    groups: list[PromptGroup], paddings: set[str], lengths: list[tuple[int, list[int]]]
) -> None:
    assert _paddings(groups) == paddings
    chosen = _examples(groups)
    assert _paddings(chosen) == paddings
    assert [
        (group.prefix_length, [len(item.token_ids) - group.prefix_length for item in group.prompts])
        for group in chosen
    ] == lengths
