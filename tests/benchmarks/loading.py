"""Samples of a file of rows, without a protocol's file."""

from __future__ import annotations

from typing import Any

from llava_eval.benchmarks.load import Adapter, read_samples
from llava_eval.config.schema import BenchmarkConfig
from llava_eval.types import Sample


def load_samples(source: str, adapter: Adapter, **settings: Any) -> list[Sample]:
    """Read and adapt rows; ``settings`` are keys of ``benchmark``."""
    config = BenchmarkConfig(name="rows", source=source, **{"metrics": {}, **settings})
    return read_samples(config, adapter)
