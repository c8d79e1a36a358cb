"""Runs read back from their directories, and the settings in which they differ."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llava_eval.config.describe import differences, short_keys
from llava_eval.errors import ComparisonError
from llava_eval.results import files
from llava_eval.results.directory import read_manifest
from llava_eval.results.formatting import printable
from llava_eval.results.ledger import iterate_ledger
from llava_eval.types import SampleResult

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    Attributes:
        path: its directory.
        manifest: content of manifest.json.
        tables: content of metrics.json; empty where there is none.
        results: the ledger, in the order of the samples.
    """

    path: Path
    manifest: Mapping[str, Any]
    tables: Mapping[str, Any]
    results: Sequence[SampleResult]

    @functools.cached_property
    def samples(self) -> DataFrame:
        """One row a sample: what was asked, generated and scored, and a column for each facet."""
        import pandas as pd

        rows = [
            {
                "id": result.id,
                "row": result.row,
                "group": result.group,
                **result.facets,
                "prompt": result.prompt,
                "target": list(result.target),
                "text": result.generation.text,
                "error": result.generation.error,
                "num_input_tokens": result.generation.num_input_tokens,
                "num_output_tokens": result.generation.num_output_tokens,
                "answer": result.score.answer,
                "value": result.score.value,
                "unreadable": result.score.unreadable,
            }
            for result in self.results
        ]
        return pd.DataFrame(rows).convert_dtypes()

    @functools.cached_property
    def metrics(self) -> DataFrame:
        """One row for each metric, of the whole set (without a facet) and of each level."""
        import pandas as pd

        whole = [("", "", self.tables.get("metrics") or {})]
        levels = [
            (facet, level, numbers)
            for facet, by_level in (self.tables.get("groups") or {}).items()
            for level, numbers in by_level.items()
        ]
        rows = [
            {"facet": facet, "level": level, "metric": name, **value}
            for facet, level, numbers in [*whole, *levels]
            for name, value in numbers.items()
        ]
        return pd.DataFrame(rows).convert_dtypes()

    @property
    def name(self) -> str:
        """The path as people gave it."""
        return printable(str(self.path))

    @property
    def config(self) -> Mapping[str, Any]:
        """The resolved configuration; of a scored file of texts only what judged it."""
        return _mapping(self.manifest.get("config"))

    @property
    def protocol(self) -> Mapping[str, Any]:
        """The configuration of the benchmark."""
        return _mapping(self.config.get("benchmark"))

    @property
    def benchmark(self) -> str:
        """Benchmark and protocol, without overrides."""
        return printable(str(self.protocol.get("name") or self.label.partition(" (")[0]))

    @property
    def label(self) -> str:
        """Benchmark and protocol with every override beside them."""
        name = self.manifest.get("benchmark") or self.tables.get("benchmark") or "unnamed"
        return printable(str(name))

    @property
    def model(self) -> str:
        """The model with every override beside it."""
        label = self.manifest.get("model_label") or self.tables.get("model") or "unknown model"
        return printable(str(label))

    @property
    def version(self) -> int | None:
        """Version of the protocol."""
        identity = _mapping(self.manifest.get("identity"))
        version = self.protocol.get("version", identity.get("benchmark_version"))
        return int(version) if isinstance(version, int | str) else None

    @property
    def metric_nodes(self) -> Mapping[str, Mapping[str, Any]]:
        """The metrics of the protocol, the headline first."""
        return _mapping(self.protocol.get("metrics"))

    @property
    def facets(self) -> Sequence[str]:
        """Columns of the tables."""
        return tuple(self.protocol.get("facets") or ())

    @property
    def num_errors(self) -> int:
        """Samples whose generation failed."""
        return sum(result.generation.error is not None for result in self.results)

    @property
    def num_unreadable(self) -> int:
        """Texts in which no answer was found."""
        return sum(result.score.unreadable for result in self.results)

    @property
    def max_errors(self) -> int:
        """Failed samples that its configuration allows."""
        return int(_mapping(self.config.get("errors")).get("max") or 0)

    def incomplete(self) -> str | None:
        """Return why this is not a whole run, in words that follow its name; None if it is."""
        status = self.manifest.get("status", "finished")
        if status != "finished":
            return f"is not finished (status {status!r})"
        identity = _mapping(self.manifest.get("identity"))
        expected = identity.get("num_samples", self.tables.get("num_samples"))
        if expected is not None and expected != len(self.results):
            return f"holds {len(self.results)} of its {expected} samples"
        return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


class RunReader:
    """Reads runs; what several samples or runs have in common is kept once.

    Runs of one benchmark repeat prompts, options, targets and often frames, which are most of a
    ledger.
    """

    def __init__(self) -> None:
        self._pool: dict[Any, Any] = {}
        self._facets: dict[Hashable, Mapping[str, str]] = {}

    def read(self, path: Path) -> Run:
        """Read one run directory.

        Raises:
            ComparisonError: it is none, or one of its files cannot be read.
            RunDirectoryError: its ledger or manifest is damaged.
        """
        if not path.is_dir():
            raise ComparisonError(f"there is no run directory {path}")
        for name in (files.MANIFEST, files.LEDGER):
            if not (path / name).is_file():
                raise ComparisonError(f"{path} is no run directory: it has no {name}")
        ledger = iterate_ledger(path / files.LEDGER, finished=True)
        return Run(
            path=path,
            manifest=read_manifest(path) or {},
            tables=_read_tables(path / files.METRICS_JSON),
            results=[self._pooled(result) for result in ledger],
        )

    def _pooled(self, result: SampleResult) -> SampleResult:
        keep = self._pool.setdefault
        changes: dict[str, Any] = {
            name: keep(value, value)
            for name in (
                *("id", "group", "question", "choices", "prompt", "media", "target"),
                *("frame_indices", "inputs"),
            )
            if (value := getattr(result, name))
        }
        facets = self._facets.setdefault(tuple(result.facets.items()), result.facets)
        return dataclasses.replace(result, **changes, facets=facets)


def _read_tables(path: Path) -> Mapping[str, Any]:
    try:
        return _mapping(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ComparisonError(f"{path} cannot be read: {error}") from error


def is_run(path: Path) -> bool:
    """Return whether a path is a run directory."""
    return (path / files.LEDGER).is_file() or (path / files.MANIFEST).is_file()


def find_runs(path: Path) -> list[Path]:
    """Return a run directory itself, or the run directories below a folder, in natural order.

    Raises:
        ComparisonError: there is no such folder, or no run in it.
    """
    if is_run(path):
        return [path]
    if not path.is_dir():
        raise ComparisonError(f"there is no folder {path}")
    found = {manifest.parent for manifest in path.rglob(files.MANIFEST)}
    if not found:
        raise ComparisonError(f"{path} holds no run: no {files.MANIFEST} in it or below it")
    return sorted(found, key=_natural_order)


def _natural_order(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", str(path))
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


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
