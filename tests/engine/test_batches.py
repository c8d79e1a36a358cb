"""Steps from samples to results: what is put together, shown, and said of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import pytest
import torch

from llava_eval.engine.batches import (
    GroupContent,
    MediaGroup,
    PromptSettings,
    decode_group,
    frame_cache,
    media_groups,
    plan_batches,
)
from llava_eval.errors import MediaError
from llava_eval.types import (
    Clip,
    GenerationSettings,
    Media,
    MediaKind,
    MediaProblem,
    PixelProof,
    PreparedMedia,
    Sample,
    ServedMedia,
    ShownMedia,
)
from llava_eval.video.frame_cache import FrameCache

VIDEO, OTHER, IMAGE = Media("video", "v.mp4"), Media("video", "w.mp4"), Media("image", "i.png")


def sample(name: str, *content: object) -> Sample:
    return Sample(name, int(name), "g", (*content, "Why?"), ("A",))  # type: ignore[arg-type]


def clip(*indices: int, problems: tuple[MediaProblem, ...] = ()) -> Clip:
    frames = torch.zeros((len(indices), 3, 2, 2), dtype=torch.uint8)
    return Clip(frames, indices, tuple(map(float, indices)), problems=problems)


def test_samples_with_the_same_media_are_a_group() -> None:
    samples = [
        sample("0", VIDEO),
        sample("1", OTHER),
        sample("2"),
        sample("3", VIDEO),
        sample("4"),
        sample("5", VIDEO, IMAGE),
    ]
    groups = media_groups(samples)
    assert [[item.id for item in group.samples] for group in groups] == [
        ["0", "3"],
        ["1"],
        ["2"],
        ["4"],
        ["5"],
    ]
    assert [group.path for group in groups] == [
        "v.mp4",
        "w.mp4",
        "no media",
        "no media",
        "v.mp4, i.png",
    ]
    failed = groups[0].failed(MediaError("v.mp4: gone"))
    assert [result.id for result in failed] == ["0", "3"]
    assert {result.generation.error for result in failed} == {"MediaError: v.mp4: gone"}


@pytest.mark.parametrize(
    ("sizes", "batch_size", "expected"),
    [
        ([], 4, []),
        ([1, 1, 1], 1, [[1], [1], [1]]),
        ([2, 2, 2], 4, [[2, 2], [2]]),
        ([3, 1, 1, 3], 4, [[3, 1], [1, 3]]),
        ([1, 5, 1], 4, [[1], [5], [1]]),
        ([5], 4, [[5]]),
        ([2, 3, 1], 4, [[2], [3, 1]]),
    ],
)
def test_neighbouring_groups_up_to_a_size(
    sizes: list[int], batch_size: int, expected: list[list[int]]
) -> None:
    groups = [MediaGroup(tuple(sample(str(number)) for number in range(size))) for size in sizes]
    batches = plan_batches(groups, batch_size)
    assert [[len(group.samples) for group in batch] for batch in batches] == expected
    assert [group for batch in batches for group in batch] == groups


@dataclass(frozen=True)
class Subtitles:
    """A part that stands for a text and the last frame as an image."""

    media: Media
    text: str
    path: str | None = None
    description: str = "subtitles"

    def expand(self, clip: Clip) -> tuple[str | Clip, ...]:
        last = Clip(clip.frames[-1:], clip.frame_indices[-1:], clip.pts_seconds[-1:])
        return (f"{self.text} ", last)


def prepared(kind: MediaKind, clip: Clip) -> ShownMedia:
    """As a model in this process takes it."""
    digest = f"{kind}{clip.frame_indices}"
    return PreparedMedia(kind, clip, pixel_input_digest=digest)


def served(kind: MediaKind, clip: Clip) -> ShownMedia:
    """As a server takes it that chooses the frames of a video."""
    problems = (MediaProblem("unconfirmed_frames", "not seen"),) if kind == "image" else ()
    indices = clip.frame_indices if kind == "image" else ()
    return ServedMedia(kind, ({},), indices, problems=problems)


def content_of(prepare: Callable[[MediaKind, Clip], ShownMedia], *samples: Sample) -> GroupContent:
    damaged = (MediaProblem("damaged", "half of it"),)
    clips = {VIDEO: clip(0, 9, 7, problems=damaged).proven(), IMAGE: clip(0)}
    return GroupContent.of(samples, clips, prepare)


def test_media_are_shown_as_they_are_or_in_parts() -> None:
    part = Subtitles(VIDEO, "said")
    shown = content_of(prepared, sample("0", "Look: ", VIDEO), sample("1", part))
    assert list(shown.media) == [VIDEO]
    assert list(shown.frame_dependent) == [part]
    first, second = (shown.turn(item) for item in (sample("0", "Look: ", VIDEO), sample("1", part)))
    assert first == ("Look: ", shown.media[VIDEO], "Why?")
    assert second[0] == "said "
    assert isinstance(second[1], PreparedMedia)
    assert second[1].frame_indices == (7,)
    assert second[2] == "Why?"
    assert shown.frame_indices == {VIDEO: (0, 9, 7), IMAGE: ()}, "the image is not shown"


def test_neighbouring_texts_are_one() -> None:
    shown = content_of(prepared, sample("0", VIDEO))
    assert shown.turn(sample("0", "a ", "b ")) == ("a b Why?",)
    turn = shown.turn(sample("0", "a ", VIDEO, "b "))
    assert turn == ("a ", shown.media[VIDEO], "b Why?")


def test_what_is_said_of_media_that_are_shown() -> None:
    part = Subtitles(VIDEO, "said")
    alone = content_of(prepared, sample("0", VIDEO))
    assert alone.inputs[VIDEO].pixel_input_digest == "video(0, 9, 7)"
    assert [problem.kind for problem in alone.inputs[VIDEO].problems] == ["damaged"]
    assert alone.inputs[IMAGE].pixel_input_digest is None
    assert alone.inputs[VIDEO].pts_seconds == (0.0, 9.0, 7.0)
    black = hashlib.blake2b(bytes(2 * 2 * 3), digest_size=8).hexdigest()
    assert alone.inputs[VIDEO].proof == PixelProof(2, 2, (black,) * 3)
    both = content_of(prepared, sample("0", VIDEO), sample("1", part))
    joined = hashlib.blake2b(b"video(0, 9, 7)image(7,)", digest_size=8).hexdigest()
    assert both.inputs[VIDEO].pixel_input_digest == joined
    half = content_of(
        lambda kind, clip: (prepared if kind == "video" else served)(kind, clip),
        sample("0", VIDEO),
        sample("1", part),
    )
    assert half.inputs[VIDEO].pixel_input_digest is None, "a part of it is not known"
    kinds = [problem.kind for problem in half.inputs[VIDEO].problems]
    assert kinds == ["damaged", "unconfirmed_frames"]
    chosen = content_of(served, sample("0", VIDEO))
    assert chosen.frame_indices[VIDEO] == (), "the server chooses them"
    images = content_of(served, sample("1", part))
    assert images.frame_indices[VIDEO] == (0, 9, 7)


@pytest.mark.parametrize(("keeps", "letters"), [(True, ("A", "B")), (False, ())])
def test_a_question_is_asked_with_the_settings_of_its_protocol(
    keeps: bool, letters: tuple[str, ...]
) -> None:
    generation = GenerationSettings(max_new_tokens=3, seed=5)
    settings = PromptSettings(lambda info: [0], generation, "Be brief.", "It is (", keeps)
    asked = Sample("7", 0, "g", ("Which? ", VIDEO), ("B",), choices=("red", "blue"))
    content = content_of(prepared, asked)
    request = content.request(asked, settings)
    assert (request.id, request.content) == ("7", ("Which? ", content.media[VIDEO]))
    assert request.settings == generation
    assert (request.system, request.assistant_prefill) == ("Be brief.", "It is (")
    assert (request.options, request.letters) == ((), letters)


def test_a_file_that_a_part_reads_and_that_is_gone_is_an_error_of_its_medium() -> None:
    @dataclass(frozen=True)
    class Gone(Subtitles):
        def expand(self, clip: Clip) -> tuple[str | Clip, ...]:
            return (Path("/nowhere/said.srt").read_text(),)

    with pytest.raises(MediaError, match=r"^/nowhere/said\.srt: no such file$"):
        content_of(prepared, sample("1", Gone(VIDEO, "said")))


@pytest.mark.slow
def test_frames_that_stand_as_images_keep_their_size(demo: Path) -> None:
    """A processor resizes images by another rule than the frames of a video."""
    video = Media("video", str(demo / "videos" / "demo_001.mp4"))
    cache = FrameCache(None, lambda frames: frames[..., ::2, ::2], "half")
    plain, mixed = (
        decode_group(MediaGroup((item,)), lambda info: [0, 1], cache)[video]
        for item in (sample("0", video), sample("1", video, Subtitles(video, "said")))
    )
    height, width = mixed.frames.shape[2:]
    with av.open(video.path) as container:
        frame = next(container.decode(video=0))
    assert (height, width) == (frame.height, frame.width)
    assert plain.frames.shape[2:] == ((height + 1) // 2, (width + 1) // 2)


def test_without_a_processor_that_resizes_nothing_is_kept() -> None:
    assert frame_cache(None) is None
