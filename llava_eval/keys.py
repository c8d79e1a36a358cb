"""Keys of a configuration that are no settings of a protocol or a model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

#: Names, where rows, media and models lie, and how a server is asked.
PLACES: Final = (
    "benchmark.source",
    "benchmark.media_root",
    "model.name",
    "model.base_url",
    "model.api_key_env",
    "model.server.clip_dir",
    "model.server.concurrency",
    "model.server.retries",
    "model.server.backoff_seconds",
    "model.server.timeout_seconds",
)


def is_among(key: str, keys: Iterable[str]) -> bool:
    """Return whether a dotted key is one of some keys, or lies below one."""
    return any(key == one or key.startswith(f"{one}.") for one in keys)
