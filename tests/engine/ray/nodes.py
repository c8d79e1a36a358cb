"""Real Ray nodes on this machine, and the processes that belong to them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.processes import PATIENCE_SECONDS, descendants, name_of, wait_for, wait_for_end

#: Ray on a busy machine: nodes and workers may have to wait for a core, and are not lost for that.
#: A node whose process is gone is still noticed after two seconds.
PATIENT = {
    "RAY_worker_niceness": "0",
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "120000",
    "RAY_health_check_failure_threshold": "4",
}

#: Nothing is sent home, and processes that decode are kept although the nodes have one core each.
_NODES = {**PATIENT, "RAY_USAGE_STATS_ENABLED": "0", "RAY_num_workers_soft_limit": "16"}

_UNSHARE = ("unshare", "--mount", "sh", "-c")
_HIDE = 'mount -t tmpfs none "$0" && exec "$@"'


def can_hide_folders() -> bool:
    """Return whether this process may make a mount namespace."""
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run([*_UNSHARE, _HIDE, folder, "true"], capture_output=True)
    return tried.returncode == 0


def raylets_of(node: int) -> list[int]:
    """Return the raylet of a node, given its first process."""
    return [pid for pid in descendants(node) if "raylet/raylet" in name_of(pid)]


class Cluster:
    """A head and further nodes, each with its own raylet and one CPU.

    Attributes:
        address: what ``engine.address`` takes.
        environment: what a process needs to join.
    """

    def __init__(self) -> None:
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
        self.nodes: list[subprocess.Popen[bytes]] = []
        # Sockets lie in it, and their paths may have 107 characters.
        self._folder = tempfile.TemporaryDirectory(prefix="ray", dir="/tmp")
        folder = self._folder.name
        # Ray chooses a free port, and writes down which.
        self._start("--head", "--node-ip-address=127.0.0.1", "--port=0", "--temp-dir", folder)
        written = Path(folder, "ray_current_cluster")
        wait_for(lambda: written.exists() and written.read_text())
        self.address = written.read_text().strip()

    def add_node(self, blind_to: Path | None = None) -> subprocess.Popen[bytes]:
        """Start one more node.

        Args:
            blind_to: a folder that is empty there, as where a file system is not shared.
        """
        prefix = [] if blind_to is None else [*_UNSHARE, _HIDE, str(blind_to)]
        return self._start(f"--address={self.address}", prefix=prefix)

    def _start(self, *options: str, prefix: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        node = subprocess.Popen(
            [
                *prefix,
                sys.executable,
                "-c",
                "from ray.scripts.scripts import main; main()",
                "start",
                "--block",
                "--num-cpus=1",
                "--object-store-memory=200000000",
                "--include-log-monitor=false",
                *options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self.environment, **_NODES},
        )
        self.nodes.append(node)
        wait_for(lambda: node.poll() is not None or raylets_of(node.pid))
        assert node.poll() is None, "the node did not start"
        return node

    def workers(self, kind: str = "ray::ModelWorker") -> list[int]:
        """Return the processes of this cluster that work as this kind."""
        return [
            pid
            for node in self.nodes
            for pid in descendants(node.pid)
            if name_of(pid).startswith(kind)
        ]

    def stop(self) -> None:
        """End all nodes, and see that nothing is left."""
        left = [pid for node in self.nodes for pid in [node.pid, *descendants(node.pid)]]
        for node in reversed(self.nodes):
            node.send_signal(signal.SIGTERM)
        for node in self.nodes:
            node.wait(PATIENCE_SECONDS)
        wait_for_end(left)
        self._folder.cleanup()
