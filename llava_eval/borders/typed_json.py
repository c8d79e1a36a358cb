"""JSON values as typed values, so that what lies behind a file can rely on its type hints."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec

from llava_eval.borders.json_text import JsonError

#: A number of things; also keeps arithmetic within what floating point numbers hold.
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]

ValueT = TypeVar("ValueT")

_MISSING = re.compile(r"Object missing required field `(.*)`")


def as_type(value: Any, kind: type[ValueT]) -> ValueT:
    """Return a parsed JSON value as another type, its parts checked against the type's hints.

    Nothing is converted but lists to tuples and whole numbers to floating point ones. Keys that a
    data class does not have are left out.

    Args:
        value: as :mod:`json` gives it.
        kind: a data class, or a type such as ``dict[str, int]``.

    Raises:
        JsonError: a part is missing or of another type; the message says where.
    """
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise JsonError(_message(str(error))) from None
    except UnicodeEncodeError:
        raise JsonError("TypeError: half a surrogate pair stands where no text may") from None


def _message(text: str) -> str:
    """Return msgspec's words ("Expected `str`, got `int` - at `$.id`") as ours."""
    text, _, where = text.partition(" - at `$")
    where = where.strip(".`")
    missing = _MISSING.fullmatch(text)
    if missing:
        return f"KeyError: {missing.group(1)!r} is missing{f' in {where}' if where else ''}"
    return f"TypeError: {where or 'the value'}: {text[:1].lower()}{text[1:].replace('`', '')}"
