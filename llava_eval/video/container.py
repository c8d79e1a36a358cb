"""Open media files with libav, and explain in one line why a file cannot be opened."""

from __future__ import annotations

import codecs
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import av.logging

from llava_eval.borders.paths import why_no_file
from llava_eval.errors import MediaError
from llava_eval.video.truncation import truncation

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

#: Errors that PyAV raises for files that libav cannot read. IndexError: a damaged file has a packet
#: of a stream that did not exist when the file was opened.
LIBAV_ERRORS = (av.error.FFmpegError, IndexError)

#: The h264 decoder logs this when it frees references from before an open entry point.
HARMLESS_AT_START = "mmco: unref short failure"

#: Demuxers that open files other than the one they are given.
_LEAD_ELSEWHERE = frozenset(
    {"concat", "dash", "hls", "imf", "rtsp", "sap", "sdp", "vobsub", "webm_dash_manifest"}
)


@contextmanager
def media_errors(name: str, path: str | None = None) -> Iterator[None]:
    """Turn any error in reading a medium into a :class:`MediaError` that names it.

    Files come from anywhere, and libraries do not promise which errors they raise for damaged ones.
    One bad file must not end a run.

    Args:
        name: the medium's name, for messages.
        path: the file it is read from, if that has another name; messages show ``name`` instead.
    """
    try:
        yield
    except MediaError as error:
        if path is None or path == name:
            raise
        raise MediaError(str(error).replace(path, name)) from error
    except Exception as error:
        raise MediaError(f"{name}: {type(error).__name__}: {error}") from error


def require_file(path: str, expected: str = "a video file") -> None:
    """Check that a path names a readable file that is not empty.

    Args:
        path: the file.
        expected: what it should be, for the message.

    Raises:
        MediaError: it does not.
    """
    why_not = why_no_file(path, expected)
    if why_not is not None:
        raise MediaError(f"{path}: {why_not}")


@contextmanager
def open_video(path: str) -> Iterator[tuple[InputContainer, VideoStream, list[Message]]]:
    """Open a file that exists; yield its container, first video stream and the demuxer's messages.

    Opening reads the first seconds of a file, or all of a small one. The demuxer reports damage
    there only then, not again when packets are read.

    The first video stream is the one that a plain ``container.decode(video=0)`` shows. The demuxer
    drops the packets of all other streams, unless the file is truncated. No other file is opened,
    even if this one refers to some.

    Raises:
        MediaError: the file is not a video, or has no video stream that can be decoded.
    """
    try:
        with libav_messages(of_helpers=False) as heard:
            container = av.open(
                str(Path(path).absolute()),  # libav may take a relative path for a protocol
                metadata_errors="replace",  # titles in another encoding are no reason to fail
                options={
                    "format_whitelist": _formats(),
                    "protocol_whitelist": "file",
                    "pattern_type": "none",  # else image2 takes names for patterns
                },
            )
    except LIBAV_ERRORS as error:
        kind = "not a video: the file holds text" if holds_text(path) else "not a video or damaged"
        raise MediaError(f"{path}: {kind} ({reason(error)})") from error
    with container:
        if not container.streams.video:
            kinds = ", ".join(sorted({stream.type for stream in container.streams}))
            raise MediaError(f"{path}: no video stream, only {kinds or 'an empty container'}")
        video = container.streams.video[0]
        if video.codec_context is None:
            raise MediaError(f"{path}: no decoder for the codec of its video stream")
        others = [stream for stream in container.streams if stream.index != video.index]
        # in a broken download, missing sound ends a plain decode before the last frames: keep it
        if others and not truncation(path, container.format.name):
            for stream in others:
                stream.discard = av.stream.Discard.all
        yield container, video, [each for each in heard if each[1] == container.format.name]


@cache
def _formats() -> str:
    """Return the names of the demuxers that open no other files, separated by commas."""
    names = {
        name
        for name in av.formats_available
        if _LEAD_ELSEWHERE.isdisjoint(name.split(",")) and av.ContainerFormat(name).is_input
    }
    return ",".join(sorted(names))


def reason(error: BaseException) -> str:
    """Return the short text of a libav error, without file name and error number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def average_fps(stream: VideoStream, num_frames: int = 0, span_seconds: float = 0.0) -> float:
    """Return the average frames per second: stated by the container, else as frames are shown.

    Recordings of browsers state no rate, and libav's guess, 1000, is that of their milliseconds.
    AVI's rate also counts packets that show nothing (a copy of an mp4 has two packets per frame),
    and DV's counts units of time; theirs is not used if far fewer frames are shown.

    Args:
        stream: the video stream.
        num_frames: number of shown frames; 0 if unknown, then libav's guess is the fallback.
        span_seconds: time from the first shown frame to the last.
    """
    stated = float(stream.average_rate or 0.0)
    shown = (num_frames - 1) / span_seconds if num_frames > 1 and span_seconds > 0 else 0.0
    is_of_packets = stream.container.format.name in ("avi", "dv") and shown < 0.99 * stated
    if shown and (is_of_packets or not stated):
        return shown
    return stated or float(stream.guessed_rate or stream.base_rate or 0.0)


def duration_seconds(container: InputContainer, stream: VideoStream) -> float:
    """Return the stated duration of the video stream; 0 if none, or it may be the sound's."""
    is_alone = len(container.streams) == 1
    is_own = is_alone or container.format.name != "asf"  # there, all streams have the file's
    # ivf and avi, if they were written to a pipe, mark it as unknown so
    if stream.duration == 0xFFFFFFFF or stream.frames == 1 << 30:
        return 0.0
    if stream.duration is not None and stream.time_base is not None and is_own:
        return float(stream.duration * stream.time_base)
    # in Matroska only a tag states the duration of one track: 00:01:02.345000000
    stated = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", ""))
    if stated is not None:
        hours, minutes, seconds = stated.groups()
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    if container.duration is not None and is_alone:
        return float(Fraction(container.duration, av.time_base))
    return 0.0


def without_start(stated_seconds: float, first: float, last: float, container_format: str) -> float:
    """Return the duration of a video from a stated one that may be the time at which it ends.

    In Matroska, whose times need not begin at 0, it is that time, except in some tags of single
    tracks. In mp4 fragments and flv without their first part it is, too; 0 is returned then.

    Args:
        stated_seconds: the duration that the container states.
        first: time of the first frame.
        last: time of the last frame.
        container_format: libav's name of the container.
    """
    if container_format == "matroska,webm":
        return stated_seconds - first if stated_seconds > last else stated_seconds
    # a start of 1 s or more is longer than a frame, so that it can be told from the last frame
    is_end = first >= 1 and abs(stated_seconds - last) < first / 2
    return 0.0 if is_end else stated_seconds


def holds_text(path: str) -> bool:
    """Return whether a file begins with text, for instance because it is an error page."""
    with Path(path).open("rb") as file:
        head = file.read(4096)
    with suppress(UnicodeDecodeError):
        # an incremental decoder accepts a character that the end of the head cuts in two
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(head or b"\0")
    return False


#: A message that libav logged: level, source (the name of a decoder, for instance), text.
Message = tuple[int, str, str]


class _Listeners:
    """Switches libav's logging, which is global and off by default, on while anyone listens."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.unattributed: list[Message] = []  # messages of threads that decoders start
        self.undo = ExitStack()

    def enter(self) -> None:
        with self.lock:
            if self.count == 0:
                capture = av.logging.Capture(local=False)
                self.unattributed = capture.__enter__()
                self.undo.callback(capture.__exit__, None, None, None)
                self.undo.callback(av.logging.set_skip_repeated, av.logging.get_skip_repeated())
                self.undo.callback(av.logging.set_level, av.logging.get_level())
                av.logging.set_skip_repeated(False)
                av.logging.set_level(av.logging.INFO)
            self.count += 1

    def leave(self) -> None:
        with self.lock:
            self.count -= 1
            if self.count == 0:
                self.undo.close()


_listeners = _Listeners()


@contextmanager
def libav_messages(*, of_helpers: bool) -> Iterator[list[Message]]:
    """Yield a list that is filled, at the end, with the messages libav logged in this thread.

    Args:
        of_helpers: include messages of threads that decoders start. They cannot be attributed to
            one video: some may concern others.
    """
    messages: list[Message] = []
    _listeners.enter()
    unattributed = _listeners.unattributed
    before = len(unattributed)
    try:
        with av.logging.Capture(local=True) as local:
            yield messages
    finally:
        messages += local
        if of_helpers:
            messages += unattributed[before:]
        _listeners.leave()


def sign_of_damage(
    messages: list[Message],
    decoder: str,
    *,
    ignore: str | None = None,
    level: int = av.logging.WARNING,
) -> str | None:
    """Return the first message that reports damage in the stream, or None.

    Args:
        messages: messages that libav logged.
        decoder: libav's name of their source, a decoder or demuxer; others do not count.
        ignore: messages with this text do not count either.
        level: messages of at least this severity count, whatever their text.
    """
    for severity, source, text in messages:
        if source != decoder or (ignore and ignore in text):
            continue
        if severity <= level or "concealing" in text or "reorder buffer" in text:
            return " ".join(text.split())
    return None
