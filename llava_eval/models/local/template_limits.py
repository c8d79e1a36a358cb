"""Limits of a chat template, which is a program that a stranger wrote."""

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

#: Lines of Python that a chat template may run; real ones run some thousands.
_LIMIT_LINES = 1_000_000
#: Memory and seconds of the processor that it may use: "{{ 'a' * 10**10 }}" is one line.
_LIMIT_BYTES = 1 << 28
_LIMIT_SECONDS = 5

#: Longest wait for a try, where the child waits for something and uses no time.
_TRIAL_SECONDS = 60
_OUT_OF_MEMORY = 3


class HarmError(BaseException):
    """What a template does wrong, in words; no ``except Exception`` in it stops this."""


class _OutOfMemoryError(HarmError):
    """Raised in place of a MemoryError, which Jinja's folding of constants passes over."""


@contextmanager
def limited(dates: list[str]) -> Iterator[None]:
    """Stop what runs in the block, in this thread, after too many calls and lines of Python.

    Time would be another limit on a machine with other work.

    Args:
        dates: gets what transformers' ``strftime_now`` gave a template meanwhile.

    Raises:
        HarmError: it was stopped.
        _OutOfMemoryError: a MemoryError was raised in it, even if something there caught that.
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
    """Return why a stranger's program must not run in this process, after a try in a child.

    Only there can memory, and time within one operation (``9 ** 9 ** 9``), be limited without a
    limit to the threads that decode and to the device. A child that does not come back for another
    reason, or a system without such limits, says nothing.

    Args:
        render: runs it; what it raises otherwise it will raise here again.
    """
    try:
        with warnings.catch_warnings():  # of fork among threads: the child uses none of their locks
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
    except OSError:  # neither memory nor processes are left for a try
        return None
    if child == 0:
        exit_code = 0
        try:
            _limit_this_process()
            render()
        except (MemoryError, _OutOfMemoryError):
            exit_code = _OUT_OF_MEMORY
        except BaseException:  # noqa: BLE001, S110 - the same is raised again where it is handled
            pass
        finally:
            os._exit(exit_code)
    end = time.monotonic() + _TRIAL_SECONDS
    ended = status = 0
    try:
        while not ended and time.monotonic() < end:
            ended, status = os.waitpid(child, os.WNOHANG)
            time.sleep(0 if ended else 0.001)
    except ChildProcessError:  # whoever started this process has it ignore how children end
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
    """Let this process use so much more memory (Linux) and time, and then end it."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = (_LIMIT_SECONDS, _LIMIT_SECONDS + 1)
    resource.setrlimit(resource.RLIMIT_CPU, seconds)
    num_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    num_bytes = num_pages * resource.getpagesize() + _LIMIT_BYTES
    before = resource.getrlimit(resource.RLIMIT_AS)
    bounds = [limit for limit in (*before, num_bytes) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), before[1]))
