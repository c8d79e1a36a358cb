"""Gather decoded frames into one array, whatever order they arrive in."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from llava_eval.errors import MediaError
from llava_eval.types import Clip

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Pixels = npt.NDArray[np.uint8]


class FrameCollector:
    """The frames asked for, written into place as RGB while a decoder shows them.

    The array is allocated once, at the size of the first frame, so the memory needed is that of
    the frames asked for and no more. Several threads may add frames.
    """

    def __init__(self, path: str, indices: Sequence[int]) -> None:
        self.path = path
        self.indices = tuple(indices)
        self.places: dict[int, list[int]] = {}
        for place, index in enumerate(self.indices):
            self.places.setdefault(index, []).append(place)
        self.missing = set(self.places)
        self._pixels: Pixels | None = None
        self._pts_seconds = [0.0] * len(self.indices)
        self._lock = threading.Lock()

    def add(self, index: int, frame: VideoFrame, pts_seconds: float) -> None:
        """Store the frame with number ``index``; frames nobody asked for are ignored."""
        if index in self.missing:
            self.add_pixels(index, _rgb(frame), pts_seconds)

    def add_pixels(self, index: int, pixels: Pixels, pts_seconds: float) -> None:
        """As :meth:`add`, for an RGB array (H, W, 3)."""
        out = self._array_for(index, pixels)
        first, *copies = self.places[index]
        out[first] = pixels
        for place in copies:
            out[place] = out[first]
        for place in self.places[index]:
            self._pts_seconds[place] = pts_seconds
        self.missing.discard(index)

    def clip(
        self,
        *,
        fps: float | None = None,
        num_source_frames: int | None = None,
        notes: Sequence[str] = (),
    ) -> Clip:
        """The clip; every frame asked for must have been added."""
        import torch  # heavy, and only needed to hand frames over

        if self.missing or self._pixels is None:
            raise RuntimeError(f"{self.path}: frames {sorted(self.missing)} were never added")
        return Clip(
            frames=torch.from_numpy(self._pixels).permute(0, 3, 1, 2),
            frame_indices=self.indices,
            pts_seconds=tuple(self._pts_seconds),
            fps=fps,
            num_source_frames=num_source_frames,
            notes=tuple(notes),
        )

    def _array_for(self, index: int, pixels: Pixels) -> Pixels:
        with self._lock:
            if self._pixels is None:
                self._pixels = np.empty((len(self.indices), *pixels.shape), np.uint8)
            expected = self._pixels.shape[1:]
        if pixels.shape != expected:
            raise MediaError(
                f"{self.path}: frame {index} is {pixels.shape[1]}x{pixels.shape[0]} while others "
                f"are {expected[1]}x{expected[0]}; the resolution changes within the video"
            )
        return self._pixels


class _Converter(threading.local):
    """One converter a thread: making one for each frame takes longer than converting."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()


_converter = _Converter()


def _rgb(frame: VideoFrame) -> Pixels:
    """The same bytes as ``frame.to_ndarray(format="rgb24")``."""
    converted = _converter.reformatter.reformat(frame, format="rgb24", threads=1)
    array: Any = converted.to_ndarray()
    return array  # type: ignore[no-any-return]
