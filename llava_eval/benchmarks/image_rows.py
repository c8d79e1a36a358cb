"""What the adapters of image benchmarks share: the image of a row, ids, and facets."""

from __future__ import annotations

import base64
import binascii
import hashlib
import string
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from llava_eval.benchmarks.rows import Row
from llava_eval.errors import RowsError
from llava_eval.types import Media

#: Level of a facet whose columns a row lacks.
UNKNOWN = "unknown"

#: No file name is so long; a longer text is the image itself in base64.
_MOST_NAME_CHARACTERS = 1024


class RowImage(NamedTuple):
    """One image of a row.

    Attributes:
        media: as it will be read.
        name: the same for the same picture, to tell which questions are about one image; None
            where the row names a file only by the question's id.
    """

    media: Media
    name: str | None


def row_image(row: Row, *, column: str | None, files: Sequence[str]) -> RowImage:
    """Return the image that a column holds, or else the file that the templates name.

    A column holds the image's bytes (as parquet files of the hub do, beside its file's name),
    base64, or a path or address. Rows for scoring alone need neither column nor file.

    Args:
        row: the row.
        column: name of the column; None looks at files only.
        files: templates of the image's file, below the media folder; of several whose columns the
            row has, the first that exists.

    Raises:
        RowsError: a column that holds no image, or no template that the row can fill.
    """
    value = row.columns.get(column) if column is not None else None
    if isinstance(value, Mapping):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str) and len(value) > _MOST_NAME_CHARACTERS:
        value = _decoded(value, row, str(column))
    if isinstance(value, bytes | memoryview):
        name = hashlib.sha256(value).hexdigest()[:16]
        return RowImage(Media("image", _file_name(row, column, name), data=value), name)
    if isinstance(value, str) and value:
        path = value if "://" in value else row.media_path([_literal(value)])
        return RowImage(Media("image", path), path)
    if value is not None and not isinstance(value, str):
        raise RowsError(
            f"{row.source}, row {row.number}: column {column!r} should hold an image, "
            f"got {type(value).__name__}"
        )
    usable = [template for template in files if can_fill(row, template)]
    if not usable:
        raise RowsError(
            f"{row.source}, row {row.number}: there is no image in column {column!r}, and none of "
            f"{', '.join(files)} can be filled from columns {', '.join(map(str, row.columns))}"
        )
    return RowImage(Media("image", row.media_path(usable)), None)


def _literal(name: str) -> str:
    """Return a template that is filled as a file's name itself."""
    return name.replace("{", "{{").replace("}", "}}")


def _decoded(text: str, row: Row, column: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise RowsError(
            f"{row.source}, row {row.number}: column {column!r} holds no base64: {error}"
        ) from error


def _file_name(row: Row, column: str | None, name: str) -> str:
    """Return what an image that came as bytes is called in messages and in the ledger."""
    value = row.columns.get(column or "")
    given = value.get("path") if isinstance(value, Mapping) else None
    return str(given or name)


def can_fill(row: Row, template: str, given: Mapping[str, Any] | None = None) -> bool:
    """Does the row have a value for every field of a template?"""
    fields = [name for _, name, _, _ in string.Formatter().parse(template) if name]
    known = {"row_number", *(given or {})}
    return all(name in known or row.optional(name) is not None for name in fields)


def first_filled(row: Row, templates: Sequence[str], **given: str | None) -> str:
    """Return the first template that the row can fill, filled.

    Args:
        row: the row.
        templates: in the order of preference.
        given: further fields; those that are None are not there.

    Raises:
        RowsError: the last template needs a column that the row lacks.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    chosen = next((one for one in templates if can_fill(row, one, fields)), templates[-1])
    return row.text(chosen, **fields)


def row_facets(row: Row, facets: Mapping[str, Sequence[str]] | None) -> dict[str, str]:
    """Return by facet the value of the first of its columns that the row has, or "unknown".

    A column of mappings is written with its key: ``types.semantic``.
    """
    return {
        name: next((found for one in columns if (found := _level(row, one)) is not None), UNKNOWN)
        for name, columns in (facets or {}).items()
    }


def _level(row: Row, column: str) -> str | None:
    value = row.optional(column)
    if value is None:
        outer, _, key = column.partition(".")
        mapping = row.optional(outer)
        value = mapping.get(key) if isinstance(mapping, Mapping) else None
    return None if value is None else str(value)
