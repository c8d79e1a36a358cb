"""Sweeps whose runs are jobs of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hydra import compose
from omegaconf import OmegaConf

from llava_eval.config.hydra_session import hydra_session
from tests.processes import run_command

pytest.importorskip("submitit")


def test_slurm_gets_a_job_for_each_run() -> None:
    with hydra_session():
        root = compose(
            "config",
            overrides=["hydra/launcher=slurm", "hydra.launcher.partition=gpu"],
            return_hydra_config=True,
        )
    launcher = OmegaConf.to_container(root.hydra.launcher, resolve=False)
    assert isinstance(launcher, dict)
    assert launcher["_target_"].endswith("submitit_launcher.SlurmLauncher")
    assert {launcher[name] for name in ("nodes", "tasks_per_node", "gpus_per_node")} == {1}
    assert launcher["partition"] == "gpu"
    assert launcher["submitit_folder"].startswith("${hydra.sweep.dir}/")


@pytest.mark.slow
def test_jobs_elsewhere_tell_how_they_ended(tmp_path: Path) -> None:
    """Submitit's launcher for this machine does all that its launcher for SLURM does."""
    arguments = [
        "-m",
        "hydra/launcher=submitit_local",
        # Submitit makes the folder %j of a local job after it has started the job.
        "hydra.launcher.submitit_folder=submitit",
        "benchmark.media_root=nowhere,package://llava_eval/demo/videos",
        "benchmark.limit=2",
        "sampler.num_frames=2",
        "hydra.sweep.dir=sweep",
    ]
    done = run_command(arguments, tmp_path)
    assert done.exit_code == 1, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    for number, (folder, code) in enumerate(
        [("nowhere", 1), ("package://llava_eval/demo/videos", 0)]
    ):
        (line,) = [text for text in done.stdout.splitlines() if text.startswith(f"[{number}]")]
        assert folder.rpartition("/")[2] in line
        assert line.endswith(f"exit code {code}")
        metrics = json.loads((tmp_path / "sweep" / str(number) / "metrics.json").read_text())
        assert metrics["num_errors"] == 2 * code
    (told,) = [text for text in done.stderr.splitlines() if "exit code 1; what it said" in text]
    logs = Path(tmp_path, told.partition(" in ")[2]).glob("*_log.err")
    assert any("2 samples failed" in path.read_text() for path in logs)
