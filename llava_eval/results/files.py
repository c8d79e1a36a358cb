"""Names of the files in a run directory, and writing that never leaves a partial file."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llava_eval.borders.json_text import JsonError
from llava_eval.borders.paths import is_file, status_of, storage_errors, whole_file
from llava_eval.errors import ComparisonError, ConfigError, LlavaEvalError

CONFIG = "config.yaml"
MANIFEST = "manifest.json"
LEDGER = "samples.jsonl"
METRICS_JSON = "metrics.json"
METRICS_CSV = "metrics.csv"
METRICS_MARKDOWN = "metrics.md"
SUBMISSION = "submission.json"
SUBMISSION_SHEET = "submission.xlsx"
LOG = "run.log"


def file_name(name: str) -> str:
    """Return a name, for instance a benchmark's, as a safe part of a file name."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "unnamed"


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Return :func:`file_name` of each name, with a number if another name has the same.

    File names that differ in case only are the same file on some systems.
    """
    result: dict[str, str] = {}
    for name in dict.fromkeys(names):
        taken = {text.casefold() for text in result.values()}
        texts = (file_name(name) + (f"_{n}" if n > 1 else "") for n in itertools.count(1))
        result[name] = next(text for text in texts if text.casefold() not in taken)
    return result


@contextmanager
def reading_errors(path: Path, kind: type[LlavaEvalError] = ComparisonError) -> Iterator[None]:
    """Convert errors of reading a file into one line; FileNotFoundError passes unchanged.

    Args:
        path: the file.
        kind: the error that is raised for any other OSError, and for damaged JSON.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        name = error.filename or path
        raise kind(f"{name} cannot be read: {error.strerror or error}") from error
    except JsonError as error:
        raise kind(f"{path} cannot be read: {error}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file's content atomically: readers see the old or the new one, never a part.

    Raises:
        StorageError: the file cannot be written; the old one is untouched.
    """
    with storage_errors(path), whole_file(path) as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def remove_partial_files(directory: Path) -> None:
    """Remove partial files of a run that a killed process left in :func:`write_bytes`."""
    tables = (METRICS_JSON, METRICS_CSV, METRICS_MARKDOWN)
    for name in (CONFIG, MANIFEST, LEDGER, *tables, SUBMISSION, SUBMISSION_SHEET):
        for path in directory.glob(f".{name}.*.partial"):
            path.unlink(missing_ok=True)


def write_submission(directory: Path, content: Any) -> None:
    """Write a submission for a benchmark's server: bytes as a spreadsheet, others as JSON.

    Raises:
        ConfigError: it is neither bytes nor JSON; the function that made it may be the user's.
        StorageError: it cannot be written.
    """
    if isinstance(content, bytes):
        write_bytes(directory / SUBMISSION_SHEET, content)
        return
    try:
        write_json(directory / SUBMISSION, content)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"benchmark.submission gave what JSON does not hold: {error}") from error


def write_text(path: Path, text: str) -> None:
    """Replace a file's content with UTF-8 text, as :func:`write_bytes` does.

    A lone surrogate, which UTF-8 cannot encode, is written as its escape (valid in JSON).
    """
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_json(path: Path, content: Any) -> None:
    """Write a value as indented JSON; NaN and infinities raise ValueError."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_files(folder: Path, contents: Mapping[str, Any]) -> list[Path]:
    """Write files by their paths below a folder: text and bytes unchanged, other content as JSON.

    A lone surrogate in JSON becomes "?", because other tools reject a file with its escape.

    Raises:
        StorageError: one of them cannot be written.
    """
    paths = [folder / name for name in contents]
    for path, content in zip(paths, contents.values(), strict=True):
        if not isinstance(content, str | bytes):
            text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
            content = f"{text}\n".encode(errors="replace")
        write_output(path, content)
    return paths


def write_output(path: Path, content: str | bytes) -> None:
    """Write a file that the command line names, or one in such a folder; make its folder.

    A link, a device or a pipe (``/dev/stdout``) is written to and not replaced.

    Raises:
        StorageError: it cannot be written.
    """
    if isinstance(content, str):
        content = content.encode(errors="backslashreplace")
    with storage_errors(path):
        if path.is_symlink() or (status_of(path) is not None and not is_file(path)):
            sys.stdout.flush()
            path.write_bytes(content)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)
