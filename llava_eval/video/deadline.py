"""A time limit that decode loops obey, set for the current thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from llava_eval.errors import MediaError


class _Limit(NamedTuple):
    end: float
    seconds: float
    cancelled: threading.Event | None


Limits = tuple[_Limit, ...]


class _Local(threading.local):
    limits: Limits = ()


_local = _Local()


@contextmanager
def time_limit(seconds: float | None, cancelled: threading.Event | None = None) -> Iterator[None]:
    """Let :func:`check_deadline` of this thread raise once ``seconds`` have passed.

    It raises as well once ``cancelled`` is set. Limits nest; None sets no limit.
    """
    before = _local.limits
    end = float("inf") if seconds is None else time.monotonic() + seconds
    _local.limits = (*before, _Limit(end, 0.0 if seconds is None else seconds, cancelled))
    try:
        yield
    finally:
        _local.limits = before


def check_deadline(path: str) -> None:
    """Raise a :class:`MediaError` for ``path`` if a time limit of this thread has passed."""
    for limit in _local.limits:
        if time.monotonic() > limit.end:
            raise MediaError(f"{path}: timed out after {limit.seconds:g} s")
        if limit.cancelled is not None and limit.cancelled.is_set():
            raise MediaError(f"{path}: decoding was cancelled")


@contextmanager
def limits_of(limits: Limits) -> Iterator[None]:
    """Obey the limits of another thread, as :func:`current_limits` gave them there."""
    before = _local.limits
    _local.limits = limits
    try:
        yield
    finally:
        _local.limits = before


def current_limits() -> Limits:
    """The limits of this thread, for its helpers."""
    return _local.limits
