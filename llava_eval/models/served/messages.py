"""What a server is sent for a request, and the generation that its reply becomes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from llava_eval.errors import without_secrets
from llava_eval.models.chat_client import Completion, MalformedError
from llava_eval.models.served.server import Dialect
from llava_eval.types import Generation, GenerationSettings, Request, ServedMedia, StopReason

#: Servers take seeds of different widths; all take 31 bits.
_SEED_BITS = 31
#: Likeliest tokens that are asked for; OpenAI and vLLM give no more.
_NUM_LOGPROBS = 20
#: Servers stand for an infinite one by -9999 or by the least number of 32 bits.
_LEAST_LOGPROB = -1e39
#: A probability of 1 may be rounded to a little more.
_ROUNDING = 0.01
#: Fields that make a server go on with the assistant's message.
CONTINUED = {"add_generation_prompt": False, "continue_final_message": True}

Messages = list[dict[str, Any]]


def chat_messages(request: Request, dialect: Dialect, assistant: str = "") -> Messages:
    """Return the conversation: system text, the user's turn, and the assistant's beginning.

    Args:
        request: what is asked.
        dialect: of the server.
        assistant: text that the assistant's turn begins with.
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
    """Return the fields that say how to generate.

    Args:
        request: what is asked.
        dialect: of the server.
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
    """Return the fields that make a prompt what transformers makes of a request.

    They ask for the token that begins it, and keep a server from sampling frames that were sampled
    already.

    Args:
        request: what is asked.
        dialect: of the server.
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
        # Without num_frames: the server would take 32.
        kept = {"num_frames": None, "do_sample_frames": False}
        return {**fields, "chat_template_kwargs": kept}
    # -1: all of them. A request has room for what is known of one video alone.
    known = videos[0].metadata if len(videos) == 1 else {}
    return {**fields, "media_io_kwargs": {"video": {"num_frames": -1, **known}}}


def readable(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return messages as JSON for people: of a data address its size and digest, no secrets.

    Args:
        messages: as they are sent.
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
    """Return what a server lists as a log-probability.

    Args:
        value: of the reply's JSON.

    Raises:
        ValueError: it is none.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not _LEAST_LOGPROB < value <= _ROUNDING:  # type: ignore[operator]
        raise ValueError(f"{value!r:.40} is no log-probability")
    return min(0.0, float(value))  # type: ignore[arg-type]


def choice_logprobs(completion: Completion, letters: Sequence[str]) -> tuple[float, ...] | None:
    """Return the log-probabilities of letters as the first new token.

    Servers list the likeliest tokens only. A letter that is not among them counts as the last of
    them, than which it is no likelier.

    Args:
        completion: the server's reply.
        letters: of the options.

    Returns:
        None where the server lists none of them, or lists the tokens of reasoning before the text.

    Raises:
        MalformedError: what it lists is not what the protocol says.
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
    """Return a response as the model's text, up to the first stop string.

    Some servers leave the stop string in the text, others cut the text before it; those that cut
    without saying why give the reason "eos".

    Args:
        completion: the server's reply.
        settings: with the stop strings.
    """
    text = completion.text
    reason: StopReason | None = None
    if completion.finish_reason is not None:
        reason = "length" if completion.finish_reason == "length" else "eos"
    # vLLM names the stop string in stop_reason, SGLang in matched_stop; both also token numbers.
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
