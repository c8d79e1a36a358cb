"""Time limits, set for the current thread, that decode loops check."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from llava_eval.errors import MediaError


class _Limit(NamedTuple):
    end: float  # of time.monotonic()
    seconds: float
    cancelled: threading.Event | None


_limits: ContextVar[tuple[_Limit, ...]] = ContextVar("limits", default=())


@contextmanager
def time_limit(seconds: float | None, cancelled: threading.Event | None = None) -> Iterator[None]:
    """Make :func:`check_deadline` raise in this thread once the time is over.

    Limits nest. Another thread obeys them in a :func:`contextvars.copy_context` of this one.

    Args:
        seconds: how long the body may take; None sets no limit.
        cancelled: once this is set, :func:`check_deadline` raises as well.
    """
    end = float("inf") if seconds is None else time.monotonic() + seconds
    limit = _Limit(end, 0.0 if seconds is None else seconds, cancelled)
    outer = _limits.set((*_limits.get(), limit))
    try:
        yield
    finally:
        _limits.reset(outer)


def check_deadline(path: str) -> None:
    """Check the time limits of this thread.

    Args:
        path: the file that is being read, for the message.

    Raises:
        MediaError: a limit has passed, or the work was cancelled.
    """
    for limit in _limits.get():
        if time.monotonic() > limit.end:
            raise MediaError(f"{path}: timed out after {limit.seconds:g} s")
        if limit.cancelled is not None and limit.cancelled.is_set():
            raise MediaError(f"{path}: decoding was cancelled")


def seconds_left() -> float:
    """Return how many seconds this thread may still work; infinity without a limit."""
    end = min((limit.end for limit in _limits.get()), default=float("inf"))
    return max(0.0, end - time.monotonic())
