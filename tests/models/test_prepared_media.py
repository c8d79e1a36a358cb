"""What a processor is given: media in the prompt's order, with what is known of each video."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoProcessor

from llava_eval.errors import MediaError
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.prepared_media import MediaPreparer, WholePrompts, shown_medium
from llava_eval.types import PreparedMedia
from tests.models.families import FAMILIES
from tests.models.helpers import make_clip

VIDEO = shown_medium("video", make_clip(3, size=(12, 16)), as_images=False)
FRAMES = shown_medium("video", make_clip(2, size=(12, 16)), as_images=True)
IMAGE = shown_medium("image", make_clip(1, seed=2, size=(8, 6)), as_images=True)


class Recorder:
    """Stands for a processor, and keeps what it was given."""

    def __init__(self, bos: str | None = None, *, is_nested: bool = False) -> None:
        self.tokenizer = SimpleNamespace(bos_token=bos)
        self.given: list[dict[str, Any]] = []
        self.is_nested = is_nested

    def __copy__(self) -> Recorder:
        return self

    def __call__(self, **given: Any) -> dict[str, Any]:
        self.given.append(given)
        if self.is_nested and not isinstance(given["images"][0], list):
            raise ValueError("flat")
        return {"input_ids": torch.zeros(1, 1), "labels": 1, "video_metadata": 2}


def given(*prompts: tuple[str, list[PreparedMedia]], **settings: Any) -> list[dict[str, Any]]:
    recorder = Recorder(**settings)
    assert list(WholePrompts(recorder, {}).inputs(*prompts)) == ["input_ids"]
    return recorder.given


def test_media_are_given_by_kind_in_the_prompts_order() -> None:
    (seen,) = given(("a", [IMAGE, VIDEO, FRAMES]))
    assert seen["images"] == [*IMAGE.shown, *FRAMES.shown]
    assert [image.size for image in seen["images"]] == [(6, 8), (16, 12), (16, 12)]
    assert seen["videos"] == [VIDEO.shown[0]]
    assert given(("a", [])) == [{"text": ["a"], "return_tensors": "pt"}]


@pytest.mark.parametrize(("num_source_frames", "total"), [(300, 300), (None, 3)])
def test_what_is_known_of_a_video(num_source_frames: int | None, total: int) -> None:
    clip = dataclasses.replace(
        make_clip(3, size=(12, 16)), num_source_frames=num_source_frames, frame_indices=(5, 7, 9)
    )
    medium = shown_medium("video", clip, as_images=False)
    (seen,) = given(("a", [medium]))
    assert seen["videos_kwargs"]["do_sample_frames"] is False
    assert seen["videos_kwargs"]["return_metadata"] is True
    assert seen["videos_kwargs"]["video_metadata"] == [
        {
            "total_num_frames": total,
            "fps": 8.0,
            "duration": total / 8,
            "frames_indices": [5, 7, 9],
            "height": 12,
            "width": 16,
        }
    ]


def test_of_a_cut_its_own_frames_count() -> None:
    """As qwen-vl-utils counts them: Qwen2.5-VL tells the time between frames by their number."""
    clip = dataclasses.replace(make_clip(3), num_source_frames=300, num_cut_frames=30)
    (seen,) = given(("a", [shown_medium("video", clip, as_images=False)]))
    assert seen["videos_kwargs"]["video_metadata"][0]["total_num_frames"] == 30


def test_a_beginning_that_the_text_holds_is_not_written_again() -> None:
    assert "add_special_tokens" not in given(("a", []))[0]
    assert "add_special_tokens" not in given(("a", []), bos="<s>")[0]
    assert given(("<s>a", []), bos="<s>")[0]["add_special_tokens"] is False
    assert "add_special_tokens" not in given(("<s>a", []), ("a", []), bos="<s>")[0]
    assert given(("a", []), ("b", []))[0]["padding"] is True


def test_a_processor_that_wants_the_media_of_each_prompt_in_a_list() -> None:
    flat, nested = given(("a", [IMAGE]), ("b", [FRAMES]), is_nested=True)
    assert flat["images"] == [*IMAGE.shown, *FRAMES.shown]
    assert nested["images"] == [[*IMAGE.shown], [*FRAMES.shown]]
    assert "videos" not in nested


def test_a_processor_that_counts_the_images_of_each_prompt_gets_them_so_at_once() -> None:
    class Counting(Recorder):
        image_processor = SimpleNamespace(  # the names of LlavaOnevisionImageProcessor's inputs
            model_input_names=["pixel_values", "image_sizes", "batch_num_images"]
        )

    recorder = Counting()
    WholePrompts(recorder, {}).inputs(("a", [IMAGE]), ("b", [FRAMES]))
    (seen,) = recorder.given
    assert seen["images"] == [[*IMAGE.shown], [*FRAMES.shown]]


def test_a_processor_may_copy_its_parts() -> None:
    class Copying(Recorder):
        image_processor: Any = SimpleNamespace(size=7)

        def __call__(self, **given: Any) -> dict[str, Any]:
            return {"input_ids": copy.copy(self.image_processor).size}

    assert WholePrompts(Copying(), {}).inputs(("a", [])) == {"input_ids": 7}


def test_the_first_failure_is_told() -> None:
    recorder = Recorder(is_nested=True)
    with pytest.raises(KeyError, match="images"):
        WholePrompts(recorder, {}).inputs(("a", []))


def test_a_processor_that_fails_on_a_medium_is_that_mediums_error(loaded: LoadedModel) -> None:
    processor = copy.deepcopy(loaded.processor)
    processor.patch_size = 0
    broken = dataclasses.replace(loaded, processor=processor)
    preparer = MediaPreparer(broken, WholePrompts(processor, {}), takes_apart=True)
    with pytest.raises(MediaError, match=r"^LlavaNextVideoProcessor: ZeroDivisionError: "):
        preparer.prepare("video", make_clip(2))


def test_a_medium_is_preprocessed_once_while_it_is_there() -> None:
    calls: list[int] = []

    class Counting:
        def __call__(self, images: Any, **settings: Any) -> dict[str, Any]:
            calls.append(len(images))
            return {"pixel_values": torch.tensor([float(len(calls))]), "scale": settings["scale"]}

    processor = SimpleNamespace(image_processor=Counting())
    part = WholePrompts(processor, {})._processor.image_processor
    frames = [torch.zeros(1), torch.ones(1)]
    first = part(frames, scale=1)
    assert first.pop("scale") == 1  # as processors do
    assert part(frames, scale=1) == {"pixel_values": torch.tensor([1.0]), "scale": 1}
    assert part(frames[::-1], scale=1)["pixel_values"] == 2
    assert part(frames, scale=2)["pixel_values"] == 3
    assert part(images=frames, scale=2)["pixel_values"] == 3
    frames[0] = torch.zeros(1)
    assert part(frames, scale=1)["pixel_values"] == 4
    assert calls == [2, 2, 2, 2]


def test_settings_that_were_replaced_stay_so_where_a_processor_calls_with_its_own() -> None:
    """InternVL's cuts images into patches, whatever its image processor was told."""
    seen: list[dict[str, Any]] = []

    class Keeping:
        def __call__(self, images: Any, **settings: Any) -> dict[str, Any]:
            seen.append(settings)
            return {}

    processor = SimpleNamespace(image_processor=Keeping())
    part = WholePrompts(processor, {"crop": False, "size": 3})._processor.image_processor
    part([torch.zeros(1)], crop=True, scale=1)
    assert seen == [{"crop": False, "scale": 1}]


def test_seconds_between_frames_are_those_of_each_video() -> None:
    """Qwen's Omni takes one rate for all videos: (1, 2) / 8 seconds a frame, two frames a patch."""

    class Omni(Recorder):
        video_processor = SimpleNamespace(temporal_patch_size=2)

        def __call__(self, **given: Any) -> dict[str, Any]:
            return {"video_second_per_grid": torch.ones(2)}

    slow = dataclasses.replace(make_clip(3), num_source_frames=6, frame_indices=(0, 2, 4))
    medium = shown_medium("video", slow, as_images=False)
    made = WholePrompts(Omni(), {}).inputs(("a", [VIDEO, medium]))
    assert made["video_second_per_grid"].tolist() == [0.25, 0.5]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # of GLM's processor
@pytest.mark.parametrize("name", ["qwen3_vl", "glm46v", "qwen2_5_vl"])
def test_a_video_of_one_frame_is_one_that_stands_still(name: str, tmp_path: Path) -> None:
    """As transformers pads the last of three frames; Qwen3-VL's processor refuses one."""
    FAMILIES[name].make(tmp_path)
    processor = AutoProcessor.from_pretrained(tmp_path)
    clip = dataclasses.replace(make_clip(1), frame_indices=(5,), num_source_frames=9)
    text = str(processor.video_token)
    seen = WholePrompts(processor, {}).inputs(
        (text, [shown_medium("video", clip, as_images=False)])
    )
    known = {"total_num_frames": 9, "fps": 8.0, "duration": 1.125, "frames_indices": [5, 5]}
    plain = processor(
        text=[text],
        videos=[torch.cat([clip.frames, clip.frames])],
        videos_kwargs={"do_sample_frames": False, "video_metadata": [known]},
        return_tensors="pt",
    )
    assert torch.equal(seen["input_ids"], plain["input_ids"])
    assert torch.equal(seen["pixel_values_videos"], plain["pixel_values_videos"])
