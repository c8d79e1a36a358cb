"""From a request to the messages and fields that a server is sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from llava_eval.models.served.server import Dialect
from llava_eval.types import Request, ServedMedia

#: Servers take seeds of different widths; all take 31 bits.
_SEED_BITS = 31

Messages = list[dict[str, Any]]


def chat_messages(request: Request, assistant: str = "") -> Messages:
    """Return the conversation: system text, the user's turn, and the assistant's beginning.

    Args:
        request: what is asked.
        assistant: text that the assistant's turn begins with.
    """
    messages: Messages = []
    if request.system is not None:
        messages.append({"role": "system", "content": request.system})
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
    """Return the fields that say how to generate."""
    settings = request.settings
    fields: dict[str, Any] = {
        dialect.length: settings.max_new_tokens,
        "temperature": settings.temperature,
    }
    if settings.temperature > 0:
        from llava_eval.models.sampling import sample_seed

        seed = sample_seed(settings.seed, request.id) % 2**_SEED_BITS
        fields |= {"top_p": settings.top_p, "seed": seed, **dialect.sampling}
    if settings.stop_strings and dialect.stops:
        fields["stop"] = list(settings.stop_strings)
    if request.assistant_prefill:
        fields |= continuation_fields()
    return {**fields, **media_fields(request, dialect)}


def continuation_fields() -> dict[str, Any]:
    """Return the fields that make a server go on with the assistant's message."""
    return {"add_generation_prompt": False, "continue_final_message": True}


def media_fields(request: Request, dialect: Dialect) -> dict[str, Any]:
    """Return the fields that keep a server from sampling frames that were sampled already."""
    videos = [
        medium
        for medium in request.media
        if isinstance(medium, ServedMedia)
        and medium.frame_indices
        and medium.parts[0]["type"] == "video_url"
    ]
    if not videos:
        return {}
    if dialect.video == "clip":
        # Without num_frames: the server would take 32.
        return {"chat_template_kwargs": {"num_frames": None, "do_sample_frames": False}}
    # -1: all of them. What is known of the video can only be told of one.
    known = videos[0].metadata if len(videos) == 1 else {}
    return {"media_io_kwargs": {"video": {"num_frames": -1, **known}}}


def readable(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return messages as JSON for people, every data address as its size and digest."""
    return json.dumps(_shortened(messages), ensure_ascii=False, indent=1)


def _shortened(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("data:"):
        head = value.partition(",")[0]
        digest = hashlib.sha256(value.encode()).hexdigest()[:12]
        return f"{head},({len(value)} characters, sha256 {digest})"
    if isinstance(value, Mapping):
        return {name: _shortened(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(one) for one in value]
    return value
