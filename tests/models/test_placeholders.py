"""Who writes what stands for a medium, by small processors of each kind that transformers has."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from llava_eval.errors import CheckpointError
from llava_eval.models.local.placeholders import Placeholders

#: Tokens of an image in the processors below.
NUM_IMAGE_TOKENS = 5


class Replacing:
    """Replaces a placeholder by the image's tokens, and refuses an image without one (LLaVA)."""

    image_token = "<i>"

    def __init__(self) -> None:
        self.tokenizer = lambda text: {"input_ids": list(text)}

    def num_tokens(self, text: str, num_images: int) -> int:
        if text.count(self.image_token) != num_images:
            raise ValueError("other images than placeholders")
        return len(text.replace(self.image_token, "")) + NUM_IMAGE_TOKENS * num_images

    def __call__(self, text: list[str], images: Any = (), **settings: Any) -> dict[str, Any]:
        made: dict[str, Any] = {"input_ids": [[0] * self.num_tokens(text[0], len(images))]}
        return {**made, "pixel_values": 0} if len(images) else made


class Writing(Replacing):
    """Writes the image's tokens in front of the text; a placeholder is text (BLIP-2)."""

    def num_tokens(self, text: str, num_images: int) -> int:
        return len(text) + NUM_IMAGE_TOKENS * num_images


class Moving(Replacing):
    """Writes the image's tokens by itself, and takes a placeholder out of the text (PaliGemma)."""

    def num_tokens(self, text: str, num_images: int) -> int:
        return len(text.replace(self.image_token, "")) + NUM_IMAGE_TOKENS * num_images


class WritingUnnamed(Writing):
    """The same as Writing, without a name for the placeholder (Kosmos-2)."""

    image_token = None  # type: ignore[assignment]


class Strict(WritingUnnamed):
    """Takes no text without an image."""

    def num_tokens(self, text: str, num_images: int) -> int:
        if not num_images:
            raise TypeError("images")
        return super().num_tokens(text, num_images)


class Lenient(Replacing):
    """Takes an image without a placeholder, and writes nothing for it."""

    def num_tokens(self, text: str, num_images: int) -> int:
        return len(text) + (NUM_IMAGE_TOKENS - 3) * text.count(self.image_token)


class Deaf(Writing):
    """Ignores images."""

    image_token = None  # type: ignore[assignment]

    def __call__(self, text: list[str], images: Any = (), **settings: Any) -> dict[str, Any]:
        return {"input_ids": [[0] * len(text[0])]}


@pytest.mark.parametrize(
    ("processor", "token", "are_written"),
    [
        (Replacing(), "<i>", False),
        (Writing(), "<i>", True),
        (Moving(), "<i>", False),
        (WritingUnnamed(), "", True),
        (Strict(), "", True),
        (Lenient(), "<i>", False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_image(processor: Any, token: str, are_written: bool) -> None:
    placeholders = Placeholders(processor)
    assert placeholders.token("image") == token
    assert placeholders.are_written(["image"]) is are_written
    assert placeholders.are_written(["image", "image"]) is are_written
    assert placeholders.are_written(["image", "video"]) is False
    assert placeholders.are_written([]) is False
    assert placeholders.known() == ["<i>"] * (processor.image_token is not None)


def test_what_a_processor_does_not_take() -> None:
    said = r"^the checkpoint takes no image: its Deaf has no token for it$"
    with pytest.raises(CheckpointError, match=said):
        Placeholders(Deaf()).token("image")
    said = r"no video: its Writing has no token for it; model\.video_as=images shows the frames"
    with pytest.raises(CheckpointError, match=said):
        Placeholders(Writing()).token("video")


def test_the_name_for_prompts_comes_before_the_one_of_tokens() -> None:
    processor = SimpleNamespace(
        image_token="<pad>", image_placeholder_token="<img>", video_token="<v>"
    )
    placeholders = Placeholders(processor)
    assert (placeholders.token("image"), placeholders.token("video")) == ("<img>", "<v>")
    assert sorted(placeholders.known()) == ["<img>", "<v>"]
