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

    There may be several sets of frames, which become one clip each. Their arrays are allocated
    once, at the size of the first frame, so the memory needed is that of the frames asked for and
    no more. Several threads may add frames.
    """

    def __init__(self, path: str, *sets: Sequence[int]) -> None:
        self.path = path
        self.sets = tuple(tuple(indices) for indices in sets)
        self.places: dict[int, list[tuple[int, int]]] = {}  # set and row of each frame
        for number, indices in enumerate(self.sets):
            for row, index in enumerate(indices):
                self.places.setdefault(index, []).append((number, row))
        self.missing = set(self.places)
        self._pixels: list[Pixels] = []  # of each set
        self._pts_seconds: dict[int, float] = {}
        self._lock = threading.Lock()

    def add(self, index: int, frame: VideoFrame, pts_seconds: float) -> None:
        """Store the frame with number ``index``; frames nobody asked for are ignored."""
        if index in self.missing:
            self.add_pixels(index, _rgb(frame), pts_seconds)

    def add_pixels(self, index: int, pixels: Pixels, pts_seconds: float) -> None:
        """As :meth:`add`, for an RGB array (H, W, 3)."""
        arrays = self._arrays_for(index, pixels)
        for number, row in self.places[index]:
            arrays[number][row] = pixels
        self._pts_seconds[index] = pts_seconds
        self.missing.discard(index)

    def clips(
        self,
        *,
        fps: float | None = None,
        num_source_frames: int | None = None,
        notes: Sequence[str] = (),
    ) -> list[Clip]:
        """The clip of each set; every frame asked for must have been added."""
        import torch

        if self.missing:
            raise RuntimeError(f"{self.path}: frames {sorted(self.missing)} were never added")
        return [
            Clip(
                frames=torch.from_numpy(pixels).permute(0, 3, 1, 2),
                frame_indices=indices,
                pts_seconds=tuple(self._pts_seconds[index] for index in indices),
                fps=fps,
                num_source_frames=num_source_frames,
                notes=tuple(notes),
            )
            for indices, pixels in zip(self.sets, self._pixels, strict=True)
        ]

    def _arrays_for(self, index: int, pixels: Pixels) -> list[Pixels]:
        with self._lock:
            if not self._pixels:
                self._pixels = [_empty(len(indices), pixels) for indices in self.sets]
            expected = self._pixels[0].shape[1:]
        if pixels.shape != expected:
            raise MediaError(
                f"{self.path}: frame {index} is {pixels.shape[1]}x{pixels.shape[0]} while others "
                f"are {expected[1]}x{expected[0]}; the resolution changes within the video"
            )
        return self._pixels


def _empty(count: int, pixels: Pixels) -> Pixels:
    """Room for frames in torch's memory.

    numpy asks for huge pages, and the kernel may take longer to find those than it takes to
    convert the frames.
    """
    import torch  # heavy, and only needed once there are frames

    array: Pixels = torch.empty((count, *pixels.shape), dtype=torch.uint8).numpy()
    return array


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
