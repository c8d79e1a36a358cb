"""What a container or a job leaves of the machine, told by a tree of the kernel's files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llava_eval.borders.machine_limits import num_cores


@pytest.mark.parametrize(
    ("line", "files", "count"),
    [
        ("0::/", {}, 3),
        ("0::/", {"cpu.max": "max 100000\n"}, 3),
        ("0::/", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/", {"cpu.max": "150000 100000\n"}, 1),
        ("0::/", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/", {"cpu.max": "900000 100000\n"}, 3),
        ("0::/job/step", {"job/step/cpu.max": "max 100000\n", "job/cpu.max": "100000 50000\n"}, 2),
        ("0::/job/step", {"cpu.max": "200000 100000\n"}, 2),  # a container is told its host's path
        (
            "4:memory:/b\n3:cpu,cpuacct:/a\n0::/",
            {"cpu/a/cpu.cfs_quota_us": "200000\n", "cpu/a/cpu.cfs_period_us": "100000\n"},
            2,
        ),
        ("3:cpu:/", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        (
            "3:cpuset:/\n",
            {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"},
            3,
        ),
    ],
)
def test_cores_that_a_quota_leaves(
    line: str, files: dict[str, str], count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5}, raising=False)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(line)
    for name, text in files.items():
        path = tmp_path / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert num_cores(tmp_path) == count
    assert num_cores(tmp_path / "no such system") == 3
