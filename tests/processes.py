"""``llava-eval`` in processes of its own that start at once, and what tests ask of processes.

A server imports torch, transformers and Hydra one time and forks for every command: real processes,
to be killed, stopped and limited at will, without seconds of imports for each.

What is to happen to a command half-way happens where it counts its own ledger's lines
(:class:`SignalAtLine`): a test that looks from outside may look too late on a busy machine.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

#: Longest wait for anything to happen: what takes longer hangs. It says nothing about speed, so
#: that a test passes on a machine that does ten other things.
PATIENCE_SECONDS = 600.0

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "llava_eval.run",
        "llava_eval.commands.sweep",
        "llava_eval.models.local.runner",
        "llava_eval.video",
        "transformers.models.llava_next_video.modeling_llava_next_video",
        "tests.composed",
    ]
)


class Finished(NamedTuple):
    """What a command left: its exit code (negative: the signal that ended it) and what it wrote."""

    exit_code: int
    stdout: str
    stderr: str


class Command:
    """One ``llava-eval`` command under way.

    Args:
        arguments: its command line.
        folder: where it runs.
        before: called in its process first; has to be picklable.
    """

    def __init__(
        self, arguments: Sequence[str], folder: Path, before: Callable[[], object] | None = None
    ) -> None:
        self._outputs = [folder / "stdout.txt", folder / "stderr.txt"]
        self._process: ForkServerProcess = _SERVER.Process(
            target=_run, args=(list(arguments), folder, self._outputs, dict(os.environ), before)
        )
        self._process.start()

    @property
    def is_running(self) -> bool:
        return self._process.is_alive()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal, as ``kill`` does; one that has just ended by itself gets none."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def wait_until_stopped(self) -> None:
        """Wait until a SIGSTOP has stopped it; SIGCONT lets it go on."""
        wait_for(lambda: state_of(self.pid) == "T" or not self.is_running)
        assert self.is_running, self._outputs[1].read_text(encoding="utf-8")

    def finish(
        self, timeout_seconds: float = PATIENCE_SECONDS, *, encoding: str = "utf-8"
    ) -> Finished:
        """Wait for its end; what it printed has to be in an encoding."""
        self._process.join(timeout_seconds)
        texts = [path.read_text(encoding=encoding) for path in self._outputs]
        assert self._process.exitcode is not None, f"still running: {texts[1]}"
        return Finished(self._process.exitcode, *texts)


@dataclass(frozen=True)
class SignalAtLine:
    """Make a command send itself a signal when it has appended so many lines to its ledger.

    Attributes:
        number: of lines.
        signal: what it gets.
        cpu_seconds: None: at once. Otherwise it is SIGPROF (which ends a process as SIGKILL does)
            after so much more work of all its threads.
    """

    number: int
    signal: signal.Signals
    cpu_seconds: float | None = None

    def __call__(self) -> None:
        from llava_eval.results.ledger import LedgerWriter
        from llava_eval.types import SampleResult

        append = LedgerWriter.append
        left = self.number

        def counted(self: LedgerWriter, result: SampleResult) -> None:
            nonlocal left
            append(self, result)
            left -= 1
            if left == 0:
                act()

        def act() -> None:
            if self.cpu_seconds is None:
                os.kill(os.getpid(), self.signal)
            else:
                signal.setitimer(signal.ITIMER_PROF, self.cpu_seconds)

        LedgerWriter.append = counted  # type: ignore[method-assign]


def start_process(target: Callable[..., object], *arguments: object) -> ForkServerProcess:
    """Start a function at the top of a module in a process of its own."""
    process: ForkServerProcess = _SERVER.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def run_command(
    arguments: Sequence[str],
    folder: Path,
    before: Callable[[], object] | None = None,
    *,
    encoding: str = "utf-8",
) -> Finished:
    """Run a command to its end; see :meth:`Command.finish`."""
    return Command(arguments, folder, before).finish(encoding=encoding)


def num_lines(run_folder: Path) -> int:
    """Return how many samples a run's ledger holds by now."""
    path = run_folder / "samples.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for(condition: Callable[[], object]) -> None:
    """Wait until a function returns something true."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def wait_for_end(pids: Iterable[int]) -> None:
    """Wait until processes are gone, and fail where they stay."""
    own = list(pids)
    end = time.monotonic() + PATIENCE_SECONDS
    while left := [pid for pid in own if is_running(pid)]:
        assert time.monotonic() < end, [name_of(pid) for pid in left]
        time.sleep(0.1)


def state_of(pid: int) -> str | None:
    """Return the letter of a process's state, see proc(5); None where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def is_running(pid: int) -> bool:
    return state_of(pid) not in (None, "Z")


def name_of(pid: int) -> str:
    """Return a process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def descendants(parent: int) -> list[int]:
    """Return all processes below a process."""
    parents: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            above = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        parents.setdefault(above, []).append(int(folder.name))
    found, open_ = [], [parent]
    while open_:
        children = parents.get(open_.pop(), [])
        found += children
        open_ += children
    return found


def _run(
    arguments: list[str],
    folder: Path,
    outputs: list[Path],
    environment: dict[str, str],
    before: Callable[[], object] | None,
) -> None:
    from llava_eval import cli

    # A shell that puts the tests into the background tells its children to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update({**environment, "COLUMNS": "80"})
    for descriptor, path in zip((1, 2), outputs, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = ["llava-eval", *arguments]
    if before is not None:
        before()
    cli.main(arguments)
