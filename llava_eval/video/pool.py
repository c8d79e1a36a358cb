"""Run a function ahead of its consumer in a few threads, with results in order and bounded."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from llava_eval.errors import MediaError
from llava_eval.video.deadline import time_limit

_log = logging.getLogger(__name__)

#: How long an iteration, when it ends, waits for threads that are busy with a cancelled item.
_PATIENCE_SECONDS = 1.0

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class ItemOutcome(Generic[ItemT, ValueT]):
    """One item's result: a value, or the error that the function raised.

    Attributes:
        item: the function's argument.
        value: the returned value, None if the function failed.
        error: the raised error, None if it did not fail.
        seconds: how long it took.
    """

    item: ItemT
    value: ValueT | None
    error: Exception | None
    seconds: float

    def unwrap(self) -> ValueT:
        """Return the value, or raise the error if there is one."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]


def decode_ahead(
    items: Iterable[ItemT],
    function: Callable[[ItemT], ValueT],
    *,
    num_workers: int = 2,
    max_pending: int = 4,
    timeout_seconds: float | None = None,
) -> Iterator[ItemOutcome[ItemT, ValueT]]:
    """Apply a function to items in threads, and yield one outcome per item, in order.

    If an item raises or takes too long, the error is in its outcome, and other items are not
    affected. If the iterator is closed early, or the consumer raises (Ctrl-C, for instance), no
    further item is started, and running decode loops are told to end.

    A thread that exceeds its time limit cannot be killed. Decode loops of this package end by
    themselves soon after (:mod:`llava_eval.video.deadline`); a function that does not is left
    behind in its daemon thread, and a new thread takes its place.

    Args:
        items: read as they are needed.
        function: called with one item.
        num_workers: number of threads.
        max_pending: most items that are started and not yet taken by the consumer; bounds the
            memory.
        timeout_seconds: longest time for one item; None sets no limit.

    Raises:
        ValueError: a number is not positive.
    """
    for name, number in (("num_workers", num_workers), ("max_pending", max_pending)):
        if number < 1:
            raise ValueError(f"{name} is {number}, expected at least 1")
    if timeout_seconds is not None and timeout_seconds <= 0:
        raise ValueError(f"timeout_seconds is {timeout_seconds}, expected more than 0")

    def outcomes() -> Iterator[ItemOutcome[ItemT, ValueT]]:
        workers = _WorkerPool(function, num_workers, timeout_seconds)
        pending: deque[_Job[ItemT, ValueT]] = deque()
        try:
            for item in items:
                pending.append(workers.submit(item))
                if len(pending) == max_pending:
                    yield workers.wait_for(pending.popleft())
            while pending:
                yield workers.wait_for(pending.popleft())
        finally:
            workers.stop()

    return outcomes()


class _Job(Generic[ItemT, ValueT]):
    """An item, with the futures of its start and of its outcome."""

    def __init__(self, item: ItemT) -> None:
        self.item = item
        self.started: Future[float] = Future()  # at this time of time.monotonic()
        self.outcome: Future[ItemOutcome[ItemT, ValueT]] = Future()


class _WorkerPool(Generic[ItemT, ValueT]):
    """Daemon threads that take jobs from one queue."""

    def __init__(
        self,
        function: Callable[[ItemT], ValueT],
        num_workers: int,
        timeout_seconds: float | None,
    ) -> None:
        self.function = function
        self.timeout_seconds = timeout_seconds
        self.queue: queue.SimpleQueue[_Job[ItemT, ValueT] | None] = queue.SimpleQueue()
        self.overrun: set[_Job[ItemT, ValueT]] = set()
        self.threads: list[threading.Thread] = []
        self.cancelled = threading.Event()
        for _ in range(num_workers):
            self._start_worker()

    def submit(self, item: ItemT) -> _Job[ItemT, ValueT]:
        job: _Job[ItemT, ValueT] = _Job(item)
        self.queue.put(job)
        return job

    def wait_for(self, job: _Job[ItemT, ValueT]) -> ItemOutcome[ItemT, ValueT]:
        """Return the job's outcome, or a timeout error once it has run for longer than allowed."""
        if self.timeout_seconds is None:
            return job.outcome.result()
        # the function's own deadline comes first, with the better message
        grace = min(1.0, 0.1 * self.timeout_seconds + 0.05)
        end = job.started.result() + self.timeout_seconds + grace
        try:
            return job.outcome.result(end - time.monotonic())
        except TimeoutError:
            return self._give_up(job)

    def stop(self) -> None:
        """Drop waiting jobs, cancel running ones, and give the threads a moment to end."""
        self.cancelled.set()
        with suppress(queue.Empty):
            while True:
                self.queue.get_nowait()
        for _ in self.threads:
            self.queue.put(None)
        end = time.monotonic() + _PATIENCE_SECONDS
        for thread in self.threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _give_up(self, job: _Job[ItemT, ValueT]) -> ItemOutcome[ItemT, ValueT]:
        _log.warning("%s: overran its time limit; a thread is left behind", _name(job.item))
        self.overrun.add(job)
        self._start_worker()
        error = MediaError(f"{_name(job.item)}: timed out after {self.timeout_seconds:g} s")
        return ItemOutcome(job.item, None, error, time.monotonic() - job.started.result())

    def _start_worker(self) -> None:
        thread = threading.Thread(target=self._work, name="decode-ahead", daemon=True)
        self.threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while (job := self.queue.get()) is not None:
            job.started.set_result(time.monotonic())
            job.outcome.set_result(self._outcome_of(job.item))
            if job in self.overrun:  # a new thread was started instead of this one
                return

    def _outcome_of(self, item: ItemT) -> ItemOutcome[ItemT, ValueT]:
        began = time.monotonic()
        value: ValueT | None = None
        error: Exception | None = None
        try:
            with time_limit(self.timeout_seconds, self.cancelled):
                value = self.function(item)
        except Exception as raised:  # noqa: BLE001 - carried in the outcome
            error = raised
        except BaseException as raised:  # noqa: BLE001 - never leave the consumer waiting
            error = RuntimeError(f"{_name(item)}: the worker was ended by {raised!r}")
        return ItemOutcome(item, value, error, time.monotonic() - began)


def _name(item: object) -> str:
    path = getattr(item, "path", None)
    return str(item if path is None else path)
