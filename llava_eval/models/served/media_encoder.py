"""Encodes frames for a server: as images in data URLs, or as a lossless video file."""

from __future__ import annotations

import base64
import io
import math
import shutil
import tempfile
import uuid
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from llava_eval.borders.paths import local_path
from llava_eval.config.schema import ServerConfig
from llava_eval.errors import MediaError, StorageError
from llava_eval.models.served.server import Dialect
from llava_eval.types import Clip, Media, MediaKind, ServedMedia

_SAMPLES_PER_SECOND = 16_000


class ClipFolder:
    """Writes clips into a new folder, which is removed at the end.

    FFV1 in RGB is lossless: decoders return exactly these pixels. A second of silence is added
    because ``transformers serve`` reads the audio track of every video.

    Args:
        parent: an existing folder that the server sees under the same path; None uses this
            machine's folder of temporary files.

    Raises:
        StorageError: the folder cannot be created.
    """

    def __init__(self, parent: Path | None) -> None:
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="llava_eval_", dir=parent))
            if parent is not None:
                self._folder.chmod(0o755)
        except OSError as error:
            raise StorageError(f"no folder for clips can be made: {error}") from error

    def write(self, clip: Clip) -> Path:
        """Write a clip to a new file, and return its path.

        Args:
            clip: frames, uint8 (N, 3, H, W).

        Raises:
            StorageError: it cannot be written.
        """
        path = self._folder / f"{uuid.uuid4().hex}.mkv"
        try:
            _write(path, clip)
            path.chmod(0o644)  # whatever the umask is: the server may run as another user
        except OSError as error:
            path.unlink(missing_ok=True)
            raise StorageError(f"{path} cannot be written: {error}") from error
        return path

    def close(self) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _frames_per_second(clip: Clip) -> Fraction:
    """Return the frame rate with which the sampled frames last about as long as the video."""
    if not clip.fps or not clip.num_source_frames:
        return Fraction(1)
    rate = len(clip) / (clip.num_frames_sampled_from / clip.fps)
    return max(Fraction(1, 100), Fraction(rate).limit_denominator(100))


def _write(path: Path, clip: Clip) -> None:
    """Write frames as a Matroska file."""
    import av

    frames = clip.pixels  # (N, H, W, 3)
    with av.open(str(path), "w", format="matroska") as container:
        video = container.add_stream("ffv1", rate=_frames_per_second(clip))
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


#: PNG compression level: all are lossless, and level 1 is several times faster than the default.
_PNG_EFFORT = 1


class MediaEncoder:
    """Encodes clips for a server; safe to call from several threads at once.

    Args:
        config: settings of the server.
        dialect: features of the server.
        video_as: form of videos: "images", "video" or "url".
    """

    def __init__(self, config: ServerConfig, dialect: Dialect, video_as: str) -> None:
        self._config = config
        self._dialect = dialect
        self._video_as = video_as
        self._clips: ClipFolder | None = None
        if video_as == "video" and dialect.video == "clip":
            folder = config.clip_dir
            self._clips = ClipFolder(None if folder is None else local_path(folder).absolute())

    def encode(self, kind: MediaKind, clip: Clip) -> ServedMedia:
        """Return the parts of a message that show a clip.

        Args:
            kind: video, or image (a clip of one frame).
            clip: the decoded frames.

        Raises:
            MediaError: the server cannot be given this video's address.
            StorageError: a clip cannot be written.
        """
        metadata = _metadata(clip) if kind == "video" else {}
        if kind == "video" and self._video_as == "url":
            assert clip.video is not None  # only a trial's frames belong to no video
            address = self._address(clip.video)
            return ServedMedia(kind, (video_part(address),), (), metadata)
        size = (clip.frames.shape[2], clip.frames.shape[3])
        images = map(self._image, clip.pixels)
        if kind == "video" and self._clips is not None:
            parts = [video_part(str(self._clips.write(clip)))]
        elif kind == "video" and self._video_as == "video":
            parts = [video_part(f"data:video/jpeg;base64,{','.join(images)}")]
        else:
            mime = f"data:image/{self._config.image_format};base64,"
            parts = [{"type": "image_url", "image_url": {"url": mime + image}} for image in images]
        return ServedMedia(kind, tuple(parts), clip.frame_indices, metadata, size)

    def release(self, medium: ServedMedia) -> None:
        """Remove the file of a medium that will not be shown again, if it has one.

        Args:
            medium: a medium returned by :meth:`encode`.
        """
        if self._clips is not None and medium.kind == "video":
            Path(medium.parts[0]["video_url"]["url"]).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the files that were written for the server."""
        if self._clips is not None:
            self._clips.close()

    def _image(self, frame: np.ndarray) -> str:
        """Return a frame (H, W, 3) as a base64-encoded image file."""
        from PIL import Image

        config, content = self._config, io.BytesIO()
        image = Image.fromarray(frame)
        if config.image_format == "jpeg":
            image.save(content, "JPEG", quality=config.jpeg_quality, subsampling=0)
        else:
            image.save(content, "PNG", compress_level=_PNG_EFFORT)
        return base64.b64encode(content.getvalue()).decode("ascii")

    def _address(self, video: Media) -> str:
        if video.start_seconds is not None or video.end_seconds is not None:
            raise MediaError(
                f"{video.path}: the sample shows a part of this video, and model.server.video_as="
                "url can only show a whole one"
            )
        if video.swap_red_blue:
            raise MediaError(
                f"{video.path}: the protocol shows this video with red and blue exchanged, and "
                "model.server.video_as=url can only show it as it is"
            )
        if video.path.startswith(("http://", "https://")):
            return video.path
        if Path(video.path).is_dir():
            raise MediaError(f"{video.path} is a folder of images, which has no address as a video")
        if self._dialect.files is None:
            raise MediaError(
                f"{video.path} is a file, and {self._dialect.label} reads no files of its own"
            )
        path = Path(video.path).absolute()
        return path.as_uri() if self._dialect.files == "uri" else str(path)


def video_part(address: str) -> Mapping[str, Any]:
    """Return the part of a message's content that shows the video at an address."""
    return {"type": "video_url", "video_url": {"url": address}}


def _metadata(clip: Clip) -> dict[str, Any]:
    """Return the metadata of sampled frames for vLLM's ``media_io_kwargs``.

    vLLM accepts no more frames than the video has. If frames are shown repeatedly, the metadata
    describe a video with a multiple of the frames and of the frame rate. Times, from which models
    compute positions and timestamps, stay the same.
    """
    total, finer = clip.num_frames_sampled_from, 1
    if clip.fps is not None:
        finer = math.ceil(len(clip) / total)
    metadata: dict[str, Any] = {"frames_indices": [finer * index for index in clip.frame_indices]}
    if finer * total >= len(clip):
        metadata["total_num_frames"] = finer * total
    if clip.fps is not None:
        metadata["fps"] = finer * clip.fps
    return metadata
