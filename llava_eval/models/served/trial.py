"""Whether a server can be shown videos as files: tried once, with a clip of two grey frames."""

from __future__ import annotations

import torch

from llava_eval.models.http import Client, RequestError, read_completion
from llava_eval.models.served.encoding import MediaEncoder
from llava_eval.models.served.messages import chat_messages, check_end, generation_fields
from llava_eval.models.served.plan import ServedPlan
from llava_eval.types import Clip, GenerationSettings, Request

_SIZE = 64


def why_no_clips(plan: ServedPlan, client: Client) -> str | None:
    """Return why the server cannot be shown videos as files; None where it can.

    Args:
        plan: a plan that shows them so.
        client: of the server.
    """
    frames = torch.full((2, 3, _SIZE, _SIZE), 128, dtype=torch.uint8)
    encoder, dialect = MediaEncoder(plan), plan.server.dialect
    try:
        shown = encoder.encode("video", Clip(frames, (0, 1), (0.0, 1.0), fps=1.0))
        request = Request("trial", (shown, "?"), GenerationSettings(max_new_tokens=1))
        body = client.chat(
            plan.settings.model, chat_messages(request), generation_fields(request, dialect)
        )
        check_end(read_completion(body))
    except RequestError as error:
        return str(error)
    finally:
        encoder.close()
    return None
