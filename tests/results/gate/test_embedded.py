"""The embedded benchmarks, run anew and held against the committed baselines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llava_eval import cli

BASELINES = sorted((Path(__file__).parents[3] / "results" / "baselines").glob("*.json"))


@pytest.mark.slow
@pytest.mark.parametrize("path", BASELINES, ids=lambda path: path.stem)
def test_they_are_no_worse_also_in_batches_of_another_size(path: Path, tmp_path: Path) -> None:
    benchmark = json.loads(path.read_text(encoding="utf-8"))["benchmark"]
    run = str(tmp_path / "run")
    command = [f"benchmark={benchmark}", "runner.batch_size=3", f"output_dir={run}"]
    assert cli.run_command(command) == 0
    assert cli.run_command(["gate", run, "--baseline", str(path)]) == 0
