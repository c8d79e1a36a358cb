"""Open a media file with libav and say in one line what is wrong with it.

What libav's decoders complain about while they decode, for the current thread.

Why a fast path gives up in favour of the sequential decode.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import av.logging

from llava_eval.errors import MediaError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

#: What PyAV raises for files that libav cannot read. IndexError: a damaged file announces a
#: stream that was not there when it was opened.
LIBAV_ERRORS = (av.error.FFmpegError, IndexError)


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


Message = tuple[int, str, str]


class _Listeners:
    """Logging of libav is off by default and global: it is on while anybody listens."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.before: tuple[int | None, bool] = (None, True)
        self.of_nobody = av.logging.Capture(local=False)

    def enter(self) -> None:
        with self.lock:
            if self.count == 0:
                self.before = (av.logging.get_level(), av.logging.get_skip_repeated())
                self.of_nobody = av.logging.Capture(local=False)
                self.of_nobody.__enter__()
                av.logging.set_skip_repeated(False)
                av.logging.set_level(av.logging.INFO)
            self.count += 1

    def leave(self) -> None:
        with self.lock:
            self.count -= 1
            if self.count == 0:
                level, skip_repeated = self.before
                av.logging.set_level(level)
                av.logging.set_skip_repeated(skip_repeated)
                self.of_nobody.__exit__(None, None, None)


_listeners = _Listeners()


@contextmanager
def libav_messages() -> Iterator[list[Message]]:
    """A list of (level, source, text) that holds, in the end, what libav logged in this thread.

    Messages of a decoder's own threads cannot be told apart and go to everybody who listens.
    """
    messages: list[Message] = []
    _listeners.enter()
    of_nobody = _listeners.of_nobody.logs
    before = len(of_nobody)
    try:
        with av.logging.Capture(local=True) as local:
            yield messages
    finally:
        messages += local
        messages += of_nobody[before:]
        _listeners.leave()


def sign_of_damage(
    messages: list[Message], decoder: str, *, ignore: str | None = None
) -> str | None:
    """The first message of the decoder that tells of damage, None if there is none."""
    for level, source, text in messages:
        if source != decoder or (ignore and ignore in text):
            continue
        if level <= av.logging.WARNING or "concealing" in text or "reorder buffer" in text:
            return " ".join(text.split())
    return None


class UntrustedError(Exception):
    """The packets do not tell for sure which frames a plain decode shows."""


class DamagedError(UntrustedError):
    """The decoder had to conceal damage, and what it conceals with depends on earlier frames."""
