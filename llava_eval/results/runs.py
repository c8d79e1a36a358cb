"""Runs read back from their directories, and the settings in which they differ."""

from __future__ import annotations

import dataclasses
import functools
import logging
import os
import re
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml

from llava_eval.borders.json_text import JsonError
from llava_eval.borders.paths import folders_below, is_file, is_folder, read_file
from llava_eval.borders.typed_json import Count, as_type
from llava_eval.config.build import TARGET_KEY, forget_edited
from llava_eval.config.choices import let_import, own_files
from llava_eval.config.roles import differences, role_of, short_keys
from llava_eval.config.schema import Role
from llava_eval.errors import ComparisonError, ConfigError
from llava_eval.metrics.means import range_of
from llava_eval.metrics.yes_no import UNDIRECTED
from llava_eval.results import files
from llava_eval.results.columns import KEY_COLUMNS
from llava_eval.results.cost import Cost, cost_of
from llava_eval.results.formatting import count, from_difference, printable, setting_text, shortened
from llava_eval.results.ledger import iterate_ledger
from llava_eval.results.manifest import Manifest, read_manifest
from llava_eval.results.tables import Tables, all_values, read_tables
from llava_eval.types import Generation, MetricValue, SampleResult, Score

if TYPE_CHECKING:
    from pandas import DataFrame

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BenchmarkPart:
    """The entries of a run's ``benchmark`` configuration that are read back.

    Attributes:
        name, version: the protocol's name and version.
        metrics: the metrics' configuration nodes by name, the headline first.
        facets: columns to group by.
        chance: the score that guessing reaches, by metric name.
        media_root: folder of the media.
    """

    name: str | None = None
    version: Count | None = None
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    facets: Sequence[str] = ()
    chance: Mapping[str, float] = field(default_factory=dict)
    media_root: str | None = None


@dataclass(frozen=True)
class ErrorsPart:
    """The entries of a run's ``errors`` configuration that are read back."""

    max: Count = 0


@dataclass(frozen=True)
class ConfigParts:
    """The parts of a run's configuration that are read with types, not only compared."""

    benchmark: BenchmarkPart = BenchmarkPart()
    errors: ErrorsPart = ErrorsPart()
    scorer: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ComparableRun:
    """The part of a run that a comparison needs, from a run directory or a baseline file.

    Attributes:
        name: its path as the user gave it.
        label: benchmark and protocol, followed by all overrides.
        model: the model, followed by all overrides.
        config: the resolved configuration as far as it is known: for scored texts the part that
            judged them, for a baseline the protocol.
        parts: the configuration's parts that are read with types.
        results: results of the samples, in the ledger's order.
        cost: the run's cost.
        origin: software, weights and device by name.
        incomplete: why the run is not complete, as words that follow its name; None if it is.
        allowed_targets: dotted paths of the user's own metrics that may be called. A run directory
            may come from anyone, so its configuration alone never causes an import.
    """

    name: str
    label: str
    model: str
    config: Mapping[str, Any]
    parts: ConfigParts
    results: Sequence[SampleResult]
    cost: Cost
    origin: Mapping[str, str | None]
    incomplete: str | None
    allowed_targets: frozenset[str]

    def __repr__(self) -> str:
        samples = count(len(self.results), "sample")
        return f"<{type(self).__name__} {self.name}: {self.label}, {self.model}, {samples}>"

    @property
    def benchmark(self) -> str:
        """Benchmark and protocol, without overrides."""
        return printable(self.parts.benchmark.name or self.label.partition(" (")[0])

    @property
    def metric_nodes(self) -> Mapping[str, Mapping[str, Any]]:
        """The metrics of the protocol, the headline first."""
        return self.parts.benchmark.metrics

    def is_directed(self, metric: str) -> bool:
        """Whether a higher value of a metric is better; for the share of yes answers it is not."""
        return self.metric_nodes.get(metric, {}).get("measure") not in UNDIRECTED

    @property
    def failed(self) -> list[str]:
        """The ids of samples whose generation failed."""
        return [result.id for result in self.results if result.generation.error is not None]

    @property
    def num_errors(self) -> int:
        """The number of samples whose generation failed."""
        return len(self.failed)

    @property
    def num_unreadable(self) -> int:
        """The number of texts in which no answer was found."""
        return sum(result.score.unreadable for result in self.results)


@dataclass(frozen=True, eq=False, repr=False)
class Run(ComparableRun):
    """A run directory.

    Attributes:
        path: the directory.
        manifest: its manifest.json.
        tables: its metrics.json; empty if there is none.
    """

    path: Path
    manifest: Manifest
    tables: Tables

    @functools.cached_property
    def full_score(self) -> float:
        """The score of a perfectly answered sample: 1, or the end of the headline metric's range.

        0 if the headline is an error measure, of which less is better (its scale is negative).
        """
        scale = next(iter(self.metric_nodes.values()), {}).get("scale")
        scale = scale if isinstance(scale, int | float) and scale else None
        if scale is not None and scale < 0:
            return 0.0
        unit = next((value.unit for value in self.tables.metrics.values()), "")
        if (ends := range_of(unit)) is None:
            return 1.0
        if unit == "percent" and all((item.score.value or 0) <= 1 for item in self.results):
            return 1.0  # fractions, whatever their scale
        if scale is None:
            scale = 100.0 if ends[1] == 100 else 1.0  # the default of the mean
        return ends[1] / scale

    @property
    def choices(self) -> Mapping[str, str]:
        """The option chosen in each configuration group; empty if the manifest has none."""
        choices = self.manifest.content.get("choices")
        named = dict(choices) if isinstance(choices, Mapping) else {}
        return named if {"benchmark", "model"} <= named.keys() else {}

    @functools.cached_property
    def samples(self) -> DataFrame:
        """One row per sample: prompt, generation and score, and a column for each facet.

        A facet with the name of another column ("answer") gets the prefix "facet_".
        """
        import pandas as pd

        generated = ("text", "error", "num_input_tokens", "num_output_tokens")
        scored = ("answer", "value", "unreadable")
        taken = {"id", "row", "group", "prompt", "target", *generated, *scored}
        rows = [
            {
                "id": result.id,
                "row": result.row,
                "group": result.group,
                **facets_beside(taken, result),
                "prompt": result.prompt,
                "target": list(result.target),
                **{name: getattr(result.generation, name) for name in generated},
                **{name: getattr(result.score, name) for name in scored},
            }
            for result in self.results
        ]
        return with_types(pd.DataFrame(map(writable, rows)), Generation, Score)

    @functools.cached_property
    def metrics(self) -> DataFrame:
        """One row per metric, for the whole set (without a facet) and for each level."""
        import pandas as pd

        fields = [item.name for item in dataclasses.fields(MetricValue)]
        rows = [
            dict(zip(KEY_COLUMNS, key, strict=True)) | dataclasses.asdict(value)
            for *key, value in all_values(self.tables)
        ]
        data = pd.DataFrame(map(writable, rows), columns=[*KEY_COLUMNS, *fields])
        return with_types(data, MetricValue)


def facets_beside(taken: Collection[str], result: SampleResult) -> dict[str, str]:
    """Return a sample's facets; one with a name in ``taken`` gets the prefix "facet_"."""
    return {(f"facet_{n}" if n in taken else n): level for n, level in result.facets.items()}


def writable(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table's row with lone surrogates, which pandas rejects, as escapes."""
    return {
        name: value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value
        for name, value in row.items()
    }


#: pandas' nullable types for the types of fields.
_TYPES = {"float | None": "Float64", "int | None": "Int64", "str | None": "string"}


def with_types(data: DataFrame, *kinds: type) -> DataFrame:
    """Convert columns to pandas' nullable types; fields of ``kinds`` to their declared types."""
    fields = [item for kind in kinds for item in dataclasses.fields(kind) if item.name in data]
    types = {item.name: _TYPES[str(item.type)] for item in fields if item.type in _TYPES}
    return data.convert_dtypes().astype(types)


#: Fields that many samples, or the runs of one benchmark, have in common.
_SHARED = ("id", "group", "question", "choices", "prompt", "media", "target", "inputs")


class RunReader:
    """Reads runs; equal values of several samples or runs are stored in memory once.

    Runs of one benchmark repeat prompts, options, targets and often frames, which are most of a
    ledger.

    Args:
        config_dir: the user's own configuration files; the metrics that they name may be called.
    """

    def __init__(self, config_dir: Path | None = None) -> None:
        let_import(config_dir)
        forget_edited()
        self._allowed = frozenset(targets_in(config_dir))
        self._pool: dict[Any, Any] = {}
        self._facets: dict[Hashable, Mapping[str, str]] = {}

    def read(self, path: Path) -> Run:
        """Read one run directory.

        Raises:
            ComparisonError: it is no run directory, or one of its files cannot be read.
            RunDirectoryError: its ledger or manifest is damaged.
        """
        with files.reading_errors(path):
            if not is_folder(path):
                raise ComparisonError(f"there is no run directory {path}{_hint_to_unpack(path)}")
            for name in (files.MANIFEST, files.LEDGER):
                if not is_file(path / name):
                    raise ComparisonError(f"{path} is no run directory: it has no {name}")
        manifest = read_manifest(path) or Manifest()
        tables = read_tables(path)
        results = [*map(self._shared, iterate_ledger(path / files.LEDGER, finished=True))]
        try:
            parts = as_type(manifest.config, ConfigParts)
        except JsonError as error:
            raise ComparisonError(f"{path / files.MANIFEST}, config: {error}") from error
        return Run(
            name=printable(str(path)),
            label=printable(manifest.benchmark or tables.benchmark or "unnamed"),
            model=printable(manifest.model_label or tables.model or "unknown model"),
            config=manifest.config,
            parts=parts,
            results=results,
            cost=cost_of(manifest, results),
            origin=_origin(manifest),
            incomplete=_incomplete(manifest, tables, len(results)),
            allowed_targets=self._allowed,
            path=path,
            manifest=manifest,
            tables=tables,
        )

    def read_all(self, paths: Iterable[Path]) -> list[Run]:
        """Read the runs at or below some paths, each once; see :func:`find_runs`."""
        found = [run for path in paths for run in find_runs(path)]
        return [self.read(run) for run in dict.fromkeys(found)]

    def _shared(self, result: SampleResult) -> SampleResult:
        """Return a result that shares the objects of equal values with earlier results."""
        shared: dict[str, Any] = {}
        for name in (*_SHARED, "frame_indices"):
            value = getattr(result, name)
            shared[name] = self._pool.setdefault(value, value)
        facets = self._facets.setdefault(tuple(result.facets.items()), result.facets)
        return dataclasses.replace(result, **shared, facets=facets)


def _hint_to_unpack(path: Path) -> str:
    return ": it is a file; unpack it, if it holds runs" if is_file(path) else ""


def _incomplete(manifest: Manifest, tables: Tables, num_results: int) -> str | None:
    if manifest.status != "finished":
        return f"is not finished (status {manifest.status!r})"
    expected = (manifest.identity or {}).get("num_samples", tables.num_samples)
    if expected is not None and expected != num_results:
        return f"holds {num_results} of its {expected} samples"
    return None


#: Prefix of differences in the user's own code; the configuration key that names it follows.
OWN_CODE = "code of "


def _origin(manifest: Manifest) -> dict[str, str | None]:
    model = manifest.model
    return {
        **manifest.versions,
        "commit": shortened(manifest.git_commit) or None,
        **{f"{OWN_CODE}{key}": shortened(digest) for key, digest in manifest.code.items()},
        "weights": shortened(model.weights_sha256 if model else None) or None,
        "stored_quantization": model.stored_quantization if model else None,
        "answers_as": model.answers_as if model else None,
        "device": model.device_name if model else None,
    }


def is_run(path: Path) -> bool:
    """Return whether a path is a run directory."""
    with files.reading_errors(path):
        return is_file(path / files.LEDGER) or is_file(path / files.MANIFEST)


def find_runs(path: Path) -> list[Path]:
    """Return a run directory itself, or the run directories below a folder, in natural order.

    Links to folders are followed, and each folder counts once. Broken links and ledgers without a
    manifest cause a warning.

    Raises:
        ComparisonError: the folder is missing, contains no run, or a part of it is not readable.
    """
    if is_run(path):
        return [path]
    with files.reading_errors(path):
        if not is_folder(path):
            raise ComparisonError(f"there is no folder {path}{_hint_to_unpack(path)}")
        result: dict[str, Path] = {}
        for folder, names in folders_below(path):
            if files.MANIFEST in names:
                result.setdefault(os.path.realpath(folder), folder)
                continue
            if files.LEDGER in names:
                text = "%s has %s and no %s: no run is read there"
                log.warning(text, folder, files.LEDGER, files.MANIFEST)
            for link in (folder / name for name in names):
                if link.is_symlink() and not link.exists():
                    log.warning("%s is a link that leads nowhere: no run is read there", link)
    if not result:
        raise ComparisonError(f"{path} holds no run: no {files.MANIFEST} in it or below it")
    return sorted(result.values(), key=lambda path: natural_order(str(path)))


def natural_order(name: str) -> list[int | str]:
    """Return a key that sorts numbers within names by their values: "run_9" before "run_10".

    A number sorts before any letter. In a folder of frames it sorts after, see
    :func:`llava_eval.video.media.frame_files`; one order for both would show other frames.
    """
    # texts and numbers alternate, so that equal types are compared
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def targets_in(config_dir: Path | None) -> Iterator[str]:
    """Yield the dotted paths (``_target_``) in the configuration files below a folder.

    Raises:
        ConfigError: there is no such folder, or one of its files cannot be read.
    """
    for path in own_files(config_dir):
        try:
            content = yaml.safe_load(read_file(path).decode())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{path} cannot be read: {error}") from error
        nodes: list[object] = [content]
        for node in nodes:  # grows during the loop
            if isinstance(node, Mapping):
                if isinstance(node.get(TARGET_KEY), str):
                    yield node[TARGET_KEY]
                nodes += node.values()
            elif isinstance(node, list):
                nodes += node


def by_benchmark(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """Return the runs by benchmark, in the order of each benchmark's first run."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.benchmark, []).append(run)
    return groups


@dataclass(frozen=True)
class Difference:
    """A setting or fact in which runs differ.

    Attributes:
        name: short key of a setting, or a package, "commit", "code of scorer", "weights",
            "answers_as", "device".
        role: the role of the setting; "software" for everything else.
        values: the value of each run, as text.
    """

    name: str
    role: str
    values: Sequence[str]


def differences_of(runs: Sequence[ComparableRun]) -> list[Difference]:
    """Return the settings, software, weights and devices in which runs differ.

    Settings are sorted by role: protocol first, then model, then the others. Software comes last.
    """
    roles = list(get_args(Role))
    changed = differences([run.config for run in runs])
    settings = [
        Difference(name, role_of(key), _texts_in_one_line(changed[key]))
        for name, key in short_keys({key: key for key in changed}).items()
    ]
    settings.sort(key=lambda item: roles.index(item.role))
    software = differing_versions(runs).items()
    return [*settings, *(Difference(name, "software", values) for name, values in software)]


def differing_settings(runs: Sequence[ComparableRun]) -> dict[str, Sequence[str]]:
    """Return the values of settings in which runs differ, one per run, by short key."""
    changed = short_keys(differences([run.config for run in runs]))
    return {name: _texts_in_one_line(values) for name, values in changed.items()}


def own_settings(runs: Sequence[ComparableRun]) -> list[dict[str, str]]:
    """Return each run's values of the settings in which the runs differ, by short key."""
    varying = differing_settings(runs).items()
    return [{key: values[index] for key, values in varying} for index in range(len(runs))]


def differing_versions(runs: Sequence[ComparableRun]) -> dict[str, list[str]]:
    """Return the software, weights and devices in which runs differ, one value per run."""
    return {
        key: _texts_in_one_line([run.origin.get(key) for run in runs])
        for key in dict.fromkeys(key for run in runs for key in run.origin)
        if any(run.origin.get(key) != runs[0].origin.get(key) for run in runs)
    }


def _texts_in_one_line(values: Sequence[object]) -> list[str]:
    """Return values on one line each; long ones are cut if that keeps them distinct."""
    whole = [setting_text(value) for value in values]
    for texts in (whole, from_difference(whole)):
        cut = [_cut(text) for text in texts]
        if len(set(cut)) == len(set(whole)):
            return cut
    return whole


def _cut(text: str) -> str:
    """Return at most 40 characters: the end of a path's last name, the start of any other text."""
    if len(text) <= 40:
        return text
    is_path = "/" in text[:-1] and " " not in text and ":" not in text
    return f"…{text.rpartition('/')[2][-39:]}" if is_path else f"{text[:39]}…"
