"""Keep prepared video frames, one by one, in a store that sweeps over frame counts share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from llava_eval.borders.paths import file_identity
from llava_eval.borders.typed_json import as_type
from llava_eval.types import Clip, MediaProblem, PixelProof, distinct_problems
from llava_eval.video.cache import Array, ArrayStore, cache_folder, digest
from llava_eval.video.decode import decode_frames, probe

if TYPE_CHECKING:
    import torch

#: Limit of the store of prepared frames.
DEFAULT_MAX_BYTES = 16 * 2**30

#: To be raised whenever the meaning of the store's entries changes.
_VERSION = 8


_counting = threading.Lock()


@dataclass(frozen=True)
class FrameCache:
    """Prepares frames and keeps each one.

    Attributes:
        store: where prepared frames are kept; None keeps nothing.
        prepare: maps uint8 (N, 3, H, W) to uint8 (N, 3, h, w), each frame independently.
        key: identifies everything that affects what ``prepare`` returns.
        counts: numbers of frames from the store and decoded, for the manifest.
    """

    store: ArrayStore | None
    prepare: Callable[[torch.Tensor], torch.Tensor]
    key: str
    counts: dict[str, int] = field(
        default_factory=lambda: {"num_cached": 0, "num_decoded": 0}, compare=False, repr=False
    )

    def read(self, path: str, indices: Sequence[int]) -> Clip:
        """Return prepared frames of a video, decoding only those that are not in the store.

        Args:
            path: the video file.
            indices: numbers of frames in the whole file.

        Raises:
            MediaError: the file is missing or damaged, or an index is out of range.
        """
        import torch  # heavy, and only needed once there are frames

        made_by = (_VERSION, av.__version__, self.key)
        identity = file_identity(path)
        keys = {index: digest("frame", *made_by, identity, index) for index in indices}
        frames: dict[int, Clip] = {}  # by index, each a clip of one frame
        if self.store is not None:
            for index, key in keys.items():
                frame = self.store.get(key, partial(_frame_of, index))
                if frame is not None:
                    frames[index] = frame
        with _counting:
            self.counts["num_cached"] += len(frames)
        missing = sorted(keys.keys() - frames.keys())
        if missing:
            decoded = decode_frames(path, missing).proven()
            with _counting:
                self.counts["num_decoded"] += len(missing)
            clip = replace(decoded, frames=self.prepare(decoded.frames))
            for row, index in enumerate(missing):
                frame = frames[index] = clip.frame(row)
                assert frame.proof is not None
                if self.store is not None:
                    facts = _Facts(frame.pts_seconds, frame.notes, frame.problems, frame.proof)
                    self.store.put(keys[index], frame.frames[0].numpy(), asdict(facts))
        info = probe(path)
        shown = [frames[index] for index in indices]
        proofs = [frame.proof for frame in shown if frame.proof is not None]
        met = (problem for frame in shown for problem in frame.problems)
        return Clip(
            frames=torch.from_numpy(np.concatenate([frame.frames.numpy() for frame in shown])),
            frame_indices=tuple(indices),
            pts_seconds=tuple(frame.pts_seconds[0] for frame in shown),
            fps=info.fps,
            num_source_frames=info.num_frames,
            notes=tuple(dict.fromkeys(note for frame in shown for note in frame.notes)),
            problems=distinct_problems((*info.problems, *met)),
            proof=replace(proofs[0], digests=tuple(proof.digests[0] for proof in proofs)),
            is_resized=True,
        )


@dataclass(frozen=True)
class _Facts:
    """The facts stored with the pixels of one frame in its entry."""

    pts_seconds: tuple[float, ...]
    notes: tuple[str, ...]
    problems: tuple[MediaProblem, ...]
    proof: PixelProof


def _frame_of(index: int, pixels: Array, facts: dict[str, Any]) -> Clip:
    """Return an entry of the store as a clip of one frame with this index."""
    import torch

    known = as_type(facts, _Facts)
    return Clip(torch.from_numpy(pixels[None]), (index,), **vars(known))  # (1, 3, h, w)


def default_store() -> ArrayStore | None:
    """Return the store of prepared frames in the cache folder, None if caching is switched off."""
    folder = cache_folder()
    return None if folder is None else ArrayStore(folder / "frames", DEFAULT_MAX_BYTES)
