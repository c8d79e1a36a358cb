"""Open a media file with libav and say in one line what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error

from llava_eval.errors import MediaError

#: What PyAV raises for files that libav cannot read. IndexError: a damaged file announces a
#: stream that was not there when it was opened.
LIBAV_ERRORS = (av.error.FFmpegError, IndexError)

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream


def require_file(path: str, expected: str = "a video file") -> None:
    """Raise a :class:`MediaError` unless ``path`` is a file that holds something."""
    if not os.path.exists(path):
        raise MediaError(f"{path}: no such file")
    if os.path.isdir(path):
        raise MediaError(f"{path}: is a folder, expected {expected}")
    if os.path.getsize(path) == 0:
        raise MediaError(f"{path}: the file is empty")


@contextmanager
def open_video(path: str) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The opened container of ``path`` and its first video stream.

    The first video stream is what a plain ``container.decode(video=0)`` shows. Packets of the
    other streams are dropped by the demuxer.
    """
    require_file(path)
    try:
        # titles in another encoding are no reason not to show the pictures
        container = av.open(path, metadata_errors="replace")
    except LIBAV_ERRORS as error:
        raise MediaError(f"{path}: {_kind_of_file(path)} ({reason(error)})") from error
    with container:
        if not container.streams.video:
            kinds = ", ".join(sorted({stream.type for stream in container.streams}))
            raise MediaError(f"{path}: no video stream, only {kinds or 'an empty container'}")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise MediaError(f"{path}: no decoder for the codec of its video stream")
        for other in container.streams:
            if other.index != stream.index:
                other.discard = av.stream.Discard.all
        yield container, stream


def reason(error: BaseException) -> str:
    """The short text of a libav error, without the file name and the error number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def average_fps(stream: VideoStream) -> float:
    """Average frames per second as the container states it, else libav's best guess."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate:
            return float(rate)
    return 0.0


def duration_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Duration of the video stream, else of the whole file, in seconds."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    if container.duration is not None:
        return float(Fraction(container.duration, av.time_base))
    return None


def _kind_of_file(path: str) -> str:
    with Path(path).open("rb") as file:
        head = file.read(4096)
    is_text = bool(head) and b"\0" not in head and _is_utf8(head)
    return "not a video: the file holds text" if is_text else "not a video or damaged"


def _is_utf8(head: bytes) -> bool:
    try:
        head[: max(len(head) - 4, 1)].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
