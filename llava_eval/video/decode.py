"""Describe a video, and decode exactly the requested frames.

The plain decode is the definition that every other way has to equal bit for bit: PyAV's
``container.decode(video=0)`` with its default decoder settings, frames numbered from 0 in the
order they come out, converted with ``to_ndarray(format="rgb24")``. Rotation metadata is not
applied. :mod:`llava_eval.video.fast` finds the same frames without decoding all others; if it
cannot be sure of that, it says why, and the plain decode is run.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import av.logging

from llava_eval.errors import MediaError
from llava_eval.types import Clip, MediaProblem, VideoInfo, distinct_problems
from llava_eval.video import fast
from llava_eval.video.collector import FrameCollector
from llava_eval.video.container import (
    HARMLESS_AT_START,
    LIBAV_ERRORS,
    Message,
    average_fps,
    duration_seconds,
    libav_messages,
    media_errors,
    open_video,
    reason,
    require_file,
    sign_of_damage,
    without_start,
)
from llava_eval.video.deadline import check_deadline, time_limit
from llava_eval.video.truncation import shortfall, truncation

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_log = logging.getLogger(__name__)


def probe(
    path: str | os.PathLike[str],
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
) -> VideoInfo:
    """Describe a video, or the part of it between two times (see :func:`cut`).

    Args:
        path: the video file.
        start_seconds: start of the part; None starts with the first frame.
        end_seconds: end of the part; None ends with the last frame.

    Returns:
        The facts that a sampler needs. ``num_frames`` is the number of frames that a plain decode
        from the start shows, which many containers state wrongly.

    Raises:
        MediaError: the file is missing or cannot be decoded, or the part begins after its end.
    """
    path = os.fspath(path)
    with media_errors(path):
        require_file(path)
        info, why_not, problems = fast.describe(path)
        if info is None:
            info, _ = _decode_plainly(path, None, to_the_end=True, problems=problems)
            fast.remember(info, why_not)
        return cut(info, start_seconds, end_seconds)


def decode_frames(
    path: str | os.PathLike[str],
    indices: Sequence[int],
    *,
    timeout_seconds: float | None = None,
    num_threads: int | None = None,
) -> Clip:
    """Decode some frames of a video, bit-identical to a plain decode from the start.

    Args:
        path: the video file.
        indices: numbers of frames in the whole file, in any order, duplicates allowed.
        timeout_seconds: give up after this time; None waits.
        num_threads: cores to decode on; None uses all free ones.

    Returns:
        The frames in the order of ``indices``, not rotated even if the file asks players for it.

    Raises:
        MediaError: the file is missing or damaged, an index is out of range, or time is over.
        ValueError: no indices are given.
    """
    path = os.fspath(path)
    wanted = [int(index) for index in indices]
    if not wanted:
        raise ValueError(f"{path}: no frame indices were given, expected at least one")
    if min(wanted) < 0:
        raise MediaError(f"{path}: frame index {min(wanted)} is out of range, it is negative")
    with time_limit(timeout_seconds), media_errors(path):
        require_file(path)
        collector = FrameCollector(path, wanted)
        info, why_not, problems = fast.decode(collector, num_threads)
        if why_not:
            # A data set may have thousands of such videos: these lines go to the log file only.
            place = {"is_for_file": True}
            _log.info("%s: decoded sequentially: %s", path, why_not, extra=place)
            # frames that were decoded before the failure are not trusted either
            collector = FrameCollector(path, wanted)
            plain, error = _decode_plainly(
                path, collector, to_the_end=info is None, problems=problems
            )
            if info is None:
                info = plain
                fast.remember(info, why_not)
                collector.require_below(info.num_frames)
            if collector.missing:
                raise MediaError(
                    f"{path}: frame {min(collector.missing)} cannot be decoded, the video shows "
                    f"{plain.num_frames} frames ({error or why_not})"
                )
            problems = plain.problems
        assert info is not None
        return replace(
            collector.clip(),
            fps=info.fps,
            num_source_frames=info.num_frames,
            notes=(f"decoded sequentially: {why_not}",) if why_not else (),
            problems=distinct_problems((*info.problems, *problems)),
        )


def _decode_plainly(
    path: str,
    collector: FrameCollector | None,
    *,
    to_the_end: bool,
    problems: Sequence[MediaProblem],
) -> tuple[VideoInfo, str | None]:
    """Decode from the first frame until the collector is full, or to the end of the file.

    Returns:
        The video as far as it was decoded, with the problems found, and the error that ended the
        decode, None if there was none.
    """
    num_frames, width, height, rotation = 0, 0, 0, 0
    first_time: float | None = None
    last_time = shown_for = 0.0
    error: str | None = None
    damage: str | None = None
    messages: list[Message]
    with (
        open_video(path) as (container, stream, opening),
        libav_messages(of_helpers=False) as messages,
    ):
        try:
            for index, frame in enumerate(container.decode(stream)):
                check_deadline(path)
                last_time = _time_of(frame, index, stream)
                shown_for = float(frame.duration * stream.time_base) if stream.time_base else 0.0
                if first_time is None:
                    first_time, rotation = last_time, frame.rotation % 360
                    width, height = frame.width, frame.height
                num_frames = index + 1
                if frame.is_corrupt and damage is None:
                    damage = f"the decoder marks frame {index} as corrupt"
                if collector is not None:
                    collector.add(index, frame, last_time)
                    if not collector.missing and not to_the_end:
                        break
        except LIBAV_ERRORS as failure:
            where = f"stops after frame {num_frames - 1}" if num_frames else "fails at the start"
            error = f"decoding {where}: {reason(failure)}"
        if num_frames == 0:
            raise MediaError(f"{path}: no frame can be decoded ({error or 'the stream has none'})")
        span_seconds = last_time - (first_time or 0.0)
        fps = average_fps(stream, num_frames, span_seconds)
        shown_for = max(shown_for, 1.0 / fps if fps > 0 else 0.0)
        stated = duration_seconds(container, stream)
        codec, container_format = stream.codec_context.codec, container.format.name
    truncated = truncation(path, container_format)
    if to_the_end and not truncated:
        truncated = shortfall(container_format, stated, last_time + shown_for)
    if truncated and to_the_end:  # the apparent damage is only the missing end of the file
        problems = ()
    elif not truncated:
        # libav's messages below the level of errors report what is merely unusual
        heard, level = [*opening, *messages], av.logging.ERROR
        damage = (
            error
            or damage
            or sign_of_damage(heard, codec.name, ignore=HARMLESS_AT_START, level=level)
            or sign_of_damage(heard, container_format, level=level)
        )
        if damage:
            # known problems go first: which of the decoder's threads meets damage in slices, and so
            # whether its message is heard here, differs from run to run
            problems = (*problems, MediaProblem("damaged", damage))
    info = VideoInfo(
        path=path,
        num_frames=num_frames,
        fps=fps,
        seconds=without_start(stated, first_time or 0.0, last_time, container_format)
        or span_seconds + shown_for,
        width=width,
        height=height,
        codec=codec.canonical_name,
        rotation=rotation,
        problems=distinct_problems((*truncated, *problems)),
    )
    return info, error


def _time_of(frame: VideoFrame, index: int, stream: VideoStream) -> float:
    """Return when a frame is shown, in seconds; without timestamps, derived from its number."""
    pts = frame.pts if frame.pts is not None else frame.dts
    if pts is not None and stream.time_base is not None:
        return float(pts * stream.time_base)
    return index / (average_fps(stream) or float("inf"))


def cut(
    info: VideoInfo,
    start_seconds: float | None,
    end_seconds: float | None,
    *,
    first_number: int = 0,
) -> VideoInfo:
    """Return the part of a video between two times.

    The part has the frames numbered ``round(start_seconds * fps)`` to ``round(end_seconds * fps)``,
    both included, as far as the video has them, with Python's rounding and the average frame rate:
    the rule of the official MVBench code, for whose rows cuts exist. A cut that starts one frame
    after the last has no frames; that code's arithmetic still picks frames from there.

    Args:
        info: the whole video.
        start_seconds: start of the part; None is the first frame.
        end_seconds: end of the part; None is the last frame.
        first_number: the number of the first frame in this count (frame images in a folder are
            often numbered from 1).

    Raises:
        MediaError: the part starts even later, or the file states no frame rate.
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
    if first > last + 1:
        raise MediaError(
            f"{info.path}: no frame lies between {start_seconds} s and {end_seconds} s; the video "
            f"has {info.num_frames} frames at {info.fps:g} fps"
        )
    num_frames = last - first + 1
    return replace(
        info, num_frames=num_frames, first_frame_index=first, seconds=num_frames / info.fps
    )
