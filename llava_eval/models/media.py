"""Pixels as the model takes them: one clip at a time, by the checkpoint's own processor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch

from llava_eval.errors import CheckpointError
from llava_eval.models.conversation import placeholder
from llava_eval.models.pixels import FramePreprocessor
from llava_eval.types import Clip, MediaKind, PreparedMedia

#: What a processor returns for the text rather than for the pixels.
_TEXT_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids"})


class MediaPreparer:
    """Preprocesses clips, one at a time; safe to call from several threads at once.

    Frames of a video travel as uint8, resized and cropped, where that splits the processor's work
    in two halves with the same result (see :mod:`llava_eval.models.pixels`); the other half is done
    on the model's device.

    Args:
        processor: the checkpoint's processor.
        pixels: its video processor in halves.
        keep_clips: keep the frames themselves, for models whose inputs need the whole prompt.
        pin: put pixels into page-locked memory, from which a CUDA device copies on its own.
    """

    def __init__(
        self,
        processor: Any,
        pixels: FramePreprocessor,
        *,
        keep_clips: bool = False,
        pin: bool = False,
    ) -> None:
        self._processor = processor
        self._pixels = pixels
        self._keep_clips = keep_clips
        self._pin = pin
        self._video_tokens: dict[tuple[int, ...], tuple[int, ...]] = {}

    def prepare(self, kind: MediaKind, clip: Clip, *, is_resized: bool = False) -> PreparedMedia:
        """Preprocess one clip.

        Args:
            kind: video, or image (a clip of one frame).
            clip: the frames.
            is_resized: the frames went through the first half already.

        Returns:
            Pixel values, and the tokens that the processor puts in place of the medium.

        Raises:
            CheckpointError: the processor takes no media of this kind, or makes no tokens of it.
        """
        if self._keep_clips or kind == "image" or not self._pixels.is_split:
            inputs, tokens = self._whole(kind, clip)
            kept = clip if self._keep_clips else None
            return PreparedMedia(kind, self._pinned(inputs), tokens, clip.frame_indices, kept)
        frames = clip.frames if is_resized else self._pixels.prepare(clip.frames)
        shape = tuple(frames.shape)
        if shape not in self._video_tokens:
            # Their number follows from the shape alone; resizing again changes no shape.
            self._video_tokens[shape] = self._whole(kind, replace(clip, frames=frames))[1]
        inputs = self._pinned({"pixel_values_videos": frames.unsqueeze(0)})
        return PreparedMedia(kind, inputs, self._video_tokens[shape], clip.frame_indices)

    def _pinned(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if not self._pin:
            return inputs
        return {name: value.pin_memory() for name, value in inputs.items()}

    def _whole(
        self, kind: MediaKind, clip: Clip
    ) -> tuple[dict[str, torch.Tensor], tuple[int, ...]]:
        """Return what the processor itself makes of a clip: pixel values, and tokens."""
        token = placeholder(kind, self._processor)
        returned = self._processor(
            text=[token], return_tensors="pt", **_media_arguments(kind, clip)
        )
        inputs = {
            name: value
            for name, value in returned.items()
            if name not in _TEXT_INPUTS and isinstance(value, torch.Tensor)
        }
        token_id = self._processor.tokenizer.convert_tokens_to_ids(token)
        ids = returned["input_ids"][0].tolist()
        if token_id not in ids:
            name = type(self._processor).__name__
            raise CheckpointError(f"{name} makes no {token} tokens of a {kind}")
        first, last = ids.index(token_id), len(ids) - ids[::-1].index(token_id)
        return inputs, tuple(ids[first:last])


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
