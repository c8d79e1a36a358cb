"""Images that a caller holds in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from llava_eval.types import Media
from llava_eval.video import read_media


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "P"])
def test_an_image_object_is_read_as_its_file_is(mode: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    path = tmp_path / "image.tif"
    image.save(path)
    held = read_media(Media.of_image(image), lambda _: ()).frames
    stored = read_media(Media("image", str(path)), lambda _: ()).frames
    assert torch.equal(held, stored)
    assert np.array_equal(held[0].permute(1, 2, 0).numpy(), np.asarray(image.convert("RGB")))
