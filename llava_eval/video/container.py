"""Open media files with libav, and say in one line what is wrong with one that cannot be opened."""

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

#: What PyAV raises for files that libav cannot read. IndexError: a damaged file announces a
#: stream that was not there when it was opened.
LIBAV_ERRORS = (av.error.FFmpegError, IndexError)

#: What h264 logs when it frees references that lie before an open entry point.
HARMLESS_AT_START = "mmco: unref short failure"

#: Demuxers that open other files than the one they are given.
_LEAD_ELSEWHERE = frozenset(
    {"concat", "dash", "hls", "imf", "rtsp", "sap", "sdp", "vobsub", "webm_dash_manifest"}
)


@contextmanager
def media_errors(name: str, path: str | None = None) -> Iterator[None]:
    """Turn whatever happens while one medium is read into a :class:`MediaError` of it.

    Files come from anywhere, and what libraries raise for damaged ones is not theirs to promise.
    One bad file must not end a run.

    Args:
        name: of the medium, for messages.
        path: of the file that it is read from, where that is another; messages name the medium.
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
    """Check that a path names a file with content that can be read.

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

    Opening reads the first seconds, of small files all: damage there is not told again.

    The first video stream is the one that a plain ``container.decode(video=0)`` shows. The demuxer
    drops the packets of all other streams, unless the file is truncated. No other file is opened,
    whatever this one asks for.

    Raises:
        MediaError: the file is no video, or has no video stream that can be decoded.
    """
    try:
        with libav_messages(of_helpers=False) as heard:
            container = av.open(
                str(Path(path).absolute()),  # a relative path may look like a protocol of libav's
                metadata_errors="replace",  # titles in another encoding are no reason to fail
                options={
                    "format_whitelist": _formats(),
                    "protocol_whitelist": "file",
                    "pattern_type": "none",  # of image2, which takes names for patterns else
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
        # sound that a broken download lacks ends a plain decode before its last frames
        if others and not truncation(path, container.format.name):
            for stream in others:
                stream.discard = av.stream.Discard.all
        yield container, video, [each for each in heard if each[1] == container.format.name]


@cache
def _formats() -> str:
    """Return the demuxers that stay with their file."""
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
    """Return the average frames per second as the container states it, else as frames are shown.

    What browsers record states none, and libav's guess of it is the 1000 of its milliseconds. AVI
    counts packets that show nothing, two for each frame in a copy of mp4, and DV the units of time.

    Args:
        stream: of the video.
        num_frames: so many are shown, as far as that is known; libav's guess stands for no more.
        span_seconds: from when the first one is shown to when the last one is.
    """
    stated = float(stream.average_rate or 0.0)
    shown = (num_frames - 1) / span_seconds if num_frames > 1 and span_seconds > 0 else 0.0
    is_of_packets = stream.container.format.name in ("avi", "dv") and shown < 0.99 * stated
    if shown and (is_of_packets or not stated):
        return shown
    return stated or float(stream.guessed_rate or stream.base_rate or 0.0)


def duration_seconds(container: InputContainer, stream: VideoStream) -> float:
    """Return the stated duration of the video stream, 0 where none is, or the sound's may be."""
    is_alone = len(container.streams) == 1
    is_own = is_alone or container.format.name != "asf"  # of which all streams have the file's
    # not known, of ivf and of avi that was written to a pipe
    if stream.duration == 0xFFFFFFFF or stream.frames == 1 << 30:
        return 0.0
    if stream.duration is not None and stream.time_base is not None and is_own:
        return float(stream.duration * stream.time_base)
    # of Matroska, where only a tag tells of one track: 00:01:02.345000000
    stated = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", ""))
    if stated is not None:
        hours, minutes, seconds = stated.groups()
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    if container.duration is not None and is_alone:
        return float(Fraction(container.duration, av.time_base))
    return 0.0


def without_start(stated_seconds: float, first: float, last: float, container_format: str) -> float:
    """Return a stated duration as that of the video, where it is the time of the video's end.

    That is so in Matroska but for some tags of single tracks, where times need not begin at 0, and
    where the first part was left out (fragments of mp4, flv), of which 0 is returned.

    Args:
        stated_seconds: as the container has it.
        first: time of the first frame.
        last: time of the last one.
        container_format: libav's name of the container.
    """
    if container_format == "matroska,webm":
        return stated_seconds - first if stated_seconds > last else stated_seconds
    # from the first second on, a frame is short beside what may stand before it
    is_end = first >= 1 and abs(stated_seconds - last) < first / 2
    return 0.0 if is_end else stated_seconds


def holds_text(path: str) -> bool:
    """Return whether a file begins with text, as a page that tells of an error does."""
    with Path(path).open("rb") as file:
        head = file.read(4096)
    with suppress(UnicodeDecodeError):
        # a decoder that may go on leaves a character that the cut took apart
        return "\0" not in codecs.getincrementaldecoder("utf-8")().decode(head or b"\0")
    return False


#: A message that libav logged: level, source (the name of a decoder, for instance), text.
Message = tuple[int, str, str]


class _Listeners:
    """Logging of libav is off by default and global: it is on while anybody listens."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.unattributed: list[Message] = []  # of threads that decoders start
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
    """Yield a list that is filled, at the end, with what libav logged in this thread.

    Args:
        of_helpers: also with messages of threads that decoders start. These cannot be attributed to
            a video: some may be of others.
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
    """Return the first message that tells of damage in the stream, None if there is none.

    Args:
        messages: what libav logged.
        decoder: libav's name of the decoder; messages of others do not count.
        ignore: messages with this text do not count either.
        level: messages of this severity count, whatever they say.
    """
    for severity, source, text in messages:
        if source != decoder or (ignore and ignore in text):
            continue
        if severity <= level or "concealing" in text or "reorder buffer" in text:
            return " ".join(text.split())
    return None
