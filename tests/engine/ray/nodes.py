"""Real Ray nodes on this machine, and the processes that belong to them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

#: Nothing is sent home, a lost node is noticed soon, and processes that decode are kept although
#: the nodes have one core each.
_SETTINGS = {
    "RAY_num_workers_soft_limit": "16",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "4",
}

#: Longest wait for a process to start or end.
PATIENCE_SECONDS = 90.0


_UNSHARE = ("unshare", "--mount", "sh", "-c")
_HIDE = 'mount -t tmpfs none "$0" && exec "$@"'


def can_hide_folders() -> bool:
    """Return whether this process may make a mount namespace."""
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run([*_UNSHARE, _HIDE, folder, "true"], capture_output=True)
    return tried.returncode == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Cluster:
    """A head and further nodes, each with its own raylet and one CPU.

    Attributes:
        address: what ``engine.address`` takes.
        environment: what a process needs to join.
    """

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
        self.nodes: list[subprocess.Popen[bytes]] = []
        # Sockets lie in it, and their paths may have 107 characters.
        self._folder = tempfile.TemporaryDirectory(prefix="ray", dir="/tmp")
        host, port = self.address.split(":")
        self._start(
            "--head", f"--node-ip-address={host}", f"--port={port}", "--include-dashboard=false"
        )

    def add_node(self, blind_to: Path | None = None) -> subprocess.Popen[bytes]:
        """Start one more node.

        Args:
            blind_to: a folder that is empty there, as where a file system is not shared.
        """
        prefix = [] if blind_to is None else [*_UNSHARE, _HIDE, str(blind_to)]
        return self._start(f"--address={self.address}", prefix=prefix)

    def _start(self, *options: str, prefix: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        head = ["--temp-dir", self._folder.name] if "--head" in options else []
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
                *head,
                *options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self.environment, **_SETTINGS},
        )
        self.nodes.append(node)
        wait_for(lambda: any("raylet" in name for name in names_of(node.pid)))
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


def wait_for(condition: object) -> None:
    """Wait until a function returns something true."""
    assert callable(condition)
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


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def name_of(pid: int) -> str:
    """Return a process's command line."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def names_of(parent: int) -> list[str]:
    return [name_of(pid) for pid in descendants(parent)]


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
