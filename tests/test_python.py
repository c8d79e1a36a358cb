"""The Python face: what a notebook does."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import llava_eval
from llava_eval.config.compose import compose_config
from llava_eval.errors import ComparisonError, ConfigError


@pytest.mark.slow
def test_evaluate_load_and_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = ["benchmark.limit=6", "sampler.num_frames=4"]
    run = llava_eval.evaluate(*few, f"output_dir={tmp_path / 'a'}")
    assert len(run.samples) == 6
    assert {"id", "duration", "task_type", "answer", "value"} <= set(run.samples.columns)
    whole = run.metrics[run.metrics["facet"] == ""].set_index("metric")
    assert whole.loc["accuracy", "value"] == pytest.approx(100 * run.samples["value"].mean())
    assert whole.loc["accuracy", "num_samples"] == 6

    monkeypatch.setenv("HOME", str(tmp_path))
    assert llava_eval.load_run("~/a").path == llava_eval.load_runs("~")[0].path == tmp_path / "a"
    again = llava_eval.load_run(tmp_path / "a")
    assert again.samples.equals(run.samples)
    (only,) = llava_eval.load_runs(tmp_path)
    assert only.path == tmp_path / "a"
    estimate = llava_eval.compare(run, again).headline.estimate
    assert estimate is not None
    assert estimate.difference == 0.0
    label = "demo/multiple_choice (limit=6, num_frames=4)"
    assert repr(run) == f"<Run {tmp_path / 'a'}: {label}, demo, 6 samples>"
    shown = repr(llava_eval.compare(run, again)).splitlines()
    assert "difference" in "\n".join(shown)
    assert max(map(len, shown)) <= 80
    estimate = llava_eval.compare(tmp_path / "a", str(tmp_path / "a")).headline.estimate
    assert estimate is not None
    assert estimate.num_samples == 6
    with pytest.raises(ComparisonError, match="no run directory"):
        llava_eval.load_run(tmp_path / "nowhere")


def test_settings_are_texts() -> None:
    with pytest.raises(ConfigError, match=r"evaluate\(\"a=b\", \"c=d\"\), got \['a=b'\]"):
        llava_eval.evaluate(["a=b"])  # type: ignore[arg-type]


@pytest.mark.slow
def test_threads_compose_configurations_one_after_the_other() -> None:
    def num_frames(number: int) -> object:
        return compose_config([f"sampler.num_frames={number}"]).config.sampler["num_frames"]

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(num_frames, range(1, 5))] == [1, 2, 3, 4]


def test_importing_the_package_imports_nothing_heavy() -> None:
    script = "import sys, llava_eval; sys.exit(bool({'torch', 'pandas', 'hydra'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
