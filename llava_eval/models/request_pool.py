"""Many requests to one endpoint: threads, further attempts, and when to give up.

Judges and served models are asked in the same way. A request that fails in a way that may pass is
tried again, after a pause that grows; nothing is tried again once many requests in a row have
failed, retries and all.
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

#: Requests that fail one after another, retries and all, before an endpoint counts as gone.
MAX_FAILURES_IN_A_ROW = 10
#: An endpoint that asks for a longer pause than this counts as failed.
LONGEST_WAIT_SECONDS = 600.0
_LONGEST_BACKOFF_SECONDS = 60.0
#: How long an end before the last item waits for calls under way.
_PATIENCE_SECONDS = 1.0

_random = random.Random(0)  # spreads retries out; no result depends on it

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")


class FailureStreak:
    """Counts requests that failed one after another, from many threads.

    Attributes:
        num_failed: in a row, for whatever reason.
        num_passing: in a row, in a way that may pass: an endpoint that rejects has answered.
        num_unreachable: since the last success, as nobody answered, or only to come again later.
    """

    def __init__(self) -> None:
        self.num_failed = 0
        self.num_passing = 0
        self.num_unreachable = 0
        self._lock = threading.Lock()

    def add(self, error: Exception | None) -> int:
        """Count one request, and return how many have failed in a row.

        Args:
            error: why it failed; None ends the streak.
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
        """Whether so many have failed that it is no chance."""
        return self.num_failed >= MAX_FAILURES_IN_A_ROW

    @property
    def is_silence(self) -> bool:
        """Whether nobody has answered so often that the endpoint is gone."""
        return self.num_unreachable >= MAX_FAILURES_IN_A_ROW


def with_retries(
    attempt: Callable[[], ValueT],
    config: RequestsConfig,
    *,
    stop: threading.Event | None = None,
    streak: FailureStreak | None = None,
    final: type[RequestError] | tuple[()] = (),
) -> ValueT:
    """Return what an attempt returns, tried again while it fails in a way that may pass.

    Args:
        attempt: sends one request.
        config: how often it is tried again, and after which wait.
        stop: ends a wait, and further attempts.
        streak: ends further attempts once it is long.
        final: a kind of error that is not waited for, although it may pass.

    Raises:
        RequestError: of the last attempt.
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
    """Return how long to wait before the next attempt; None: too long.

    Args:
        attempt: number of the one that failed, from 0.
        error: how it failed; what the endpoint asks for is the least.
        backoff_seconds: wait after the first attempt; doubles with each, up to a minute.
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
    """Yield what asking each item gives, as it comes in.

    The threads are daemons: neither Ctrl-C nor the end of the process waits long for a server.

    Args:
        items: what to ask.
        ask: called in threads.
        concurrency: most calls at once.
        stop: once it is set no further item is begun, and what is under way still comes. It is
            set here when the iteration ends early.

    Raises:
        BaseException: whatever a call raised.
    """
    waiting: queue.SimpleQueue[ItemT] = queue.SimpleQueue()
    # A value or an error for each item that was begun, and None for each thread that has ended.
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
