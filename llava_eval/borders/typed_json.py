"""Conversion of JSON values to typed values, so that code can rely on its type hints."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec

from llava_eval.borders.json_text import JsonError

#: A count; the upper limit keeps arithmetic exact in floating point.
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]

ValueT = TypeVar("ValueT")

_MISSING = re.compile(r"Object missing required field `(.*)`")


def as_type(value: Any, kind: type[ValueT]) -> ValueT:
    """Return a parsed JSON value as a typed value, checked against the type's hints.

    Only lists are converted to tuples, and integers to floats. Keys that a data class does not have
    are ignored.

    Args:
        value: value as returned by :mod:`json`.
        kind: a data class, or a type such as ``dict[str, int]``.

    Raises:
        JsonError: a part is missing or has another type; the message says where.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise JsonError(_message(str(error))) from None
    except UnicodeEncodeError:
        raise JsonError("TypeError: half a surrogate pair stands where no text may") from None


def _message(text: str) -> str:
    """Convert msgspec's message ("Expected `str`, got `int` - at `$.id`") to our wording."""
    text, _, where = text.partition(" - at `$")
    where = where.strip(".`")
    missing = _MISSING.fullmatch(text)
    if missing:
        return f"KeyError: {missing.group(1)!r} is missing{f' in {where}' if where else ''}"
    return f"TypeError: {where or 'the value'}: {text[:1].lower()}{text[1:].replace('`', '')}"
