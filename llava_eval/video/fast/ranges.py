"""Group the frames of a video into ranges, and decode those on several cores."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache, partial
from itertools import islice

from llava_eval.video.collector import FrameCollector
from llava_eval.video.fast import mp4
from llava_eval.video.fast.index import UNKNOWN, UNSAFE, EntryPoint, VideoIndex
from llava_eval.video.fast.range_decoder import DecodeRange, RangeDecoder
from llava_eval.video.fast.source import Source, open_source

#: Work that pays for opening the file once more, in pixels to decode.
_WORTH_PIXELS = 10_000_000


def plan_ranges(source: Source, index: VideoIndex, frames: Iterable[int]) -> list[DecodeRange]:
    """Group frames by the last keyframe from which each can be decoded exactly.

    Args:
        source: the opened video.
        index: of it.
        frames: frame indices.
    """
    leading_of = cache(partial(_count_leading, source, index))
    groups: dict[EntryPoint, list[int]] = {}
    for frame in sorted(frames):
        entry = index.entry_point(0, 0)
        for keyframe in range(index.keyframe_before(frame), 0, -1):
            leading = leading_of(keyframe)
            if leading >= 0 and frame >= index.shown_before[keyframe] + leading:
                entry = index.entry_point(keyframe, leading)
                break
        groups.setdefault(entry, []).append(frame)
    return [DecodeRange(entry, tuple(members)) for entry, members in groups.items()]


def _count_leading(source: Source, index: VideoIndex, keyframe: int) -> int:
    """Return how many leading pictures a keyframe has, or UNSAFE."""
    leading = int(index.leading[keyframe])
    if leading == UNKNOWN:
        packet = int(index.packets[keyframe])
        leading = mp4.leading_pictures(source.path, source.stream, source.syntax, packet)
    if leading != UNKNOWN:
        return leading
    # Only timestamps tell: of shown packets soon after the keyframe, those with an earlier one.
    packets = source.packets_from(index.entry_point(keyframe, 0))
    first, *following = islice(packets, 1 + 2 * source.syntax.max_reorder)
    if first.pts is None or any(packet.pts is None for packet in following):
        return UNSAFE
    return sum(
        packet.pts is not None and packet.pts < first.pts and not packet.is_discard
        for packet in following
    )


def num_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Cores:
    """Counts the threads of this process that decode, for any video, up to the number of cores."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.busy = 0
        self.lock = threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """One thread decodes, even if no core is free."""
        with self.lock:
            self.busy += 1
        try:
            yield
        finally:
            self.give_back()

    def take_if_free(self) -> bool:
        with self.lock:
            is_free = self.busy < self.count
            self.busy += is_free
        return is_free

    def give_back(self) -> None:
        with self.lock:
            self.busy -= 1

    def give_back_if_crowded(self) -> bool:
        """Give a core back if more threads decode than there are cores."""
        with self.lock:
            is_crowded = self.busy > self.count
            self.busy -= is_crowded
        return is_crowded


_cores = _Cores(num_cores())


class RangeDecoding:
    """The threads that decode ranges of frames; the longest ranges come first.

    Helpers, each with a container of its own, start while cores are free, and leave between ranges
    when other videos need the cores.

    Args:
        source: the opened video.
        index: of it.
        collector: of the frames to decode.
        num_threads: most threads; None stands for the number of cores.
    """

    def __init__(
        self,
        source: Source,
        index: VideoIndex,
        collector: FrameCollector,
        num_threads: int | None = None,
    ) -> None:
        self.source = source
        ranges = plan_ranges(source, index, collector.rows)
        #: That no thread has begun.
        self.ranges = deque(sorted(ranges, key=lambda each: -each.num_packets))
        self.collector = collector
        self.num_threads = num_threads or num_cores()
        pixels = index.info.width * index.info.height
        self.worth = max(1, _WORTH_PIXELS // max(1, pixels))  # num_packets that pay for a thread
        self.helpers: list[threading.Thread] = []
        self.error: Exception | None = None

    def run(self) -> None:
        """Decode the frames.

        Raises:
            UntrustedError, DamagedError, MediaError: the first error that any range meets.
        """
        with _cores.taken():
            try:
                while self.ranges:
                    self._start_helpers()
                    self._decode_next(self.source)
            finally:
                self.ranges.clear()
                for helper in self.helpers:
                    helper.join()
        if self.error is not None:
            raise self.error

    def _decode_next(self, source: Source) -> None:
        try:
            current = self.ranges.popleft()
        except IndexError:  # another thread was faster
            return
        RangeDecoder(source, current, self.collector).run()

    def _start_helpers(self) -> None:
        """Start as many helpers as pay, one range being left to this thread."""
        self.helpers = [helper for helper in self.helpers if helper.is_alive()]
        waiting = [each.num_packets for each in self.ranges.copy()]
        most = min(self.num_threads, len(waiting), 1 + sum(waiting) // self.worth) - 1
        while len(self.helpers) < most and _cores.take_if_free():
            obey_limits = copy_context().run
            helper = threading.Thread(
                target=obey_limits, args=(self._help,), name="decode-range", daemon=True
            )
            self.helpers.append(helper)
            helper.start()

    def _help(self) -> None:
        has_core = True
        try:
            with open_source(self.source.path) as own:
                own.by_byte = self.source.by_byte
                while self.ranges and has_core:
                    self._decode_next(own)
                    has_core = not (self.ranges and _cores.give_back_if_crowded())
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits
            self.ranges.clear()
            self.error = error
        finally:
            if has_core:
                _cores.give_back()
