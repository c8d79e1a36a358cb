"""Keys of a configuration that are no settings of a protocol or a model.

Nested mappings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from llava_eval.config.former_modules import current_target

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


def flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping as one level of dotted keys, targets by their present paths."""
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            leaves.update(flat(value, f"{prefix}{name}."))
        else:
            leaves[f"{prefix}{name}"] = current_target(str(value)) if name == "_target_" else value
    return leaves
