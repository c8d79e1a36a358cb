"""Likelihoods of given answers, from a server's log-probabilities of prompt tokens.

vLLM returns them for chats too: with ``prompt_logprobs`` the response has one entry per token of
the prompt, each a mapping from token id to ``{"logprob", "rank", "decoded_token"}`` with the
prompt's own token and the most likely one
(vllm/entrypoints/openai/chat_completion/protocol.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llava_eval.errors import PromptError
from llava_eval.models.chat_client import Completion, MalformedError, RejectedError
from llava_eval.models.served.messages import (
    CONTINUED,
    Messages,
    chat_messages,
    log_probability,
    prompt_fields,
)
from llava_eval.models.served.server import Dialect
from llava_eval.types import Generation, Request

#: Sends messages with further fields.
Send = Callable[[Messages, Mapping[str, Any]], Completion]


def likeliest_option(
    request: Request, dialect: Dialect, end_token: str, send: Send, *, is_first: bool = False
) -> Generation:
    """Return the most likely option, with the losses of all options.

    As for models of this process, an option's loss is the mean over its own tokens and the token
    that ends the assistant's turn. The prompt without an option is sent first; the tokens by which
    a prompt with an option is longer belong to the option. If the bare prompt ends in a space that
    became part of the option's first token, there is one more.

    Args:
        request: a request with options.
        dialect: features of the server.
        end_token: text of the token that ends the assistant's turn.
        send: sends messages to the server.
        is_first: check whether the server's template keeps a space before an option, which
            protocols with a delimiter need.

    Raises:
        RequestError: the server's response is unusable.
        PromptError: the prompt does not end in the option.
    """
    fields = {"max_tokens": 1, "temperature": 0.0, **prompt_fields(request, dialect)}
    prefill = request.assistant_prefill
    opened = CONTINUED if prefill else {}
    start = send(chat_messages(request, dialect, prefill), {**fields, **opened}).num_input_tokens
    if start is None:
        raise RejectedError("the server does not count the prompt's tokens")
    asked = {**fields, **CONTINUED, "prompt_logprobs": 1}
    losses, counts = [], []
    for number, option in enumerate(request.options):
        completion = send(chat_messages(request, dialect, prefill + option + end_token), asked)
        first, tokens = start, _own_tokens(completion.content, start)
        spelled = _spelled(tokens)
        if not _is_same(spelled, option + end_token) and start > 1:
            # The space at the prompt's end has become part of the option's first token.
            first, tokens = start - 1, _own_tokens(completion.content, start - 1)
        if not tokens or not _is_same(_spelled(tokens), option + end_token):
            raise PromptError(
                f"sample {request.id}: with option {number} {option!r} the server's prompt ends "
                f"in {spelled[-40:]!r}"
            )
        if is_first and number == 0 and option != option.lstrip():
            bare = send(
                chat_messages(request, dialect, prefill + option.lstrip() + end_token), asked
            )
            if _own_tokens(bare.content, first) == tokens:
                raise PromptError(
                    f"sample {request.id}: the server's chat template drops the space before "
                    f"option {option!r}, which the protocol scores; serve the model with a "
                    "template that does not trim the assistant's text"
                )
        losses.append(-sum(log_probability for _, log_probability in tokens) / len(tokens))
        counts.append(len(tokens))
    best = losses.index(min(losses))
    return Generation(
        text=request.options[best],
        num_input_tokens=start,
        num_output_tokens=counts[best],
        option_losses=tuple(losses),
    )


def _spelled(tokens: list[tuple[str, float]]) -> str:
    return "".join(text for text, _ in tokens)


def _is_same(text: str, other: str) -> bool:
    """Return whether two texts differ in white space at most."""
    return "".join(text.split()) == "".join(other.split())


def _own_tokens(content: Mapping[str, Any], start: int) -> list[tuple[str, float]]:
    """Return text and log-probability of the prompt's own tokens, starting at one of them."""
    listed = content.get("prompt_logprobs")
    if not isinstance(listed, list) or not listed:
        raise RejectedError("the server returned no log-probabilities of the prompt")
    try:
        # If the prompt's token is not the most likely one, both are listed: it has the larger rank.
        entries = [max(entry.values(), key=lambda token: token["rank"]) for entry in listed[start:]]
        tokens = [
            (entry["decoded_token"] or "", log_probability(entry["logprob"])) for entry in entries
        ]
        if not all(isinstance(text, str) for text, _ in tokens):
            raise ValueError("a token without a text")
        return tokens
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MalformedError(error, "") from None
