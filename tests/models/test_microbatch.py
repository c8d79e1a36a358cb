"""Groups that share a prefix, and microbatches within limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llava_eval.models.local.microbatch import PromptGroup, group_prompts, plan_microbatches
from llava_eval.models.local.prompt import Prompt, common_prefix_length
from llava_eval.types import GenerationSettings, PreparedMedia
from tests.models.helpers import make_medium, make_request


def prompt(
    *token_ids: int, media: tuple[PreparedMedia, ...] = (), media_end: int = 0, new: int = 8
) -> Prompt:
    settings = GenerationSettings(max_new_tokens=new)
    request = make_request(*media, "text", settings=settings)
    return Prompt(request, "", token_ids, media_end)


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
    assert [[group.longest for group in batch] for batch in microbatches] == [[10, 6], [6, 5], [3]]
    microbatches = plan_microbatches(groups_of(4, 9, 5, 5, 2), max_questions=9, max_tokens=18)
    assert [[group.longest for group in batch] for batch in microbatches] == [[10], [6, 6, 5], [3]]


def test_a_group_over_the_limit_runs_alone() -> None:
    microbatches = plan_microbatches(groups_of(50, 3), max_questions=8, max_tokens=10)
    assert [len(batch) for batch in microbatches] == [1, 1]


@given(
    st.lists(st.integers(2, 30), min_size=1, max_size=20), st.integers(1, 6), st.integers(10, 90)
)
def test_microbatches_lose_nothing(lengths: list[int], max_questions: int, max_tokens: int) -> None:
    groups = groups_of(*lengths)
    microbatches = plan_microbatches(groups, max_questions=max_questions, max_tokens=max_tokens)
    assert sorted(map(id, groups)) == sorted(id(group) for batch in microbatches for group in batch)
    for batch in microbatches:
        rows = sum(len(group.prompts) for group in batch)
        longest = max(group.longest for group in batch)
        assert len(batch) == 1 or (rows <= max_questions and rows * longest <= max_tokens)


@pytest.mark.parametrize(("size", "parts"), [(1, [1]), (2, [1, 1]), (5, [3, 2])])
def test_split_group(size: int, parts: list[int]) -> None:
    group = PromptGroup(tuple(prompt(1, 2) for _ in range(size)), 1)
    assert [len(part.prompts) for part in group.halves()] == parts
