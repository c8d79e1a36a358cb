"""A run on pretended GPUs: no tensor is on the wrong device; too little memory costs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

import llava_eval
from tests.models import pretended_cuda
from tests.processes import PATIENCE_SECONDS, start_process

SMALL = ("benchmark=demo/multiple_choice", "benchmark.limit=12")


def run_on_gpu(folder: Path, limit: float, *overrides: str, num_devices: int = 1) -> dict[str, Any]:
    """Run the program in a process with pretended GPUs of so many bytes each.

    Returns:
        What was held on each in the end, and how often they had too little memory.
    """
    counts, log = folder.with_suffix(".json"), folder.with_suffix(".log")
    arguments = [f"output_dir={folder}", *overrides]
    process = start_process(pretended_cuda.run, num_devices, limit, arguments, counts, log)
    process.join(PATIENCE_SECONDS)
    assert process.exitcode == 0, log.read_text()[-2000:]
    counted: dict[str, Any] = json.loads(counts.read_text())
    return counted


def weights_bytes(demo: Path) -> int:
    weights = load_file(demo / "checkpoint" / "model.safetensors").values()
    return sum(weight.numel() * weight.element_size() for weight in weights)


@pytest.mark.slow
def test_the_ledger_of_a_gpu_is_that_of_a_cpu(demo: Path, tmp_path: Path) -> None:
    llava_eval.evaluate(f"output_dir={tmp_path / 'cpu'}", "model.device=cpu", *SMALL)
    expected = (tmp_path / "cpu" / "samples.jsonl").read_text()
    counted = run_on_gpu(tmp_path / "gpu", 80e9, *SMALL)
    assert (tmp_path / "gpu" / "samples.jsonl").read_text() == expected
    assert counted["num_failures"] == 0
    manifest = json.loads((tmp_path / "gpu" / "manifest.json").read_text())
    assert manifest["model"]["device_name"] == "pretended"
    # Nothing of a batch is left: rotary frequencies and the places of patches are no weights.
    assert 0 <= sum(counted["live"]) - weights_bytes(demo) < 10_000

    many = ("runner.max_batch_tokens=100000", *SMALL)
    counted = run_on_gpu(tmp_path / "little", 12e6, *many)
    assert counted["num_failures"] > 0
    assert (tmp_path / "little" / "samples.jsonl").read_text() == expected
    assert 0 <= sum(counted["live"]) - weights_bytes(demo) < 10_000


@pytest.mark.slow
@pytest.mark.parametrize("video_as", ["video", "images"])  # prefixes from features, or generate
def test_a_model_that_is_spread_over_gpus_answers_as_on_one(
    video_as: str, demo: Path, tmp_path: Path
) -> None:
    asked = (f"model.video_as={video_as}", "sampler.num_frames=4", SMALL[0], "benchmark.limit=6")
    llava_eval.evaluate(f"output_dir={tmp_path / 'cpu'}", "model.device=cpu", *asked)
    counted = run_on_gpu(tmp_path / "gpus", 80e9, "model.device=all", *asked, num_devices=2)
    expected = (tmp_path / "cpu" / "samples.jsonl").read_text()
    assert (tmp_path / "gpus" / "samples.jsonl").read_text() == expected
    assert 0 <= sum(counted["live"]) - weights_bytes(demo) < 10_000
    assert min(counted["live"]) > 0.4 * weights_bytes(demo)
    manifest = json.loads((tmp_path / "gpus" / "manifest.json").read_text())
    assert manifest["model"]["device"] == "cuda:0, cuda:1"
    (asked_as,) = manifest["runner"]["prompts_asked_as"].values()
    by = "features" if video_as == "video" else "the model's own forward pass"
    assert asked_as.startswith(f"shared prefixes by {by}")
