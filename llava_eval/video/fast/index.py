"""Where the frames of a video are: which keyframe each one is decoded from, without decoding.

Frames are numbered in the order they are shown. Packets are numbered in the order they are stored,
which is the order of decoding. A keyframe with number ``packet`` and ``shown_before`` shown
packets before it is itself frame ``shown_before + leading``, where ``leading`` counts the pictures
stored after it and shown before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from llava_eval.types import VideoInfo

Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: ``leading`` of a keyframe that has not been looked at, and of one where decoding cannot begin.
UNKNOWN, UNSAFE = -1, -2


class EntryPoint(NamedTuple):
    """A keyframe where decoding may begin.

    Attributes:
        keyframe: its row in the table of keyframes.
        packet: its number in decoding order.
        first_frame: its number in the order shown; what is decoded from here is exact from this
            frame on.
        timestamp, position: to find it by seeking, and to know it when it comes.
    """

    keyframe: int
    packet: int
    first_frame: int
    timestamp: int
    position: int


def _no_rows() -> Integers:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class VideoIndex:
    """All that has to be known of a video to decode any of its frames.

    Attributes:
        info: what a sampler needs to know of it.
        sequential_reason: why only the sequential decode can be trusted; empty if that is not so.
        packets, shown_before, timestamps, positions, leading: the table of keyframes.
        num_packets, num_shown: packets of the video stream, and how many of them show a frame.
        by_byte: keyframes are found by their position in the file, not by their timestamp.
    """

    info: VideoInfo
    sequential_reason: str = ""
    packets: Integers = field(default_factory=_no_rows)
    shown_before: Integers = field(default_factory=_no_rows)
    timestamps: Integers = field(default_factory=_no_rows)
    positions: Integers = field(default_factory=_no_rows)
    leading: Integers = field(default_factory=_no_rows)
    num_packets: int = 0
    num_shown: int = 0
    by_byte: bool = False

    def keyframe_before(self, frame: int) -> int:
        """Row of the last keyframe that is stored before, or is, the frame with this number."""
        return int(np.searchsorted(self.shown_before, frame, side="right")) - 1

    def entry_point(self, keyframe: int, leading: int) -> EntryPoint:
        """The keyframe in this row as a place to begin decoding."""
        return EntryPoint(
            keyframe,
            int(self.packets[keyframe]),
            int(self.shown_before[keyframe]) + leading,
            int(self.timestamps[keyframe]),
            int(self.positions[keyframe]),
        )


def sequential_index(info: VideoInfo, reason: str) -> VideoIndex:
    """The index of a video that has to be decoded from its start."""
    return VideoIndex(info, sequential_reason=reason)


def keyframe_table(
    info: VideoInfo,
    *,
    packets: Integers,
    shown: Flags,
    timestamps: Sequence[int],
    positions: Sequence[int],
    leading: Sequence[int],
    by_byte: bool,
) -> VideoIndex:
    """An index from the numbers of the keyframes and whether each packet is shown."""
    counts = np.concatenate([[0], np.cumsum(shown)]).astype(np.int64)
    return VideoIndex(
        info,
        packets=packets,
        shown_before=counts[packets],
        timestamps=np.asarray(timestamps, np.int64),
        positions=np.asarray(positions, np.int64),
        leading=np.asarray(leading, np.int64),
        num_packets=len(shown),
        num_shown=int(counts[-1]),
        by_byte=by_byte,
    )
