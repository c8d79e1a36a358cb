"""Collect decoded frames in one array, in whatever order they arrive."""

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

#: RGB, (H, W, 3) or (N, H, W, 3).
Pixels = npt.NDArray[np.uint8]


class FrameCollector:
    """Collects the requested frames as RGB in the rows of one array while a decoder shows them.

    The array is allocated once, at the size of the first frame, so it needs memory for no more than
    the requested frames. Several threads may add frames.

    Attributes:
        path: the file, for messages.
        indices: the frame indices in the clip's order.
        rows: by frame index, the rows that the frame fills.
        missing: frame indices that have not been added yet.
    """

    def __init__(self, path: str, indices: Sequence[int]) -> None:
        self.path = path
        self.indices = tuple(indices)
        self.rows: dict[int, list[int]] = {}
        for row, index in enumerate(self.indices):
            self.rows.setdefault(index, []).append(row)
        self.missing = set(self.rows)
        self._pixels: Pixels | None = None  # (N, H, W, 3)
        self._pts_seconds: dict[int, float] = {}
        self._lock = threading.Lock()

    def require_below(self, num_frames: int) -> None:
        """Check that a source of ``num_frames`` frames has all requested frames.

        Raises:
            MediaError: it is too short.
        """
        highest = max(self.rows)
        if highest >= num_frames:
            raise MediaError(
                f"{self.path}: frame index {highest} is out of range, the video has "
                f"{num_frames} frames"
            )

    def add(self, index: int, frame: VideoFrame | Pixels, pts_seconds: float) -> None:
        """Store a decoded frame; ignore it if it was not requested or is stored already.

        Args:
            index: its number in the order shown.
            frame: in any pixel format, or an RGB array (H, W, 3).
            pts_seconds: its presentation time.

        Raises:
            MediaError: its size differs from that of the frames before.
        """
        if index not in self.missing:
            return
        pixels = frame if isinstance(frame, np.ndarray) else _rgb(frame)
        with self._lock:
            if self._pixels is None:
                import torch  # numpy requests huge pages, which the kernel may be slow to find

                shape = (len(self.indices), *pixels.shape)
                self._pixels = torch.empty(shape, dtype=torch.uint8).numpy()
        expected = self._pixels.shape[1:]
        if pixels.shape != expected:
            raise MediaError(
                f"{self.path}: frame {index} is {pixels.shape[1]}x{pixels.shape[0]} while others "
                f"are {expected[1]}x{expected[0]}; the resolution changes within the video"
            )
        for row in self.rows[index]:
            self._pixels[row] = pixels
        self._pts_seconds[index] = pts_seconds
        self.missing.discard(index)

    def clip(self) -> Clip:
        """Return the frames as a clip, once all have been added."""
        import torch  # heavy, and only needed once there are frames

        if self.missing or self._pixels is None:
            raise RuntimeError(f"{self.path}: frames {sorted(self.missing)} were never added")
        return Clip(
            # (N, H, W, 3) -> (N, 3, H, W)
            frames=torch.from_numpy(self._pixels).permute(0, 3, 1, 2),
            frame_indices=self.indices,
            pts_seconds=tuple(self._pts_seconds[index] for index in self.indices),
        )


class _Converter(threading.local):
    """One converter per thread, because creating one takes longer than converting a frame."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()


_converter = _Converter()


def _rgb(frame: VideoFrame) -> Pixels:
    """Convert a frame to the same bytes as ``frame.to_ndarray(format="rgb24")``, (H, W, 3)."""
    converted = _converter.reformatter.reformat(frame, format="rgb24", threads=1)
    array: Any = converted.to_ndarray()
    return array  # type: ignore[no-any-return]
