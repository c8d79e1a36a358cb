"""Benchmarks whose rows come in several sets: subsets of the hub, or files of one folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llava_eval.benchmarks.sources import (
    FILE_SUFFIXES,
    HUB_SCHEME,
    read_rows,
    resolve_package_path,
)
from llava_eval.errors import RowsError

#: Column that names the set a row belongs to, in lower case.
ROW_SET_COLUMN = "row_set"
#: What separates the names in ``benchmark.subset``.
SEPARATOR = "+"


def read_row_sets(
    source: str,
    *,
    subset: str | None = None,
    split: str | None = None,
    revision: str | None = None,
) -> list[Mapping[str, Any]]:
    """Read rows; those of "Generic+Temporal" set by set, each with its set's name.

    A hub data set has a subset of each name, a folder a file (or a folder of files) whose name
    holds it, whatever the case: ``generic_qa.json`` is the set Generic. A single file is read as it
    is: its own column ``row_set`` may name the sets, or ``benchmark.subset`` the one that it is.

    Args:
        source, split, revision: see :func:`llava_eval.benchmarks.sources.read_rows`.
        subset: a name, several with "+" between them, or None.

    Raises:
        RowsError: a set has no rows, or no file.
    """
    names = [] if subset is None else subset.split(SEPARATOR)
    if source.startswith(HUB_SCHEME):
        if len(names) < 2:
            return read_rows(source, subset=subset, split=split, revision=revision)
        return [
            named
            for name in names
            for named in _named(
                read_rows(source, subset=name, split=split, revision=revision), name
            )
        ]
    folder = Path(resolve_package_path(source)).expanduser()
    if len(names) >= 2 and folder.is_dir():
        return [
            named
            for name in names
            for named in _named(read_rows(str(_place_of(folder, name))), name)
        ]
    rows = read_rows(source)
    return _named(rows, names[0]) if len(names) == 1 else rows


def _named(rows: list[Mapping[str, Any]], name: str) -> list[Mapping[str, Any]]:
    return [{ROW_SET_COLUMN: name.lower(), **row} for row in rows]


def _place_of(folder: Path, name: str) -> Path:
    found = [
        path
        for path in sorted(folder.iterdir())
        if name.lower() in path.name.lower() and (path.is_dir() or path.suffix in FILE_SUFFIXES)
    ]
    if len(found) != 1:
        listed = ", ".join(path.name for path in found) or "none"
        raise RowsError(
            f"{folder} should hold one file or folder for the row set {name}; found {listed}"
        )
    return found[0]
