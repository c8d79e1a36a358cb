"""An opened video with the syntax of its packets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from llava_eval.video.container import LIBAV_ERRORS, Message, open_video, reason
from llava_eval.video.fast.av1 import Av1
from llava_eval.video.fast.h26x import H264, Hevc
from llava_eval.video.fast.index import EntryPoint, UntrustedError
from llava_eval.video.fast.syntax import Syntax, Vp8, Vp9

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

#: How many packets to search for a keyframe after seeking to it.
_MAX_SEARCH = 4096

#: Containers in which seeking to a timestamp is not exact; their packets are found by position.
_BY_BYTE = frozenset({"mpegts", "mpeg"})


@dataclass
class Source:
    """One thread's container, positioned by :meth:`packets_from`.

    Attributes:
        path: the file.
        container: the opened container.
        stream: its first video stream.
        syntax: syntax of the stream's codec.
        opening: the demuxer's messages while the file was opened.
    """

    path: str
    container: InputContainer
    stream: VideoStream
    syntax: Syntax
    opening: list[Message]

    def packets_from(self, entry: EntryPoint) -> Iterator[Packet[VideoStream]]:
        """Yield the packets of the video stream from a keyframe on.

        Raises:
            UntrustedError: seeking does not find the keyframe.
        """
        try:
            if self.container.format.name in _BY_BYTE:
                self.container.seek(entry.position, unsupported_byte_offset=True)
            else:
                self.container.seek(entry.timestamp, stream=self.stream)
        except LIBAV_ERRORS as error:  # for instance Matroska, for times below 0
            raise UntrustedError(f"seeking to packet {entry.packet}: {reason(error)}") from error
        packets = self.container.demux(self.stream)
        for packet in islice(packets, _MAX_SEARCH):
            if packet.pos == entry.position and packet.is_keyframe:
                yield packet
                break
        else:
            where = f"the keyframe at byte {entry.position}"
            raise UntrustedError(f"seeking to {where} does not find it")
        for packet in packets:
            if packet.size:
                yield packet


@contextmanager
def open_source(path: str) -> Iterator[Source]:
    """Open ``path`` for indexing and for decoding single frames.

    Raises:
        UntrustedError: the packets of its codec cannot be read here.
    """
    with open_video(path) as (container, stream, opening):
        context = stream.codec_context
        # one thread is cheapest; but damaged hevc and vp8 decode to other pixels, without any
        # message, if their rows are not decoded in parallel, which is the default
        context.thread_count = 2 if context.codec.canonical_name in {"hevc", "vp8"} else 1
        syntax = syntax_for(context.codec.canonical_name, context.extradata or b"")
        # a demuxer returns the palette of raw video only once
        if syntax is None or (context.codec.name, context.pix_fmt) == ("rawvideo", "pal8"):
            raise UntrustedError("nothing is known of the codec's packets")
        yield Source(path, container, stream, syntax, opening)


_SYNTAXES: dict[str, Callable[[bytes], Syntax]] = {
    "h264": H264,
    "hevc": Hevc,
    "vp8": lambda _: Vp8(),
    "vp9": lambda _: Vp9(),
    "av1": Av1,
}

#: Codecs in which every packet is a complete, independent, shown picture.
_INTRA_ONLY = frozenset(
    {"dnxhd", "dvvideo", "ffvhuff", "huffyuv", "mjpeg", "png", "prores", "rawvideo", "utvideo"}
)


def syntax_for(codec: str, extradata: bytes) -> Syntax | None:
    """Return the syntax of a codec, or None if it is not supported here.

    Args:
        codec: libav's canonical name.
        extradata: the stream's extradata, which contains its parameters.
    """
    if codec in _SYNTAXES:
        return _SYNTAXES[codec](extradata)
    return Syntax() if codec in _INTRA_ONLY else None
