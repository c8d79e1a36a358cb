"""Paths and files: where a name leads on this machine, reading what ends, and whole lines.

``Path.exists`` and its kin raise where a folder may not be entered, a name is too long for the
file system, or links go round in a circle. One row with such a path must not end a run, so most
answers here are about any path, whatever the file system says of it.
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
    """Return the folder of an installed package, without importing it; None where there is none.

    Args:
        package: its name, without a dot.
    """
    spec = importlib.util.find_spec(package) if package else None
    locations = [] if spec is None else [*(spec.submodule_search_locations or ())]
    return Path(locations[0]) if locations else None


def local_path(location: str | os.PathLike[str]) -> Path:
    """Return the path that a person means by a text.

    ``~`` is a home folder where there is one, ``package://module/path`` lies in a package.

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
    except ValueError:  # a null character, or one that the file system cannot encode
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
    """Return whether there is such a folder; see :func:`status_of`, which may raise."""
    status = status_of(path)
    return status is not None and stat.S_ISDIR(status.st_mode)


def names_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is to be read that need not exist: False for nothing, or a folder.

    Who is told that there is none goes on without it; so what cannot be seen is not taken for that.

    Raises:
        OSError: the system does not say what lies there, or it is a link that leads nowhere.
    """
    try:
        return not stat.S_ISDIR(Path(path).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        if Path(path).is_symlink():
            raise
        return False
    except ValueError:  # no file can have this name
        return False


#: Whether a file or folder, and whether a folder, surely lies at a path; these raise nothing.
is_there, is_surely_folder = os.path.exists, os.path.isdir


def folders_below(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and those below it with the names of their files, linked ones too.

    Folders stand before links beside them, and a link to a folder above it is not followed.

    Raises:
        OSError: one of them may not be read.
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


#: What lies in place of large files in a clone that was made without git-lfs.
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def why_no_file(path: str | os.PathLike[str], expected: str) -> str | None:
    """Return why a path does not name a file with content that can be read, None if it does.

    Args:
        path: of the file.
        expected: what it should be, for instance "a video file".
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


#: Where a shell's ``<(command)`` lies: a pipe that somebody writes to.
_DESCRIPTORS = re.compile(r"/dev/(fd/\d+|stdin)|/proc/(self|\d+)/fd/\d+")


def open_file(path: str | os.PathLike[str], expected: str = "a file") -> BufferedReader:
    """Open a file whose reading ends; the one way to open what a person names.

    A named pipe that nobody writes to, or a device such as ``/dev/zero``, would block for ever.
    Pipes are read only where they were opened before: ``/dev/stdin`` and a shell's ``<(command)``.

    Args:
        path: of the file.
        expected: what it should be, for the message.

    Raises:
        OSError: it cannot be opened, or is a folder, pipe, socket or device.
    """
    name = os.fspath(path)
    refused = f"is a pipe, socket or device, expected {expected}"
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:  # what the system says of a socket
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
    """Return what a file holds; see :func:`open_file`."""
    with open_file(path) as file:
        return file.read()


def reason(error: OSError) -> str:
    """Return why the operating system refuses a path, in a few words without the path."""
    return _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__


def file_identity(path: str | os.PathLike[str]) -> str:
    """Return a digest that changes when another file lies at ``path`` or it was written to.

    Copies may keep the time of writing of what they were copied from, but not that of the change.
    """
    status = Path(path).stat()
    facts = (os.path.realpath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()[:40]


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn a failing write into one line that says which file, and that nothing was lost.

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
    """Yield a new file that takes the place of ``path`` where the block ends without an error.

    Readers see the old content or the new one, never a part, whoever else writes there.

    Raises:
        OSError: it cannot be made, written or moved.
    """
    # no number of a process, which is the same in each container; and no file of tempfile, which
    # no other user can read, whatever the umask says
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        with partial.open("xb") as stream:
            yield stream
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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
