"""Arrays on disk under a digest: bounded in size, and safe for several processes at once."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_log = logging.getLogger(__name__)

#: Environment variable with the cache folder; "off" switches caching off.
CACHE_VARIABLE = "LLAVA_EVAL_CACHE"

_SUFFIX = ".array"

#: A store over its limit is emptied down to this part of it.
_KEEP = 0.9


class Entry(NamedTuple):
    """An array with the facts that were stored beside it."""

    array: npt.NDArray[Any]
    facts: dict[str, Any]


def cache_folder() -> Path | None:
    """The folder for caches: ``LLAVA_EVAL_CACHE``, else the platform's; None if switched off."""
    stated = os.environ.get(CACHE_VARIABLE)
    if stated:
        return None if stated.lower() == "off" else Path(stated).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "llava_eval"


def file_identity(path: str) -> str:
    """A digest that changes when the file at ``path`` is another one or was written to."""
    status = os.stat(path)
    return digest(os.path.realpath(path), status.st_size, status.st_mtime_ns)


def digest(*parts: object) -> str:
    """One short name for all the parts."""
    text = json.dumps([str(part) for part in parts])
    return hashlib.sha256(text.encode()).hexdigest()[:40]


class ArrayStore:
    """Files of one array each; those not used for longest go first when there are too many.

    A file appears complete or not at all, may vanish at any time, and is checked when it is read,
    so processes need no lock between them. A full or read-only disk costs the cache, not the run.
    """

    def __init__(self, folder: str | os.PathLike[str], max_bytes: int) -> None:
        if max_bytes <= 0:
            raise ValueError(f"max_bytes is {max_bytes}, expected more than 0")
        self.folder = Path(folder)
        self.max_bytes = max_bytes
        self._lock = threading.Lock()
        self._until_cleaning = 0  # bytes that may still be written before the next look
        self._works = True

    def get(self, key: str) -> Entry | None:
        """What was stored under ``key``, None if there is nothing (any more)."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                facts = json.loads(file.readline())
                shape, dtype = tuple(facts.pop("shape")), np.dtype(facts.pop("dtype"))
                content = bytearray(file.read())
            array = np.frombuffer(content, dtype).reshape(shape)
            os.utime(path)
            return Entry(array, facts)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.info("%s: unreadable cache entry (%s)", path, error)
        with suppress(OSError):
            path.unlink()
        return None

    def put(
        self, key: str, array: npt.NDArray[Any], facts: Mapping[str, Any] | None = None
    ) -> None:
        """Store ``array`` and JSON-able ``facts`` under ``key``."""
        if not self._works:
            return
        header = {**(facts or {}), "shape": array.shape, "dtype": array.dtype.str}
        try:
            self._write(self._path(key), json.dumps(header).encode() + b"\n", array)
            self._make_room(array.nbytes)
        except OSError as error:
            self._works = False
            _log.warning("%s: nothing more is cached (%s)", self.folder, error)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def _write(self, path: Path, header: bytes, array: npt.NDArray[Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".partial")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(header)
                file.write(np.ascontiguousarray(array).data)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _make_room(self, written: int) -> None:
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
        """(last use, size, path) of every entry."""
        found = []
        for path in self.folder.glob(f"*/*{_SUFFIX}"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            found.append((status.st_mtime, status.st_size, path))
        return found
