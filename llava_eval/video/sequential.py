"""The plain decode: every frame from the start, counted as it is shown.

This is the definition that everything else in the package has to equal bit for bit: PyAV's
``container.decode(video=0)`` with its default decoder settings, frames numbered from 0 in the
order they come out, converted with ``to_ndarray(format="rgb24")``. Rotation metadata is not
applied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llava_eval.errors import MediaError
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
