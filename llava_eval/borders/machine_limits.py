"""Limits on this process by a container, a job scheduler or a CPU affinity."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path


def num_cores(root: Path = Path("/")) -> int:
    """Return the number of cores that this process may use.

    A quota is rounded down, as in Ray: a thread beyond the quota is repeatedly paused while the
    others spin. With 1 or 1.5 cores torch was four times slower on two threads than on one.

    Args:
        root: folder that contains /proc and /sys.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    for folder in control_groups("cpu", root):
        version_1 = [text_of(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
        stated = text_of(folder / "cpu.max") or " ".join(version_1)
        quota = re.match(r"(\d+) ([1-9]\d*)", stated)  # no limit is written as "max" or -1
        if quota is not None:
            count = min(count, int(quota[1]) // int(quota[2]))
    return max(count, 1)


def control_groups(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of the control groups of this process, the innermost first.

    In a container the first ones may not exist.

    Args:
        controller: controller of version 1, "memory" or "cpu"; version 2 has one tree for all.
        root: folder that contains /proc and /sys.
    """
    for line in text_of(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "" or controller in controllers.split(","):
            tree = root / "sys/fs/cgroup" / (controller if controllers else "")
            group = tree / path.lstrip("/")
            yield from (group, *group.parents)


def text_of(path: Path) -> str:
    """Return a file's text; empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
