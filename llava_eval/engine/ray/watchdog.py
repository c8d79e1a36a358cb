"""Nothing outlives a driver that is killed.

The processes of a cluster that was started here end with this process, but where that is killed
two of Ray's helpers look for their dead head for a whole minute first. A shell that holds one end
of a pipe notices at once, waits for those that end by themselves, and ends the rest.
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

#: Waits for the end of its input, and then ends the processes that it was given.
_SCRIPT = 'read -r _; sleep 2; kill -9 "$@" 2>/dev/null'

#: Processes that a cluster cannot do without.
_VITAL = ("gcs_server", "raylet")

#: A process that has not ended by then is killed.
_PATIENCE_SECONDS = 5.0


class Watchdog:
    """Ends the processes of a local cluster some seconds after this process has died.

    Made when the cluster was started: what runs below this process then is the cluster.
    """

    def __init__(self) -> None:
        import psutil  # Ray brings it

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
            start_new_session=True,  # Ctrl-C is not for it
        )

    def check(self) -> None:
        """Check that the processes that the cluster cannot do without are running.

        Ray itself says so after 15 to 60 seconds, or ends this process without a word.

        Raises:
            EngineError: one of them has died.
        """
        for name, process in self._vital.items():
            if not _is_running(process):
                raise cannot_go_on(f"its {name} has died")

    @contextmanager
    def ending(self) -> Iterator[None]:
        """End the cluster in the block; none of its processes is left after it."""
        import psutil

        self._shell.kill()
        self._shell.communicate()
        processes = {*self._processes}
        for process in self._processes:
            with suppress(psutil.Error):
                processes |= {*process.children(recursive=True)}
        yield
        end = time.monotonic() + _PATIENCE_SECONDS
        # Not psutil.wait_procs: an orphan that has ended stays a zombie in many a container.
        while (left := [*filter(_is_running, processes)]) and time.monotonic() < end:
            time.sleep(0.02)
        for process in left:
            with suppress(psutil.Error):
                process.kill()


def cannot_go_on(reason: str) -> EngineError:
    """Return the error of a cluster that has failed itself."""
    return EngineError(
        f"Ray cannot go on: {reason}; finished samples are kept, and the same command with "
        "resume=true goes on"
    )


def _is_running(process: psutil.Process) -> bool:
    import psutil

    with suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False
