"""``llava-eval`` in processes of its own that start at once.

A server imports torch, transformers and Hydra one time and forks for every command: real processes,
to be killed, stopped and limited at will, without seconds of imports for each.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(
    [
        "llava_eval.run",
        "llava_eval.engine.sweep",
        "llava_eval.models.local.runner",
        "llava_eval.video",
        "transformers.models.llava_next_video.modeling_llava_next_video",
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
        before: called in its process first; a function at the top of a module.
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

    def finish(self, timeout: float = 300.0) -> Finished:
        """Wait for its end."""
        self._process.join(timeout)
        assert self._process.exitcode is not None, "still running"
        texts = [path.read_text(encoding="utf-8") for path in self._outputs]
        return Finished(self._process.exitcode, *texts)


def start_process(target: Callable[..., object], *arguments: object) -> ForkServerProcess:
    """Start a function at the top of a module in a process of its own."""
    process: ForkServerProcess = _SERVER.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def run_command(
    arguments: Sequence[str], folder: Path, before: Callable[[], object] | None = None
) -> Finished:
    """Run a command to its end."""
    return Command(arguments, folder, before).finish()


def num_lines(run_folder: Path) -> int:
    """Return how many samples a run's ledger holds by now."""
    path = run_folder / "samples.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


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
