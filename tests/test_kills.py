"""Real processes killed at random moments, a full disk, and two at once."""

from __future__ import annotations

import json
import random
import resource
import signal
from pathlib import Path

import pytest

from tests.conftest import read_lines
from tests.processes import Command, Finished, SignalAtLine, num_lines, run_command

pytestmark = pytest.mark.slow

NUM_SAMPLES = 108
ARGUMENTS = [
    f"benchmark.limit={NUM_SAMPLES}",
    "sampler.num_frames=4",
    "runner.batch_size=3",
    "output_dir=out",
]


def finish(folder: Path) -> Finished:
    done = run_command(ARGUMENTS, folder)
    assert done.exit_code == 0, done.stderr
    return done


def test_killed_again_and_again_a_run_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    finish(whole)
    moments = random.Random(20261122)
    for _ in range(4):
        before = num_lines(broken / "out")
        kill = SignalAtLine(moments.randint(1, 8), signal.SIGPROF, moments.random() * 0.1)
        assert run_command(ARGUMENTS, broken, before=kill).exit_code == -signal.SIGPROF
        assert num_lines(broken / "out") > before
    finish(broken)
    for name in ("samples.jsonl", "metrics.json", "metrics.csv", "metrics.md"):
        assert (broken / "out" / name).read_bytes() == (whole / "out" / name).read_bytes(), name
    assert {path.name for path in (broken / "out").iterdir()} == {
        path.name for path in (whole / "out").iterdir()
    }


def limit_file_sizes() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, 16_000))


def test_a_full_disk_is_one_line_and_keeps_what_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on file sizes stands in for the disk: the same write fails in the same place."""
    monkeypatch.setenv("LLAVA_EVAL_CACHE", "off")
    done = run_command(ARGUMENTS, tmp_path, before=limit_file_sizes)
    assert done.exit_code == 1, done.stderr
    assert "Traceback" not in done.stderr
    (line,) = [text for text in done.stderr.splitlines() if "cannot write" in text]
    assert "out/samples.jsonl" in line
    assert "finished samples are kept" in line
    kept = read_lines(tmp_path / "out" / "samples.jsonl")
    assert 0 < len(kept) < NUM_SAMPLES
    finish(tmp_path)
    final = {line["id"]: line for line in read_lines(tmp_path / "out" / "samples.jsonl")}
    assert len(final) == NUM_SAMPLES
    assert all(final[line["id"]] == line for line in kept)


def test_a_second_process_leaves_a_running_one_alone(tmp_path: Path) -> None:
    first = Command(ARGUMENTS, tmp_path, before=SignalAtLine(1, signal.SIGSTOP))
    first.wait_until_stopped()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    second = run_command([*ARGUMENTS[:-1], f"output_dir={tmp_path / 'out'}"], elsewhere)
    first.send(signal.SIGCONT)
    done = first.finish()
    assert second.exit_code == 2
    assert "in use by another llava-eval process" in second.stderr
    assert done.exit_code == 0, done.stderr
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "finished"
