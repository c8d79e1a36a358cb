"""Decode the bursts of one video on several cores, each with a container of its own."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Sequence

from llava_eval.video.burst import decode_burst
from llava_eval.video.collector import FrameCollector
from llava_eval.video.deadline import Limits, current_limits, limits_of
from llava_eval.video.index import VideoIndex
from llava_eval.video.plan import Burst
from llava_eval.video.source import Source, open_source

#: Work that pays for opening the file once more, in pixels to decode.
_WORTH_PIXELS = 10_000_000


def num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


#: Helper threads that may run at once in this process, whoever asks for them.
_helpers = threading.BoundedSemaphore(max(1, num_cores() - 1))


def decode_bursts(
    source: Source,
    index: VideoIndex,
    bursts: Sequence[Burst],
    collector: FrameCollector,
    num_threads: int,
) -> None:
    """Decode all bursts into the collector; raises the first error that any of them meets."""
    crew = _Crew(bursts, collector)
    pixels = index.info.width * index.info.height * sum(burst.cost for burst in bursts)
    wished = min(num_threads, len(bursts), 1 + pixels // _WORTH_PIXELS) - 1
    helpers = [
        threading.Thread(
            target=_help, args=(source, crew, current_limits()), name="decode-burst", daemon=True
        )
        for _ in range(wished)
        if _helpers.acquire(blocking=False)
    ]
    for helper in helpers:
        helper.start()
    try:
        crew.work(source)
    finally:
        crew.bursts.clear()
        for helper in helpers:
            helper.join()
    if crew.error is not None:
        raise crew.error


class _Crew:
    """The bursts that are still to be decoded; the dearest come first."""

    def __init__(self, bursts: Sequence[Burst], collector: FrameCollector) -> None:
        self.bursts = deque(sorted(bursts, key=lambda burst: -burst.cost))
        self.collector = collector
        self.error: Exception | None = None

    def work(self, source: Source) -> None:
        while True:
            try:
                burst = self.bursts.popleft()
            except IndexError:
                return
            decode_burst(source, burst.entry, burst.frames, self.collector)


def _help(source: Source, crew: _Crew, limits: Limits) -> None:
    try:
        with limits_of(limits), open_source(source.path) as own:
            own.by_byte = source.by_byte
            crew.work(own)
    except Exception as error:  # noqa: BLE001 - raised by the thread that waits
        crew.bursts.clear()
        crew.error = error
    finally:
        _helpers.release()
