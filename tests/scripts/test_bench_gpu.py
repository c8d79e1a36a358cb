"""The measurements on a GPU, tried on a small model without one."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from tests.processes import PATIENCE_SECONDS

SCRIPT = Path(__file__).parents[2] / "scripts" / "bench_gpu.py"


def run_here(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> None:
    """Run the script in this process, which has imported torch already."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, words)])
    importlib.import_module("bench_gpu").main()


@pytest.mark.slow
def test_every_stage_runs_and_leaves_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path / "out")]
    options = ["--shape", "tiny", "--device", "cpu", "--budget-seconds", "1700"]  # a busy machine
    subprocess.run([*command, *options], check=True, timeout=1800, cwd=tmp_path)
    found: dict[str, Any] = {
        path.stem: json.loads(path.read_text()) for path in (tmp_path / "out").glob("*.json")
    }
    assert {name for name, value in found.items() if "trace" in str(value)} == set()
    exact = [row for row in found["correct"] if row["dtype"] == "float32" and "failed" in row]
    assert [row["attention"] for row in exact] == ["sdpa", "eager"]
    assert {(row["other_than_cpu_float32"], row["shared_other_than_alone"]) for row in exact} == {
        (0, 0)
    }
    assert found["memory"]["num_answered"] == found["memory"]["num_asked"] == 12
    assert (found["whole"]["exit_code"], found["whole"]["num_questions"]) == (0, 6)
    assert found["plainly"]["num_texts"] == 6
    assert found["captions"]["tokens_per_second"] > 0
    for stage, frames in (("speed", {2, 4}), ("qwen", {2, 4})):
        timed = [row for row in found[stage] if "seconds_per_video" in row]
        assert {row["num_frames"] for row in timed} == frames
    run_here(monkeypatch, "--out", tmp_path / "out", "--table", tmp_path / "gpu.md")
    page = (tmp_path / "gpu.md").read_text()
    assert all(f"\n## {stage}\n" in page for stage in found if stage != "about")


@pytest.mark.slow
def test_made_videos_show_their_part_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    stages = importlib.import_module("gpu.stages")
    path = tmp_path / "made.mp4"
    stages.encode_video(path, 60, (64, 48), number=2, fps=5)
    with av.open(str(path)) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert float(container.duration or 0) / av.time_base == 60
    assert len(shown) == 300
    for index in (0, 37, 99):
        assert (shown[index] == shown[index + 100]).all()
        assert (shown[index] == shown[index + 200]).all()
    assert (shown[0] != shown[1]).any()


def crashes(setting: object) -> Iterator[dict[str, int]]:
    yield {"row": 1}
    os.kill(os.getpid(), signal.SIGSEGV)


def hangs(setting: object) -> Iterator[dict[str, int]]:
    yield {"row": 2}
    time.sleep(600)


def raises(setting: object) -> Iterator[dict[str, int]]:
    yield {"row": 3}
    raise ImportError("no module flash_attn.cute")


def ends(setting: object) -> dict[str, int]:
    return {"row": 4}


@pytest.mark.slow
def test_a_stage_takes_no_other_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SCRIPT.parent)
    script = importlib.import_module("bench_gpu")
    setting = script.Setting("cpu", "tiny", None, tmp_path)
    found: dict[str, Any] = {}
    for stage in (crashes, raises, ends):
        path = tmp_path / f"{stage.__name__}.json"
        script.run_apart(stage, setting, path, PATIENCE_SECONDS)
        found[stage.__name__] = json.loads(path.read_text())
    script.run_apart(hangs, setting, tmp_path / "hangs.json", 1)
    (*_, cut) = json.loads((tmp_path / "hangs.json").read_text())
    assert cut == {"left_out": "the rest: it took over 1 s"}
    assert found["crashes"] == [{"row": 1}, {"left_out": "the rest: it ended with -11"}]
    assert found["raises"][0] == {"row": 3}
    assert found["raises"][1]["left_out"] == "ImportError: no module flash_attn.cute"
    assert found["ends"] == {"row": 4}


@pytest.mark.slow
def test_what_does_not_fit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--shape", "tiny", "--device", "cpu", "--budget-seconds", "0", "--stages", "whole"]
    run_here(monkeypatch, "--out", tmp_path, *words)
    assert json.loads((tmp_path / "whole.json").read_text()) == {"left_out": "the budget was spent"}
