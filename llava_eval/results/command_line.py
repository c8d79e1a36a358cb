"""What the commands that read runs print, and the files that they write."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from llava_eval.results import files


def write_out(text: str) -> None:
    """Print a text; a reader that has seen enough (``| head``) is no error."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_output(path: str | Path, text: str) -> None:
    """Write a file that the command line names, its folder too where it is missing.

    What is a link, a device or a pipe (``/dev/stdout``) is written to and not replaced.

    Raises:
        StorageError: it cannot be written.
    """
    target = Path(path).expanduser()
    if target.is_symlink() or (target.exists() and not target.is_file()):
        sys.stdout.flush()
        with files.storage_errors(target), target.open("w", encoding="utf-8") as stream:
            stream.write(text)
        return
    with files.storage_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(target, text)


def terminal_width() -> int:
    """Return the width to print tables in."""
    import shutil

    return max(60, shutil.get_terminal_size().columns)
