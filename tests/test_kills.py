"""Real processes killed at random moments, a full disk, and two at once."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import read_lines

pytestmark = pytest.mark.slow

COMMAND = [
    sys.executable,
    "-m",
    "llava_eval.cli",
    "benchmark.limit=60",
    "sampler.num_frames=8",
    "runner.batch_size=3",
    "output_dir=out",
]


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        COMMAND,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )


def num_lines(folder: Path) -> int:
    path = folder / "out" / "samples.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def finish(folder: Path) -> None:
    process = start(folder)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def test_killed_again_and_again_a_run_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    finish(whole)
    moments = random.Random(20261122)
    for _ in range(4):
        process = start(broken)
        before = num_lines(broken)
        target = min(before + moments.randint(1, 15), 55)
        deadline = time.monotonic() + 200
        while num_lines(broken) < target and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(moments.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert num_lines(broken) >= before
    finish(broken)
    for name in ("samples.jsonl", "metrics.json", "metrics.csv", "metrics.md"):
        assert (broken / "out" / name).read_bytes() == (whole / "out" / name).read_bytes(), name


def test_a_full_disk_is_one_line_and_keeps_what_is_finished(tmp_path: Path) -> None:
    """A limit on file sizes stands in for the disk: the same write fails in the same place."""
    arguments = [*COMMAND, "benchmark.limit=30"]

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, 16_000))

    done = subprocess.run(
        arguments, cwd=tmp_path, capture_output=True, text=True, preexec_fn=limit, timeout=300
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = [text for text in done.stderr.splitlines() if "cannot write" in text]
    assert "out/samples.jsonl" in line
    assert "finished samples are kept" in line
    kept = read_lines(tmp_path / "out" / "samples.jsonl")
    assert 0 < len(kept) < 30
    again = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    final = {line["id"]: line for line in read_lines(tmp_path / "out" / "samples.jsonl")}
    assert len(final) == 30
    assert all(final[line["id"]] == line for line in kept)


def test_a_second_process_leaves_a_running_one_alone(tmp_path: Path) -> None:
    first = start(tmp_path)
    deadline = time.monotonic() + 200
    while num_lines(tmp_path) == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    first.send_signal(signal.SIGSTOP)
    second = subprocess.run(COMMAND, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    first.send_signal(signal.SIGCONT)
    _, errors = first.communicate(timeout=300)
    assert second.returncode == 2
    assert "in use by another llava-eval process" in second.stderr
    assert first.returncode == 0, errors
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "finished"
