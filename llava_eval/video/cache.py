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

#: Environment variable with the cache folder; "off" switches caching off.
CACHE_VARIABLE = "LLAVA_EVAL_CACHE"

_SUFFIX = ".array"

#: A store over its limit is emptied down to this part of it.
_KEEP = 0.9

#: What reading an entry may raise that somebody else wrote.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError)

T = TypeVar("T")
Array = npt.NDArray[Any]


def cache_folder() -> Path | None:
    """Return the folder for caches; None if caching is switched off, or there is no home for it."""
    folder = os.environ.get(CACHE_VARIABLE)
    if not folder:
        if sys.platform == "darwin":
            base = "~/Library/Caches"
        else:
            base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folder = f"{base}/llava_eval"
    try:
        return None if folder.lower() == "off" else Path(folder).expanduser()
    except RuntimeError:  # as of a container's user whom the system does not know
        return None


def digest(*parts: object) -> str:
    """Return one short name for all the parts."""
    text = json.dumps([str(part) for part in parts])
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class ArrayStore:
    """Files of one array each; those not used for longest go first when there are too many.

    A file appears complete or not at all, may vanish at any time, and is checked when it is read,
    so processes need no lock between them. A full or read-only disk costs the cache, not the run.

    Args:
        folder: of the files; made when something is stored.
        max_bytes: limit of all arrays together.
    """

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int) -> None:
        self.folder = Path(folder)
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._until_cleaning = 0  # bytes that may still be written before sizes are added up again
        self._works = True

    def get(self, key: str, read: Callable[[Array, dict[str, Any]], T]) -> T | None:
        """Return what was stored under ``key``, None if there is nothing (any more).

        Args:
            key: that it was put under.
            read: makes of an array, and the facts that were stored beside it, what is wanted. An
                entry that it cannot read (it raises one of :data:`_UNREADABLE`) is dropped as a
                broken file is.
        """
        path = self._path(key)
        try:
            with path.open("rb") as file:
                facts, content = parse_json(file.readline(), dict), bytearray(file.read())
            if facts.pop("crc32") != _checksum(facts, content):
                raise ValueError("it is not what was written")
            shape, dtype = tuple(facts.pop("shape")), np.dtype(facts.pop("dtype"))
            value = read(np.frombuffer(content, dtype).reshape(shape), facts)
            with suppress(OSError):  # of somebody else, or on a disk that cannot be written
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
        """Store an array and JSON-able facts about it under ``key``."""
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
        """Return (last use, size, path) of every entry, and of parts that killed processes left."""
        files = []
        for path in self.folder.glob("*/*"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            files.append((status.st_mtime, status.st_size, path))
        return files


def _checksum(header: Mapping[str, Any], content: bytearray | memoryview) -> int:
    """Return that of an entry: of all that its header says besides, and of the array."""
    return zlib.crc32(content, zlib.crc32(json.dumps(header).encode()))
