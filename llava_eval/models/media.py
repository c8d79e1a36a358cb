"""Pixels as the model takes them: one clip at a time, by the checkpoint's own processor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from llava_eval.errors import CheckpointError
from llava_eval.models.conversation import placeholder
from llava_eval.types import Clip, MediaKind, PreparedMedia

#: What a processor returns for the text rather than for the pixels.
_TEXT_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"})


def prepare_clip(
    processor: Any, kind: MediaKind, clip: Clip, *, keep_clip: bool = False
) -> PreparedMedia:
    """Preprocess one clip.

    Safe to call from several threads at once.

    Args:
        processor: the checkpoint's processor.
        kind: video, or image (a clip of one frame).
        clip: the frames.
        keep_clip: keep the frames too, for models whose inputs need the whole prompt.

    Returns:
        Pixel values, and the tokens that the processor puts in place of the medium.

    Raises:
        CheckpointError: the processor takes no media of this kind, or makes no tokens of it.
    """
    token = placeholder(kind, processor)
    returned = processor(text=[token], return_tensors="pt", **_media_arguments(kind, clip))
    inputs = {
        name: value
        for name, value in returned.items()
        if name not in _TEXT_INPUTS and isinstance(value, torch.Tensor)
    }
    token_id = processor.tokenizer.convert_tokens_to_ids(token)
    ids = returned["input_ids"][0].tolist()
    if token_id not in ids:
        raise CheckpointError(f"{type(processor).__name__} makes no {token} tokens of a {kind}")
    first, last = ids.index(token_id), len(ids) - ids[::-1].index(token_id)
    return PreparedMedia(
        kind, inputs, tuple(ids[first:last]), clip.frame_indices, clip if keep_clip else None
    )


def media_arguments(media: Iterable[PreparedMedia]) -> dict[str, Any]:
    """Return the processor's arguments for the media of one prompt, which must have kept clips."""
    arguments: dict[str, Any] = {}
    for medium in media:
        assert medium.clip is not None
        for name, value in _media_arguments(medium.kind, medium.clip).items():
            if name == "videos_kwargs":
                known = arguments.setdefault(name, {"do_sample_frames": False})
                known.setdefault("video_metadata", []).extend(value["video_metadata"])
            else:
                arguments.setdefault(name, []).extend(value)
    return arguments


def _media_arguments(kind: MediaKind, clip: Clip) -> dict[str, Any]:
    if kind == "image":
        return {"images": [clip.frames[0]]}
    height, width = clip.frames.shape[-2:]
    metadata = {
        "total_num_frames": clip.num_source_frames or len(clip),
        "fps": clip.fps,
        "frames_indices": list(clip.frame_indices),
        "height": height,
        "width": width,
    }
    return {
        "videos": [clip.frames],
        # Frames are sampled already; the metadata tells processors that write timestamps.
        "videos_kwargs": {"do_sample_frames": False, "video_metadata": [metadata]},
    }
