"""Decide from which keyframe each frame is decoded."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from llava_eval.video import mp4
from llava_eval.video.index import UNKNOWN, UNSAFE, EntryPoint, VideoIndex
from llava_eval.video.source import Source


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
