"""Find the frames that must be decoded to show some of them, if frames state their references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Frame(NamedTuple):
    """A frame's dependence on others, from its header; or an instruction to show an earlier frame.

    Attributes:
        start, end: its bytes in its temporal unit.
        is_shown: whether the unit shows it.
        is_key: whether it is a key frame.
        existing: the slot of the earlier frame that is shown; None for a new frame.
        refresh: bit i is set if it is stored in slot i.
        references: the slots it may refer to; None if it may depend on any earlier frame.
    """

    start: int
    end: int
    is_shown: bool
    is_key: bool
    existing: int | None
    refresh: int
    references: tuple[int, ...] | None


class References:
    """The frames of consecutive packets, from a key frame on, and the frames each may refer to.

    Packets are added up to the last wanted one. :meth:`needed_part` then removes from a packet the
    frames that are neither wanted nor referred to, directly or indirectly, by wanted ones.
    """

    def __init__(self) -> None:
        self._slots = [0] * 8  # the frame stored in each
        self._needs: list[tuple[int, ...] | None] = []  # of each frame; None: all before it
        self._keys: set[int] = set()
        self._targets: list[int] = []
        # by packet, the number of its first frame, and its frames
        self._packets: dict[int, tuple[int, Sequence[Frame] | None]] = {}
        self._is_needed = bytearray()

    def add(self, packet: int, frames: Sequence[Frame] | None, *, is_wanted: bool) -> None:
        """Add the next packet.

        Args:
            packet: its number in decoding order.
            frames: its frames in order, None if they cannot be read.
            is_wanted: whether the frame that it shows is requested.
        """
        first = len(self._needs)
        self._packets[packet] = first, frames
        if frames is None:
            self._store(0xFF, None)
        else:
            for frame in frames:
                self._add_frame(frame, is_wanted=is_wanted and frame.is_shown)
        if len(self._packets) == 1 or (is_wanted and frames is None):
            self._targets.extend(range(first, len(self._needs)))

    def close(self) -> None:
        """Find the needed frames, once all packets have been added."""
        needed = self._is_needed = bytearray(len(self._needs))
        for number in self._targets:
            needed[number] = 1
        for number in range(len(needed) - 1, -1, -1):
            if needed[number]:
                before = self._needs[number]
                for earlier in range(number) if before is None else before:
                    needed[earlier] = 1

    def needed_part(self, number: int, packet: bytes) -> bytes:
        """Return the needed part of a packet; empty if none of its frames is needed.

        Args:
            number: the number that it was added with.
            packet: its bytes.
        """
        first, frames = self._packets[number]
        if frames is None:
            return packet if self._is_needed[first] else b""
        flags = self._is_needed[first : first + len(frames)]
        if all(flags):
            return packet
        if not any(flags):
            return b""
        parts, position = [], 0
        for frame, is_needed in zip(frames, flags, strict=True):
            if not is_needed:
                parts.append(packet[position : frame.start])
                position = frame.end
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
            # a key frame that is shown again fills all slots (AV1 specification, 7.21)
            self._store(0xFF if shown in self._keys else 0, (shown,))

    def _store(self, refresh: int, needs: tuple[int, ...] | None) -> None:
        number = len(self._needs)
        self._needs.append(needs)
        for slot in range(8):
            if refresh >> slot & 1:
                self._slots[slot] = number
