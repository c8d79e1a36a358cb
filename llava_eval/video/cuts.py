"""Which frames lie in a part of a video."""

from __future__ import annotations

from dataclasses import replace

from llava_eval.errors import MediaError
from llava_eval.types import VideoInfo


def cut(
    info: VideoInfo,
    start_seconds: float | None,
    end_seconds: float | None,
    *,
    first_number: int = 0,
) -> VideoInfo:
    """The cut of a whole video between two times; None is open-ended.

    It holds the frames numbered ``round(start_seconds * fps)`` to ``round(end_seconds * fps)``,
    both included, as far as the video has them: the rule of the official MVBench code.
    ``first_number`` is the number that the first frame has in this count (frame images in a
    folder are often numbered from 1).
    """
    if start_seconds is None and end_seconds is None:
        return info
    if info.fps <= 0:
        raise MediaError(f"{info.path}: a cut needs a frame rate, and the file states none")
    first, last = 0, info.num_frames - 1
    if start_seconds is not None:
        first = max(first, round(start_seconds * info.fps) - first_number)
    if end_seconds is not None:
        last = min(last, round(end_seconds * info.fps) - first_number)
    if first > last:
        raise MediaError(
            f"{info.path}: no frame lies between {start_seconds} s and {end_seconds} s; the video "
            f"has {info.num_frames} frames at {info.fps:g} fps"
        )
    num_frames = last - first + 1
    return replace(
        info, num_frames=num_frames, first_frame_index=first, seconds=num_frames / info.fps
    )
