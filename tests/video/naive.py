"""The plain decode, written here once more and independently of the package."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import suppress

import av
import av.error
import numpy as np
import numpy.typing as npt

Frames = list[npt.NDArray[np.uint8]]


def decode_all(path: str) -> tuple[Frames, list[float | None]]:
    """Every frame that PyAV shows from the start, with its time, up to the first error."""
    shown = [(_pixels(frame), _time(frame)) for frame in _shown(path)]
    return [pixels for pixels, _ in shown], [time for _, time in shown]


def decode_some(path: str, indices: Container[int]) -> dict[int, npt.NDArray[np.uint8]]:
    """Of the frames of :func:`decode_all` some alone, by their index."""
    shown = enumerate(_shown(path))
    return {index: _pixels(frame) for index, frame in shown if index in indices}


def _shown(path: str) -> Iterator[av.VideoFrame]:
    # A title in another encoding is no reason to show nothing.
    with av.open(path, metadata_errors="replace") as container, suppress(av.error.FFmpegError):
        yield from container.decode(video=0)


def _pixels(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    return np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)


def _time(frame: av.VideoFrame) -> float | None:
    return None if frame.pts is None else frame.time
