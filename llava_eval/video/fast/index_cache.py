"""Keep the indices of videos, in this process and on disk next to the frame cache."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import asdict, replace
from functools import cache
from typing import Any

import av
import numpy as np

from llava_eval.borders.paths import file_identity
from llava_eval.borders.typed_json import as_type
from llava_eval.types import VideoInfo
from llava_eval.video.cache import Array, ArrayStore, cache_folder, digest
from llava_eval.video.fast.index import VideoIndex

#: To be raised whenever the meaning of an index changes.
_VERSION = 12

_MAX_IN_MEMORY = 256
_MAX_BYTES_ON_DISK = 256 * 2**20

#: Rows of the array on disk: the columns of the table of keyframes.
_ROWS = ("packets", "shown_before", "timestamps", "positions", "leading")

#: The indices that this process used last, the most recent at the end.
_memory: OrderedDict[str, VideoIndex] = OrderedDict()
_lock = threading.Lock()


def forget_indices() -> None:
    """Forget the indices in memory (those on disk stay)."""
    with _lock:
        _memory.clear()


def _keep_in_memory(key: str, index: VideoIndex) -> None:
    with _lock:
        _memory[key] = index
        _memory.move_to_end(key)
        while len(_memory) > _MAX_IN_MEMORY:
            _memory.popitem(last=False)


def known_index(path: str) -> VideoIndex | None:
    """Return the kept index of a file; None if there is none, or the file has changed."""
    key = _key(path)
    index = _memory.get(key)
    if index is None and (store := _store()) is not None:
        index = store.get(key, _from_entry)
    if index is None:
        return None
    _keep_in_memory(key, index)
    return replace(index, info=replace(index.info, path=path))


def remember_index(index: VideoIndex) -> None:
    """Keep an index for the next time that its file is read.

    Args:
        index: the index of the file that its ``info`` names.
    """
    key = _key(index.info.path)
    _keep_in_memory(key, index)
    store = _store()
    if store is not None:
        table = np.stack([getattr(index, name) for name in _ROWS])
        facts = {"info": asdict(index.info), "sequential_reason": index.sequential_reason}
        store.put(key, table, facts)


def _key(path: str) -> str:
    return digest("index", _VERSION, av.__version__, file_identity(path))


#: One store per process, because a store adds up the sizes of its files only now and then.
_store_at = cache(ArrayStore)


def _store() -> ArrayStore | None:
    folder = cache_folder()
    return None if folder is None else _store_at(folder / "indices", _MAX_BYTES_ON_DISK)


def _from_entry(table: Array, facts: dict[str, Any]) -> VideoIndex:
    if table.dtype != np.int64 or table.ndim != 2:
        raise ValueError(f"{table.dtype} {table.shape} is not a table of keyframes")
    return VideoIndex(
        as_type(facts["info"], VideoInfo),
        sequential_reason=str(facts["sequential_reason"]),
        **dict(zip(_ROWS, table, strict=True)),
    )
