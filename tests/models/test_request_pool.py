"""Threads, further attempts, and when to give up."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from llava_eval.borders.http_client import RequestError, UnreachableError
from llava_eval.config.schema import RequestsConfig
from llava_eval.models.chat_client import BusyError, RejectedError
from llava_eval.models.request_pool import (
    MAX_FAILURES_IN_A_ROW,
    FailureStreak,
    ask_all,
    pause_seconds,
    with_retries,
)


class Stop(threading.Event):
    """An event that waits for nothing and remembers what it was asked to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        return self.is_set()


def failing(times: int, error: RequestError) -> Callable[[], str]:
    left = [error] * times

    def attempt() -> str:
        if left:
            raise left.pop()
        return "done"

    return attempt


def retried(attempt: Callable[[], str], stop: Stop, *, retries: int = 3) -> str:
    config = RequestsConfig(retries=retries, backoff_seconds=1.0)
    return with_retries(attempt, config, stop=stop, streak=FailureStreak())


def test_pauses_double_up_to_a_minute() -> None:
    error = BusyError("no")
    for attempt, usual in enumerate([0.5, 1, 2, 4, 8, 16, 32, 60, 60]):
        found = pause_seconds(attempt, error, 0.5)
        assert found is not None
        assert 0.75 * usual <= found <= 1.25 * usual
    assert pause_seconds(10**6, error, 0.5) is not None


def test_what_the_server_asks_for_is_the_least() -> None:
    assert pause_seconds(0, BusyError("no", 30.0), 0.5) == 30.0
    assert pause_seconds(0, BusyError("no", 600.0), 0.5) == 600.0
    assert pause_seconds(0, BusyError("no", 601.0), 0.5) is None
    assert pause_seconds(0, BusyError("no", float("inf")), 0.5) is None
    found = pause_seconds(6, BusyError("no", 1.0), 0.5)
    assert found is not None
    assert found >= 24


def test_attempts() -> None:
    stop = Stop()
    assert retried(failing(3, BusyError("no")), stop) == "done"
    assert len(stop.waited) == 3
    with pytest.raises(BusyError, match=r"^no \(4 attempts\)$"):
        retried(failing(4, BusyError("no")), Stop())
    with pytest.raises(BusyError, match=r"^no \(1 attempts\)$"):
        retried(failing(1, BusyError("no")), Stop(), retries=0)


def test_what_is_not_tried_again() -> None:
    for error in (RejectedError("never"), BusyError("in an hour", 3600.0)):
        stop = Stop()
        with pytest.raises(RequestError) as caught:
            retried(failing(1, error), stop)
        assert "attempts" not in str(caught.value)
        assert stop.waited == []
    config = RequestsConfig(retries=3)
    with pytest.raises(UnreachableError, match=r"^nobody$"):
        with_retries(failing(1, UnreachableError("nobody")), config, final=UnreachableError)
    stopped = Stop()
    stopped.set()
    with pytest.raises(BusyError, match=r"^no$"):
        retried(failing(1, BusyError("no")), stopped)


def test_nothing_is_tried_again_in_a_long_streak() -> None:
    streak, stop = FailureStreak(), Stop()
    for _ in range(MAX_FAILURES_IN_A_ROW):
        assert not streak.is_long
        streak.add(BusyError("no"))
    with pytest.raises(BusyError, match=r"\(1 attempts\)"):
        with_retries(
            failing(1, BusyError("no")), RequestsConfig(retries=3), stop=stop, streak=streak
        )
    assert stop.waited == []


def test_an_endpoint_that_rejects_is_asked_again_once_it_is_busy() -> None:
    streak = FailureStreak()
    for _ in range(MAX_FAILURES_IN_A_ROW):
        streak.add(RejectedError("HTTP 400"))
    config = RequestsConfig(retries=3)
    assert (
        with_retries(failing(1, BusyError("HTTP 429")), config, stop=Stop(), streak=streak)
        == "done"
    )


def test_streaks() -> None:
    streak = FailureStreak()
    counts = [streak.add(UnreachableError("no")) for _ in range(MAX_FAILURES_IN_A_ROW - 1)]
    assert counts == list(range(1, MAX_FAILURES_IN_A_ROW))
    assert not streak.is_silence
    assert streak.add(BusyError("no")) == MAX_FAILURES_IN_A_ROW
    assert streak.is_long
    assert not streak.is_silence
    streak.add(UnreachableError("no"))
    assert streak.is_silence
    assert streak.add(None) == 0
    assert not streak.is_long
    assert not streak.is_silence


def test_a_server_that_takes_no_request_is_as_good_as_none() -> None:
    streak = FailureStreak()
    for _ in range(MAX_FAILURES_IN_A_ROW):
        assert not streak.is_silence
        streak.add(BusyError("HTTP 503", is_away=True))
    assert streak.is_silence


def test_every_item_is_asked_once() -> None:
    found = ask_all(range(50), lambda item: 2 * item, concurrency=7, stop=threading.Event())
    assert sorted(found) == [(item, 2 * item) for item in range(50)]
    assert list(ask_all([], str, concurrency=7, stop=threading.Event())) == []


def test_no_more_at_once_than_allowed() -> None:
    together = threading.Barrier(3, timeout=30)  # breaks unless three calls are under way at once

    def ask(item: int) -> int:
        return together.wait()

    results = list(ask_all(range(9), ask, concurrency=3, stop=threading.Event()))
    assert len(results) == 9


def test_what_a_call_raises_ends_all() -> None:
    stop = threading.Event()

    def ask(item: int) -> int:
        if item == 1:
            raise ValueError("an error of one")
        return item

    with pytest.raises(ValueError, match="an error of one"):
        list(ask_all(range(1000), ask, concurrency=1, stop=stop))
    assert stop.is_set()


def test_once_stopped_what_is_under_way_still_comes() -> None:
    stop, asked = threading.Event(), []

    def ask(item: int) -> int:
        asked.append(item)
        if item == 4:
            stop.set()
        return item

    found = [item for item, _ in ask_all(range(1000), ask, concurrency=1, stop=stop)]
    assert found == asked == [0, 1, 2, 3, 4]


def test_an_end_before_the_last_item_stops_the_threads() -> None:
    stop = threading.Event()
    results = ask_all(range(10**6), lambda item: item, concurrency=2, stop=stop)
    assert next(results) is not None
    results.close()
    assert stop.is_set()
