"""Damaged at random: every medium is shown as a plain decode shows it, or fails as itself."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from llava_eval.errors import MediaError
from llava_eval.types import Clip, Media, VideoInfo
from llava_eval.video import read_media
from tests.conftest import slow
from tests.video import corpus, naive

FileOf = Callable[[str], str]


def eight(info: VideoInfo) -> list[int]:
    return [int(index) for index in np.linspace(0, info.num_frames - 1, 8, dtype=int)]


def read(media: Media) -> Clip | None:
    """What is shown of a medium; None for an error of its own, in one line with its name."""
    try:
        return read_media(media, eight)
    except MediaError as error:
        message = str(error)
    assert message.startswith(f"{media.path}: ")
    assert "\n" not in message
    return None


#: What happens to a part: other bytes, zeros or ones, left out, put in twice, all after it missing.
OVERWRITE, FILL, DELETE, REPEAT, CUT = range(5)
ALL = (OVERWRITE, OVERWRITE, OVERWRITE, FILL, FILL, DELETE, REPEAT, CUT)


def mutated(content: bytes, seed: int, kinds: Sequence[int] = ALL) -> bytes:
    """The bytes with some parts changed."""
    random = np.random.default_rng(seed)
    changed = bytearray(content)
    for _ in range(int(random.integers(1, 6))):
        start = int(random.integers(0, len(changed) + 1))
        length = int(random.choice([1, 2, 8, 64, 1000]))
        part = changed[start : start + length]
        kind = random.choice(kinds)
        if kind == OVERWRITE:
            changed[start : start + length] = random.bytes(len(part))
        elif kind == FILL:
            changed[start : start + length] = bytes([int(random.choice([0, 255]))]) * len(part)
        elif kind == DELETE:
            del changed[start : start + length]
        elif kind == REPEAT:
            changed[start:start] = part
        elif len(changed) > 100:
            del changed[int(random.integers(len(changed) // 4, len(changed))) :]
    return bytes(changed)


def check_video(path: Path, content: bytes, seed: int) -> None:
    """Read two mutations, and compare the frames of one where no packet can be lost unnoticed.

    Demuxers of flv and ts go on after a lost packet without a word. The decoder of mpeg2 conceals
    damage in threads of its own, as they happen to run.
    """
    path.write_bytes(mutated(content, seed))
    read(Media("video", str(path)))
    path.write_bytes(mutated(content, seed, (OVERWRITE, FILL)))
    clip = read(Media("video", str(path)))
    if clip is None or path.suffix in {".flv", ".ts", ".mpg"}:
        return
    frames = naive.decode_some(str(path), clip.frame_indices)
    for row, index in enumerate(clip.frame_indices):
        # frames after damage that ends a plain decode may still be shown, from a later keyframe
        if index in frames:
            assert np.array_equal(clip.frames[row].permute(1, 2, 0).numpy(), frames[index])


QUICK = ("faststart.mp4", "h264.ts", "hevc_cra.mp4", "vp9_hidden.webm", "av1.mkv", "mpeg4.avi")


@pytest.mark.parametrize("seed", [0, slow(1), slow(2)])
@pytest.mark.parametrize("name", QUICK)
def test_some_videos(name: str, seed: int, file_of: FileOf, tmp_path: Path) -> None:
    check_video(tmp_path / name, Path(file_of(name)).read_bytes(), seed)


@pytest.mark.slow
@pytest.mark.parametrize("name", corpus.NAMES)
def test_all_videos(name: str, file_of: FileOf, tmp_path: Path) -> None:
    content = Path(file_of(name)).read_bytes()
    for seed in range(100, 104):
        check_video(tmp_path / name, content, seed)


def encoded(name: str) -> bytes:
    """A picture in one of Pillow's formats."""
    stream = io.BytesIO()
    size = (48, 32) if name in LONG else (corpus.WIDTH, corpus.HEIGHT)
    Image.fromarray(corpus.picture(5, *size)).save(stream, name)
    return stream.getvalue()


FORMATS = [
    *("AVIF", "BMP", "DDS", "EPS", "GIF", "ICNS", "ICO", "JPEG", "JPEG2000", "MPO"),
    *("PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF", "WEBP"),
]
#: Of these, what Pillow takes long to read: a smaller picture.
LONG = ("AVIF", "DDS", "EPS", "ICNS", "QOI")


def check_image(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clip = read(Media("image", str(path)))
        from_memory = read(Media("image", "row 7", data=content)) if content else None
        assert (clip is None) == (from_memory is None)
        if clip is not None:
            expected = np.asarray(Image.open(path).convert("RGB"))
            assert np.array_equal(clip.frames[0].permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("name", [slow(name) if name in LONG else name for name in FORMATS])
def test_some_images(name: str, tmp_path: Path) -> None:
    content = encoded(name)
    for seed in range(15):
        check_image(mutated(content, seed), tmp_path / "image")


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_more_images(name: str, tmp_path: Path) -> None:
    content = encoded(name)
    for seed in range(100, 250):
        check_image(mutated(content, seed), tmp_path / "image")


def test_a_postscript_file_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    path.write_bytes(encoded("EPS"))
    with pytest.raises(MediaError, match=r"image\.png: EPS is a program that draws"):
        read_media(Media("image", str(path)), eight)


def test_what_libraries_raise_is_named(tmp_path: Path) -> None:
    """A DDS of an unknown pixel format is no OSError."""
    content = bytearray(encoded("DDS"))
    content[80:88] = b"\4\0\0\0what"
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"image\.jpg: NotImplementedError: Unimpl"):
        read_media(Media("image", str(path)), eight)
