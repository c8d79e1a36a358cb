"""Token ids of a prompt, with every medium's tokens in its place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from llava_eval.errors import PromptError
from llava_eval.models.local.conversation import Conversation, placeholder
from llava_eval.types import Request


@dataclass(frozen=True, slots=True)
class Prompt:
    """A request's prompt.

    Attributes:
        request: what is asked.
        text: the rendered conversation, one placeholder per medium.
        token_ids: its tokens, media expanded; with an option, the option's too.
        media_end: number of tokens up to and including the last medium's.
        option: number of the request's option whose likelihood is asked for; None to generate.
        option_start: number of tokens before the option's.
    """

    request: Request
    text: str
    token_ids: tuple[int, ...]
    media_end: int
    option: int | None = None
    option_start: int = 0

    @property
    def shareable(self) -> int:
        """Leading tokens that may be computed once for several prompts.

        The last token before what is asked for must be a prompt's own: its logits are needed.
        """
        return (len(self.token_ids) if self.option is None else self.option_start) - 1


def make_prompts(request: Request, conversation: Conversation, processor: Any) -> list[Prompt]:
    """Return the prompt of a request, or one for each option whose likelihood is asked for.

    Raises:
        PromptError: the conversation cannot be rendered as asked, or an option has no tokens.
    """
    text = conversation.render(request, processor)
    asked = _tokenized(request, text, processor)
    if not request.options:
        return [asked]
    prompts = []
    for number, option in enumerate(request.options):
        is_blank = not option.strip()
        reply = "" if is_blank else conversation.continuation(text, request, option, processor)
        whole = _tokenized(request, text + reply, processor)
        start = len(asked.token_ids)
        if len(whole.token_ids) <= start:
            raise PromptError(f"sample {request.id}: option {number} {option!r} has no tokens")
        prompts.append(replace(whole, option=number, option_start=start))
    return prompts


def _tokenized(request: Request, text: str, processor: Any) -> Prompt:
    """Tokenize a rendered conversation.

    Media placeholders are special tokens, so a text is split at them before anything else is
    tokenized, and putting a medium's tokens in place of its placeholder gives the same ids as
    tokenizing the expanded text. A test, and a check at the start of each run, hold that to the
    processor.
    """
    tokenizer = processor.tokenizer
    ids = tokenizer(text, add_special_tokens=adds_special_tokens(text, tokenizer))["input_ids"]
    placeholders = {
        tokenizer.convert_tokens_to_ids(placeholder(medium.kind, processor))
        for medium in request.prepared_media
    }
    media = iter(request.prepared_media)
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
