"""Limits for chat templates, which are programs written by strangers."""

from __future__ import annotations

import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

#: Maximum number of lines of Python that a chat template may run; real ones run some thousands.
_LIMIT_LINES = 1_000_000
#: Memory and processor time that it may use: "{{ 'a' * 10**10 }}" is a single line.
_LIMIT_BYTES = 1 << 28
_LIMIT_SECONDS = 5

#: Longest wait for a child process, in case it blocks without using processor time.
_TRIAL_SECONDS = 60
_OUT_OF_MEMORY = 3


class HarmError(BaseException):
    """A template's misbehaviour, in words; a BaseException, so ``except Exception`` ignores it."""


class _OutOfMemoryError(HarmError):
    """Raised instead of a MemoryError, which Jinja's constant folding would ignore."""


@contextmanager
def limited(dates: list[str]) -> Iterator[None]:
    """Stop code in the block, in this thread, after too many calls and lines of Python.

    A time limit would depend on the load of the machine.

    Args:
        dates: receives the results of transformers' ``strftime_now`` in the block.

    Raises:
        HarmError: the code was stopped.
        _OutOfMemoryError: a MemoryError was raised in the block, even if it was caught there.
    """
    num_left = _LIMIT_LINES

    def count(frame: FrameType, event: str, detail: Any) -> Any:
        nonlocal num_left
        if event == "return" and frame.f_code.co_name == "strftime_now":
            dates.append(str(detail))
        if event == "exception" and issubclass(detail[0], MemoryError):
            raise _OutOfMemoryError("takes all memory")
        num_left -= 1
        if num_left < 0:
            raise HarmError(f"does not end (not done after {_LIMIT_LINES:,} lines of Python)")
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        yield
    finally:
        sys.settrace(before)


def why_harmful(render: Callable[[], object]) -> str | None:
    """Run a template in a child process, and return why it must not run in this one, or None.

    Only in a child can memory, and time within one operation (``9 ** 9 ** 9``), be limited without
    limiting decoding threads and the device. If a child does not return for another reason, or if
    the system has no such limits, the result is None.

    Args:
        render: runs the template; its other exceptions are ignored here, and will be raised again.
    """
    try:
        with warnings.catch_warnings():  # fork with threads: the child uses none of their locks
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
    except OSError:  # no memory or process is left for a trial
        return None
    if child == 0:
        exit_code = 0
        try:
            _limit_this_process()
            render()
        except (MemoryError, _OutOfMemoryError):
            exit_code = _OUT_OF_MEMORY
        except BaseException:  # noqa: BLE001, S110 - it will be raised again in this process
            pass
        finally:
            os._exit(exit_code)
    end = time.monotonic() + _TRIAL_SECONDS
    ended = status = 0
    try:
        while not ended and time.monotonic() < end:
            ended, status = os.waitpid(child, os.WNOHANG)
            time.sleep(0 if ended else 0.001)
    except ChildProcessError:  # SIGCHLD is ignored, as set by this process's parent
        ended = child
    finally:
        if not ended:
            os.kill(child, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU:
        return f"does not end (not done after {_LIMIT_SECONDS} s)"
    if os.WIFSIGNALED(status):
        return f"ends the process ({signal.Signals(os.WTERMSIG(status)).name})"
    if os.waitstatus_to_exitcode(status) == _OUT_OF_MEMORY:
        return f"fails: MemoryError: it asks for more than {_LIMIT_BYTES >> 20} MiB"
    return None


def _limit_this_process() -> None:
    """Limit this process's additional memory (on Linux) and its processor time."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = (_LIMIT_SECONDS, _LIMIT_SECONDS + 1)
    resource.setrlimit(resource.RLIMIT_CPU, seconds)
    num_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    num_bytes = num_pages * resource.getpagesize() + _LIMIT_BYTES
    before = resource.getrlimit(resource.RLIMIT_AS)
    bounds = [limit for limit in (*before, num_bytes) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), before[1]))
