"""Names that distinguish runs in tables, reports and papers."""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence

from llava_eval.config.roles import UNKNOWN
from llava_eval.results.formatting import count
from llava_eval.results.runs import Run, differing_settings, own_settings

#: Short key of the setting for the number of frames.
FRAMES = "num_frames"


def letters(num_runs: int) -> list[str]:
    """Return a short name for each run: A, B, ..., Z, A2, B2, ..."""
    alphabet = string.ascii_uppercase
    return [
        alphabet[index % 26] + (str(index // 26 + 1) if index >= 26 else "")
        for index in range(num_runs)
    ]


def settings_texts(runs: Sequence[Run]) -> list[str]:
    """Return each run's values of the settings in which the runs differ: "num_frames=8, ..."."""
    return [", ".join(f"{key}={value}" for key, value in own.items()) for own in own_settings(runs)]


def paper_names(runs: Sequence[Run]) -> dict[str, str]:
    """Return each run's name in a paper, by its letter: settings, or else model or folder."""
    choices = (settings_texts(runs), [run.model for run in runs], _folders(runs))
    names = next((names for names in choices if len(set(names)) == len(runs)), choices[-1])
    return dict(zip(letters(len(runs)), names, strict=True))


def run_names(runs: Sequence[Run]) -> list[str]:
    """Return names that distinguish the runs: the model and settings in which they differ."""
    models = [run.model.partition(" (")[0].rpartition("/")[2] for run in runs]
    labels = " ".join(f"{run.label} {run.model}" for run in runs)
    columns = [models] if len(set(models)) > 1 else []
    for key, values in differing_settings(runs).items():
        if key in (FRAMES, "quantization") or f"{key}=" in labels:
            columns.append([_shown(key, value) for value in values])
    names = [_joined(parts) for parts in zip(*columns, strict=True)] or _full_names(runs)
    return [
        name if name and names.count(name) == 1 else _joined((name, folder))
        for name, folder in zip(names, _folders(runs), strict=True)
    ]


def _joined(parts: Iterable[str]) -> str:
    return " · ".join(part for part in parts if part)


def _folders(runs: Sequence[Run]) -> list[str]:
    """Return the names of the runs' folders, or whole paths if some names are equal."""
    names = [run.path.name for run in runs]
    paths = [run.name for run in runs]
    return names if len(set(names)) == len(set(paths)) else paths


def _shown(key: str, value: str) -> str:
    """Return a setting as "16 frames", "bnb_nf4" or "quantization=none"; empty if unset."""
    if value in ("null", UNKNOWN):
        return ""
    if key == FRAMES and value.isdecimal():
        return count(int(value), "frame")
    speaks = value.isidentifier() and value.lower() not in ("none", "true", "false")
    return value if speaks else f"{key}={value}"


def _full_names(runs: Sequence[Run]) -> list[str]:
    """Return the models, with the benchmark's overrides if the runs differ in them."""
    if len({run.label for run in runs}) == 1:
        return [run.model for run in runs]
    overrides = [run.label.removeprefix(run.benchmark).strip(" ()") for run in runs]
    return [_joined((run.model, text)) for run, text in zip(runs, overrides, strict=True)]
