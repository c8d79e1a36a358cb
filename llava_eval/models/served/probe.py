"""What a server makes of videos: tried before a run, with clips that nobody has to decode.

A server may keep fewer frames than it is sent, and say nothing: vLLM keeps 32 unless it is told
otherwise. Its count of the prompt's tokens shows it, for every frame costs tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from llava_eval.borders.http_client import RequestError
from llava_eval.models.http import ChatClient, RejectedError
from llava_eval.models.served.clips import MediaEncoder
from llava_eval.models.served.messages import chat_messages, generation_fields
from llava_eval.models.served.server import Dialect
from llava_eval.types import Clip, GenerationSettings, Request

#: What is asked of a probe's clip; one token of the answer is enough.
QUESTION = "Which numbers do the frames show?"

#: Numbers of frames of three clips in even steps, most of them over 32; and shorter ones for a
#: server that refuses so many openly, because its context is short or its images are limited.
LENGTHS = ((8, 24, 40), (8, 16, 24), (2, 4, 6))

#: Two steps of as many frames may differ by so much: some models write times between frames.
_TOLERANCE = 0.25

#: Height and width in pixels: models whose tokens depend on it use their fewest for so small ones.
_SIZE = 64


class FramesMissingError(Exception):
    """A server whose prompts do not grow with the frames as they should.

    Attributes:
        is_constant: they do not grow at all.
    """

    def __init__(self, lengths: Sequence[int], counts: Sequence[int]) -> None:
        frames, tokens = (", ".join(map(str, values)) for values in (lengths, counts))
        super().__init__(f"prompts with {frames} frames count {tokens} tokens")
        self.is_constant = len(set(counts)) == 1


def numbered_clip(num_frames: int) -> Clip:
    """Return a clip whose frames show their numbers, so that no two are the same.

    Args:
        num_frames: how many.
    """
    from PIL import Image, ImageDraw

    frames = np.empty((num_frames, _SIZE, _SIZE, 3), np.uint8)
    for number in range(num_frames):
        image = Image.new("RGB", (_SIZE, _SIZE), (4 * number % 256, 96, 160))
        ImageDraw.Draw(image).text((_SIZE // 3, _SIZE // 3), str(number), fill="white")
        frames[number] = np.asarray(image)
    return Clip(
        torch.from_numpy(frames).permute(0, 3, 1, 2),  # (N, 3, H, W)
        tuple(range(num_frames)),
        tuple(map(float, range(num_frames))),
        fps=1.0,
        num_source_frames=num_frames,
    )


def probe_request(encoder: MediaEncoder, num_frames: int) -> Request:
    """Return the request that shows so many numbered frames as a video.

    Args:
        encoder: of the server.
        num_frames: none is a request without a video.
    """
    shown = (encoder.encode("video", numbered_clip(num_frames)),) if num_frames else ()
    return Request("probe", (*shown, QUESTION), GenerationSettings(max_new_tokens=1))


def measure_frame_tokens(count_tokens: Callable[[int], int]) -> float:
    """Return how many tokens a prompt grows by with each frame of a video.

    Args:
        count_tokens: returns the server's count for a prompt with so many frames.

    Raises:
        FramesMissingError: the prompt does not grow evenly with the frames.
        RequestError: there is no count.
    """
    known: dict[int, int] = {}
    for lengths in LENGTHS:
        try:
            for num_frames in lengths:
                if num_frames not in known:
                    known[num_frames] = count_tokens(num_frames)
        except RejectedError:
            if lengths == LENGTHS[-1]:
                raise
            continue
        short, middle, long = (known[num_frames] for num_frames in lengths)
        per_frame = (middle - short) / (lengths[1] - lengths[0])
        is_even = abs((long - middle) - (middle - short)) <= _TOLERANCE * (middle - short)
        if per_frame <= 0 or not is_even or short < (1 - _TOLERANCE) * lengths[0] * per_frame:
            raise FramesMissingError(lengths, (short, middle, long))
        return per_frame
    raise AssertionError("the last lengths return or raise")


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
    try:
        request = probe_request(encoder, 2)
        fields = generation_fields(request, dialect)
        client.chat(checkpoint, chat_messages(request), fields).check_end()
    except RequestError as error:
        return str(error)
    finally:
        encoder.close()
    return None
