"""In which settings runs differ, in short words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llava_eval.config.roles import PLACES, flat, is_among
from llava_eval.results.runs import Run

#: Where things lie and what tables say of them; no settings.
_IGNORED = (
    *PLACES,
    "output_dir",
    "resume",
    "experiment",
    "benchmark.description",
    "benchmark.licence",
)
#: Parts that their own name stands for.
_NAMED_PARTS = ("quantization", "conversation")


def differing_settings(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return, by short key, the values of settings in which runs differ, one per run."""
    found = _differing([_settings(run) for run in runs])
    lasts = [key.rpartition(".")[2] for key in found]
    return {
        (last if lasts.count(last) == 1 else key): values
        for (key, values), last in zip(found.items(), lasts, strict=True)
    }


def differing_versions(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return in which software, weights and machines runs differ, one value per run."""
    return _differing([_origin(run) for run in runs])


def _differing(trees: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    keys = dict.fromkeys(key for tree in trees for key in tree)
    return {
        key: [_written(tree.get(key)) for tree in trees]
        for key in keys
        if any(tree.get(key) != trees[0].get(key) for tree in trees)
    }


def _settings(run: Run) -> dict[str, Any]:
    leaves = flat(run.config)
    for part in _NAMED_PARTS:
        name = leaves.get(f"{part}.name")
        if name is not None:
            leaves = {key: v for key, v in leaves.items() if not key.startswith(f"{part}.")}
            leaves[part] = name
    target = leaves.pop("sampler._target_", None)
    if target is not None:
        leaves["sampler"] = str(target).rpartition(".")[2]
    return {key: value for key, value in leaves.items() if not is_among(key, _IGNORED)}


def _origin(run: Run) -> dict[str, Any]:
    model: Mapping[str, Any] = run.manifest.get("model") or {}
    versions: Mapping[str, Any] = run.manifest.get("versions") or {}
    found = {str(name): version for name, version in versions.items()}
    found["commit"] = str(run.manifest.get("git_commit") or "")[:10]
    found["weights"] = str(model.get("weights_sha256") or "")[:10]
    found["device"] = model.get("device_name")
    return found


def _written(value: object) -> str:
    text = "null" if value is None else " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"
