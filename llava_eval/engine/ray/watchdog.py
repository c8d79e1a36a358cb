"""Ends the processes of a local cluster if the driver is killed.

The processes of a cluster started by this process end with it, but if it is killed, two of Ray's
helper processes search for the dead head for a whole minute first. A shell that reads from a pipe
of this process notices its death at once, waits a little, and kills the remaining processes.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from llava_eval.errors import EngineError

if TYPE_CHECKING:
    import psutil

#: Waits for the end of its input, and then kills the given processes.
_SCRIPT = 'read -r _; sleep 2; kill -9 "$@" 2>/dev/null'

#: Names of the processes without which a cluster cannot work.
_VITAL = ("gcs_server", "raylet")

#: Processes that are still running after this time are killed.
_PATIENCE_SECONDS = 5.0


class Watchdog:
    """Ends the processes of a local cluster some seconds after this process has died.

    It must be created right after the cluster was started: all child processes of this process
    then belong to the cluster.
    """

    def __init__(self) -> None:
        import psutil  # installed with Ray

        self._processes = psutil.Process().children(recursive=True)
        self._vital = {
            process.name(): process for process in self._processes if process.name() in _VITAL
        }
        pids = [str(process.pid) for process in self._processes]
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _SCRIPT, "llava-eval-watchdog", *pids],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # so that Ctrl-C does not reach it
        )

    def check(self) -> None:
        """Check that all vital processes of the cluster are running.

        Ray itself notices only after 15 to 60 seconds, or ends this process without a message.

        Raises:
            EngineError: one of them has died.
        """
        for name, process in self._vital.items():
            if not _is_running(process):
                raise cannot_go_on(f"its {name} has died")

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Let the block end the cluster, and kill all processes that it leaves."""
        import psutil

        self._shell.kill()
        self._shell.communicate()
        processes = {*self._processes}
        for process in self._processes:
            with suppress(psutil.Error):
                processes |= {*process.children(recursive=True)}
        yield
        end = time.monotonic() + _PATIENCE_SECONDS
        # psutil.wait_procs is not used, because ended orphans stay zombies in many containers.
        while (left := [*filter(_is_running, processes)]) and time.monotonic() < end:
            time.sleep(0.02)
        for process in left:
            with suppress(psutil.Error):
                process.kill()


def cannot_go_on(reason: str) -> EngineError:
    """Return the error for a failure of the cluster itself."""
    return EngineError(
        f"Ray cannot go on: {reason}; finished samples are kept, and the same command with "
        "resume=true goes on"
    )


def _is_running(process: psutil.Process) -> bool:
    import psutil

    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
