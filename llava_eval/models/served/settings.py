"""Where a served model is and how it may be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llava_eval.models.http import EndpointSettings


@dataclass(frozen=True)
class ServerSettings(EndpointSettings):
    """A served model.

    Attributes:
        kind: what the server is; "auto" asks it.
        video_as: "images" (each sampled frame is an image of its own), "video" (the sampled frames
            are one video), "url" (the video's own address; the server samples it), or "auto":
            a video where the server is known to take one of exactly these frames.
        image_format: "png" keeps pixels exactly; "jpeg" is smaller.
        jpeg_quality: 1 to 95.
        clip_dir: folder that this process and the server both see under this path, for videos that
            a server only reads from files; None is a temporary one for servers of this machine.
        end_token: text of the token that ends the assistant's turn, for likelihoods.
    """

    part: ClassVar[str] = "model"

    timeout_seconds: float = 300.0
    kind: str = "auto"
    video_as: str = "auto"
    image_format: str = "png"
    jpeg_quality: int = 95
    clip_dir: str | None = None
    end_token: str | None = None
