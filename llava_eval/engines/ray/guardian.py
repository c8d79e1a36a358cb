"""Nothing outlives a driver that is killed.

The processes of a cluster that was started here end with this process, but where that is killed
two of Ray's helpers look for their dead head for a whole minute first. A shell that holds one end
of a pipe notices at once, waits for those that end by themselves, and ends the rest.
"""

from __future__ import annotations

import subprocess

_WATCH = 'read -r _; sleep 2; kill -9 "$@" 2>/dev/null'


class Guardian:
    """Ends processes some seconds after this one has died, however it did."""

    def __init__(self) -> None:
        import psutil  # Ray brings it

        pids = [str(process.pid) for process in psutil.Process().children(recursive=True)]
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "llava-eval-guardian", *pids],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )

    def dismiss(self) -> None:
        """Leave the processes alone from now on."""
        self._shell.kill()
        self._shell.communicate()
