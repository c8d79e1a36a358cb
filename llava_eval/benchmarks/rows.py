"""One row of a benchmark, with the error messages that a bad row deserves.

Benchmarks whose rows come in several sets: subsets of the hub, or files of one folder.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llava_eval.benchmarks.sources import FILE_SUFFIXES, HUB_SCHEME, read_rows
from llava_eval.borders.files import resolve_package_path
from llava_eval.borders.paths import is_there
from llava_eval.errors import ConfigError, RowsError


@dataclass(frozen=True, slots=True)
class Row:
    """A row as the source holds it.

    Attributes:
        number: zero-based place in the source.
        columns: the data set's own columns.
        source: where it came from, for messages.
        media_root: folder that media paths start from; None where media paths are complete.
    """

    number: int
    columns: Mapping[str, Any]
    source: str
    media_root: Path | None = None

    def column(self, name: str) -> Any:
        """Return one column's value.

        Raises:
            RowsError: if the row has no such column, or it is empty (null).
        """
        if name not in self.columns:
            raise RowsError(
                f"{self.source}, row {self.number}: there is no column {name!r}; "
                f"columns: {', '.join(map(str, self.columns))}"
            )
        value = self.columns[name]
        if value is None:
            raise RowsError(f"{self.source}, row {self.number}: column {name!r} is empty")
        return value

    def text(self, template: str, **fields: str) -> str:
        """Fill ``{column}`` fields of a template from ``fields`` and this row's columns.

        ``{row_number}`` is the row's zero-based place in the source, for data sets without ids.

        Raises:
            RowsError: a field is neither.
            ConfigError: the template's braces do not pair up.
        """
        try:
            return template.format_map(_Fields(self, fields))
        except (ValueError, IndexError, AttributeError) as error:
            raise ConfigError(
                f"the template {template!r} cannot be filled: {error}; "
                "fields are written {column}, a literal brace {{ or }}"
            ) from error

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a column that holds a list of texts.

        A text that is itself the written form of a list (CSV files; MMMU's options) is read as
        JSON or as a Python literal.

        Raises:
            RowsError: if it is no list.
        """
        value = self.column(name)
        if isinstance(value, str) and value.lstrip().startswith("["):
            value = _written_list(value)
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise RowsError(
                f"{self.source}, row {self.number}: column {name!r} should hold a list, "
                f"got {type(value).__name__} {value!r}"
            )
        return tuple(str(item) for item in value)

    def optional(self, name: str) -> Any:
        """Return one column's value, or None where there is none or it is empty (null or "")."""
        value = self.columns.get(name)
        return None if value == "" else value

    def media_path(self, templates: Sequence[str]) -> str:
        """Return the first existing file among the filled templates, or else the first candidate.

        A file that does not exist is no error here: scoring needs no media, and a missing video
        must fail its own samples only.
        """
        candidates = [self._under_root(self.text(template)) for template in templates]
        if not candidates:
            raise ConfigError("benchmark.adapter.media names no path")
        return str(next((path for path in candidates if is_there(path)), candidates[0]))

    def _under_root(self, name: str) -> Path:
        return Path(name) if self.media_root is None else self.media_root / name


class _Fields(dict[str, Any]):
    """Looks fields up among extra fields first and a row's columns then."""

    def __init__(self, row: Row, fields: Mapping[str, str]) -> None:
        super().__init__(fields)
        self._row = row

    def __missing__(self, name: str) -> Any:
        if name == "row_number" and name not in self._row.columns:
            return self._row.number
        return self._row.column(name)


def _written_list(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return text


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
        source: see :func:`llava_eval.benchmarks.sources.read_rows`.
        split: see the same function.
        revision: see the same function.
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
