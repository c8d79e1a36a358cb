"""The decode pool: order, errors, time limits, bounds, shutdown."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextvars import copy_context

import pytest

from llava_eval.errors import MediaError
from llava_eval.video.deadline import check_deadline, seconds_left, time_limit
from llava_eval.video.pool import decode_ahead
from tests.processes import PATIENCE_SECONDS, wait_for


def double(number: int) -> int:
    return 2 * number


def test_outcomes_come_in_order() -> None:
    def slow_first(number: int) -> int:
        time.sleep(0.05 if number == 0 else 0.0)
        return number

    outcomes = list(decode_ahead(range(20), slow_first, num_workers=4, max_pending=8))
    assert [outcome.unwrap() for outcome in outcomes] == list(range(20))
    assert [outcome.item for outcome in outcomes] == list(range(20))
    assert outcomes[0].seconds >= 0.05


def test_an_error_stays_with_its_item() -> None:
    def divide(number: int) -> float:
        return 1 / number

    outcomes = list(decode_ahead([1, 0, 2], divide))
    assert [outcome.value for outcome in outcomes] == [1.0, None, 0.5]
    assert isinstance(outcomes[1].error, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        outcomes[1].unwrap()


def test_even_an_exit_inside_a_worker_is_an_outcome() -> None:
    def leave(number: int) -> int:
        raise SystemExit(number)

    (outcome,) = decode_ahead([3], leave)
    assert "SystemExit(3)" in str(outcome.error)


@pytest.mark.parametrize("max_pending", [1, 3])
def test_no_more_than_max_pending_are_started(max_pending: int) -> None:
    started: list[int] = []

    def note(number: int) -> int:
        started.append(number)
        return number

    outcomes = decode_ahead(range(30), note, num_workers=4, max_pending=max_pending)
    for taken, outcome in enumerate(outcomes):
        assert len(started) <= taken + max_pending
        assert outcome.value == taken
    assert sorted(started) == list(range(30))  # which of several threads is first is chance


def test_work_is_done_ahead_of_the_consumer() -> None:
    finished = threading.Semaphore(0)

    def note(number: int) -> int:
        finished.release()
        return number

    iterator = decode_ahead(range(4), note, num_workers=2, max_pending=4)
    next(iterator)
    for _ in range(4):  # all four are done though one was taken
        assert finished.acquire(timeout=PATIENCE_SECONDS)
    assert [outcome.value for outcome in iterator] == [1, 2, 3]


@pytest.mark.slow
def test_time_limit_of_an_item() -> None:
    release, is_over = threading.Event(), threading.Event()

    def hang(path: str) -> str:
        if path == "bad.mp4":
            release.wait(PATIENCE_SECONDS)
            is_over.set()
        return path

    outcomes = list(
        decode_ahead(["bad.mp4", "a.mp4", "b.mp4"], hang, num_workers=1, timeout_seconds=1.0)
    )
    assert not is_over.is_set()
    release.set()
    assert [outcome.value for outcome in outcomes] == [None, "a.mp4", "b.mp4"]
    assert isinstance(outcomes[0].error, MediaError)
    assert str(outcomes[0].error) == "bad.mp4: timed out after 1 s"


def test_decode_loops_obey_the_limit_by_themselves() -> None:
    ended = threading.Event()

    def loop(path: str) -> None:
        try:
            while True:
                check_deadline(path)
                time.sleep(0.001)
        finally:
            ended.set()

    (outcome,) = decode_ahead(["slow.mp4"], loop, timeout_seconds=0.05)
    assert ended.wait(PATIENCE_SECONDS)
    assert str(outcome.error) == "slow.mp4: timed out after 0.05 s"


def test_limits_nest() -> None:
    with time_limit(60):
        with time_limit(None):
            check_deadline("a.mp4")
        with time_limit(-1.0), pytest.raises(MediaError, match="timed out after -1 s"):
            check_deadline("a.mp4")
        check_deadline("a.mp4")
    with time_limit(-1.0), time_limit(60), pytest.raises(MediaError, match="timed out"):
        check_deadline("a.mp4")


def test_helpers_obey_the_limits_of_the_thread_that_they_help() -> None:
    cancelled = threading.Event()
    with time_limit(60), time_limit(30, cancelled):
        context = copy_context()
        assert 0 < seconds_left() <= 30
    assert seconds_left() == math.inf
    errors: list[str] = []

    def help_out() -> None:
        check_deadline("a.mp4")  # none of its own
        context.run(obey)
        check_deadline("d.mp4")
        errors.append("ended")

    def obey() -> None:
        check_deadline("b.mp4")
        cancelled.set()
        try:
            check_deadline("c.mp4")
        except MediaError as error:
            errors.append(str(error))

    helper = threading.Thread(target=help_out)
    helper.start()
    helper.join(PATIENCE_SECONDS)
    assert errors == ["c.mp4: decoding was cancelled", "ended"]
    check_deadline("e.mp4")
    with time_limit(-1.0):
        assert seconds_left() == 0.0


def test_closing_early_starts_nothing_more() -> None:
    started: list[int] = []

    def note(number: int) -> int:
        started.append(number)
        return number

    iterator = decode_ahead(range(1000), note, num_workers=1, max_pending=2)
    next(iterator)
    assert hasattr(iterator, "close")
    iterator.close()
    count = len(started)
    time.sleep(0.05)
    assert len(started) <= count + 1 <= 4


def test_threads_end() -> None:
    def alive() -> int:
        return sum(thread.name == "decode-ahead" for thread in threading.enumerate())

    before = alive()
    assert len(list(decode_ahead(range(5), double, num_workers=3))) == 5
    wait_for(lambda: alive() <= before)


@pytest.mark.slow
def test_an_interrupt_in_the_consumer_ends_it_at_once() -> None:
    hold, is_over = threading.Event(), threading.Event()

    def wait(number: int) -> int:
        hold.wait(PATIENCE_SECONDS)
        is_over.set()
        return number

    def consume() -> None:
        for outcome in decode_ahead(range(3), lambda n: n if n == 0 else wait(n)):
            if outcome.item == 0:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    assert not is_over.is_set()
    hold.set()


def test_an_error_of_the_items_is_not_swallowed() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise RuntimeError("rows ended badly")

    with pytest.raises(RuntimeError, match="rows ended badly"):
        list(decode_ahead(items(), double))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": 0}, "num_workers is 0"),
        ({"max_pending": 0}, "max_pending is 0"),
        ({"timeout_seconds": 0.0}, "timeout_seconds is 0"),
    ],
)
def test_refusals(options: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_ahead([1], double, **options)  # type: ignore[arg-type]
