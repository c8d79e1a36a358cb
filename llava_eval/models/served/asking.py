"""Asking many things of a server at once, in threads that nobody has to wait for."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

#: How long an end before the last item waits for calls under way.
_PATIENCE_SECONDS = 1.0

ItemT = TypeVar("ItemT")
ValueT = TypeVar("ValueT")


def ask_all(
    items: Sequence[ItemT],
    ask: Callable[[ItemT], ValueT],
    *,
    concurrency: int,
    stop: threading.Event,
) -> Iterator[tuple[ItemT, ValueT]]:
    """Yield what asking each item gives, as it comes in.

    The threads are daemons: neither Ctrl-C nor the end of the process waits long for a server.

    Args:
        items: what to ask.
        ask: called in threads.
        concurrency: most calls at once.
        stop: set when the iteration ends early; no further item is begun then.

    Raises:
        BaseException: whatever a call raised.
    """
    waiting: queue.SimpleQueue[ItemT] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[ItemT, ValueT | None, BaseException | None]] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)

    def work() -> None:
        while not stop.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((item, ask(item), None))
            except BaseException as error:  # noqa: BLE001 - raised again by the consumer
                done.put((item, None, error))

    threads = [
        threading.Thread(target=work, name=f"served-{number}", daemon=True)
        for number in range(min(concurrency, len(items)))
    ]
    for thread in threads:
        thread.start()
    is_complete = False
    try:
        for _ in items:
            item, value, error = done.get()
            if error is not None:
                raise error
            yield item, value  # type: ignore[misc]
        is_complete = True
    finally:
        if not is_complete:
            stop.set()
            deadline = time.monotonic() + _PATIENCE_SECONDS
            for thread in threads:
                thread.join(max(0.0, deadline - time.monotonic()))
