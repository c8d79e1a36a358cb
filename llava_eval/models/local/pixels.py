"""Preprocesses video frames with the checkpoint's own video processor, in two steps.

Most video processors resize, crop, rescale and normalise, in this order. Their work is split into
two steps with the same result, bit for bit:

    prepared = pixels.prepare(clip.frames)     # uint8, resized and cropped: small, can be cached
    values = pixels.finish(prepared)           # float32, on any device

Both steps call the processor's own methods, on memory layouts for which these are fast. Whether
the steps really give the whole processor's result is tested once, when the object is created. A
processor of another kind, or one that fails the test, must be called as a whole.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
import torchvision
import transformers

#: Methods of a video processor that the two steps replace; all must be transformers' own.
_USUAL = (
    *("_prepare_input_videos", "_preprocess", "center_crop", "convert_to_rgb", "normalize"),
    *("preprocess", "rescale", "rescale_and_normalize", "resize"),
)

#: Arguments that a processor returns for the text, not for the pixels.
TEXT_INPUTS = frozenset(
    {"input_ids", "attention_mask", "token_type_ids", "mm_token_type_ids", "moe_mm_token_type_ids"}
)

#: Fields of a video processor that the prepared frames depend on.
_FIELDS = ("do_resize", "size", "resample", "do_center_crop", "crop_size", "do_convert_rgb")


class FramePreprocessor:
    """Preprocesses the frames of one video exactly as a transformers video processor does.

    Attributes:
        processor: the video processor of the checkpoint.
        is_split: whether the two steps give the processor's result; otherwise do not use them.
        key: digest of everything that changes the prepared frames, for caches.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self.is_split = _is_usual(processor) and self._halves_equal_the_whole()
        self.key = self._digest()

    def prepare(self, frames: torch.Tensor) -> torch.Tensor:
        """Return frames resized and cropped.

        Args:
            frames: frames of one video, uint8 (N, 3, H, W).

        Returns:
            uint8 (N, 3, h, w).
        """
        processor = self.processor
        # resizing is fastest if the channels of a pixel are adjacent in memory
        frames = frames.contiguous(memory_format=torch.channels_last)
        if processor.do_resize:
            frames = processor.resize(frames, size=processor.size, resample=processor.resample)
        if processor.do_center_crop:
            frames = processor.center_crop(frames, processor.crop_size)
        return frames.contiguous()

    def finish(self, prepared: torch.Tensor) -> torch.Tensor:
        """Return the pixel values of prepared frames.

        Args:
            prepared: uint8 (N, 3, h, w), on any device.

        Returns:
            ``pixel_values_videos`` of the video, float32 (N, 3, h, w).
        """
        processor = self.processor
        values: torch.Tensor = processor.rescale_and_normalize(
            prepared,
            processor.do_rescale,
            processor.rescale_factor,
            processor.do_normalize,
            processor.image_mean,
            processor.image_std,
        )
        return values

    def _whole(self, frames: torch.Tensor) -> torch.Tensor:
        batch = self.processor(
            videos=[frames],
            do_sample_frames=False,
            input_data_format="channels_first",
            return_tensors="pt",
        )
        values: torch.Tensor = batch["pixel_values_videos"][0]
        return values

    def _halves_equal_the_whole(self) -> bool:
        """Compare both ways on small noise images, in landscape and portrait format."""
        generator = torch.Generator().manual_seed(0)
        for height, width in ((48, 85), (60, 44)):
            frames = torch.randint(
                0, 256, (2, height, width, 3), dtype=torch.uint8, generator=generator
            ).permute(0, 3, 1, 2)
            if not torch.equal(self.finish(self.prepare(frames)), self._whole(frames)):
                return False
        return True

    def _digest(self) -> str:
        facts = {
            "is_split": True,
            "processor": type(self.processor).__name__,
            "fields": {name: repr(getattr(self.processor, name, None)) for name in _FIELDS},
            "versions": [each.__version__ for each in (torch, torchvision, transformers)],
            "cpu": torch.backends.cpu.get_cpu_capability(),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def pixel_input_digest(inputs: Mapping[str, Any]) -> str | None:
    """Return the BLAKE2b digest (8 bytes, in hexadecimal digits) of a model's pixel inputs.

    Args:
        inputs: the processor's output by argument name, on the CPU, before any cast to the model's
            dtype.

    Returns:
        The digest of every tensor except those of the text, in the order of their names: the name,
        the dtype, the shape, a zero byte, and the values in row-major order. None if there is no
        such tensor.
    """
    digest = hashlib.blake2b(digest_size=8)
    tensors = {
        name: value
        for name, value in inputs.items()
        if name not in TEXT_INPUTS and isinstance(value, torch.Tensor)
    }
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\0".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest() if tensors else None


def _is_usual(processor: Any) -> bool:
    """Return whether a processor has only steps of transformers' base class."""
    from transformers.video_processing_utils import BaseVideoProcessor

    kind = type(processor)
    return (
        isinstance(processor, BaseVideoProcessor)
        and all(
            getattr(kind, name, None) is getattr(BaseVideoProcessor, name, None) for name in _USUAL
        )
        and (getattr(processor, "do_rescale", False) or getattr(processor, "do_normalize", False))
        and not getattr(processor, "do_pad", False)
    )
