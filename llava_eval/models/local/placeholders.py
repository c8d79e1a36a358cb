"""The placeholders of media in a prompt's text, and whether the processor writes them itself."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, get_args

import torch
from PIL import Image

from llava_eval.errors import CheckpointError
from llava_eval.models.local.pixels import TEXT_INPUTS
from llava_eval.types import MediaKind


class Placeholders:
    """The placeholders of a processor.

    Most processors replace a placeholder in the text (``<image>``) by as many tokens as the medium
    has features. Some (BLIP-2, Florence-2, Kosmos-2) write the tokens before the text themselves,
    so a placeholder in the text would be one too many. Others (GIT, BLIP) use no tokens at all.

    Args:
        processor: the checkpoint's processor.
    """

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self._writes_images = cache(self._try_image)

    def token(self, kind: MediaKind) -> str:
        """Return the placeholder of a medium, for instance ``<video>``.

        It is empty if the processor writes the medium's tokens itself.

        Raises:
            CheckpointError: the processor does not support media of this kind.
        """
        token = self._token(kind)
        if token is None and kind == "image" and self._writes_images():
            return ""
        if token is None:
            raise takes_none(self._processor, kind)
        return str(token)

    def known(self) -> list[str]:
        """Return the placeholders of all kinds."""
        tokens = map(self._token, get_args(MediaKind))
        return [str(token) for token in tokens if token is not None]

    def are_written(self, kinds: Iterable[MediaKind]) -> bool:
        """Return whether the processor writes the tokens of these media itself."""
        return set(kinds) == {"image"} and self._writes_images()

    def _token(self, kind: MediaKind) -> str | None:
        own = getattr(self._processor, f"{kind}_token", None)
        return getattr(self._processor, f"{kind}_placeholder_token", None) or own  # Qianfan-OCR's

    def _try_image(self) -> bool:
        """Process a small image with and without a placeholder in the text.

        If both are accepted, the placeholder must not add tokens (PaliGemma moves it).
        """
        token = self._token("image")
        without = self._num_tokens("a", has_image=True)
        text_alone = self._num_tokens("a", has_image=False)
        if text_alone is None:  # the processor refuses text without an image
            text_alone = len(self._processor.tokenizer("a")["input_ids"])
        if without is None or (token is not None and without <= text_alone):
            return False
        written = None if token is None else self._num_tokens(f"{token}a", has_image=True)
        return written is None or written > without

    def _num_tokens(self, text: str, *, has_image: bool) -> int | None:
        image = Image.new("RGB", (64, 64), (90, 120, 150))
        arguments = {"images": [image]} if has_image else {}
        try:
            inputs = self._processor(text=[text], return_tensors="pt", **arguments)
            ids = inputs["input_ids"]
        except Exception:  # noqa: BLE001 - foreign code may raise anything
            return None
        if has_image and TEXT_INPUTS.issuperset(inputs):  # the processor ignores images
            return None
        return int(torch.as_tensor(ids).shape[-1])


def takes_none(processor: Any, kind: MediaKind) -> CheckpointError:
    """Return the error for a processor that does not support media of a kind."""
    hint = "; model.video_as=images shows the frames as images" if kind == "video" else ""
    name = type(processor).__name__
    return CheckpointError(f"the checkpoint takes no {kind}: its {name} has no token for it{hint}")
