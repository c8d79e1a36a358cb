"""Paths and files: resolving names, reading only regular files, and writing whole lines.

``Path.exists`` and similar methods raise if a folder may not be entered, a name is too long for the
file system, or links form a circle. One row with such a path must not end a run, so most functions
here return an answer for any path.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import re
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, FileIO
from pathlib import Path
from typing import BinaryIO, Final

from llava_eval.errors import ConfigError, StorageError

PACKAGE_SCHEME: Final = "package://"

_REASONS = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENAMETOOLONG: "the name is too long for the file system",
    errno.ELOOP: "its links go round in a circle",
}


def package_folder(package: str) -> Path | None:
    """Return the folder of an installed package without importing it; None if there is none.

    Args:
        package: name of the package, without a dot.
    """
    spec = importlib.util.find_spec(package) if package else None
    locations = [] if spec is None else [*(spec.submodule_search_locations or ())]
    return Path(locations[0]) if locations else None


def local_path(location: str | os.PathLike[str]) -> Path:
    """Return the path that a user's text names.

    ``~`` is expanded to a home folder; ``package://module/path`` is a file inside a package.

    Raises:
        ConfigError: the package is not installed.
    """
    text = os.fspath(location)
    if text.startswith(PACKAGE_SCHEME):
        module, _, inside = text.removeprefix(PACKAGE_SCHEME).partition("/")
        package, *parts = module.split(".")  # looking up a part would import the package
        folder = package_folder(package)
        if folder is None:
            raise ConfigError(f"{text}: there is no installed package {module!r}")
        return Path(folder, *parts, inside)
    try:
        return Path(text).expanduser()
    except RuntimeError:  # a file whose name begins with a tilde
        return Path(text)


#: Error numbers of names that no file can have, or that do not exist.
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL)


def status_of(path: str | os.PathLike[str]) -> os.stat_result | None:
    """Return the status of a file or folder; None if there is none with that name.

    Names that are too long, have invalid characters or form a circle of links do not exist.

    Raises:
        OSError: the status is unknown, for instance because a folder may not be searched.
    """
    try:
        return Path(path).stat()
    except ValueError:  # a null character, or one that the file system cannot encode
        return None
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise


def is_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a regular file; see :func:`status_of`, which may raise."""
    status = status_of(path)
    return status is not None and stat.S_ISREG(status.st_mode)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is a folder; see :func:`status_of`, which may raise."""
    status = status_of(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def names_file(path: str | os.PathLike[str]) -> bool:
    """Return whether an optional file exists; False if there is nothing, or a folder.

    Callers continue without a missing file, so a file that cannot be looked at is an error instead.

    Raises:
        OSError: the path cannot be looked at, or it is a link that leads nowhere.
    """
    try:
        return not stat.S_ISDIR(Path(path).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        if Path(path).is_symlink():
            raise
        return False
    except ValueError:  # no file can have this name
        return False


#: Whether a path certainly exists, and whether it certainly is a folder; these raise nothing.
is_there, is_surely_folder = os.path.exists, os.path.isdir


def folders_below(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and all folders below it, with the names of their files; links are followed.

    Folders come before links in the same folder. A link to a folder above itself is not followed.

    Raises:
        OSError: a folder may not be read.
    """
    for name, below, names in os.walk(folder, onerror=_raise_unless_missing, followlinks=True):
        here = Path(name)
        if here.is_symlink() and here.resolve() in (above.resolve() for above in here.parents):
            below.clear()
        else:
            below.sort(key=lambda inside: (here / inside).is_symlink())
            yield here, names


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


#: Beginning of the pointer files that replace large files in a clone made without git-lfs.
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def why_no_file(path: str | os.PathLike[str], expected: str) -> str | None:
    """Return why a path is not a readable file with content; None if it is.

    Args:
        path: path of the file.
        expected: the expected kind of file, for instance "a video file".
    """
    try:
        with open_file(path, expected) as file:
            head = file.read(len(LFS_POINTER))
        if head == LFS_POINTER:
            return f"a pointer of git-lfs in place of {expected}; `git lfs pull` fetches that"
        return None if head else "the file is empty"
    except OSError as error:
        return reason(error)
    except ValueError:  # a null character, or one that the file system cannot encode
        return "no file can have this name"


#: Paths of pipes that already have a writer, such as a shell's ``<(command)``.
_DESCRIPTORS = re.compile(r"/dev/(fd/\d+|stdin)|/proc/(self|\d+)/fd/\d+")


def open_file(path: str | os.PathLike[str], expected: str = "a file") -> BufferedReader:
    """Open a file that a user named; all such files are opened here, so that reading ends.

    A named pipe without a writer, or a device such as ``/dev/zero``, would block for ever. Pipes
    are read only if they are already open: ``/dev/stdin`` and a shell's ``<(command)``.

    Args:
        path: path of the file.
        expected: the expected kind of file, for the message.

    Raises:
        OSError: it cannot be opened, or is a folder, pipe, socket or device.
    """
    name = os.fspath(path)
    refused = f"is a pipe, socket or device, expected {expected}"
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket
            raise OSError(errno.EINVAL, refused, name) from None
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, f"is a folder, expected {expected}", name)
        is_handed_pipe = stat.S_ISFIFO(mode) and _DESCRIPTORS.fullmatch(name)
        if not stat.S_ISREG(mode) and not is_handed_pipe:
            raise OSError(errno.EINVAL, refused, name)
        if is_handed_pipe:
            os.set_blocking(descriptor, True)
        return open(descriptor, "rb")  # noqa: PTH123 - the caller's; it closes it
    except BaseException:
        os.close(descriptor)
        raise


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a file; see :func:`open_file`."""
    with open_file(path) as file:
        return file.read()


def reason(error: OSError) -> str:
    """Return the reason of an operating system's error in a few words, without the path."""
    return _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__


def file_identity(path: str | os.PathLike[str]) -> str:
    """Return a digest that changes if the file at ``path`` is replaced or modified.

    It uses the time of the status change too, because copies may keep the modification time of
    their original.
    """
    status = Path(path).stat()
    facts = (os.path.realpath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()[:40]


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a failed write into an error that names the file and says that nothing was lost.

    Raises:
        StorageError: for any OSError inside the block.
    """
    try:
        yield
    except OSError as error:
        advice = (
            "; free some space and run the same command again: finished samples are kept"
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            else ""
        )
        raise StorageError(f"cannot write {path}: {error.strerror or error}{advice}") from error


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a new file that replaces ``path`` if the block ends without an error.

    Readers see either the old or the new content, never a part, even with several writers.

    Raises:
        OSError: the file cannot be created, written or moved.
    """
    # The name has no process id, because containers share these; tempfile is not used, because its
    # files are unreadable for other users whatever the umask is.
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with partial.open("xb") as stream:
            yield stream
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def append_line(stream: FileIO, line: bytes) -> None:
    """Append a whole line, or nothing.

    Args:
        stream: file opened for appending, without a buffer.
        line: the line with its line feed.

    Raises:
        OSError: it cannot be written; a written part is removed again if possible.
    """
    start = stream.tell()
    written = stream.write(line)
    if written != len(line):
        # A full disk accepts part of a line without an error; the next write raises it.
        try:
            stream.write(line[written:])
        finally:
            if stream.tell() != start + len(line):
                stream.truncate(start)
