"""Nothing outlives a driver that is killed.

The processes of a cluster that was started here end with this process, but where that is killed
two of Ray's helpers look for their dead head for a whole minute first. A shell that holds one end
of a pipe notices at once, waits for those that end by themselves, and ends the rest.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from llava_eval.errors import EngineError

if TYPE_CHECKING:
    import psutil

_WATCH = 'read -r _; sleep 2; kill -9 "$@" 2>/dev/null'

#: What a cluster cannot live without.
_VITAL = ("gcs_server", "raylet")

#: A process that has not ended by then is killed.
_PATIENCE_SECONDS = 5.0


class Guardian:
    """Sees to it that the processes of a cluster end some seconds after this one has died.

    Made when the cluster was started.
    """

    def __init__(self) -> None:
        import psutil  # Ray brings it

        self._processes = psutil.Process().children(recursive=True)
        self._vital = {
            process.name(): process for process in self._processes if process.name() in _VITAL
        }
        pids = [str(process.pid) for process in self._processes]
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "llava-eval-guardian", *pids],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )

    def check(self) -> None:
        """Raise EngineError where the cluster has lost what it cannot live without.

        Ray says so after 15 to 60 seconds, or ends this process without a word.
        """
        for name, process in self._vital.items():
            if not _is_running(process):
                raise cannot_go_on(f"its {name} has died")

    @contextmanager
    def ending(self) -> Iterator[None]:
        """End the cluster in the block; none of its processes is left behind it."""
        import psutil

        self._shell.kill()
        self._shell.communicate()
        processes = {*self._processes}
        for process in self._processes:
            with suppress(psutil.Error):
                processes |= {*process.children(recursive=True)}
        yield
        _, left = psutil.wait_procs(processes, timeout=_PATIENCE_SECONDS)
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
