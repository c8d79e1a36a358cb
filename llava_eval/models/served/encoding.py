"""Frames as a server takes them: images in data addresses, or a file without loss."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from llava_eval.errors import CheckpointError, MediaError
from llava_eval.models.served.clips import ClipFolder
from llava_eval.models.served.plan import ServedPlan
from llava_eval.types import Clip, Media, MediaKind, ServedMedia

#: PNG's own measure of effort: pixels are the same at each, and the first is several times faster.
_PNG_EFFORT = 1


class MediaEncoder:
    """Encodes clips; safe to call from several threads at once.

    Args:
        plan: the server, and how it is shown videos.
    """

    def __init__(self, plan: ServedPlan) -> None:
        self._plan = plan
        self._dialect = plan.server.dialect
        self._clips: ClipFolder | None = None
        self._files: dict[str, Path] = {}
        if plan.video_as == "video" and self._dialect.video == "clip":
            folder = plan.settings.clip_dir
            self._clips = ClipFolder(None if folder is None else Path(folder).absolute())

    def encode(self, kind: MediaKind, clip: Clip) -> ServedMedia:
        """Return the parts of a message that show a clip.

        Raises:
            MediaError: the server cannot be given this video's address.
            StorageError: a clip cannot be written.
        """
        metadata = _metadata(clip) if kind == "video" else {}
        if kind == "video" and self._plan.video_as == "url":
            address = self._address(clip.video)
            return ServedMedia(kind, (video_part(address),), (), metadata)
        if kind == "video" and self._clips is not None:
            path = self._clips.write(clip)
            address = self._file_address(path)
            self._files[address] = path
            return ServedMedia(kind, (video_part(address),), clip.frame_indices, metadata)
        images = [self._image(frame) for frame in clip.frames]
        if kind == "video" and self._plan.video_as == "video":
            address = f"data:video/jpeg;base64,{','.join(images)}"
            return ServedMedia(kind, (video_part(address),), clip.frame_indices, metadata)
        mime = f"data:image/{self._plan.settings.image_format};base64,"
        parts = tuple({"type": "image_url", "image_url": {"url": mime + image}} for image in images)
        return ServedMedia(kind, parts, clip.frame_indices, metadata)

    def release(self, medium: ServedMedia) -> None:
        """Remove the file of a medium that will not be shown again, where it has one."""
        if self._clips is not None and medium.kind == "video":
            self._clips.remove(self._files.pop(medium.parts[0]["video_url"]["url"]))

    def close(self) -> None:
        """Remove the files that were written for the server."""
        if self._clips is not None:
            self._clips.close()

    def _image(self, frame: torch.Tensor) -> str:
        """Return a frame (3, H, W) as an image file in base64."""
        from PIL import Image

        settings, content = self._plan.settings, io.BytesIO()
        image = Image.fromarray(frame.permute(1, 2, 0).numpy())
        if settings.image_format == "jpeg":
            image.save(content, "JPEG", quality=settings.jpeg_quality, subsampling=0)
        else:
            image.save(content, "PNG", compress_level=_PNG_EFFORT)
        return base64.b64encode(content.getvalue()).decode("ascii")

    def _address(self, video: Media | None) -> str:
        if video is None:
            raise CheckpointError("model.server.video_as=url: these frames are of no video")
        if video.start_seconds is not None or video.end_seconds is not None:
            raise MediaError(
                f"{video.path}: the sample shows a part of this video, and model.server.video_as="
                "url can only show a whole one"
            )
        if video.path.startswith(("http://", "https://")):
            return video.path
        if Path(video.path).is_dir():
            raise MediaError(f"{video.path} is a folder of images, which has no address as a video")
        if self._dialect.files is None:
            raise MediaError(
                f"{video.path} is a file, and {self._dialect.label} reads no files of its own"
            )
        return self._file_address(Path(video.path).absolute())

    def _file_address(self, path: Path) -> str:
        return path.as_uri() if self._dialect.files == "uri" else str(path)


def video_part(address: str) -> Mapping[str, Any]:
    """Return the part of a message's content that shows the video at an address."""
    return {"type": "video_url", "video_url": {"url": address}}


def _metadata(clip: Clip) -> dict[str, Any]:
    """Return what vLLM's ``media_io_kwargs`` say of frames that were sampled already."""
    metadata: dict[str, Any] = {"frames_indices": list(clip.frame_indices)}
    if clip.num_source_frames is not None and clip.num_source_frames >= len(clip):
        metadata["total_num_frames"] = clip.num_source_frames
    if clip.fps is not None:
        metadata["fps"] = clip.fps
    return metadata
