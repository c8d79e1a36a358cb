"""Videos of exactly the given frames, for servers that only read videos from files."""

from __future__ import annotations

import shutil
import tempfile
import threading
import uuid
from fractions import Fraction
from pathlib import Path

import numpy as np

from llava_eval.errors import StorageError
from llava_eval.types import Clip

_SAMPLES_PER_SECOND = 16_000


class ClipFolder:
    """Writes clips into a folder, and removes each once it was shown.

    FFV1 over RGB loses nothing: decoders give back the very pixels. A second of silence goes along
    because ``transformers serve`` asks the audio track of every video that it is shown.

    Args:
        folder: an existing folder that the server sees under the same path; None makes one of this
            machine's temporary folders.
    """

    def __init__(self, folder: Path | None) -> None:
        self._is_own = folder is None
        self._folder = Path(tempfile.mkdtemp(prefix="llava_eval_")) if folder is None else folder
        self._written: set[Path] = set()
        self._lock = threading.Lock()

    def write(self, clip: Clip) -> Path:
        """Return a new file of a clip.

        Raises:
            StorageError: it cannot be written.
        """
        path = self._folder / f"llava_eval_{uuid.uuid4().hex}.mkv"
        with self._lock:
            self._written.add(path)
        try:
            _write(
                path, clip.frames.permute(0, 2, 3, 1).contiguous().numpy(), _frames_per_second(clip)
            )
        except OSError as error:
            self.remove(path)
            raise StorageError(f"{path} cannot be written: {error}") from error
        return path

    def remove(self, path: Path) -> None:
        """Remove a file that was written."""
        path.unlink(missing_ok=True)
        with self._lock:
            self._written.discard(path)

    def close(self) -> None:
        """Remove all that is left, and the folder where it is a temporary one."""
        for path in list(self._written):
            self.remove(path)
        if self._is_own:
            shutil.rmtree(self._folder, ignore_errors=True)


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
