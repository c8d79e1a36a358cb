"""Is it there, and can it be read: answers for any path, whatever the file system says of it.

``Path.exists`` and its kin raise where a folder may not be entered, a name is too long for the
file system, or links go round in a circle. One row with such a path must not end a run.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_REASONS = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENAMETOOLONG: "the name is too long for the file system",
    errno.ELOOP: "its links go round in a circle",
}


def is_there(path: str | os.PathLike[str]) -> bool:
    """Return whether a file or folder surely lies at a path."""
    return not isinstance(_status(path), str)


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Return whether a folder surely lies at a path."""
    status = _status(path)
    return not isinstance(status, str) and stat.S_ISDIR(status.st_mode)


def why_no_file(path: str | os.PathLike[str], expected: str) -> str | None:
    """Return why a path does not name a file with content that can be read, None if it does.

    Args:
        path: of the file.
        expected: what it should be, for instance "a video file".
    """
    status = _status(path)
    if isinstance(status, str):
        return status
    if stat.S_ISDIR(status.st_mode):
        return f"is a folder, expected {expected}"
    if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device may never end
        return f"is a pipe, socket or device, expected {expected}"
    try:
        with Path(path).open("rb", buffering=0) as file:
            return None if file.read(1) else "the file is empty"
    except OSError as error:
        return reason(error)


def reason(error: OSError) -> str:
    """Return why the operating system refuses a path, in a few words without the path."""
    return _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__


def _status(path: str | os.PathLike[str]) -> os.stat_result | str:
    """Return what the file system says of a path, or why it says nothing."""
    try:
        return Path(path).stat()
    except OSError as error:
        return reason(error)
    except ValueError:  # a null character, or one that the file system cannot encode
        return "no file can have this name"
