"""What tests share: the embedded checkpoint and benchmarks, and a folder of caches of their own."""

from __future__ import annotations

import gc
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from llava_eval.borders.paths import local_path

# Two processes of tests whose every operation waits for threads on the other's core take ten times
# the time of two that work alone. It is read when torch is imported, also by commands of the tests.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# The same examples each time, whatever else the machine does meanwhile.
hypothesis.settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("steady")

#: Folder of the embedded checkpoint, videos and rows.
DEMO = local_path("package://llava_eval/demo")


def pytest_collection() -> None:
    """Search for no garbage while tests are imported: it took a fifth of that time, for nothing."""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that both processes end at about the same time."""
    num_tests = Counter(item.path for item in items)
    num_slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: (-num_slow[item.path], -num_tests[item.path], item.path))


def pytest_collection_finish() -> None:
    """Search for garbage rarely, and not in what the imports made: it took a fifth of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session")
def demo() -> Path:
    return DEMO


@pytest.fixture(autouse=True, scope="session")
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep every test, and every process that it starts, off the network and out of real caches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_DATASETS_CACHE", str(tmp_path_factory.mktemp("datasets")))
        patch.setenv("LLAVA_EVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def slow(*values: Any) -> object:
    """One case of a parametrized test, marked slow by itself."""
    return pytest.param(*values, marks=pytest.mark.slow)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write objects as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
