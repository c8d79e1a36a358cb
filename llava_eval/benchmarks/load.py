"""Read the samples of a configured benchmark: of all rows, or of those that it selects."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from llava_eval.benchmarks.probes import probed_samples
from llava_eval.benchmarks.rows import UNKNOWN, Row
from llava_eval.benchmarks.sources import read_rows
from llava_eval.borders.paths import local_path
from llava_eval.config.roles import flat
from llava_eval.config.schema import BenchmarkConfig, SubsampleConfig
from llava_eval.errors import ConfigError, LlavaEvalError, RowsError
from llava_eval.types import Sample, levels_of

log = logging.getLogger(__name__)

#: Metrics that count a group as right if all its samples are, however many there are.
_OF_WHOLE_GROUPS = ("all_right", "hallusion_score")

#: Makes one sample of a row, or several if the row has several questions.
Adapter = Callable[[Row], Sample | tuple[Sample, ...]]


def read_samples(benchmark: BenchmarkConfig, adapter: Adapter) -> list[Sample]:
    """Read the rows of a configured benchmark, and make samples of them.

    A row that the adapter cannot read, because it is another kind of question, is left out if one
    of its columns shows that ``benchmark.where`` does not select it.

    Args:
        benchmark: its configuration.
        adapter: the function of ``benchmark.adapter``; makes one sample of a row, or several.

    Returns:
        Samples in the order of the rows.

    Raises:
        RowsError: no rows, a missing column, an unusable row, a duplicate id, a selected level
            that does not exist, or no sample left.
        ConfigError: the selection or the probe does not fit the benchmark.
    """
    source, root = benchmark.source, media_folder(benchmark.media_root)
    rows = read_rows(
        source, subset=benchmark.subset, split=benchmark.split, revision=benchmark.revision
    )
    whole = _of_whole_groups(benchmark)
    needed = rows if benchmark.where or whole else rows[: benchmark.limit]
    samples = []
    left_out: RowsError | None = None
    adapters_own: set[str] = set()
    for number, columns in enumerate(needed):
        row = Row(number, columns, source, root)
        try:
            adapted = _adapt(row, adapter)
        except RowsError as error:  # a question of another kind needs another adapter
            if not _is_at_other_level(row, benchmark.where):
                raise
            left_out = left_out or error
            continue
        for sample in adapted:
            adapters_own |= sample.facets.keys()
            levels = {name: _level(row, sample, name, rows) for name in benchmark.facets}
            samples.append(dataclasses.replace(sample, media_root=root, facets=_Facets(levels)))
    if left_out and (not samples or adapters_own & flat(benchmark.where).keys()):
        raise left_out  # the adapter's own levels may differ from the columns'
    _check_unique(samples, source)
    if {target for sample in samples for target in sample.targets} == {""}:
        # hidden answers: TextVQA's test set has ten empty ones per row
        samples = [dataclasses.replace(sample, targets=()) for sample in samples]
    if samples and not any(sample.targets for sample in samples):
        names = ", ".join(map(str, rows[0]))
        log.warning("%s: no row has a right answer, all are hidden; columns: %s", source, names)
    kept = selected(samples, benchmark.where, benchmark.subsample, limit=benchmark.limit)
    if not kept:
        raise RowsError(
            f"{source}: no sample is left of {len(needed)} rows: none can be asked, or "
            "benchmark.where names no level"
        )
    if whole:
        _warn_of_parts_of_groups(samples, kept, whole)
    return probed_samples(kept, benchmark.probe)


def _of_whole_groups(benchmark: BenchmarkConfig) -> list[str]:
    """Return the metrics that count a group as right only as a whole."""
    return [
        name
        for name, node in benchmark.metrics.items()
        if isinstance(node, Mapping)
        and str(node.get("_target_")).rpartition(".")[2] in _OF_WHOLE_GROUPS
        and node.get("size") is None
        and node.get("part") != "all"
    ]


def _warn_of_parts_of_groups(
    samples: Sequence[Sample], kept: Sequence[Sample], metrics: Sequence[str]
) -> None:
    """Warn if a selection keeps only parts of groups that are right only as a whole."""
    whole = Counter(sample.group for sample in samples)
    chosen = Counter(sample.group for sample in kept)
    num_parts = sum(count < whole[group] for group, count in chosen.items())
    if num_parts:
        log.warning(
            "benchmark.subsample draws single samples, benchmark.limit takes single rows: of %d of "
            "%d groups only a part is asked, so that %s cannot be compared with those of whole "
            "groups, and will be higher",
            num_parts,
            len(chosen),
            ", ".join(metrics),
        )


def media_folder(media_root: str | None) -> Path | None:
    """Return the folder that ``benchmark.media_root`` names, or None."""
    return None if media_root is None else local_path(media_root)


def _adapt(row: Row, adapter: Adapter) -> tuple[Sample, ...]:
    try:
        adapted: Any = adapter(row)  # a user's own may return anything
    except LlavaEvalError:
        raise
    except (Exception, SystemExit) as error:  # rows are foreign, an adapter may be a user's
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise row.error(f"{kind}{error}") from error
    samples = (adapted,) if isinstance(adapted, Sample) else adapted
    if not isinstance(samples, Sequence) or not all(isinstance(item, Sample) for item in samples):
        raise ConfigError(
            f"benchmark.adapter: of a row it makes a {type(adapted).__name__}, expected a Sample "
            "or several"
        )
    return tuple(samples)


class _Facets(dict[str, str]):
    """Levels by facet; if a scorer or metric needs another facet, the error is one line."""

    def __missing__(self, facet: str) -> str:
        raise ConfigError(
            f"there is no facet {facet!r}, which a scorer or metric of this benchmark needs; "
            f"benchmark.facets has to name it (it has {', '.join(self) or 'none'})"
        )


def _level(row: Row, sample: Sample, facet: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a sample's level of a facet, "unknown" if its row does not state one.

    Raises:
        RowsError: no row at all has such a column.
    """
    if facet in sample.facets:
        return sample.facets[facet]
    level = row.level(facet)
    if level is not None:
        return level
    if not any(facet in columns or Row(0, columns, "").level(facet) for columns in rows):
        row.column(facet)  # which raises
    return UNKNOWN


def _check_unique(samples: Sequence[Sample], source: str) -> None:
    counts = Counter(sample.id for sample in samples)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        rows = [sample.row for sample in samples if sample.id == repeated[0]]
        raise RowsError(
            f"{source}: {len(repeated)} sample ids occur more than once, first {repeated[0]!r} in "
            f"rows {', '.join(map(str, rows[:5]))}; ids must be unique"
        )


def _is_at_other_level(row: Row, where: Mapping[str, Any]) -> bool:
    """Return whether one of a row's columns shows that ``where`` does not select the row."""
    for facet, levels in flat(where).items():
        level = row.level(facet)
        if level is not None and {level, *levels_of(level)}.isdisjoint(_wanted(levels)):
            return True
    return False


def selected(
    samples: Sequence[Sample],
    where: Mapping[str, Any],
    subsample: SubsampleConfig,
    *,
    limit: int | None = None,
) -> list[Sample]:
    """Return the chosen samples in the order of the rows.

    Args:
        samples: the samples of all rows.
        where: by facet, the level or the list of levels to keep.
        subsample: how many samples to draw from these, and how.
        limit: number of rows at the selected levels to keep before a subsample is drawn.

    Raises:
        ConfigError: a facet that the benchmark does not have, or more samples to draw than there
            are.
        RowsError: a level that no sample has.
    """
    kept = list(samples)
    for facet, levels in flat(where).items():  # where.meta.kind=x selects by the facet meta.kind
        kept = _at_levels(kept, facet, levels)
    for facet in subsample.by if kept else ():  # checked even if no size uses them
        _known_level(kept[0], facet)
    first_rows = set(list(dict.fromkeys(sample.row for sample in kept))[:limit])
    kept = [sample for sample in kept if sample.row in first_rows]
    if subsample.size is None:
        return kept
    if subsample.size > len(kept):
        raise ConfigError(
            f"benchmark.subsample.size: got {subsample.size}, but there are only {len(kept)} "
            "samples"
        )
    chosen = set(_drawn(kept, subsample))
    return [sample for sample in kept if sample.id in chosen]


def _at_levels(samples: list[Sample], facet: str, levels: Any) -> list[Sample]:
    wanted = _wanted(levels)
    present = set().union(*(_levels_at(sample, facet) for sample in samples))
    for level in wanted:
        if level not in present:
            raise RowsError(
                f"benchmark.where.{facet}: no sample has {level!r}; "
                f"levels: {', '.join(sorted(present))}"
            )
    return [sample for sample in samples if not _levels_at(sample, facet).isdisjoint(wanted)]


def _wanted(levels: Any) -> list[str]:
    return [str(level) for level in (levels if isinstance(levels, list | tuple) else [levels])]


def _levels_at(sample: Sample, facet: str) -> set[str]:
    """Return a sample's level; if it joins several ("action+object"), each of them as well."""
    level = _known_level(sample, facet)
    return {level, *levels_of(level)}


def _known_level(sample: Sample, facet: str) -> str:
    if facet not in sample.facets:
        raise ConfigError(
            f"the benchmark has no facet {facet!r}; facets: {', '.join(sample.facets) or 'none'}"
        )
    return sample.facets[facet]


def _drawn(samples: Sequence[Sample], subsample: SubsampleConfig) -> list[str]:
    """Draw from each stratum in proportion to its size, rounded by largest remainders."""
    strata: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for sample in samples:
        strata[tuple(_known_level(sample, facet) for facet in subsample.by)].append(sample.id)
    size = subsample.size or 0
    exact = {name: Fraction(size * len(ids), len(samples)) for name, ids in strata.items()}
    shares = {name: int(share) for name, share in exact.items()}
    by_remainder = sorted(strata, key=lambda name: (shares[name] - exact[name], name))
    for name in by_remainder[: size - sum(shares.values())]:
        shares[name] += 1
    return [
        drawn
        for name, ids in strata.items()
        for drawn in seeded_order(ids, subsample.seed)[: shares[name]]
    ]


def seeded_order(names: Iterable[str], seed: int) -> list[str]:
    """Return names in a seeded order that is the same on every machine.

    Adding or removing a name does not change the order of the others.
    """
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).hexdigest())
