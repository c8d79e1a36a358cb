"""Read the image of a row, and other values that adapters of image benchmarks need."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from llava_eval.benchmarks.rows import UNKNOWN, Row, fields_of
from llava_eval.types import BASE64_BEGINNINGS, Media, is_base64

#: No file name is longer. A longer text is the image itself in base64, as is one that begins like
#: a PNG, JPEG, GIF or WebP file.
_MAX_NAME_CHARACTERS = 1024
_BEGINNINGS = ("data:", *BASE64_BEGINNINGS)


class RowImage(NamedTuple):
    """One image of a row.

    Attributes:
        media: the image as it will be read.
        name: equal for equal pictures, to find the questions about one image; None if the image's
            file comes from a template, for instance by the question's id.
    """

    media: Media
    name: str | None


def row_image(
    row: Row, *, column: str | None, files: Sequence[str], upright: bool = True
) -> RowImage:
    """Return the image in a column, or else the file that the templates name.

    A column contains the image's bytes (in parquet files of the hub with its file's name), base64
    (alone or as "data:image/png;base64,..."), or a path or address. Rows that are only scored need
    neither column nor file.

    Args:
        row: the row.
        column: name of the column; None uses files only.
        files: templates of the image's file, below the media folder; among those that the row can
            fill, the first whose file exists is used.
        upright: turn the image by its EXIF orientation, as the ``datasets`` library does (since
            2.19) when it decodes an image column.

    Raises:
        RowsError: the column has no image, or the row can fill none of the templates.
    """
    value = row.optional(column) if column is not None else None
    file = None  # the name, in messages and the ledger, of an image that comes as bytes
    if isinstance(value, Mapping):
        file = value.get("path")
        value = value.get("bytes") or file
    is_long = isinstance(value, str) and len(value) > _MAX_NAME_CHARACTERS
    if isinstance(value, str) and (is_long or value.startswith(_BEGINNINGS)):
        value = _decoded(value, row, str(column))
    if isinstance(value, bytes | memoryview):
        content = _decoded(str(value, "latin-1"), row, str(column)) if is_base64(value) else value
        name = hashlib.sha256(content).hexdigest()[:16]
        return RowImage(Media("image", str(file or name), data=value, upright=upright), name)
    if isinstance(value, str) and value:
        path = row.media_path(["{path}"], path=value)
        return RowImage(Media("image", path, upright=upright), path)
    if value is not None and not isinstance(value, str):
        raise row.error(f"column {column!r} should hold an image, got {type(value).__name__}")
    usable = [template for template in files if can_fill(row, template)]
    if not usable:
        raise row.error(
            f"there is no image in column {column!r}, and none of {', '.join(files)} can be "
            f"filled from columns {', '.join(map(str, row.columns))}"
        )
    return RowImage(Media("image", row.media_path(usable), upright=upright), None)


def _decoded(text: str, row: Row, column: str) -> bytes:
    written = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode("".join(written.split()), validate=True)
    except ValueError as error:  # binascii's own, or letters outside ASCII
        raise row.error(f"column {column!r} holds no base64: {error}") from error


def can_fill(row: Row, template: str, given: Mapping[str, Any] | None = None) -> bool:
    """Return whether the row, or ``given``, has a value for every field of a template."""
    known = {"row_number", *(given or {})}
    return all(name in known or row.optional(name) is not None for name in fields_of(template))


def first_filled(row: Row, templates: Sequence[str], **given: str | None) -> str:
    """Fill the first template for which the row has all values.

    Args:
        row: the row.
        templates: templates in the order of preference.
        given: further fields; those that are None count as missing.

    Raises:
        RowsError: the last template needs a column that the row lacks.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    chosen = next(
        (template for template in templates if can_fill(row, template, fields)), templates[-1]
    )
    return row.text(chosen, **fields)


def row_facets(row: Row, facets: Mapping[str, Sequence[str]] | None) -> dict[str, str]:
    """Return, by facet, the value of the first of its columns that the row has, or "unknown".

    A key in a column of mappings is written ``types.semantic``.
    """
    levels = {}
    for name, columns in (facets or {}).items():
        known = (level for level in map(row.level, columns) if level is not None)
        levels[name] = next(known, UNKNOWN)
    return levels
