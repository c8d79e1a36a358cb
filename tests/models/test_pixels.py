"""Preprocessed frames against the transformers processor itself: equal to the last bit."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torchvision
from transformers import (
    LlavaNextVideoVideoProcessor,
    LlavaOnevisionVideoProcessor,
    Qwen2VLVideoProcessor,
)
from transformers.video_processing_utils import BaseVideoProcessor

from llava_eval.models.local.pixels import FramePreprocessor, pixel_input_digest


def llava(side: int, **options: Any) -> BaseVideoProcessor:
    return LlavaNextVideoVideoProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}, **options
    )


def noise(count: int, height: int, width: int) -> torch.Tensor:
    """Frames as a decoder hands them over: (N, 3, H, W) with channels side by side."""
    generator = torch.Generator().manual_seed(height * width)
    frames = torch.randint(
        0, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator
    )
    return frames.permute(0, 3, 1, 2)


def reference(processor: BaseVideoProcessor, frames: torch.Tensor) -> torch.Tensor:
    values: torch.Tensor = processor(videos=[frames], return_tensors="pt")["pixel_values_videos"]
    return values[0]


PROCESSORS = [
    llava(336),
    llava(224),
    llava(28),
    llava(336, resample=2),
    llava(336, do_normalize=False),
    llava(336, do_resize=False),
    llava(336, do_center_crop=False),
    llava(336, do_rescale=False),
    llava(336, image_mean=[0.5, 0.5, 0.5], image_std=[0.5, 0.25, 0.5]),
    LlavaOnevisionVideoProcessor(),
]


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize(
    ("height", "width"),
    [(360, 640), (640, 360), (336, 336), (48, 64), (143, 255), (400, 337)],
)
def test_split_equals_the_processor(processor: BaseVideoProcessor, height: int, width: int) -> None:
    frames = noise(3, height, width)
    pixels = FramePreprocessor(processor)
    assert pixels.is_split
    expected = reference(processor, frames)
    prepared = pixels.prepare(frames)
    assert prepared.dtype == torch.uint8
    assert torch.equal(pixels.finish(prepared), expected)
    assert torch.equal(pixels.finish(pixels.prepare(frames.contiguous())), expected)


def test_real_sizes_of_the_checkpoint() -> None:
    pixels = FramePreprocessor(llava(336))
    values = pixels.finish(pixels.prepare(noise(8, 360, 640)))
    assert values.shape == (8, 3, 336, 336)
    assert values.dtype == torch.float32


def test_frames_are_not_changed() -> None:
    frames = noise(2, 336, 336)
    before = frames.clone()
    pixels = FramePreprocessor(llava(336))
    pixels.finish(pixels.prepare(frames))
    assert torch.equal(frames, before)


def test_the_second_half_works_on_any_device() -> None:
    pixels = FramePreprocessor(llava(28))
    prepared = pixels.prepare(noise(1, 48, 64))
    assert pixels.finish(prepared.to("meta")).device.type == "meta"


def test_another_pipeline_is_not_split() -> None:
    class Brighter(LlavaNextVideoVideoProcessor):
        def _preprocess(  # type: ignore[override]
            self, videos: list[torch.Tensor], **options: Any
        ) -> Any:
            return super()._preprocess([video // 2 + 64 for video in videos], **options)

    processor = Brighter(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28})
    assert not FramePreprocessor(processor).is_split


def test_a_processor_that_resizes_by_its_own_rule_is_not_split() -> None:
    assert not FramePreprocessor(Qwen2VLVideoProcessor()).is_split


def test_a_trial_that_fails_is_not_split(monkeypatch: pytest.MonkeyPatch) -> None:
    processor = llava(28)
    whole = FramePreprocessor._whole
    monkeypatch.setattr(FramePreprocessor, "_whole", lambda self, frames: whole(self, frames) + 1)
    assert not FramePreprocessor(processor).is_split


def test_the_key_changes_with_what_changes_prepared_frames() -> None:
    keys = {
        FramePreprocessor(processor).key
        for processor in (llava(336), llava(224), llava(336, resample=2))
    }
    assert len(keys) == 3
    same = FramePreprocessor(llava(336, image_mean=[0.5, 0.5, 0.5]))
    assert same.key == FramePreprocessor(llava(336)).key


def test_the_key_changes_with_what_resizes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = FramePreprocessor(llava(336)).key
    monkeypatch.setattr(torchvision, "__version__", "0.0.1")
    assert FramePreprocessor(llava(336)).key != before


def test_the_digest_of_a_models_pixels_is_that_of_b2sum() -> None:
    """The values are those of `b2sum -l 64` (coreutils) for what the function says it takes."""
    values = {"pixel_values": torch.tensor([[1.0, -2.5]])}
    assert pixel_input_digest(values) == "f765cf7e0169d660"
    more = {**values, "input_ids": torch.tensor([[1]]), "image_sizes": torch.tensor([7])}
    assert pixel_input_digest(more) == "41947d77607e0a03"
    assert pixel_input_digest({"input_ids": torch.tensor([[1]]), "images": None}) is None
