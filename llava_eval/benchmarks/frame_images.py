"""Frames of a video that a prompt shows as separate images."""

from __future__ import annotations

import dataclasses
import io
from dataclasses import dataclass
from typing import ClassVar

from llava_eval.types import Clip, Media


@dataclass(frozen=True, slots=True)
class FrameImages:
    """Every frame of a video as a separate image, in the order of time.

    Attributes:
        media: the video.
        num_jpeg: how often each frame is first written to and read from JPEG, see :func:`as_jpeg`.
    """

    media: Media
    num_jpeg: int = 0
    path: ClassVar[None] = None

    @property
    def description(self) -> str:
        kind = "JPEG images" if self.num_jpeg else "images"
        return f"frames as {kind}{', twice' if self.num_jpeg == 2 else ''}"

    def expand(self, clip: Clip) -> tuple[Clip, ...]:
        """Return the frames."""
        images = [clip.frame(row) for row in range(len(clip))]
        for _ in range(self.num_jpeg):
            images = [as_jpeg(image) for image in images]
        return tuple(images)


def as_jpeg(image: Clip) -> Clip:
    """Return an image after writing it to, and reading it from, JPEG of PIL's default quality.

    The proof of its pixels remains that of the decoded frame.

    Args:
        image: a clip of one frame.
    """
    import numpy as np
    import torch
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(image.pixels[0]).save(content, "JPEG")
    pixels = np.array(Image.open(content).convert("RGB"))  # (H, W, 3)
    return dataclasses.replace(image, frames=torch.from_numpy(pixels).permute(2, 0, 1)[None])
