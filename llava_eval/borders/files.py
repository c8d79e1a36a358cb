"""Files: whether and where a name lies on this machine, and lines that are whole or absent."""

from __future__ import annotations

import errno
import importlib.util
import os
import stat
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
    package, *parts = module.split(".")  # looking up a part would import the package
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"{location}: there is no installed package {module!r}")
    return str(Path(spec.submodule_search_locations[0], *parts, inside))


def local_path(location: str | os.PathLike[str]) -> Path:
    """Return the path that a person means by a text: ``~`` is a home folder where there is one.

    Args:
        location: see :func:`resolve_package_path`.

    Raises:
        ConfigError: see :func:`resolve_package_path`.
    """
    path = Path(resolve_package_path(os.fspath(location)))
    try:
        return path.expanduser()
    except RuntimeError:  # a file whose name begins with a tilde
        return path


#: What the system says of a name that no file can have, or that leads nowhere.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)


def status_of(path: str | os.PathLike[str]) -> os.stat_result | None:
    """Return what the system says of a file or folder; None where there is none of that name.

    Names of any length, with any characters, and links in a circle are only not there.

    Raises:
        OSError: the system does not say, for instance where a folder may not be searched.
    """
    try:
        return Path(path).stat()
    except ValueError:  # a null character
        return None
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise


def is_file(path: str | os.PathLike[str]) -> bool:
    """Return whether there is such a file; see :func:`status_of`."""
    status = status_of(path)
    return status is not None and stat.S_ISREG(status.st_mode)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether there is such a folder; see :func:`status_of`."""
    status = status_of(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


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
