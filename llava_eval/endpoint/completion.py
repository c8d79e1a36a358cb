"""What the body of a chat completion says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llava_eval.endpoint.client import RequestError


@dataclass(frozen=True, slots=True)
class Completion:
    """A response that is what the protocol says.

    Attributes:
        content: all of it.
        choice: its first choice.
        text: what the model wrote; nothing where the endpoint says null: a refusal, a filter, or
            an end token alone.
        finish_reason: why it ended, as the endpoint says: a text, or None where it does not.
        model: the model that the endpoint says has answered.
        num_input_tokens, num_output_tokens: as the endpoint counted them; None where it did not.
    """

    content: Mapping[str, Any]
    choice: Mapping[str, Any]
    text: str
    finish_reason: Any
    model: str
    num_input_tokens: int | None
    num_output_tokens: int | None


def read_completion(body: str) -> Completion:
    """Read a response's body.

    Raises:
        RequestError: it is no chat completion.
    """
    try:
        content = json.loads(body)
        choice = content["choices"][0]
        text = choice["message"]["content"]
        usage = content.get("usage") or {}
        if text is None:
            text = ""
        if not isinstance(text, str):
            raise TypeError(f"the reply is a {type(text).__name__}")
        return Completion(
            content=content,
            choice=choice,
            text=text.encode("utf-8", "replace").decode("utf-8"),  # JSON can hold half characters
            finish_reason=choice.get("finish_reason"),
            model=str(content.get("model") or "unnamed"),
            num_input_tokens=_count_or_none(usage.get("prompt_tokens")),
            num_output_tokens=_count_or_none(usage.get("completion_tokens")),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise RequestError.malformed(error, body) from None


def _count_or_none(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
