"""What Ray is told, and what each worker may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from llava_eval.config.schema import EngineConfig
from llava_eval.engine.ray.cluster import Share, choose_share

GPU_NODE = {"CPU": 96.0, "GPU": 8.0}


@pytest.mark.slow
@pytest.mark.parametrize(("chosen", "expected"), [(None, "False"), ("1", "True")])
def test_ray_sends_nothing_home_unless_told_to(
    chosen: str | None, expected: str, tmp_path: Path
) -> None:
    """What Ray itself says of its statistics, in a process and a home of its own."""
    pytest.importorskip("ray")
    script = (
        "from llava_eval.engine.ray.cluster import import_ray\n"
        "import_ray()\n"
        "from ray._common.usage.usage_lib import usage_stats_enabled\n"
        "print(usage_stats_enabled())"
    )
    environment = {**os.environ, "HOME": str(tmp_path)}
    environment.pop("RAY_USAGE_STATS_ENABLED", None)
    if chosen is not None:
        environment["RAY_USAGE_STATS_ENABLED"] = chosen
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == expected, done.stderr


@pytest.mark.parametrize(
    ("engine", "device", "nodes", "expected"),
    [
        ({}, "auto", [GPU_NODE], Share(8, 1.0, 1)),
        ({}, "auto", [{"CPU": 4.0}, GPU_NODE, GPU_NODE], Share(16, 1.0, 1)),
        ({}, "cpu", [GPU_NODE], Share(1, 0.0, 96)),
        ({"gpus_per_worker": 2.0}, "auto", [GPU_NODE], Share(4, 2.0, 1)),
        ({"num_workers": 3, "cpus_per_worker": 5}, "cuda", [GPU_NODE], Share(3, 1.0, 5)),
        ({}, "auto", [{"CPU": 2.0}], Share(1, 0.0, 2)),
        ({"num_workers": 2}, "auto", [{"CPU": 2.0}], Share(2, 0.0, 1)),
        # No worker spans two nodes.
        ({"num_workers": 2}, "auto", [{"CPU": 3.0}, {"CPU": 1.0}], Share(2, 0.0, 1)),
        ({"num_workers": 1}, "auto", [{"CPU": 3.0}, {"CPU": 1.0}], Share(1, 0.0, 3)),
        ({"num_workers": 3}, "auto", [{"CPU": 9.0}, {"CPU": 4.0}], Share(3, 0.0, 4)),
        ({"num_workers": 5}, "auto", [{"CPU": 2.0}], Share(5, 0.0, 1)),
    ],
)
def test_shares(
    engine: dict[str, float], device: str, nodes: list[dict[str, float]], expected: Share
) -> None:
    config = EngineConfig(name="ray", **engine)  # type: ignore[arg-type]
    assert choose_share(config, device, nodes) == expected
