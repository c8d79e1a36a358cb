"""What a server makes of videos: tried before a run, with clips that nobody has to decode."""

from __future__ import annotations

import torch

from llava_eval.borders.http import RequestError
from llava_eval.models.http import ChatClient
from llava_eval.models.served.clips import MediaEncoder
from llava_eval.models.served.messages import chat_messages, generation_fields
from llava_eval.models.served.server import Dialect
from llava_eval.types import Clip, GenerationSettings, Request

_SIZE = 64


def why_no_clips(
    checkpoint: str, encoder: MediaEncoder, dialect: Dialect, client: ChatClient
) -> str | None:
    """Return why the server cannot be shown videos as files; None where it can.

    Args:
        checkpoint: name that the server knows the model by.
        encoder: writes videos as files; closed here.
        dialect: of the server.
        client: of the server.
    """
    frames = torch.full((2, 3, _SIZE, _SIZE), 128, dtype=torch.uint8)
    try:
        shown = encoder.encode("video", Clip(frames, (0, 1), (0.0, 1.0), fps=1.0))
        request = Request("trial", (shown, "?"), GenerationSettings(max_new_tokens=1))
        fields = generation_fields(request, dialect)
        client.chat(checkpoint, chat_messages(request), fields).check_end()
    except RequestError as error:
        return str(error)
    finally:
        encoder.close()
    return None
