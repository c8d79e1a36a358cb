"""What Ray is told."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


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
