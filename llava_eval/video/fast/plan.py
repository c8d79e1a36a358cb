"""Decide from which keyframe each frame is decoded.

Which frames have to be decoded to show some of them, where frames state what they refer to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from llava_eval.video.fast import mp4
from llava_eval.video.fast.index import UNKNOWN, UNSAFE, EntryPoint, VideoIndex
from llava_eval.video.fast.source import Source

if TYPE_CHECKING:
    from llava_eval.video.fast.av1 import Frame


class Burst(NamedTuple):
    """Frames that are decoded in one go, in ascending order, and where that begins."""

    entry: EntryPoint
    frames: tuple[int, ...]

    @property
    def cost(self) -> int:
        """About how many packets are decoded."""
        return self.frames[-1] - self.entry.first_frame + 1


def plan_bursts(source: Source, index: VideoIndex, frames: Iterable[int]) -> list[Burst]:
    """Group frames by the last keyframe from which each can be decoded exactly."""
    planner = _Planner(source, index)
    groups: dict[EntryPoint, list[int]] = {}
    for frame in sorted(frames):
        groups.setdefault(planner.entry_for(frame), []).append(frame)
    return [Burst(entry, tuple(members)) for entry, members in groups.items()]


class _Planner:
    def __init__(self, source: Source, index: VideoIndex) -> None:
        self.source = source
        self.index = index
        self.leading: dict[int, int] = {}

    def entry_for(self, frame: int) -> EntryPoint:
        """The last keyframe that is safe and not shown after the frame."""
        for keyframe in range(self.index.keyframe_before(frame), 0, -1):
            leading = self._leading(keyframe)
            if leading >= 0 and frame >= self.index.shown_before[keyframe] + leading:
                return self.index.entry_point(keyframe, leading)
        return self.index.entry_point(0, 0)

    def _leading(self, keyframe: int) -> int:
        if keyframe not in self.leading:
            self.leading[keyframe] = self._look_up(keyframe)
        return self.leading[keyframe]

    def _look_up(self, keyframe: int) -> int:
        leading = int(self.index.leading[keyframe])
        if leading != UNKNOWN:
            return leading
        packet = int(self.index.packets[keyframe])
        with mp4.open_samples(self.source.path, self.source.stream) as samples:
            leading = mp4.leading_pictures(samples, self.source.syntax, packet)
        return self._count_by_timestamp(keyframe) if leading == UNKNOWN else leading

    def _count_by_timestamp(self, keyframe: int) -> int:
        """Shown packets soon after the keyframe with an earlier timestamp."""
        packets = self.source.packets_from(self.index.entry_point(keyframe, 0))
        first = next(packets)
        following = list(islice(packets, 2 * self.source.syntax.max_reorder))
        if first.pts is None or any(packet.pts is None for packet in following):
            return UNSAFE
        return sum(
            packet.pts is not None and packet.pts < first.pts and not packet.is_discard
            for packet in following
        )


class _Packet(NamedTuple):
    """The frames of a packet: the number of the first, and where each lies."""

    first: int
    spans: tuple[tuple[int, int], ...] | None


class References:
    """The frames of packets in a row, from a key frame on, and what each may refer to.

    Packets are added up to the last one that is wanted. :meth:`needed_part` then leaves out of
    each packet the frames that are neither wanted nor referred to, directly or through others.
    """

    def __init__(self) -> None:
        self._slots = [0] * 8  # which frame lies in each
        self._needs: list[tuple[int, ...] | None] = []  # of each frame; None: all before it
        self._keys: set[int] = set()
        self._targets: list[int] = []
        self._packets: dict[int, _Packet] = {}
        self._is_needed = bytearray()

    def add(self, packet: int, frames: Sequence[Frame] | None, *, is_wanted: bool) -> None:
        """The frames of the next packet, which has this number; None if they cannot be read."""
        first = len(self._needs)
        if frames is None:
            self._packets[packet] = _Packet(first, None)
            self._store(0xFF, None)
        else:
            self._packets[packet] = _Packet(first, tuple((f.start, f.end) for f in frames))
            for frame in frames:
                self._add_frame(frame, is_wanted=is_wanted and frame.is_shown)
        if len(self._packets) == 1 or (is_wanted and frames is None):
            self._targets.extend(range(first, len(self._needs)))

    def close(self) -> None:
        """All packets were added."""
        needed = self._is_needed = bytearray(len(self._needs))
        for number in self._targets:
            needed[number] = 1
        for number in range(len(needed) - 1, -1, -1):
            if needed[number]:
                before = self._needs[number]
                for other in range(number) if before is None else before:
                    needed[other] = 1

    def needed_part(self, number: int, packet: bytes) -> bytes:
        """What is needed of the packet that was added with this number; empty if nothing is."""
        first, spans = self._packets[number]
        if spans is None:
            return packet if self._is_needed[first] else b""
        flags = self._is_needed[first : first + len(spans)]
        if all(flags):
            return packet
        if not any(flags):
            return b""
        parts, position = [], 0
        for (start, end), is_needed in zip(spans, flags, strict=True):
            if not is_needed:
                parts.append(packet[position:start])
                position = end
        return b"".join([*parts, packet[position:]])

    def _add_frame(self, frame: Frame, *, is_wanted: bool) -> None:
        if is_wanted:
            self._targets.append(len(self._needs))
        if frame.existing is None:
            if frame.is_key:
                self._keys.add(len(self._needs))
            if frame.references is None:
                self._store(0xFF, None)
            else:
                needs = tuple({self._slots[slot] for slot in frame.references})
                self._store(frame.refresh, needs)
        else:
            shown = self._slots[frame.existing]
            # a key frame that is shown again takes all slots (7.21 of the specification)
            self._store(0xFF if shown in self._keys else 0, (shown,))

    def _store(self, refresh: int, needs: tuple[int, ...] | None) -> None:
        number = len(self._needs)
        self._needs.append(needs)
        for slot in range(8):
            if refresh >> slot & 1:
                self._slots[slot] = number
