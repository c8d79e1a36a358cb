"""From a server's response to a generation."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from llava_eval.endpoint import RequestError
from llava_eval.endpoint.client import count_or_none
from llava_eval.types import Generation, GenerationSettings, StopReason


@dataclass(frozen=True, slots=True)
class Completion:
    """A response that is what the protocol says.

    Attributes:
        content: all of it.
        text: what the model wrote.
        finish_reason: why it ended, as the server says; None where it does not.
        matched_stop: the stop string that ended it, where the server tells.
        num_input_tokens, num_output_tokens: as the server counted them.
        model: the model that the server says has answered.
    """

    content: dict[str, Any]
    text: str
    finish_reason: str | None
    matched_stop: str | None
    num_input_tokens: int | None
    num_output_tokens: int | None
    model: str


def read_completion(body: str) -> Completion:
    """Read a response's body.

    Raises:
        RequestError: it is no chat completion, or one that was broken off or held back.
    """
    try:
        content = json.loads(body)
        choice = content["choices"][0]
        text = choice["message"]["content"]
        finish_reason = choice.get("finish_reason")
        usage = content.get("usage") or {}
        counts = [count_or_none(usage, f"{name}_tokens") for name in ("prompt", "completion")]
        # vLLM names the stop string in stop_reason, SGLang in matched_stop; both also numbers.
        stops = [choice.get(name) for name in ("stop_reason", "matched_stop")]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise RequestError.malformed(error, body) from None
    if finish_reason not in ("stop", "length", None):
        raise RequestError(f"the server ended the reply for {finish_reason!r}")
    if text is None:
        text = ""  # nothing but an end token
    if not isinstance(text, str):
        raise RequestError.malformed(f"the reply is a {type(text).__name__}", body)
    text = text.encode("utf-8", "replace").decode("utf-8")  # JSON can hold halves of characters
    matched = next((stop for stop in stops if isinstance(stop, str)), None)
    name = str(content.get("model") or "unnamed")
    return Completion(content, text, finish_reason, matched, counts[0], counts[1], name)


def to_generation(completion: Completion, settings: GenerationSettings) -> Generation:
    """Return a response as the model's text, up to the first stop string.

    Some servers leave the stop string in the text, others cut the text before it; those that cut
    without saying why give the reason "eos".
    """
    text = completion.text
    reason: StopReason | None = None
    if completion.finish_reason is not None:
        reason = "length" if completion.finish_reason == "length" else "eos"
    if completion.matched_stop in settings.stop_strings:
        reason = "stop_string"
    cuts = [text.find(stop) for stop in settings.stop_strings if stop in text]
    if cuts:
        text, reason = text[: min(cuts)], "stop_string"
    return Generation(
        text=text,
        num_input_tokens=completion.num_input_tokens,
        num_output_tokens=completion.num_output_tokens,
        stop_reason=reason,
    )
