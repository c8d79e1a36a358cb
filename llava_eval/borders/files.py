"""Files: where a configured name lies on this machine, and lines that are whole or absent."""

from __future__ import annotations

import importlib.util
from io import FileIO
from pathlib import Path
from typing import Final

from llava_eval.errors import ConfigError

PACKAGE_SCHEME: Final = "package://"


def resolve_package_path(location: str) -> str:
    """Return the file system path of ``package://module/path``; any other text as it is.

    Raises:
        ConfigError: the package is not installed.
    """
    if not location.startswith(PACKAGE_SCHEME):
        return location
    module, _, inside = location.removeprefix(PACKAGE_SCHEME).partition("/")
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{location}: there is no installed package {module!r}")
    return str(Path(spec.submodule_search_locations[0]) / inside)


def append_line(stream: FileIO, line: bytes) -> None:
    """Write a line at once, or nothing of it.

    Args:
        stream: opened for appending, without a buffer.
        line: with its line feed.

    Raises:
        OSError: it cannot be written; what was written of it is cut off again if possible.
    """
    start = stream.tell()
    written = stream.write(line)
    if written != len(line):
        # A full disk takes part of a line without an error; the next write says why.
        try:
            stream.write(line[written:])
        finally:
            if stream.tell() != start + len(line):
                stream.truncate(start)
