"""Pieces of a prompt that depend on the frames: expanded once a group, and shown as asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from llava_eval.benchmarks.subtitles import Subtitles
from llava_eval.engine.batches import GroupContent
from llava_eval.errors import MediaError
from llava_eval.types import (
    Clip,
    Media,
    MediaKind,
    PreparedMedia,
    Sample,
    prompt_text,
)

VIDEO = Media("video", "v.mp4")


@dataclass(frozen=True)
class Framewise:
    """Says how many frames there are, or shows each as an image."""

    media: Media
    images: bool = False
    description: str = "late"
    path: ClassVar[None] = None

    def expand(self, clip: Clip) -> tuple[str | Clip, ...]:
        if not self.images:
            return (f"{len(clip)} frames\n",)
        return tuple(
            Clip(clip.frames[n : n + 1], clip.frame_indices[n : n + 1], clip.pts_seconds[n : n + 1])
            for n in range(len(clip))
        )


def sample(*content: str | Media | Framewise, name: str = "1") -> Sample:
    return Sample(id=name, row=0, group="v", content=content, targets=("A",))


def read(medium: Media) -> Clip:
    return Clip(torch.zeros((3, 3, 2, 2), dtype=torch.uint8), (0, 5, 9), (0.0, 0.5, 0.9))


def counting() -> tuple[list[MediaKind], Callable[[MediaKind, Clip], PreparedMedia]]:
    prepared: list[MediaKind] = []

    def prepare(kind: MediaKind, clip: Clip) -> PreparedMedia:
        prepared.append(kind)
        return PreparedMedia(kind, clip, {"pixels": clip.frames}, (7,))

    return prepared, prepare


def test_subtitles_that_may_not_be_looked_for_fail_their_sample_alone() -> None:
    """As in a folder of another user; a name that no file can have is refused for each user."""
    piece = Subtitles(VIDEO, f"{'s' * 300}.srt", "first_cue")
    group = [Sample(id="1", row=0, group="v", content=(VIDEO, piece), targets=("A",))]
    with pytest.raises(MediaError, match=r"ss\.srt: the name is too long"):
        GroupContent.of(group, {VIDEO: read(VIDEO)}, counting()[1])


def test_texts_are_expanded_and_joined() -> None:
    asked = sample(VIDEO, Framewise(VIDEO), "Why?")
    prepared, prepare = counting()
    members = [asked, sample(VIDEO, Framewise(VIDEO), "How?", name="2")]
    content = GroupContent.of(members, {VIDEO: read(VIDEO)}, prepare)
    video, text = content.turn(asked)
    assert isinstance(video, PreparedMedia)
    assert text == "3 frames\nWhy?"
    assert prepared == ["video"]
    assert asked.media == (VIDEO,)
    assert asked.prompt == "[late]Why?"
    assert content.frame_indices == {VIDEO: (0, 5, 9)}


def test_frames_can_become_images() -> None:
    asked = sample(Framewise(VIDEO, images=True), "Why?")
    prepared, prepare = counting()
    content = GroupContent.of([asked], {VIDEO: read(VIDEO)}, prepare)
    turn = content.turn(asked)
    assert prepared == ["image"] * 3
    assert [one if isinstance(one, str) else one.kind for one in turn] == ["image"] * 3 + ["Why?"]
    assert asked.media == (VIDEO,)
    assert content.frame_indices == {VIDEO: (0, 5, 9)}


def test_media_that_lead_are_left_out_of_the_written_prompt() -> None:
    image = Media("image", "i.png")
    assert prompt_text([VIDEO, "Why?"]) == "Why?"
    assert prompt_text([VIDEO, image, "Why?"]) == "Why?"
    assert prompt_text([image, "First", image, "Second"]) == "<image>\nFirst<image>\nSecond"
    assert prompt_text(["First ", VIDEO, "then"]) == "First <video>\nthen"
