"""Decode the bursts of one video on several cores, each with a container of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from llava_eval.video.collector import FrameCollector
from llava_eval.video.deadline import Limits, current_limits, limits_of
from llava_eval.video.fast.burst import decode_burst
from llava_eval.video.fast.index import VideoIndex
from llava_eval.video.fast.plan import Burst
from llava_eval.video.fast.source import Source, open_source

#: Work that pays for opening the file once more, in pixels to decode.
_WORTH_PIXELS = 10_000_000


def num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Cores:
    """How many threads of this process decode, whoever asked for it, and how many may."""

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


def decode_bursts(
    source: Source,
    index: VideoIndex,
    bursts: Sequence[Burst],
    collector: FrameCollector,
    num_threads: int,
) -> None:
    """Decode all bursts into the collector; raises the first error that any of them meets.

    Helpers start while cores are free, up to ``num_threads`` in all, and leave between bursts
    when other videos need the cores.
    """
    pixels = index.info.width * index.info.height
    crew = _Crew(source, bursts, collector, num_threads, max(1, _WORTH_PIXELS // max(1, pixels)))
    with _cores.taken():
        crew.run()


class _Crew:
    """The threads that decode bursts of one video; the dearest bursts come first."""

    def __init__(
        self,
        source: Source,
        bursts: Sequence[Burst],
        collector: FrameCollector,
        num_threads: int,
        worth: int,
    ) -> None:
        self.source = source
        self.bursts = sorted(bursts, key=lambda burst: -burst.cost)
        self.num_taken = 0
        self.lock = threading.Lock()
        self.collector = collector
        self.num_threads = num_threads
        self.worth = worth  # packets that pay for one more thread
        self.helpers: list[threading.Thread] = []
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            while self._has_more():
                self._recruit()
                self._decode_next(self.source)
        finally:
            self._drop_rest()
            for helper in self.helpers:
                helper.join()
        if self.error is not None:
            raise self.error

    def _has_more(self) -> bool:
        return self.num_taken < len(self.bursts)

    def _drop_rest(self) -> None:
        with self.lock:
            self.num_taken = len(self.bursts)

    def _decode_next(self, source: Source) -> None:
        with self.lock:
            if not self._has_more():  # another thread was faster
                return
            burst = self.bursts[self.num_taken]
            self.num_taken += 1
        decode_burst(source, burst.entry, burst.frames, self.collector)

    def _recruit(self) -> None:
        """Start as many helpers as pay, one burst being left to this thread."""
        self.helpers = [helper for helper in self.helpers if helper.is_alive()]
        waiting = [burst.cost for burst in self.bursts[self.num_taken :]]
        most = min(self.num_threads, len(waiting), 1 + sum(waiting) // self.worth) - 1
        while len(self.helpers) < most and _cores.take_if_free():
            helper = threading.Thread(
                target=self._help, args=(current_limits(),), name="decode-burst", daemon=True
            )
            self.helpers.append(helper)
            helper.start()

    def _help(self, limits: Limits) -> None:
        has_core = True
        try:
            with limits_of(limits), open_source(self.source.path) as own:
                own.by_byte = self.source.by_byte
                while self._has_more():
                    self._decode_next(own)
                    if self._has_more() and _cores.give_back_if_crowded():
                        has_core = False
                        return
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits
            self._drop_rest()
            self.error = error
        finally:
            if has_core:
                _cores.give_back()
