"""Concurrent requests to one endpoint: threads, retries, and when to give up.

Judges and served models use the same code. A request that fails with a temporary error is retried
after a growing pause. Nothing is retried any more once many requests in a row have failed, each
with all its retries.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import TypeVar

from llava_eval.borders.http_client import RequestError
from llava_eval.config.schema import RequestsConfig
from llava_eval.models.chat_client import BusyError

#: Number of requests in a row that fail, with all retries, before an endpoint counts as gone.
MAX_FAILURES_IN_A_ROW = 10
#: An endpoint that requests a longer pause than this counts as failed.
LONGEST_WAIT_SECONDS = 600.0
_LONGEST_BACKOFF_SECONDS = 60.0
#: Time to wait for running calls if the iteration ends before the last item.
_PATIENCE_SECONDS = 1.0

_random = random.Random(0)  # spreads retries out; no result depends on it

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")


class FailureStreak:
    """Counts consecutive failed requests, from many threads.

    Attributes:
        num_failed: requests in a row that failed for any reason.
        num_passing: requests in a row that failed with a temporary error; a rejection ends it,
            because the endpoint has responded.
        num_unreachable: requests since the last success that got no response, or only the response
            to come back later.
    """

    def __init__(self) -> None:
        self.num_failed = 0
        self.num_passing = 0
        self.num_unreachable = 0
        self._lock = threading.Lock()

    def add(self, error: Exception | None) -> int:
        """Count one request, and return how many have failed in a row.

        Args:
            error: the error; None if it succeeded, which ends the streak.
        """
        is_away = isinstance(error, RequestError) and error.is_away
        may_pass = isinstance(error, RequestError) and error.may_pass
        with self._lock:
            self.num_passing = self.num_passing + 1 if may_pass else 0
            self.num_failed = 0 if error is None else self.num_failed + 1
            self.num_unreachable = 0 if error is None else self.num_unreachable + is_away
            return self.num_failed

    @property
    def is_long(self) -> bool:
        """Whether too many requests in a row have failed to be a coincidence."""
        return self.num_failed >= MAX_FAILURES_IN_A_ROW

    @property
    def is_silence(self) -> bool:
        """Whether so many requests got no response that the endpoint is gone."""
        return self.num_unreachable >= MAX_FAILURES_IN_A_ROW


def with_retries(
    attempt: Callable[[], ValueT],
    config: RequestsConfig,
    *,
    stop: threading.Event | None = None,
    streak: FailureStreak | None = None,
    final: type[RequestError] | tuple[()] = (),
) -> ValueT:
    """Call a function, and retry it while it fails with a temporary error.

    Args:
        attempt: sends one request.
        config: number of retries, and the pause before them.
        stop: if set, ends a pause and further retries.
        streak: ends further retries once too many requests in a row have failed.
        final: kind of error that is not retried although it may be temporary.

    Raises:
        RequestError: the error of the last attempt.
    """
    stop = stop or threading.Event()
    streak = streak or FailureStreak()
    num_attempts = 0
    while True:
        try:
            return attempt()
        except RequestError as error:
            pause = pause_seconds(num_attempts, error, config.backoff_seconds)
            num_attempts += 1
            may_pass = error.may_pass and not isinstance(error, final)
            if not may_pass or pause is None or stop.is_set():
                raise
            is_futile = streak.num_passing >= MAX_FAILURES_IN_A_ROW
            if num_attempts > config.retries or is_futile or stop.wait(pause):
                error.num_attempts = num_attempts
                raise


def pause_seconds(attempt: int, error: RequestError, backoff_seconds: float) -> float | None:
    """Return the pause before the next attempt in seconds; None if it would be too long.

    Args:
        attempt: number of the failed attempt, from 0.
        error: its error; a pause requested by the endpoint is the minimum.
        backoff_seconds: pause after the first attempt; it doubles with each, up to a minute.
    """
    asked = (error.retry_after_seconds or 0.0) if isinstance(error, BusyError) else 0.0
    if asked > LONGEST_WAIT_SECONDS:
        return None
    backoff = min(_LONGEST_BACKOFF_SECONDS, backoff_seconds * 2.0 ** min(attempt, 60))
    return max(asked, backoff * _random.uniform(0.75, 1.25))


def ask_all(
    items: Sequence[ItemT],
    ask: Callable[[ItemT], ValueT],
    *,
    concurrency: int,
    stop: threading.Event,
) -> Generator[tuple[ItemT, ValueT], None, None]:
    """Call a function for each item concurrently, and yield items and results as they finish.

    The threads are daemons, so neither Ctrl-C nor the end of the process waits long for a server.

    Args:
        items: the items.
        ask: function called with each item, in threads.
        concurrency: maximum number of calls at once.
        stop: once it is set, no further item is started, but running calls still yield. It is set
            here if the iteration ends early.

    Raises:
        BaseException: any exception of a call.
    """
    waiting: queue.SimpleQueue[ItemT] = queue.SimpleQueue()
    # A value or an error for each started item, and None for each thread that has ended.
    done: queue.SimpleQueue[tuple[ItemT, ValueT | None, BaseException | None] | None]
    done = queue.SimpleQueue()
    for item in items:
        waiting.put(item)

    def work() -> None:
        while not stop.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                break
            try:
                done.put((item, ask(item), None))
            except BaseException as error:  # noqa: BLE001 - raised again by the consumer
                done.put((item, None, error))
        done.put(None)

    threads = [
        threading.Thread(target=work, name=f"request-{number}", daemon=True)
        for number in range(min(concurrency, len(items)))
    ]
    for thread in threads:
        thread.start()
    num_running = len(threads)
    try:
        while num_running:
            result = done.get()
            if result is None:
                num_running -= 1
                continue
            item, value, error = result
            if error is not None:
                raise error
            yield item, value  # type: ignore[misc]
    finally:
        if num_running:
            stop.set()
            deadline = time.monotonic() + _PATIENCE_SECONDS
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
