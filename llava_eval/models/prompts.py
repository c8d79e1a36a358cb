"""Token ids of a prompt, with every medium's tokens in its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llava_eval.models.conversation import Conversation, placeholder
from llava_eval.types import Request


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request's prompt.

    Attributes:
        request: what is asked.
        text: the rendered conversation, one placeholder per medium.
        token_ids: its tokens, media expanded.
        media_end: number of tokens up to and including the last medium's.
    """

    request: Request
    text: str
    token_ids: tuple[int, ...]
    media_end: int


def make_prompt(request: Request, conversation: Conversation, processor: Any) -> Prompt:
    """Render and tokenize a request.

    Media placeholders are special tokens, so a text is split at them before anything else is
    tokenized, and putting a medium's tokens in place of its placeholder gives the same ids as
    tokenizing the expanded text. A test, and a check at the start of each run, hold that to the
    processor.

    Raises:
        PromptError: the conversation cannot be rendered as asked.
    """
    text = conversation.render(request, processor)
    tokenizer = processor.tokenizer
    ids = tokenizer(text, add_special_tokens=adds_special_tokens(text, tokenizer))["input_ids"]
    placeholders = {
        tokenizer.convert_tokens_to_ids(placeholder(medium.kind, processor))
        for medium in request.media
    }
    media = iter(request.media)
    expanded: list[int] = []
    media_end = 0
    for token in ids:
        if token in placeholders:
            expanded += next(media).token_ids
            media_end = len(expanded)
        else:
            expanded.append(token)
    return Prompt(request, text, tuple(expanded), media_end)


def adds_special_tokens(text: str, tokenizer: Any) -> bool:
    """Return whether the tokenizer should write its first token: not where the text has it."""
    bos = tokenizer.bos_token
    return bos is None or not text.startswith(bos)


def common_prefix_length(sequences: Sequence[tuple[int, ...]]) -> int:
    """Return how many leading tokens all sequences share."""
    shortest, longest = min(sequences), max(sequences)
    for position, token in enumerate(shortest):
        if longest[position] != token:
            return position
    return len(shortest)
