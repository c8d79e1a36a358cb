"""The values that travel between stages check themselves: what is refused, and what just passes."""

from __future__ import annotations

import io
import math
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest
import torch
from PIL import Image

from llava_eval.types import (
    NOT_SCORED,
    Clip,
    Generation,
    GenerationSettings,
    Media,
    MediaInput,
    MediaProblem,
    PixelProof,
    PreparedMedia,
    Request,
    Sample,
    SampleResult,
    Score,
    ServedMedia,
    VideoInfo,
    distinct_problems,
    prompt_text,
)
from tests.results.helpers import make_result

VIDEO = Media("video", "a.mp4")


def clip(
    num_frames: int = 2,
    *,
    shape: tuple[int, ...] = (2, 3, 4, 6),
    dtype: torch.dtype = torch.uint8,
    num_times: int = 2,
    proof: PixelProof | None = None,
) -> Clip:
    times = tuple(map(float, range(num_times)))
    return Clip(torch.zeros(shape, dtype=dtype), tuple(range(num_frames)), times, proof=proof)


def sample(
    id: str = "q", row: int = 0, group: str = "v", content: tuple[str, ...] = ("x",)
) -> Sample:
    return Sample(id, row, group, content, ())


def info(num_frames: int = 1, width: int = 1, height: int = 1) -> VideoInfo:
    return VideoInfo("a.mp4", num_frames, 25.0, 1.0, width, height, "h264")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Media("audio", "a.mp4"), "Media.kind is 'audio', not video or image"),  # type: ignore[arg-type]
        (lambda: Media("video", ""), "Media.path is empty"),
        (lambda: Media("video", Path("a")), "Media.path is PosixPath('a'), expected a text"),  # type: ignore[arg-type]
        (lambda: Media("video", "a", "1.5"), "got start 1.5 s, end None s, expected numbers"),  # type: ignore[arg-type]
        (lambda: Media("video", "a", data=b"x"), "a: only images come as bytes"),
        (lambda: Media("video", "a", stated_seconds=0.0), "a: the stated duration is 0.0 s"),
        (lambda: Media("video", "a", stated_seconds=math.inf), "a: the stated duration is inf s"),
        (lambda: Media("video", "a", -1.0), "a: a cut needs 0 <= start < end, got start -1.0 s"),
        (lambda: Media("video", "a", 2.0, 2.0), "got start 2.0 s, end 2.0 s"),
        (lambda: Media("video", "a", None, 0.0), "got start None s, end 0.0 s"),
        (lambda: info(num_frames=-1), "a.mp4: num_frames is -1"),
        (lambda: info(width=0), "a.mp4: 0x1"),
        (lambda: info(height=0), "a.mp4: 1x0"),
        (
            lambda: clip(shape=(2, 4, 4, 6)),
            "must be uint8 (N, 3, H, W), got torch.uint8 (2, 4, 4, 6)",
        ),
        (lambda: clip(shape=(2, 3, 4)), "got torch.uint8 (2, 3, 4)"),
        (lambda: clip(dtype=torch.float32), "got torch.float32 (2, 3, 4, 6)"),
        (lambda: clip(3), "Clip of 2 frames has 3 indices and 2 timestamps"),
        (lambda: clip(num_times=1), "Clip of 2 frames has 2 indices and 1 timestamps"),
        (lambda: clip(0, shape=(0, 3, 4, 6), num_times=0), "must be equal and at least 1"),
        (lambda: clip(proof=PixelProof(6, 4, ("a",))), "Clip of 2 frames has a proof of another"),
        (lambda: sample(id=""), "row 0: the sample id is empty"),
        (lambda: sample(row=-1), "sample q: row is -1"),
        (lambda: sample(group=""), "sample q: group is empty"),
        (lambda: sample(content=()), "sample q: nothing to ask"),
        (lambda: sample(id=7), "sample 7: id is 7, expected a text"),  # type: ignore[arg-type]
        (lambda: sample(content="Why?"), "content is 'Why?', expected texts and media"),  # type: ignore[arg-type]
        (lambda: sample(content=("Why?", 7)), "expected texts and media"),  # type: ignore[arg-type]
        (
            lambda: Sample("q", 0, "v", ("x",), ("yes")),  # type: ignore[arg-type]
            "sample q: targets is 'yes', expected texts in a tuple",
        ),
        (
            lambda: Sample("q", 0, "v", ("x",), (7,)),  # type: ignore[arg-type]
            "sample q: targets is (7,), expected texts in a tuple",
        ),
        (
            lambda: Sample("q", 0, "v", ("x",), (), facets={"n": None}),  # type: ignore[dict-item]
            "sample q: facets is {'n': None}, expected texts",
        ),
        (lambda: GenerationSettings(max_new_tokens=0), "max_new_tokens is 0, at least 1"),
        (lambda: GenerationSettings(temperature=-0.1), "temperature is -0.1, at least 0"),
        (lambda: GenerationSettings(top_p=0.0), "top_p is 0.0, expected 0 < top_p <= 1"),
        (lambda: GenerationSettings(top_p=1.1), "top_p is 1.1"),
        (lambda: GenerationSettings(stop_strings=("a", "")), "stop_strings holds an empty text"),
        (
            lambda: PreparedMedia("image", clip(), token_ids=(1,)),
            "a image has 1 tokens and 0 inputs",
        ),
        (
            lambda: PreparedMedia("image", clip(), inputs={"pixel_values": torch.zeros(1)}),
            "a image has 0 tokens and 1 inputs",
        ),
        (lambda: ServedMedia("image", (), ()), "a image has no parts"),
        (lambda: Generation(None), "either a text or an error, got text None and error None"),
        (lambda: Generation("a", error="b"), "got text 'a' and error 'b'"),
        (lambda: Generation("a", num_input_tokens=-1), "Generation.num_input_tokens is -1"),
        (lambda: Generation("a", num_output_tokens=1 << 62), "Generation.num_output_tokens is 4"),
        (lambda: Score(math.nan, "a"), "Score.value is nan"),
        (lambda: Score(math.inf, "a"), "Score.value is inf"),
        (lambda: Score(0.0, "a", unreadable=True), "cannot have an answer, got 'a'"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_what_just_may_be_passes() -> None:
    assert Media("image", "a.png", data=b"x").data == b"x"
    assert Media("video", "a", 0.0, 0.1, stated_seconds=0.1).end_seconds == 0.1
    assert info(num_frames=0).num_frames == 0
    assert len(clip(1, shape=(1, 3, 1, 1), num_times=1, proof=PixelProof(1, 1, ("a",)))) == 1
    settings = GenerationSettings(max_new_tokens=1, temperature=0.0, top_p=1.0, stop_strings=("a",))
    assert settings.seed == 0
    assert Generation("", num_input_tokens=0, num_output_tokens=0).text == ""
    assert Generation(None, error="").error == ""
    assert PreparedMedia("video", clip()).shown_kinds == ("video",)
    assert Score(None, None, unreadable=True).details == {}


def test_a_view_of_bytes_is_pickled_as_bytes_with_all_that_stands_beside_it() -> None:
    image = Media("image", "a.png", None, None, memoryview(b"pixels"), upright=True)
    video = Media(
        "video", "a.mp4", 1.0, 2.0, None, 9.0, swap_red_blue=True, clue_seconds=((1.0, 1.5),)
    )
    for medium in (image, video):
        again = pickle.loads(pickle.dumps(medium))
        assert again == medium
    assert type(pickle.loads(pickle.dumps(image)).data) is bytes


def test_the_first_problem_of_each_kind_is_kept() -> None:
    kinds = ("damaged", "truncated", "damaged")
    problems = [MediaProblem(kind, str(number)) for number, kind in enumerate(kinds)]  # type: ignore[arg-type]
    assert distinct_problems(problems) == tuple(problems[:2])


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ((VIDEO, "Why?"), "Why?"),
        ((VIDEO, VIDEO, "Why", " so?"), "Why so?"),
        (("Why?", VIDEO), "Why?<video>\n"),
        ((VIDEO, "A", Media("image", "b.png"), "B"), "<video>\nA<image>\nB"),
        ((VIDEO,), ""),
    ],
)
def test_media_in_front_are_not_written(content: tuple[str | Media, ...], text: str) -> None:
    assert prompt_text(content) == text


def test_media_are_named_below_the_folder_of_media() -> None:
    content = (Media("video", "/data/a/b.mp4"), Media("video", "/elsewhere/c.mp4"), "Why?")
    of_root = Sample("q", 0, "v", content, (), media_root=PurePosixPath("/data"))
    assert of_root.media_names == ("a/b.mp4", "/elsewhere/c.mp4")
    assert Sample("q", 0, "v", content, ()).media_names == ("/data/a/b.mp4", "/elsewhere/c.mp4")


@dataclass(frozen=True)
class Spoken:
    """What is said while a video's frames are shown."""

    media: Media
    path: str | None
    description: str = "what is said"

    def expand(self, clip: Clip) -> tuple[str | Clip, ...]:
        return (f"{len(clip)} frames",)


def test_pieces_that_depend_on_frames_name_their_media_and_files() -> None:
    other = Media("video", "b.mp4")
    parts = (Spoken(VIDEO, "a.srt"), Spoken(other, None), Spoken(other, "b.srt"))
    asked = Sample("q", 0, "v", (VIDEO, "Why?", *parts), ())
    assert asked.media == (VIDEO, other), "shown ones first, each once"
    assert asked.frame_dependent_parts == parts
    assert asked.files == ("a.srt", "b.srt")
    assert asked.prompt == "Why?" + "[what is said]" * 3
    failed = SampleResult.failed(asked, ValueError("no frames"))
    assert (failed.id, failed.group, failed.media) == ("q", "v", ("a.mp4", "b.mp4"))
    assert failed.generation == Generation(None, error="ValueError: no frames")
    assert failed.score == NOT_SCORED
    unread = SampleResult.of(asked, Generation("A"))
    assert (unread.prompt, unread.frame_indices) == (asked.prompt, ())


def test_what_a_model_takes_is_found_in_a_request() -> None:
    video = PreparedMedia("video", clip())
    image = ServedMedia("image", ({"type": "image_url"},), ())
    request = Request("q", (video, "Why?", image), GenerationSettings())
    assert request.media == (video, image)
    assert request.prepared_media == (video,)
    assert (video.problems, image.pixel_input_digest) == ((), None)
    assert prompt_text(request.content[1:]) == "Why?<image>\n"


def test_an_address_as_a_group_keeps_no_secret_and_stays_apart() -> None:
    names = [sample(group=f"https://host/a.mp4?key={word}").group for word in ("x", "y", "x")]
    assert names[0] == names[2] != names[1]
    assert all(re.fullmatch(r"https://host/a\.mp4 \([0-9a-f]{8}\)", name) for name in names)
    assert sample(group="a/b.mp4").group == "a/b.mp4"


def test_what_is_said_of_a_clip() -> None:
    assert repr(clip()) == "Clip(frames=(2, 3, 4, 6), frame_indices=(0, 1))"


def test_a_pil_image_is_kept_without_loss() -> None:
    pixels = torch.arange(24, dtype=torch.uint8).reshape(2, 4, 3).numpy()
    medium = Media.of_image(Image.fromarray(pixels), "b")
    assert (medium.kind, medium.name) == ("image", "b")
    assert medium.data is not None
    read = Image.open(io.BytesIO(medium.data))
    assert (read.mode, read.tobytes()) == ("RGB", bytes(range(24)))
    assert Media("video", "https://host/a.mp4?key=1").name == "https://host/a.mp4"


def test_what_must_be_known_of_a_result_is_flagged_once() -> None:
    damaged, cut = MediaProblem("damaged", "x"), MediaProblem("truncated", "y")
    inputs = (MediaInput(problems=(damaged,)), MediaInput(problems=(cut, damaged)))
    details = {"needs_frames": True, "chosen_at_random": False, "has_reasoning": True}
    result = make_result(
        0,
        inputs=inputs,
        generation=Generation("a", stop_reason="length"),
        score=Score(None, None, details=details),
    )
    expected = ("damaged", "truncated", "cut_at_limit", "has_reasoning", "needs_frames")
    assert result.flags == expected
    assert make_result(0).flags == ()
    assert make_result(0, target=(), score=Score(None, "A")).flags == ("hidden_answer",)
    assert make_result(0, target=(), score=Score(0.5, "A")).flags == ()  # of a rule that needs none
    failed = Generation(None, error="no video")
    assert make_result(0, target=(), generation=failed, score=NOT_SCORED).flags == ()
