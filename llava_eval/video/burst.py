"""Decode a few frames from a keyframe on, feeding the decoder no more than they need."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from llava_eval.video.container import LIBAV_ERRORS, reason
from llava_eval.video.deadline import check_deadline
from llava_eval.video.errors import DamagedError, UntrustedError
from llava_eval.video.logs import libav_messages, sign_of_damage
from llava_eval.video.syntax import Entry, Syntax

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from llava_eval.video.collector import FrameCollector
    from llava_eval.video.index import EntryPoint
    from llava_eval.video.source import Source


#: h264 frees references that lie before an open entry point and were never decoded.
_HARMLESS_WHEN_OPEN = "mmco: unref short failure"


def decode_burst(
    source: Source, entry: EntryPoint, frames: Sequence[int], collector: FrameCollector
) -> None:
    """Add these frames, all decodable from ``entry``, to the collector.

    Every packet carries its number in decoding order through the decoder in place of its
    timestamp, so each frame that comes out says which packet it is. Raises
    :class:`UntrustedError` when anything is not as the index says.
    """
    burst = _Burst(source, entry, frames, collector)
    try:
        with libav_messages() as messages:
            burst.run()
    except LIBAV_ERRORS as error:
        raise DamagedError(f"decoding from packet {entry.packet} fails: {reason(error)}") from error
    decoder = source.stream.codec_context.codec.name
    ignore = _HARMLESS_WHEN_OPEN if burst.is_open else None
    damage = sign_of_damage(messages, decoder, ignore=ignore)
    if damage:
        raise DamagedError(f"the decoder reports damage: {damage}")


class _Stored(NamedTuple):
    """A packet in decoding order."""

    number: int
    packet: Packet[VideoStream]
    pts: int
    is_shown: bool
    data: bytes


class _Burst:
    def __init__(
        self, source: Source, entry: EntryPoint, frames: Sequence[int], collector: FrameCollector
    ) -> None:
        self.source = source
        self.syntax: Syntax = source.syntax
        self.entry = entry
        self.collector = collector
        self.wanted = set(frames)
        self.context = source.stream.codec_context
        self.time_base = source.stream.time_base or 1
        self.shown_pts: list[int] = []  # of all shown packets read so far, sorted
        self.pts_of: dict[int, int] = {}  # of packets given to the decoder
        self.frame_of: dict[int, int] = {}  # packet number to frame number, of the wanted
        self.last_pts: int | None = None
        self.top_layer = 0
        self.is_open = False

    def run(self) -> None:
        """Read ahead far enough to know each packet's place in the order shown, and decode."""
        remaining = len(self.wanted)
        ahead: deque[_Stored] = deque()
        packets = self._packets()
        reading = True
        while remaining and (reading or ahead):
            while reading and len(ahead) <= self.syntax.max_reorder:
                stored = next(packets, None)
                if stored is None:
                    reading = False
                else:
                    ahead.append(stored)
            if ahead:
                stored = ahead.popleft()
                remaining -= self._note_if_wanted(stored)
                self._feed(stored)
        self._take(self.context.decode(None))
        if self.frame_of or remaining:
            raise UntrustedError(
                f"{len(self.frame_of) + remaining} of {len(self.wanted)} frames did not come out "
                f"of a decode from packet {self.entry.packet}"
            )

    def _packets(self) -> Iterator[_Stored]:
        """Packets from the entry point on, without those that are shown before it."""
        first_pts: int | None = None
        is_start = self.entry.packet == 0
        maybe_hidden = is_start and self.syntax.marks_leading
        packets = self.source.packets_from(self.entry)
        for number, packet in enumerate(packets, start=self.entry.packet):
            check_deadline(self.source.path)
            if packet.pts is None:
                raise UntrustedError(f"packet {number} has no timestamp")
            if packet.is_corrupt or packet.has_sidedata("new_extradata"):
                raise UntrustedError(f"packet {number} is corrupt or changes the parameters")
            first_pts = packet.pts if first_pts is None else first_pts
            if not is_start and packet.pts < first_pts:
                continue
            data = self._data(packet)
            if number == self.entry.packet:
                self.is_open = self.syntax.entry(data) is Entry.OPEN
            if self.syntax.can_be_implausible and not self.syntax.plausible(data):
                raise DamagedError(f"packet {number} is damaged")
            is_shown = not packet.is_discard and self._shows_frame(data)
            if maybe_hidden and number > 0:
                maybe_hidden = self.syntax.is_leading(data)
                is_shown &= not self.syntax.hidden_at_start(data)
            if is_shown:
                self._place(packet.pts, number)
            if self.syntax.has_disposable:
                self.top_layer = max(self.top_layer, self.syntax.layer(data))
            yield _Stored(number, packet, packet.pts, is_shown, data)

    def _data(self, packet: Packet[VideoStream]) -> bytes:
        looked_at = self.syntax.has_disposable or not self.syntax.shows_every_packet
        return bytes(packet) if looked_at else b""

    def _shows_frame(self, data: bytes) -> bool:
        return self.syntax.shows_every_packet or self.syntax.shows(data[0], data[-1])

    def _place(self, pts: int, number: int) -> None:
        place = bisect.bisect_left(self.shown_pts, pts)
        if place < len(self.shown_pts) and self.shown_pts[place] == pts:
            raise UntrustedError(f"packet {number} has the timestamp of another one")
        if len(self.shown_pts) - place > 2 * self.syntax.max_reorder:
            raise UntrustedError(f"the timestamp of packet {number} is out of order")
        self.shown_pts.insert(place, pts)

    def _note_if_wanted(self, stored: _Stored) -> bool:
        if not stored.is_shown:
            return False
        frame = self.entry.first_frame + bisect.bisect_left(self.shown_pts, stored.pts)
        if frame not in self.wanted:
            return False
        self.frame_of[stored.number] = frame
        return True

    def _feed(self, stored: _Stored) -> None:
        if stored.number not in self.frame_of and self._is_disposable(stored):
            return
        self.pts_of[stored.number] = stored.pts
        packet = stored.packet
        packet.pts = packet.dts = stored.number
        self._take(self.context.decode(packet))

    def _is_disposable(self, stored: _Stored) -> bool:
        if not self.syntax.has_disposable:
            return False
        layer = self.syntax.disposable_layer(stored.data)
        return layer is not None and layer >= self.top_layer

    def _take(self, frames: Sequence[VideoFrame]) -> None:
        for frame in frames:
            number = frame.pts
            pts = None if number is None else self.pts_of.get(number)
            if number is None or pts is None:
                raise UntrustedError("the decoder shows a frame that belongs to no packet")
            if self.last_pts is not None and pts <= self.last_pts:
                raise UntrustedError("the decoder shows frames in another order than stated")
            self.last_pts = pts
            index = self.frame_of.pop(number, None)
            if index is not None:
                if frame.is_corrupt:
                    raise DamagedError(f"the decoder marks frame {index} as corrupt")
                self.collector.add(index, frame, float(pts * self.time_base))
