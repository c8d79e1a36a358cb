"""In which settings runs differ, in short words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llava_eval.config.describe import differences, short_keys
from llava_eval.results.runs import Run


def differing_settings(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return, by short key, the values of settings in which runs differ, one per run."""
    changed = short_keys(differences([run.config for run in runs]))
    return {key: [_written(value) for value in values] for key, values in changed.items()}


def differing_versions(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Return in which software, weights and machines runs differ, one value per run."""
    trees = [_origin(run) for run in runs]
    keys = dict.fromkeys(key for tree in trees for key in tree)
    return {
        key: [_written(tree.get(key)) for tree in trees]
        for key in keys
        if any(tree.get(key) != trees[0].get(key) for tree in trees)
    }


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
