"""Caches on disk: bounded in size, and safe for several processes at once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import threading
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from llava_eval.borders.json_text import parse_json
from llava_eval.borders.paths import whole_file

_log = logging.getLogger(__name__)

#: Environment variable that names the cache folder; "off" switches caching off.
CACHE_VARIABLE = "LLAVA_EVAL_CACHE"

_SUFFIX = ".array"

#: A store that exceeds its limit is reduced to this share of it.
_KEEP = 0.9

#: Errors that reading an entry may raise, because anyone may have written it.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError)

T = TypeVar("T")
Array = npt.NDArray[Any]


def cache_folder() -> Path | None:
    """Return the folder for caches; None if caching is off or the user has no home folder."""
    folder = os.environ.get(CACHE_VARIABLE)
    if not folder:
        if sys.platform == "darwin":
            base = "~/Library/Caches"
        else:
            base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folder = f"{base}/llava_eval"
    try:
        return None if folder.lower() == "off" else Path(folder).expanduser()
    except RuntimeError:  # a container's user may be unknown to the system
        return None


def digest(*parts: object) -> str:
    """Return a hash of all the parts, as a short name."""
    text = json.dumps([str(part) for part in parts])
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class ArrayStore:
    """Files of one array each; the least recently used are deleted if there are too many.

    A file appears complete or not at all, may vanish at any time, and is checked when it is read,
    so processes need no lock between them. On a full or read-only disk caching stops, but the run
    continues.

    Args:
        folder: contains the files; created when the first one is stored.
        max_bytes: limit of all arrays together.
    """

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int) -> None:
        self.folder = Path(folder)
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._until_cleaning = 0  # bytes that may still be written before sizes are added up again
        self._works = True

    def get(self, key: str, read: Callable[[Array, dict[str, Any]], T]) -> T | None:
        """Return the value stored under ``key``; None if there is none (any more).

        Args:
            key: the key that it was stored under.
            read: builds the value from the array and the facts stored with it. If it raises one of
                :data:`_UNREADABLE`, the entry is deleted as a broken file is.
        """
        path = self._path(key)
        try:
            with path.open("rb") as file:
                facts, content = parse_json(file.readline(), dict), bytearray(file.read())
            if facts.pop("crc32") != _checksum(facts, content):
                raise ValueError("it is not what was written")
            shape, dtype = tuple(facts.pop("shape")), np.dtype(facts.pop("dtype"))
            value = read(np.frombuffer(content, dtype).reshape(shape), facts)
            with suppress(OSError):  # someone else's file, or a read-only disk
                os.utime(path)
            return value
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        except _UNREADABLE as error:
            _log.info("%s: unreadable cache entry (%s)", path, error)
        with suppress(OSError):
            path.unlink()
        return None

    def put(self, key: str, array: Array, facts: Mapping[str, Any] | None = None) -> None:
        """Store an array, and facts about it that JSON can represent, under ``key``."""
        if not self._works:
            return
        content = np.ascontiguousarray(array).data
        header = {**(facts or {}), "shape": array.shape, "dtype": array.dtype.str}
        header["crc32"] = _checksum(header, content)
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as file:
                file.write(json.dumps(header).encode() + b"\n")
                file.write(content)
            self._make_space(array.nbytes)
        except OSError as error:
            with self._lock:
                is_first, self._works = self._works, False
            if is_first:
                _log.warning("%s: nothing more is cached (%s)", self.folder, error)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def _make_space(self, written: int) -> None:
        with self._lock:
            self._until_cleaning -= written
            if self._until_cleaning > 0:
                return
            self._until_cleaning = self.max_bytes // 20
        files = self._files()
        total = sum(size for _, size, _ in files)
        if total <= self.max_bytes:
            return
        for _, size, path in sorted(files):
            if total <= _KEEP * self.max_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _files(self) -> list[tuple[float, int, Path]]:
        """Return (last use, size, path) of all entries and of partial files of killed processes."""
        files = []
        for path in self.folder.glob("*/*"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            files.append((status.st_mtime, status.st_size, path))
        return files


def _checksum(header: Mapping[str, Any], content: bytearray | memoryview) -> int:
    """Return the checksum of an entry's header (without the checksum itself) and array."""
    return zlib.crc32(content, zlib.crc32(json.dumps(header).encode()))
