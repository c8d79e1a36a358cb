"""Which prompts run together: groups that share a prefix, and waves of groups.

All questions about one video begin with the same tokens: the system text and the video. Such a
group's prefix is computed once. Several groups run together in a wave, as many as the token
budget allows, the longest first, so that a wave that does not fit into memory shows early.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from llava_eval.models.local.prompt import Prompt, common_prefix_length


@dataclass(frozen=True, slots=True)
class PromptGroup:
    """Prompts with the same media and a shared prefix.

    Attributes:
        prompts: at least one.
        prefix_length: leading tokens that all share; holds all media, and leaves each prompt at
            least one token of its own.
    """

    prompts: tuple[Prompt, ...]
    prefix_length: int

    @property
    def longest(self) -> int:
        """Tokens of the longest prompt, and of what it may generate."""
        return max(map(num_tokens, self.prompts))


def num_tokens(prompt: Prompt) -> int:
    """Return how many tokens a prompt may grow to."""
    new = prompt.request.settings.max_new_tokens if prompt.option is None else 0
    return len(prompt.token_ids) + new


def group_prompts(prompts: Sequence[Prompt]) -> list[PromptGroup]:
    """Group prompts that show the same media; those that share no useful prefix stand alone."""
    members: dict[Hashable, list[Prompt]] = {}
    for prompt in prompts:
        media = tuple(id(medium) for medium in prompt.request.prepared_media)
        members.setdefault((media or id(prompt.request), _kind(prompt)), []).append(prompt)
    return [group for alike in members.values() for group in _groups_of(tuple(alike))]


def _groups_of(alike: tuple[Prompt, ...]) -> list[PromptGroup]:
    shared = common_prefix_length([prompt.token_ids for prompt in alike])
    length = min(shared, *(prompt.shareable for prompt in alike))
    if length >= max(prompt.media_end for prompt in alike):
        return [PromptGroup(alike, length)]
    # Questions come before the media, or differ in them: nothing worth keeping is shared.
    return [alone(prompt) for prompt in alike]


def alone(prompt: Prompt) -> PromptGroup:
    """Return a group of one prompt."""
    return PromptGroup((prompt,), prompt.shareable)


def _kind(prompt: Prompt) -> Hashable:
    """Return what prompts of one wave must have in common."""
    return prompt.request.settings, prompt.option is None


def plan_waves(
    groups: Sequence[PromptGroup], *, max_questions: int, max_tokens: int
) -> list[list[PromptGroup]]:
    """Pack groups into waves.

    Args:
        groups: the groups; those of one wave are asked in the same way.
        max_questions: most prompts in a wave.
        max_tokens: most tokens in a wave, padding and new tokens included.

    Returns:
        Waves of groups, the longest first. A group that is over a limit alone has its own wave.
    """
    waves: list[list[PromptGroup]] = []
    by_kind: dict[Hashable, list[PromptGroup]] = {}
    for group in groups:
        by_kind.setdefault(_kind(group.prompts[0]), []).append(group)
    for alike in by_kind.values():
        wave: list[PromptGroup] = []
        for group in sorted(alike, key=lambda group: -group.longest):
            rows = sum(len(member.prompts) for member in [*wave, group])
            longest = max(member.longest for member in [*wave, group])
            if wave and (rows > max_questions or rows * longest > max_tokens):
                waves.append(wave)
                wave = []
            wave.append(group)
        if wave:
            waves.append(wave)
    return waves


def split_group(group: PromptGroup) -> list[PromptGroup]:
    """Return the group in two halves, or alone where it has one prompt."""
    half = (len(group.prompts) + 1) // 2
    parts = (group.prompts[:half], group.prompts[half:])
    return [PromptGroup(part, group.prefix_length) for part in parts if part]
