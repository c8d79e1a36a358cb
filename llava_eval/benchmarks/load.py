"""From a benchmark's configuration to its samples."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from llava_eval.benchmarks.rows import Row
from llava_eval.benchmarks.sources import read_rows, resolve_package_path
from llava_eval.errors import RowsError
from llava_eval.types import Sample

Adapter = Callable[[Row], Sample]


def load_samples(
    source: str,
    adapter: Adapter,
    *,
    facets: Sequence[str] = (),
    media_root: str | None = None,
    subset: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    limit: int | None = None,
) -> list[Sample]:
    """Read rows and adapt them.

    Args:
        source, subset, split, revision: see :func:`llava_eval.benchmarks.sources.read_rows`.
        adapter: makes one sample of one row.
        facets: columns (or facets that the adapter derives) to keep with each sample.
        media_root: folder that media paths start from.
        limit: keep the first rows only.

    Returns:
        Samples in the order of the rows.

    Raises:
        RowsError: no rows, a missing column, an unusable row, or a duplicate id.
    """
    root = media_folder(media_root)
    rows = read_rows(source, subset=subset, split=split, revision=revision)[:limit]
    samples = [
        _adapt(Row(number, columns, source, root), adapter, facets)
        for number, columns in enumerate(rows)
    ]
    _check_unique(samples, source)
    return samples


def media_folder(media_root: str | None) -> Path | None:
    """Return the folder that ``benchmark.media_root`` names, or None where it names none."""
    return None if media_root is None else Path(resolve_package_path(media_root)).expanduser()


def _adapt(row: Row, adapter: Adapter, facets: Iterable[str]) -> Sample:
    try:
        sample = adapter(row)
    except ValueError as error:
        raise RowsError(f"{row.source}, row {row.number}: {error}") from error
    kept = {
        name: sample.facets[name] if name in sample.facets else str(row.column(name))
        for name in facets
    }
    return dataclasses.replace(sample, facets=kept)


def _check_unique(samples: Sequence[Sample], source: str) -> None:
    counts = Counter(sample.id for sample in samples)
    repeated = [name for name, count in counts.items() if count > 1]
    if repeated:
        rows = [sample.row for sample in samples if sample.id == repeated[0]]
        raise RowsError(
            f"{source}: {len(repeated)} sample ids occur more than once, first {repeated[0]!r} in "
            f"rows {', '.join(map(str, rows[:5]))}; ids must be unique"
        )
