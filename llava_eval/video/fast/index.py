"""The index of a video: from which keyframe each frame is decoded, found without decoding.

Frames are numbered in the order in which they are shown. Packets are numbered in the order in which
they are stored, which is the decoding order. A keyframe with number ``packet`` that is stored after
``shown_before`` shown packets is itself frame ``shown_before + leading``, where ``leading`` is the
number of pictures that are stored after it and shown before it.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from llava_eval.types import VideoInfo
from llava_eval.video.fast.syntax import EntryKind, Syntax

if TYPE_CHECKING:
    from av.video.stream import VideoStream

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: ``leading`` of a keyframe that has not been examined, and of one where decoding cannot begin.
UNKNOWN, UNSAFE = -1, -2

#: If a stream does not state its reorder depth, libav finds it from this many first packets.
_PROBED_PACKETS = 16


#: Why frames are not counted across a change of parameters: the order of frames may change.
NEW_PARAMETERS = "the stream changes its parameters"

#: Why timestamps are not trusted: muxers invent them for streams without any.
TIMES_AS_STORED = (
    "the decoder shows frames in another order than stated: their times rise as they are stored"
)


class UntrustedError(Exception):
    """The packets do not determine for sure which frames a plain decode shows."""


class DamagedError(UntrustedError):
    """The video is damaged, and how a decoder conceals damage depends on earlier frames."""


class EntryPoint(NamedTuple):
    """A keyframe where decoding may begin.

    Attributes:
        packet: its number in decoding order.
        first_frame: its number in the order shown; a decode that begins here is exact from this
            frame on.
        timestamp: its time in units of the stream, to seek to it.
        position: its byte in the file, to seek to it and to recognise it.
    """

    packet: int
    first_frame: int
    timestamp: int
    position: int


def reorders(stream: VideoStream) -> bool:
    """Return whether, by its parameter sets, a stream's frames are not shown as stored."""
    return bool(stream.codec_context.has_b_frames)


def check_rise(times: Integers, stream: VideoStream, syntax: Syntax) -> None:
    """Raise if times need more reordering than the stream states, as after joining parts."""
    stated = syntax.stated_reorder if reorders(stream) else 0
    later = np.zeros(len(times), np.int64)  # how many are stored before each, but shown after it
    for step in range(1, min(2 * syntax.max_reorder + 2, len(times))):
        later[step:] += times[:-step] > times[step:]
    if stated is not None and later.max(initial=0) > stated:
        raise UntrustedError(f"times need more reordering than the stream states, {stated}")


def _no_rows() -> Integers:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class VideoIndex:
    """All facts about a video that are needed to decode any of its frames.

    Attributes:
        info: the facts that a sampler needs.
        sequential_reason: why only a sequential decode can be trusted; empty if others can be, too.
        packets, shown_before, timestamps, positions, leading: the table of keyframes.
    """

    info: VideoInfo
    sequential_reason: str = ""
    packets: Integers = field(default_factory=_no_rows)
    shown_before: Integers = field(default_factory=_no_rows)
    timestamps: Integers = field(default_factory=_no_rows)
    positions: Integers = field(default_factory=_no_rows)
    leading: Integers = field(default_factory=_no_rows)

    def keyframe_before(self, frame: int) -> int:
        """Return the row of the last keyframe that is this frame or is stored before it."""
        return int(np.searchsorted(self.shown_before, frame, side="right")) - 1

    def entry_point(self, keyframe: int, leading: int) -> EntryPoint:
        """Return the keyframe in this row, given its number of leading pictures."""
        return EntryPoint(
            int(self.packets[keyframe]),
            int(self.shown_before[keyframe]) + leading,
            int(self.timestamps[keyframe]),
            int(self.positions[keyframe]),
        )


def count_frames(info: VideoInfo, shown: Flags) -> tuple[VideoInfo, Integers]:
    """Return a video with its number of frames, and the number of shown packets before each.

    Args:
        info: the video; if it states no seconds, they are computed from its frames.
        shown: whether each packet of the stream shows a frame.
    """
    counts = np.concatenate([[0], np.cumsum(shown)]).astype(np.int64)
    num_frames = int(counts[-1])
    if info.seconds <= 0 and info.fps > 0:
        info = replace(info, seconds=num_frames / info.fps)
    return replace(info, num_frames=num_frames), counts[:-1]


@dataclass(slots=True)
class PacketTable:
    """All packets of a video, in decoding order.

    Attributes:
        pts, shown: of each packet.
        dts, all_positions: of each packet, or empty.
        keyframes: numbers of the keyframes.
        positions, entries: of each keyframe.
        is_upright: whether the container surely requests no rotation.
        doubt: why packets may not be shown in the order of their times; empty if they are.
    """

    pts: array[int] = field(default_factory=lambda: array("q"))
    dts: list[int | None] = field(default_factory=list)
    shown: bytearray = field(default_factory=bytearray)
    all_positions: array[int] = field(default_factory=lambda: array("q"))
    keyframes: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    entries: list[EntryKind] = field(default_factory=list)
    is_upright: bool = False
    doubt: str = ""

    def index(self, info: VideoInfo, container_format: str, syntax: Syntax) -> VideoIndex:
        """Return the index of a video.

        Args:
            info: the video; its number of frames is counted here.
            container_format: libav's name of the container.
            syntax: syntax of its codec.

        Raises:
            UntrustedError: the packets cannot be trusted.
        """
        if not self.keyframes or self.keyframes[0] != 0:
            raise UntrustedError("the first packet is not a keyframe")
        if min(self.positions) < 0 or len(set(self.positions)) != len(self.positions):
            raise UntrustedError("the positions of keyframes in the file are not known")
        pts, shown = np.array(self.pts, np.int64), np.frombuffer(self.shown, np.bool_)
        self._check_order(pts, shown, syntax)
        times = self.pts if "matroska" in container_format or not self.dts else self.dts
        timestamps = [times[number] for number in self.keyframes]
        info, shown_before = count_frames(info, shown)
        packets = np.array(self.keyframes, np.int64)
        return VideoIndex(
            info,
            packets=packets,
            shown_before=shown_before[packets],
            timestamps=np.array([-1 if time is None else time for time in timestamps], np.int64),
            positions=np.array(self.positions, np.int64),
            leading=np.array(self._leading(pts, shown, syntax), np.int64),
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
        """Count, for each keyframe, the later shown packets with earlier timestamps, or UNSAFE."""
        highest = np.maximum.accumulate(pts)
        counts = []
        for number, entry in zip(self.keyframes, self.entries, strict=True):
            after = slice(number + 1, number + 1 + 2 * syntax.max_reorder)
            leading = int(((pts[after] < pts[number]) & shown[after]).sum())
            is_safe = (
                entry is not EntryKind.NO
                and (number == 0 or highest[number - 1] < pts[number])
                and (leading == 0 or entry is EntryKind.OPEN)
            )
            counts.append(leading if is_safe else UNSAFE)
        return counts


def _reorder_depth(pts: Integers) -> Integers:
    """Return how many places later each packet is shown than it is stored, at least 0."""
    order = np.argsort(pts, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    depth: Integers = np.maximum(rank - np.arange(len(order)), 0)
    return depth
