"""An opened video together with what its packets mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llava_eval.video.container import UntrustedError, open_video
from llava_eval.video.fast.codecs import syntax_for
from llava_eval.video.fast.syntax import Syntax

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    from llava_eval.video.fast.index import EntryPoint

#: Packets to look at for a keyframe after seeking to it.
_MAX_SEARCH = 4096


class Source:
    """A container of one thread, positioned by :meth:`packets_from`."""

    def __init__(
        self, path: str, container: InputContainer, stream: VideoStream, syntax: Syntax | None
    ) -> None:
        self.path = path
        self.container = container
        self.stream = stream
        self.known_syntax = syntax
        self.by_byte = False

    @property
    def syntax(self) -> Syntax:
        """The syntax of the codec, which must be a known one."""
        if self.known_syntax is None:
            raise UntrustedError("nothing is known of the codec's packets")
        return self.known_syntax

    def packets_from(self, entry: EntryPoint) -> Iterator[Packet[VideoStream]]:
        """The packets of the video stream from this keyframe on."""
        self._seek(entry)
        packets = self.container.demux(self.stream)
        yield self._find(entry, packets)
        for packet in packets:
            if packet.size:
                yield packet

    def _seek(self, entry: EntryPoint) -> None:
        if self.by_byte:
            self.container.seek(entry.position, unsupported_byte_offset=True)
        else:
            self.container.seek(entry.timestamp, stream=self.stream)

    def _find(
        self, entry: EntryPoint, packets: Iterator[Packet[VideoStream]]
    ) -> Packet[VideoStream]:
        for count, packet in enumerate(packets):
            if packet.pos == entry.position and packet.is_keyframe:
                return packet
            if count > _MAX_SEARCH:
                break
        raise UntrustedError(f"seeking to the keyframe at byte {entry.position} does not find it")


@contextmanager
def open_source(path: str) -> Iterator[Source]:
    """Open ``path`` for indexing and for decoding single frames."""
    with open_video(path) as (container, stream):
        context = stream.codec_context
        # one thread is the cheapest; but a damaged hevc stream of parallel rows comes out
        # differently, and without any message, if its rows are not decoded in parallel
        context.thread_count = 2 if context.codec.canonical_name == "hevc" else 1
        syntax = syntax_for(context.codec.canonical_name, context.extradata or b"")
        yield Source(path, container, stream, syntax)
