"""Videos of exactly the given frames, for servers that only read videos from files."""

from __future__ import annotations

import hashlib
import os
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np

from llava_eval.errors import StorageError
from llava_eval.types import Clip

_SAMPLES_PER_SECOND = 16_000


class ClipFolder:
    """Writes clips into a folder, each once, and removes them in the end.

    FFV1 over RGB loses nothing: decoders give back the very pixels. A second of silence goes along
    because ``transformers serve`` asks the audio track of every video that it is shown.

    Args:
        folder: an existing folder that the server sees under the same path.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: set[Path] = set()
        self._lock = threading.Lock()

    def write(self, clip: Clip) -> Path:
        """Return the file of a clip, written unless it is there.

        Raises:
            StorageError: it cannot be written.
        """
        frames = clip.frames.permute(0, 2, 3, 1).contiguous().numpy()
        rate = _frames_per_second(clip)
        digest = hashlib.sha256(f"{frames.shape} {rate} ".encode())
        digest.update(frames.tobytes())
        path = self._folder / f"llava_eval_{digest.hexdigest()[:32]}.mkv"
        if not path.exists():
            partial = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.partial")
            try:
                _write(partial, frames, rate)
                partial.replace(path)
            except OSError as error:
                partial.unlink(missing_ok=True)
                raise StorageError(f"{path} cannot be written: {error}") from error
        with self._lock:
            self._written.add(path)
        return path

    def remove(self) -> None:
        """Remove what was written."""
        with self._lock:
            for path in self._written:
                path.unlink(missing_ok=True)
            self._written.clear()


def _frames_per_second(clip: Clip) -> Fraction:
    """Return the rate at which the sampled frames last about as long as the video."""
    if not clip.fps or not clip.num_source_frames:
        return Fraction(1)
    rate = len(clip) / (clip.num_source_frames / clip.fps)
    return max(Fraction(1, 100), Fraction(rate).limit_denominator(100))


def _write(path: Path, frames: np.ndarray, rate: Fraction) -> None:
    """Write frames, uint8 (N, H, W, 3), as a Matroska file."""
    import av

    with av.open(str(path), "w", format="matroska") as container:
        video = container.add_stream("ffv1", rate=rate)
        video.height, video.width = frames.shape[1:3]
        video.pix_fmt = "bgr0"
        audio = container.add_stream("pcm_s16le", rate=_SAMPLES_PER_SECOND)
        audio.layout = "mono"
        for pixels in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(video.encode(None))
        silence = np.zeros((1, _SAMPLES_PER_SECOND), dtype=np.int16)
        sound = av.AudioFrame.from_ndarray(silence, format="s16", layout="mono")
        sound.sample_rate = _SAMPLES_PER_SECOND
        sound.pts = 0
        container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
