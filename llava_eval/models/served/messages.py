"""Converts requests to a server's messages and fields, and its replies to generations."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from llava_eval.errors import without_secrets
from llava_eval.models.chat_client import Completion, MalformedError
from llava_eval.models.served.server import Dialect
from llava_eval.types import Generation, GenerationSettings, Request, ServedMedia, StopReason

#: Servers accept seeds of different widths; all accept 31 bits.
_SEED_BITS = 31
#: Number of most likely tokens requested; OpenAI and vLLM return no more.
_NUM_LOGPROBS = 20
#: Servers write minus infinity as -9999 or as the smallest 32-bit float.
_LEAST_LOGPROB = -1e39
#: A log-probability of 0 may be rounded to slightly above 0.
_ROUNDING = 0.01
#: Fields that make a server continue the assistant's message.
CONTINUED = {"add_generation_prompt": False, "continue_final_message": True}

Messages = list[dict[str, Any]]


def chat_messages(request: Request, dialect: Dialect, assistant: str = "") -> Messages:
    """Return the conversation: system text, user's turn, and the beginning of the assistant's.

    Args:
        request: the request.
        dialect: features of the server.
        assistant: text with which the assistant's turn begins.
    """
    messages: Messages = []
    if request.system is not None:
        parts = [{"type": "text", "text": request.system}]
        content_of_system = parts if dialect.system_in_parts else request.system
        messages.append({"role": "system", "content": content_of_system})
    content: list[Mapping[str, Any]] = []
    for piece in request.content:
        if isinstance(piece, str):
            content.append({"type": "text", "text": piece})
        else:
            assert isinstance(piece, ServedMedia)
            content += piece.parts
    messages.append({"role": "user", "content": content})
    if assistant:
        messages.append({"role": "assistant", "content": assistant})
    return messages


def generation_fields(request: Request, dialect: Dialect) -> dict[str, Any]:
    """Return the fields with the generation settings.

    Args:
        request: the request.
        dialect: features of the server.
    """
    settings = request.settings
    fields: dict[str, Any] = {
        "max_tokens": settings.max_new_tokens,
        "temperature": settings.temperature,
    }
    if settings.temperature > 0:
        from llava_eval.models.local.decoding import sample_seed

        seed = sample_seed(settings.seed, request.id) % 2**_SEED_BITS
        fields |= {"top_p": settings.top_p, "seed": seed, **dialect.sampling}
    if request.letters:
        fields |= {"logprobs": True, "top_logprobs": _NUM_LOGPROBS}
    if settings.stop_strings and dialect.stops:
        fields["stop"] = list(settings.stop_strings)
    if request.assistant_prefill:
        fields |= CONTINUED
    return {**fields, **prompt_fields(request, dialect)}


def prompt_fields(request: Request, dialect: Dialect) -> dict[str, Any]:
    """Return the fields that make the server's prompt equal to that of transformers.

    They request the token that begins the prompt, and keep a server from sampling the frames again.

    Args:
        request: the request.
        dialect: features of the server.
    """
    videos = [
        medium
        for medium in request.media
        if isinstance(medium, ServedMedia)
        and medium.frame_indices
        and medium.parts[0]["type"] == "video_url"
    ]
    fields: dict[str, Any] = {"add_special_tokens": True} if dialect.asks_special_tokens else {}
    if not videos:
        return fields
    if dialect.video == "clip":
        # num_frames must be null, or the server would take 32.
        kept = {"num_frames": None, "do_sample_frames": False}
        return {**fields, "chat_template_kwargs": kept}
    # -1 means all frames. A request can carry the metadata of only one video.
    known = videos[0].metadata if len(videos) == 1 else {}
    return {**fields, "media_io_kwargs": {"video": {"num_frames": -1, **known}}}


def readable(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return messages as readable JSON, with size and digest instead of data, without secrets.

    Args:
        messages: the messages as sent.
    """
    return json.dumps(_shortened(messages), ensure_ascii=False, indent=1)


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("data:"):
        head = value.partition(",")[0]
        digest = hashlib.sha256(value.encode()).hexdigest()[:12]
        return f"{head},({len(value)} characters, sha256 {digest})"
    if isinstance(value, Mapping):
        shown = {name: _shortened(item) for name, item in value.items()}
        return {**shown, "url": without_secrets(shown["url"])} if "url" in shown else shown
    if isinstance(value, list | tuple):
        return [_shortened(item) for item in value]
    return value


def log_probability(value: object) -> float:
    """Return a log-probability from a server's reply.

    Args:
        value: value in the reply's JSON.

    Raises:
        ValueError: it cannot be a log-probability.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not _LEAST_LOGPROB < value <= _ROUNDING:  # type: ignore[operator]
        raise ValueError(f"{value!r:.40} is no log-probability")
    return min(0.0, float(value))  # type: ignore[arg-type]


def choice_logprobs(completion: Completion, letters: Sequence[str]) -> tuple[float, ...] | None:
    """Return the log-probabilities of letters as the first new token.

    Servers list only the most likely tokens. A letter that is not among them gets the value of the
    last one, which is an upper bound.

    Args:
        completion: the server's reply.
        letters: letters of the options.

    Returns:
        The log-probabilities in nats; None if the server lists none of the letters, or lists the
        tokens of reasoning before the text.

    Raises:
        MalformedError: the list does not follow the protocol.
    """
    try:
        listed = ((completion.choice.get("logprobs") or {}).get("content") or [{}])[0]
        tokens = [
            (str(one["token"]).strip(), log_probability(max(one["logprob"], -1e4)))
            for one in listed.get("top_logprobs") or []
        ]
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise MalformedError(error, "") from None
    if completion.has_reasoning or not any(text in letters for text, _ in tokens):
        return None
    least = min(value for _, value in tokens)
    return tuple(
        round(max((value for text, value in tokens if text == letter), default=least), 3)
        for letter in letters
    )


def to_generation(completion: Completion, settings: GenerationSettings) -> Generation:
    """Return the generation of a response, with its text up to the first stop string.

    Some servers leave the stop string in the text, others cut the text before it. If a server cuts
    without saying so, the stop reason is "eos".

    Args:
        completion: the server's reply.
        settings: settings with the stop strings.
    """
    text = completion.text
    reason: StopReason | None = None
    if completion.finish_reason is not None:
        reason = "length" if completion.finish_reason == "length" else "eos"
    # vLLM names the stop string in stop_reason, SGLang in matched_stop; both may be token ids too.
    matched = [completion.choice.get(name) for name in ("stop_reason", "matched_stop")]
    if any(stop in matched for stop in settings.stop_strings):
        reason = "stop_string"
    cuts = [text.find(stop) for stop in settings.stop_strings if stop in text]
    if cuts:
        text, reason = text[: min(cuts)], "stop_string"
    return Generation(
        text=text,
        num_input_tokens=completion.num_input_tokens,
        num_output_tokens=completion.num_output_tokens,
        stop_reason=reason,
        has_reasoning_apart=completion.has_reasoning or None,
    )
