"""What libav's decoders complain about while they decode, for the current thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import av.logging

Message = tuple[int, str, str]


class _Listeners:
    """Logging of libav is off by default and global: it is on while anybody listens."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0
        self.before: tuple[int | None, bool] = (None, True)
        self.of_nobody = av.logging.Capture(local=False)

    def enter(self) -> None:
        with self.lock:
            if self.count == 0:
                self.before = (av.logging.get_level(), av.logging.get_skip_repeated())
                self.of_nobody = av.logging.Capture(local=False)
                self.of_nobody.__enter__()
                av.logging.set_skip_repeated(False)
                av.logging.set_level(av.logging.INFO)
            self.count += 1

    def leave(self) -> None:
        with self.lock:
            self.count -= 1
            if self.count == 0:
                level, skip_repeated = self.before
                av.logging.set_level(level)
                av.logging.set_skip_repeated(skip_repeated)
                self.of_nobody.__exit__(None, None, None)


_listeners = _Listeners()


@contextmanager
def libav_messages() -> Iterator[list[Message]]:
    """A list of (level, source, text) that holds, in the end, what libav logged in this thread.

    Messages of a decoder's own threads cannot be told apart and go to everybody who listens.
    """
    messages: list[Message] = []
    _listeners.enter()
    of_nobody = _listeners.of_nobody.logs
    before = len(of_nobody)
    try:
        with av.logging.Capture(local=True) as local:
            yield messages
    finally:
        messages += local
        messages += of_nobody[before:]
        _listeners.leave()


def sign_of_damage(
    messages: list[Message], decoder: str, *, ignore: str | None = None
) -> str | None:
    """The first message of the decoder that tells of damage, None if there is none."""
    for level, source, text in messages:
        if source != decoder or (ignore and ignore in text):
            continue
        if level <= av.logging.WARNING or "concealing" in text or "reorder buffer" in text:
            return " ".join(text.split())
    return None
