"""Time limits that decode loops obey, set for the current thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from llava_eval.errors import MediaError


class _Limit(NamedTuple):
    end: float  # of time.monotonic()
    seconds: float
    cancelled: threading.Event | None


Limits = tuple[_Limit, ...]


class _Local(threading.local):
    limits: Limits = ()


_local = _Local()


@contextmanager
def time_limit(seconds: float | None, cancelled: threading.Event | None = None) -> Iterator[None]:
    """Let :func:`check_deadline` of this thread raise once the time is over.

    Limits nest.

    Args:
        seconds: how long the body may take; None sets no limit.
        cancelled: it raises as well once this is set.
    """
    end = float("inf") if seconds is None else time.monotonic() + seconds
    limit = _Limit(end, 0.0 if seconds is None else seconds, cancelled)
    with limits_of((*_local.limits, limit)):
        yield


def check_deadline(path: str) -> None:
    """Check the time limits of this thread.

    Args:
        path: the file that is being read, for the message.

    Raises:
        MediaError: a limit has passed, or the work was cancelled.
    """
    for limit in _local.limits:
        if time.monotonic() > limit.end:
            raise MediaError(f"{path}: timed out after {limit.seconds:g} s")
        if limit.cancelled is not None and limit.cancelled.is_set():
            raise MediaError(f"{path}: decoding was cancelled")


def seconds_left() -> float:
    """Return how long this thread may still work; infinity where nothing limits it."""
    end = min((limit.end for limit in _local.limits), default=float("inf"))
    return max(0.0, end - time.monotonic())


@contextmanager
def limits_of(limits: Limits) -> Iterator[None]:
    """Obey the limits of another thread, as :func:`current_limits` returned them there."""
    before = _local.limits
    _local.limits = limits
    try:
        yield
    finally:
        _local.limits = before


def current_limits() -> Limits:
    """Return the limits of this thread, for its helpers."""
    return _local.limits
