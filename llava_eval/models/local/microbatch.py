"""Decides which prompts run together: groups with a shared prefix, and microbatches of groups.

All questions about one video begin with the same tokens: the system text and the video. The prefix
of such a group is computed once. Several groups run together in a microbatch, as many as the token
budget allows. The longest run first, so that running out of memory happens early.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from llava_eval.models.local.prompt import Prompt, common_prefix_length


@dataclass(frozen=True)
class PromptGroup:
    """Prompts with the same media and a shared prefix.

    Attributes:
        prompts: at least one prompt.
        prefix_length: number of leading tokens that all share; they include all media, and leave
            each prompt at least one token of its own. 0 if nothing can be shared.
    """

    prompts: tuple[Prompt, ...]
    prefix_length: int

    @property
    def max_num_tokens(self) -> int:
        """Number of tokens of the longest prompt, including those that it may generate."""
        return max(prompt.max_num_tokens for prompt in self.prompts)

    def halves(self) -> list[PromptGroup]:
        """Return the group split into two halves, or the group itself if it has one prompt."""
        half = (len(self.prompts) + 1) // 2
        parts = (self.prompts[:half], self.prompts[half:])
        return [PromptGroup(part, self.prefix_length) for part in parts if part]


def group_prompts(prompts: Sequence[Prompt]) -> list[PromptGroup]:
    """Group prompts with the same media; prompts without a useful prefix get their own group."""
    members: dict[Hashable, list[Prompt]] = {}
    for prompt in prompts:
        media = tuple(id(medium) for medium in prompt.request.prepared_media)
        members.setdefault((media or id(prompt.request), prompt.kind), []).append(prompt)
    groups: list[PromptGroup] = []
    for alike in members.values():
        shared = common_prefix_length([prompt.token_ids for prompt in alike])
        length = min(shared, *(prompt.num_shareable_tokens for prompt in alike))
        has_media = length >= max(prompt.media_end for prompt in alike)
        if has_media and _inputs_agree(alike, length):
            kept = tuple(_with_inputs_of(alike[0], prompt) for prompt in alike)
            groups.append(PromptGroup(kept, length))
        else:  # questions come before the media, or inputs differ: nothing useful is shared
            groups += map(group_of_one, alike)
    return groups


def _inputs_agree(alike: Sequence[Prompt], length: int) -> bool:
    """Return whether prompts have the same inputs besides tokens for a prefix of this length.

    InstructBLIP's image features, for instance, depend on the question.
    """
    first, *others = (prompt.inputs for prompt in alike)
    if first is None:
        return all(inputs is None for inputs in others)
    aligned = aligned_inputs(first)
    for inputs in others:
        if inputs is None or inputs.keys() != first.keys():
            return False
        for name in first:
            left, right = first[name], inputs[name]
            if name in aligned:
                left, right = left[:, :length], right[:, :length]
            if not _equal(left, right):
                return False
    return True


def _with_inputs_of(first: Prompt, prompt: Prompt) -> Prompt:
    """Return a prompt that shares the first one's equal pixel inputs, to save memory."""
    if first.inputs is None or prompt.inputs is None or prompt is first:
        return prompt
    own = {name: prompt.inputs[name] for name in aligned_inputs(prompt.inputs)}
    return replace(prompt, inputs={**first.inputs, **own})


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor) and isinstance(right, torch.Tensor):
        return left is right or torch.equal(left, right)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(_equal, left, right))
    return bool(left == right)


def aligned_inputs(inputs: Mapping[str, Any]) -> list[str]:
    """Return the names of inputs with one entry for each token: tensors of shape (1, T, ...)."""
    length = inputs["input_ids"].shape[1]  # T
    return [
        name
        for name, value in inputs.items()
        if isinstance(value, torch.Tensor)
        and tuple(value.shape[:2]) == (1, length)
        and not name.startswith("pixel")
    ]


def group_of_one(prompt: Prompt) -> PromptGroup:
    """Return a group of one prompt; it has no prefix if media come after the shareable tokens."""
    length = prompt.num_shareable_tokens
    return PromptGroup((prompt,), length if length >= prompt.media_end else 0)


def plan_microbatches(
    groups: Sequence[PromptGroup], *, max_questions: int, max_tokens: int
) -> list[list[PromptGroup]]:
    """Pack groups into microbatches.

    Args:
        groups: the groups; a microbatch contains only groups of the same kind.
        max_questions: maximum number of prompts in a microbatch.
        max_tokens: maximum number of tokens in a microbatch, including padding and new tokens.

    Returns:
        Microbatches, the longest first. A group that exceeds a limit by itself gets its own.
    """
    planned: list[list[PromptGroup]] = []
    by_kind: dict[Hashable, list[PromptGroup]] = {}
    for group in groups:
        by_kind.setdefault(group.prompts[0].kind, []).append(group)
    for alike in by_kind.values():
        current: list[PromptGroup] = []
        for group in sorted(alike, key=lambda group: -group.max_num_tokens):
            together = [*current, group]
            rows = sum(len(member.prompts) for member in together)
            longest = max(member.max_num_tokens for member in together)
            is_too_large = rows > max_questions or rows * longest > max_tokens
            if current and is_too_large:
                planned.append(current)
                current = []
            current.append(group)
        if current:
            planned.append(current)
    return planned
