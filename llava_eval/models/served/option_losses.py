"""Likelihoods of given answers, from the log-probabilities that a server returns of a prompt.

vLLM returns them for chats too: with ``prompt_logprobs`` the response has one entry per token of
the prompt, each a mapping from token id to ``{"logprob", "rank", "decoded_token"}`` with the
prompt's own token and the likeliest (vllm/entrypoints/openai/chat_completion/protocol.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from llava_eval.errors import PromptError
from llava_eval.models.http import Completion, RequestError
from llava_eval.models.served.messages import (
    Messages,
    chat_messages,
    continuation_fields,
    media_fields,
)
from llava_eval.models.served.server import Dialect
from llava_eval.types import Generation, Request

#: Sends messages with further fields.
Send = Callable[[Messages, Mapping[str, Any]], Completion]


def likeliest_option(request: Request, dialect: Dialect, end_token: str, send: Send) -> Generation:
    """Return the option that the model finds likeliest, with the losses of all.

    As for models of this process, an option's loss is the mean over its own tokens and the one
    that ends the assistant's turn. The prompt without an option is asked for first; what it is
    shorter by are the option's tokens.

    Args:
        request: with options.
        dialect: of the server.
        end_token: text of the token that ends the assistant's turn.
        send: asks the server.

    Raises:
        RequestError: the server did not answer as it should.
        PromptError: the prompt does not end in the option.
    """
    fields: dict[str, Any] = {
        dialect.length: 1,
        "temperature": 0.0,
        **media_fields(request, dialect),
    }
    prefill = request.assistant_prefill
    opened = continuation_fields() if prefill else {}
    start = send(chat_messages(request, prefill), {**fields, **opened}).num_input_tokens
    if start is None:
        raise RequestError("the server does not count the prompt's tokens")
    asked = {**fields, **continuation_fields(), "prompt_logprobs": 1}
    losses, counts = [], []
    for number, option in enumerate(request.options):
        completion = send(chat_messages(request, prefill + option + end_token), asked)
        tokens = _own_tokens(completion.content)[start:]
        spelled = "".join(str(token.get("decoded_token") or "") for token in tokens)
        if not tokens or "".join(spelled.split()) != "".join((option + end_token).split()):
            raise PromptError(
                f"sample {request.id}: with option {number} {option!r} the server's prompt ends "
                f"in {spelled[-40:]!r}"
            )
        losses.append(-sum(float(token["logprob"]) for token in tokens) / len(tokens))
        counts.append(len(tokens))
    best = losses.index(min(losses))
    return Generation(
        text=request.options[best],
        num_input_tokens=start,
        num_output_tokens=counts[best],
        option_losses=tuple(losses),
    )


def _own_tokens(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the entries of the prompt's own tokens; the first token has no probability."""
    listed = content.get("prompt_logprobs")
    if not isinstance(listed, list) or not listed:
        raise RequestError("the server returned no log-probabilities of the prompt")
    try:
        # Where the prompt's token is not the likeliest, both are there: its rank is the larger.
        return [
            {} if entry is None else max(entry.values(), key=lambda one: one["rank"])
            for entry in listed
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RequestError.malformed(error, str(listed)[:400]) from None
