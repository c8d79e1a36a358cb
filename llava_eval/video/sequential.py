"""The plain decode: every frame from the start, counted as it is shown.

This is the definition that everything else in the package has to equal bit for bit: PyAV's
``container.decode(video=0)`` with its default decoder settings, frames numbered from 0 in the
order they come out, converted with ``to_ndarray(format="rgb24")``. Rotation metadata is not
applied.


Which frames lie in a part of a video.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from llava_eval.errors import MediaError
from llava_eval.types import VideoInfo
from llava_eval.video.container import LIBAV_ERRORS, average_fps, open_video, reason
from llava_eval.video.deadline import check_deadline

if TYPE_CHECKING:
    from llava_eval.video.collector import FrameCollector


@dataclass(frozen=True, slots=True)
class SequentialResult:
    """What a plain decode met.

    Attributes:
        num_frames: frames shown before it stopped.
        error: why it stopped before the end of the file, None if it did not.
        width, height, rotation: of the first frame.
        seconds: time from the first frame to the end of the last, by their timestamps.
    """

    num_frames: int
    error: str | None
    width: int
    height: int
    rotation: int
    seconds: float


def decode_sequentially(
    path: str, collector: FrameCollector | None, *, to_the_end: bool = False
) -> SequentialResult:
    """Decode from the first frame until the collector has its frames, or to the end of the file.

    Without a collector it is always to the end.
    """
    num_frames, width, height, rotation = 0, 0, 0, 0
    first_time: float | None = None
    last_time = 0.0
    error: str | None = None
    with open_video(path) as (container, stream):
        step = 1.0 / fps if (fps := average_fps(stream)) > 0 else 0.0
        try:
            for index, frame in enumerate(container.decode(stream)):
                check_deadline(path)
                pts = frame.pts if frame.pts is not None else frame.dts
                if pts is not None and stream.time_base is not None:
                    last_time = float(pts * stream.time_base)
                else:
                    last_time = index * step
                if first_time is None:
                    first_time, rotation = last_time, frame.rotation % 360
                    width, height = frame.width, frame.height
                num_frames = index + 1
                if collector is not None:
                    collector.add(index, frame, last_time)
                    if not collector.missing and not to_the_end:
                        break
        except LIBAV_ERRORS as failure:
            error = f"decoding stops after frame {num_frames - 1}: {reason(failure)}"
    if num_frames == 0:
        raise MediaError(f"{path}: no frame can be decoded ({error or 'the stream has none'})")
    seconds = last_time - (first_time or 0.0) + step
    return SequentialResult(num_frames, error, width, height, rotation, seconds)


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
