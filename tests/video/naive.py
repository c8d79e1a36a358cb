"""The plain decode, written here once more and independently of the package."""

from __future__ import annotations

import av
import av.error
import numpy as np
import numpy.typing as npt

Frames = list[npt.NDArray[np.uint8]]


def decode_all(path: str) -> tuple[Frames, list[float | None]]:
    """Every frame that PyAV shows from the start, with its time, up to the first error."""
    frames: Frames = []
    times: list[float | None] = []
    # A title in another encoding is no reason to show nothing.
    with av.open(path, metadata_errors="replace") as container:
        try:
            for frame in container.decode(video=0):
                frames.append(np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8))
                times.append(None if frame.pts is None else frame.time)
        except av.error.FFmpegError:
            pass
    return frames, times
