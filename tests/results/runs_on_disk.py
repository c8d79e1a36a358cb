"""Run directories of made-up results, in the layout that real runs have."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llava_eval.metrics.means import mean_score
from llava_eval.results.compare.pairing import metric_of
from llava_eval.results.ledger import rewrite_ledger
from llava_eval.results.summary import summarise
from llava_eval.results.tables import write_tables
from llava_eval.types import NOT_SCORED, Generation, SampleResult, Score
from tests.results.helpers import make_result

ACCURACY = {"accuracy": {"_target_": "llava_eval.metrics.means.mean_score"}}


def answered(
    number: int, right: bool | None, *, per_video: int = 3, **changes: Any
) -> SampleResult:
    """Return a right, wrong or (None) unreadable answer to question ``number``."""
    answer = None if right is None else "A" if right else "B"
    fields = {
        "group": f"video {number // per_video}",
        "media": (f"{number // per_video}.mp4",),
        "generation": Generation(answer or "well", 100, 2, "eos"),
        "score": Score(float(bool(right)), answer, unreadable=right is None),
        **changes,
    }
    return make_result(number, **fields)


def failed(number: int, error: str = "MediaError: broken") -> SampleResult:
    """Return the result of question ``number`` whose generation failed."""
    return answered(number, False, generation=Generation(None, error=error), score=NOT_SCORED)


def write_run(
    path: Path,
    results: Sequence[SampleResult],
    *,
    benchmark: str = "made/up",
    label: str | None = None,
    metrics: Mapping[str, Mapping[str, Any]] = ACCURACY,
    facets: Sequence[str] = ("duration",),
    seconds: float = 10.0,
    config: Mapping[str, Any] | None = None,
    manifest: Mapping[str, Any] | None = None,
) -> Path:
    """Write a finished run.

    Args:
        path: its directory.
        results: of all its samples.
        benchmark, label: name of the protocol, and with overrides.
        metrics: nodes of the protocol.
        facets: of the protocol.
        seconds: that it took.
        config: replaces or adds parts of the configuration, by flat key.
        manifest: replaces or adds keys of the manifest.
    """
    path.mkdir(parents=True)
    rewrite_ledger(path / "samples.jsonl", results)
    functions = {name: metric_of(node) for name, node in metrics.items()}
    summary = summarise(
        results, functions, benchmark=label or benchmark, model="made", facets=list(facets)
    )
    write_tables(path, dataclasses.replace(summary, chance={"accuracy": 25.0}))
    content: dict[str, Any] = {
        "status": "finished",
        "fingerprint": "f" * 64,
        "identity": {"benchmark": benchmark, "num_samples": len(results)},
        "benchmark": label or benchmark,
        "model_label": "made",
        "config": nested(
            {
                "benchmark.name": benchmark,
                "benchmark.version": 1,
                "benchmark.media_root": None,
                "benchmark.metrics": dict(metrics),
                "benchmark.facets": list(facets),
                "benchmark.chance": {"accuracy": 25.0},
                "benchmark.generation.max_new_tokens": 16,
                "model.dtype": "float32",
                "sampler._target_": "llava_eval.video.samplers.linspace_to_last_frame",
                "sampler.num_frames": 3,
                "scorer._target_": "llava_eval.scoring.choice.StrictChoice",
                "quantization.name": "none",
                "quantization.method": None,
                "errors.max": 0,
                **(config or {}),
            }
        ),
        "versions": {"llava_eval": "0.1.0", "torch": "2.15.0"},
        "git_commit": "c" * 40,
        "model": {"weights_sha256": "a" * 64, "memory_bytes": 1_000_000, "device_name": "cpu"},
        "sessions": [
            {
                "machine": {"processor": "a CPU", "num_cpus": 2},
                "ended": "2026-01-01T00:00:00+00:00",
                "wall_seconds": seconds + 1,
                "stage_seconds": {
                    "load_model": 5.0,
                    "prefill": seconds / 4,
                    "decode": seconds * 0.75,
                },
                "peak_host_memory_bytes": 500_000_000,
                "peak_device_memory_bytes": None,
                "num_generated": len(results),
            }
        ],
        **(manifest or {}),
    }
    (path / "manifest.json").write_text(json.dumps(content))
    return path


def nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tree of dotted keys."""
    tree: dict[str, Any] = {}
    for key, value in leaves.items():
        *parents, last = key.split(".")
        node = tree
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = value
    return tree


def equal_models(
    seed: int, num_videos: int = 60, per_video: int = 3, rate: float = 0.6
) -> tuple[list[SampleResult], list[SampleResult]]:
    """Return answers of two models that are equally good, and alike within a video.

    Questions differ in how hard they are; videos suit one model or the other.
    """
    random = np.random.default_rng(seed)
    hardness = random.normal(size=(num_videos, per_video))
    threshold = float(np.quantile(np.random.default_rng(0).normal(scale=2**0.5, size=10_000), rate))

    def answers() -> list[SampleResult]:
        luck = 0.6 * random.normal(size=(num_videos, 1))
        luck = luck + 0.8 * random.normal(size=(num_videos, per_video))
        right = (hardness + luck < threshold).ravel()
        return [answered(n, bool(one), per_video=per_video) for n, one in enumerate(right)]

    return answers(), answers()


def plain_accuracy() -> Callable[[Sequence[SampleResult]], Any]:
    """Return the metric that :data:`ACCURACY` names."""
    return functools.partial(mean_score)
