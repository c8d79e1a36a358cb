"""Clips, media and requests to ask in tests."""

from __future__ import annotations

from typing import Any

import torch

from llava_eval.types import Clip, GenerationSettings, MediaKind, PreparedMedia, Request


def make_clip(num_frames: int, *, seed: int = 0, size: tuple[int, int] = (112, 112)) -> Clip:
    """Return a clip of smooth coloured noise; frame contents differ."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((num_frames, 3, 7, 7), generator=generator)
    frames = torch.nn.functional.interpolate(coarse, size=size, mode="bilinear")
    return Clip(
        frames=(255 * frames).to(torch.uint8),
        frame_indices=tuple(range(num_frames)),
        pts_seconds=tuple(number / 8 for number in range(num_frames)),
        fps=8.0,
        num_source_frames=num_frames,
    )


def make_medium(kind: MediaKind = "video", *, token_id: int = 4, count: int = 4) -> PreparedMedia:
    """Return a medium for tests that never show it to a model."""
    clip = make_clip(1, size=(8, 8))
    return PreparedMedia(kind, clip, {"pixel_values": torch.zeros(1)}, (token_id,) * count)


def make_request(*content: str | PreparedMedia, name: str = "q", **changes: Any) -> Request:
    """Return a request with this user's turn."""
    fields: dict[str, Any] = {
        "id": name,
        "content": content,
        "settings": GenerationSettings(max_new_tokens=8),
    }
    return Request(**{**fields, **changes})
