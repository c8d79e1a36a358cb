"""Index any container by reading all packets of the video stream once, without decoding."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from llava_eval.types import VideoInfo
from llava_eval.video.container import LIBAV_ERRORS, UntrustedError, reason
from llava_eval.video.deadline import check_deadline
from llava_eval.video.fast.index import UNSAFE, Flags, Integers, VideoIndex, keyframe_table
from llava_eval.video.fast.syntax import Entry, Syntax

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

#: Containers whose timestamps cannot be sought exactly; their packets are found by position.
_BY_BYTE = frozenset({"mpegts", "mpeg"})

#: libav learns the reorder depth of a stream that does not state it from its first frames.
_PROBED_PACKETS = 16


@dataclass(slots=True)
class PacketTable:
    """What was seen of all packets, in decoding order.

    Attributes:
        pts, shown: of each packet.
        dts, all_positions: of each packet, or empty.
        keyframes: numbers of the keyframes.
        positions, entries: of each keyframe.
        is_upright: the container surely asks for no rotation.
    """

    pts: array[int] = field(default_factory=lambda: array("q"))
    dts: list[int | None] = field(default_factory=list)
    shown: bytearray = field(default_factory=bytearray)
    all_positions: array[int] = field(default_factory=lambda: array("q"))
    keyframes: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    is_upright: bool = False

    def index(self, info: VideoInfo, container_format: str, syntax: Syntax) -> VideoIndex:
        """The index, unless something speaks against trusting it."""
        if not self.keyframes or self.keyframes[0] != 0:
            raise UntrustedError("the first packet is not a keyframe")
        if min(self.positions) < 0 or len(set(self.positions)) != len(self.positions):
            raise UntrustedError("the positions of keyframes in the file are not known")
        pts, shown = np.array(self.pts, np.int64), np.frombuffer(self.shown, np.bool_)
        self._check_order(pts, shown, syntax)
        keyframes = np.array(self.keyframes, np.int64)
        times = self.pts if "matroska" in container_format or not self.dts else self.dts
        timestamps = [times[number] for number in self.keyframes]
        return keyframe_table(
            info,
            packets=keyframes,
            shown=shown,
            timestamps=[-1 if time is None else time for time in timestamps],
            positions=self.positions,
            leading=self._leading(pts, shown, syntax),
            by_byte=container_format in _BY_BYTE,
        )

    def _check_order(self, pts: Integers, shown: Flags, syntax: Syntax) -> None:
        if syntax.max_reorder == 0 and (np.diff(pts) > 0).all():
            return
        if len(np.unique(pts[shown])) != int(shown.sum()):
            raise UntrustedError("two packets have the same timestamp")
        dts = [time for time in self.dts if time is not None]
        if any(later < earlier for earlier, later in pairwise(dts)):
            raise UntrustedError("timestamps jump back")
        depth = _reorder_depth(pts)
        if depth.max() > syntax.max_reorder:
            raise UntrustedError("timestamps are out of order")
        if not syntax.states_reorder and depth.max() > depth[:_PROBED_PACKETS].max():
            raise UntrustedError("the stream does not state how far its frames are reordered")

    def _leading(self, pts: Integers, shown: Flags, syntax: Syntax) -> list[int]:
        """For each keyframe the shown packets after it with an earlier timestamp, or UNSAFE."""
        highest = np.maximum.accumulate(pts)
        counts = []
        for number, entry in zip(self.keyframes, self.entries, strict=True):
            after = slice(number + 1, number + 1 + 2 * syntax.max_reorder)
            leading = int(((pts[after] < pts[number]) & shown[after]).sum())
            is_safe = (
                entry is not Entry.NO
                and (number == 0 or highest[number - 1] < pts[number])
                and (leading == 0 or entry is Entry.OPEN)
            )
            counts.append(leading if is_safe else UNSAFE)
        return counts


def scan_packets(path: str, packets: Iterable[Packet[VideoStream]], syntax: Syntax) -> PacketTable:
    """Read all packets of a video, from the first on."""
    scan = _Scan(syntax)
    try:
        for packet in packets:
            check_deadline(path)
            if packet.size:
                scan.add(packet)
    except LIBAV_ERRORS as error:
        raise UntrustedError(f"reading stops early: {reason(error)}") from error
    return scan.table


class _Scan:
    """The packets seen so far."""

    def __init__(self, syntax: Syntax) -> None:
        self.syntax = syntax
        self.table = PacketTable()
        self.parameters: bytes | None = None
        self.maybe_hidden = False

    def add(self, packet: Packet[VideoStream]) -> None:
        table, syntax = self.table, self.syntax
        number = len(table.pts)
        if packet.pts is None:
            raise UntrustedError(f"packet {number} has no timestamp")
        if packet.is_corrupt:
            raise UntrustedError(f"packet {number} is marked as corrupt")
        data = b"" if syntax.shows_every_packet and syntax.is_opaque else bytes(packet)
        if syntax.look(data) is None:
            raise UntrustedError(f"packet {number} is damaged")
        shown = not packet.is_discard and (
            syntax.shows_every_packet or syntax.shows(data[0], data[-1])
        )
        if packet.is_keyframe:
            self._add_keyframe(number, packet)
        elif self.maybe_hidden:
            self.maybe_hidden = syntax.is_leading(data)
            shown &= not syntax.hidden_at_start(data)
        table.pts.append(packet.pts)
        table.dts.append(packet.dts)
        table.shown.append(shown)

    def _add_keyframe(self, number: int, packet: Packet[VideoStream]) -> None:
        data = bytes(packet)
        self.maybe_hidden = number == 0 and self.syntax.marks_leading
        distrust = self.syntax.keyframe_distrust(data, is_first=number == 0)
        if distrust:
            raise UntrustedError(distrust)
        parameters = self.syntax.parameters(data)
        if parameters:
            digest = hashlib.sha256(parameters).digest()
            if self.parameters not in (None, digest):
                raise UntrustedError("the stream changes its parameters")
            self.parameters = digest
        self.table.keyframes.append(number)
        self.table.positions.append(-1 if packet.pos is None else packet.pos)
        self.table.entries.append(self.syntax.entry(data))


def _reorder_depth(pts: Integers) -> Integers:
    """For each packet, how many places later it is shown than stored, at least 0."""
    order = np.argsort(pts, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    depth: Integers = np.maximum(rank - np.arange(len(order)), 0)
    return depth
