"""Prepared frames on disk, one entry per frame, so that sweeps over frame counts share them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llava_eval.types import Clip
from llava_eval.video.decode import decode_frames, probe
from llava_eval.video.store import ArrayStore, cache_folder, digest, file_identity

if TYPE_CHECKING:
    import torch

_VERSION = 1

DEFAULT_MAX_BYTES = 16 * 2**30


@dataclass(frozen=True)
class FrameCache:
    """Decodes frames, prepares them, and remembers the result.

    Attributes:
        store: where prepared frames are kept.
        prepare: from uint8 (N, 3, H, W) to uint8 (N, 3, h, w); each frame on its own.
        key: names everything that changes what ``prepare`` gives.
    """

    store: ArrayStore | None
    prepare: Callable[[torch.Tensor], torch.Tensor]
    key: str

    def frames(self, path: str, indices: Sequence[int]) -> Clip:
        """The prepared frames with these numbers, decoding only those that are not stored."""
        import torch

        keys = {index: self._key(path, index) for index in indices}
        notes: dict[str, None] = {}
        found: dict[int, tuple[np.ndarray[tuple[int, ...], np.dtype[np.uint8]], float]] = {}
        for index, key in keys.items():
            entry = None if self.store is None else self.store.get(key)
            if entry is not None:
                found[index] = (entry.array, entry.facts["pts_seconds"])
                notes.update(dict.fromkeys(entry.facts["notes"]))
        missing = sorted(set(indices) - set(found))
        if missing:
            clip = decode_frames(path, missing)
            notes.update(dict.fromkeys(clip.notes))
            prepared = self.prepare(clip.frames).numpy()
            for row, index in enumerate(missing):
                found[index] = (prepared[row], clip.pts_seconds[row])
                if self.store is not None:
                    facts = {"pts_seconds": clip.pts_seconds[row], "notes": clip.notes}
                    self.store.put(keys[index], prepared[row], facts)
        info = probe(path)
        return Clip(
            frames=torch.from_numpy(np.stack([found[index][0] for index in indices])),
            frame_indices=tuple(indices),
            pts_seconds=tuple(found[index][1] for index in indices),
            fps=info.fps,
            num_source_frames=info.num_frames,
            notes=tuple(notes),
        )

    def _key(self, path: str, index: int) -> str:
        return digest("frame", _VERSION, file_identity(path), index, self.key)


def default_store(max_bytes: int = DEFAULT_MAX_BYTES) -> ArrayStore | None:
    """The store in the cache folder, None if caching is switched off."""
    folder = cache_folder()
    return None if folder is None else ArrayStore(os.path.join(folder, "frames"), max_bytes)
