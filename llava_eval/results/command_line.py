"""Arguments of the commands that take paths, with one line for every mistake."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from llava_eval.errors import ConfigError
from llava_eval.results import files


class HelpShown(Exception):
    """Help was asked for, and printed."""


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are :class:`~llava_eval.errors.ConfigError`."""

    def __init__(self, command: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"llava-eval {command}",
            description=description,
            epilog=epilog,
            formatter_class=_Formatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> NoReturn:
        """Raise for a mistake in the arguments."""
        raise ConfigError(f"{self.prog.partition(' ')[2]}: {message}; {self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Raise where argparse would end the process."""
        raise HelpShown

    def parsed(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the arguments.

        Raises:
            ConfigError: a mistake in them.
            HelpShown: the command is done.
        """
        return self.parse_args(list(words))


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=80, max_help_position=28)


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
