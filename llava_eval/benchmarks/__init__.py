"""Benchmarks: rows from a source, turned into samples by short adapters."""

from llava_eval.benchmarks.load import Adapter, load_samples, media_folder
from llava_eval.benchmarks.rows import Row
from llava_eval.benchmarks.selection import Selection
from llava_eval.benchmarks.sources import read_rows, resolve_package_path

__all__ = [
    "Adapter",
    "Row",
    "Selection",
    "load_samples",
    "media_folder",
    "read_rows",
    "resolve_package_path",
]
