"""Model inputs: token ids and pixel values, made by the checkpoint's own processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from llava_eval.models.loading import LoadedModel
from llava_eval.types import Clip, Request


def build_inputs(
    loaded: LoadedModel, requests: Sequence[Request], texts: Sequence[str]
) -> dict[str, torch.Tensor]:
    """Return the keyword arguments of ``model.generate`` for one batch, on the model's device.

    Args:
        loaded: model and processor.
        requests: B requests whose clips of one kind have equal numbers of frames.
        texts: B rendered prompts.

    Returns:
        ``input_ids`` and ``attention_mask`` (B, T), padded on the left, and what the processor
        makes of the media, for instance ``pixel_values_videos`` (videos, frames, 3, H, W); floating
        point values in the model's dtype.
    """
    videos = [clip for request in requests for clip in _clips(request, "video")]
    images = [clip for request in requests for clip in _clips(request, "image")]
    processor = loaded.processor
    bos = processor.tokenizer.bos_token
    arguments: dict[str, Any] = {
        "text": list(texts),
        "text_kwargs": {
            "padding": True,
            # A chat template may write the first token itself; it must not come twice.
            "add_special_tokens": bos is None or not texts[0].startswith(bos),
        },
        "return_tensors": "pt",
    }
    if videos:
        arguments["videos"] = [clip.frames for clip in videos]
        arguments["videos_kwargs"] = {
            "do_sample_frames": False,
            "video_metadata": [_metadata(clip) for clip in videos],
        }
    if images:
        arguments["images"] = [clip.frames[0] for clip in images]
    inputs = processor(**arguments)
    return {
        name: _placed(value, loaded)
        for name, value in inputs.items()
        if isinstance(value, torch.Tensor)
    }


def batch_key(request: Request) -> tuple[tuple[str, int], ...]:
    """Return what must be equal for requests to share a batch: kinds and numbers of frames."""
    return tuple((kind, len(clip)) for kind, clip in zip(request.kinds, request.clips, strict=True))


def _clips(request: Request, kind: str) -> list[Clip]:
    return [clip for own, clip in zip(request.kinds, request.clips, strict=True) if own == kind]


def _metadata(clip: Clip) -> dict[str, Any]:
    height, width = clip.frames.shape[-2:]
    return {
        "total_num_frames": clip.num_source_frames or len(clip),
        "fps": clip.fps,
        "frames_indices": list(clip.frame_indices),
        "height": height,
        "width": width,
    }


def _placed(value: torch.Tensor, loaded: LoadedModel) -> torch.Tensor:
    if value.is_floating_point():
        return value.to(device=loaded.plan.device, dtype=loaded.plan.dtype)
    return value.to(loaded.plan.device)
