"""The only reader of JSON: it checks size, depth and type before the value is used.

Rows, ledgers, manifests, caches, checkpoints and servers' replies are all external input. The
standard library alone raises RecursionError for 100,000 brackets, and accepts any type.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeVar, overload

from llava_eval.borders.paths import LFS_POINTER, open_file

#: Maximum nesting of lists and objects; real files have fewer than 20 levels.
MAX_DEPTH = 100
_TOO_DEEP = f"more than {MAX_DEPTH} levels of lists and objects within each other"
#: Longest text that is read as one JSON value.
MAX_FILE_BYTES = 2 << 30

ValueT = TypeVar("ValueT")

_WORDS = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


class JsonError(ValueError):
    """A text that is not the expected JSON; the message is one line and names no source."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


@overload
def parse_json(text: str | bytes) -> Any: ...
@overload
def parse_json(text: str | bytes, expected: type[ValueT], *, is_ours: bool = ...) -> ValueT: ...
def parse_json(text: str | bytes, expected: type[Any] = object, *, is_ours: bool = False) -> Any:
    """Parse a JSON text.

    Args:
        text: text, or bytes in UTF-8, UTF-16 or UTF-32.
        expected: type of the value: ``dict``, ``list``, ``str``, ...; any type by default.
        is_ours: the text was written by this package, which never writes NaN and Infinity, as JSON
            does not have them; they are then refused.

    Raises:
        JsonError: it is too long, not JSON, nested too deeply, or of another type.
    """
    if len(text) > MAX_FILE_BYTES:
        raise JsonError(f"longer than {MAX_FILE_BYTES} bytes")
    try:
        value = json.loads(text, parse_constant=_refuse if is_ours else None)
    except RecursionError:
        raise JsonError(_TOO_DEEP) from None
    except ValueError as error:  # also undecodable bytes, and numbers with too many digits
        is_pointer = isinstance(text, bytes) and text.startswith(LFS_POINTER)
        found = "a pointer of git-lfs (`git lfs pull` fetches the file)" if is_pointer else error
        raise JsonError(f"not JSON: {found}") from None
    opening = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    if sum(map(text.count, opening)) > MAX_DEPTH:  # type: ignore[arg-type]
        _check_depth(value)
    if not isinstance(value, expected):
        raise JsonError(f"expected {describe(expected)}, got {describe(type(value))}")
    return value


@overload
def load_json(path: Path) -> Any: ...
@overload
def load_json(path: Path, expected: type[ValueT], *, is_ours: bool = ...) -> ValueT: ...
def load_json(path: Path, expected: type[Any] = object, *, is_ours: bool = False) -> Any:
    """Parse a JSON file.

    Args:
        path: the file; at most :data:`MAX_FILE_BYTES` of it are read.
        expected: type of the value, see :func:`parse_json`.
        is_ours: see :func:`parse_json`.

    Raises:
        OSError: the file cannot be read.
        JsonError: see :func:`parse_json`.
    """
    with open_file(path) as stream:
        content = stream.read(MAX_FILE_BYTES + 1)
    return parse_json(content, expected, is_ours=is_ours)


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds {constant}")


def digest(content: Any) -> str:
    """Return the SHA-256 of a JSON value in canonical form."""
    canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def describe(kind: type[Any]) -> str:
    """Return the name of a Python type's JSON values, for messages."""
    return _WORDS.get(kind, kind.__name__)


def _check_depth(value: object) -> None:
    """Raise JsonError if lists and objects are nested too deeply."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        children = (
            child for item in level for child in (item.values() if isinstance(item, dict) else item)
        )
        level = [child for child in children if isinstance(child, dict | list)]
        if not level:
            return
    raise JsonError(_TOO_DEEP)
