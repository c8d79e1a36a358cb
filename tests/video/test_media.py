"""One door for videos, images, gifs and folders of frames."""

from __future__ import annotations

import pickle
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from llava_eval.errors import MediaError
from llava_eval.types import Media, VideoInfo
from llava_eval.video import decode_frames, read_media
from llava_eval.video.frame_cache import FrameCache, default_store
from llava_eval.video.media import frame_files, media_info
from llava_eval.video.samplers import linspace_to_last_frame, segment_midpoints
from tests.video import corpus

FileOf = Callable[[str], str]

four = partial(linspace_to_last_frame, num_frames=4)


def never(info: VideoInfo) -> Sequence[int]:
    raise AssertionError("the sampler was asked")


def folder_of_frames(folder: Path, count: int, *, first: int, digits: int = 1) -> str:
    folder.mkdir()
    for number in range(count):
        image = Image.fromarray(np.full((12, 16, 3), 5 * number, np.uint8))
        image.save(folder / f"frame_{number + first:0{digits}d}.png")
    return str(folder)


def levels(frames: object) -> list[int]:
    return [int(level) // 5 for level in frames[:, 0, 0, 0]]  # type: ignore[index]


def test_a_video(file_of: FileOf) -> None:
    path = file_of("h264.mp4")
    clip = read_media(Media("video", path), four)
    assert clip.frame_indices == (0, 24, 49, 74)
    assert clip.frames.equal(decode_frames(path, [0, 24, 49, 74]).frames)
    assert clip.num_source_frames == 75


def test_red_and_blue_exchanged(file_of: FileOf) -> None:
    plain = Media("video", file_of("h264.mp4"))
    swapped = Media("video", plain.path, swap_red_blue=True)
    shown, read = read_media(swapped, four), read_media(plain, four)
    assert shown.frames.equal(read.frames[:, [2, 1, 0]])
    assert not shown.frames.equal(read.frames)
    assert shown.proof == read.proof
    cache = FrameCache(
        default_store(), lambda frames: frames[..., ::2, ::2].contiguous(), "quarter"
    )
    prepared = [read_media(swapped, four, cache=cache) for _ in range(2)]
    assert all(clip.frames.equal(shown.frames[..., ::2, ::2]) for clip in prepared)
    assert pickle.loads(pickle.dumps(swapped)) == swapped


def test_a_cut(file_of: FileOf) -> None:
    media = Media("video", file_of("h264.mp4"), start_seconds=1.0, end_seconds=2.0)
    clip = read_media(media, four)
    assert clip.frame_indices == (25, 33, 41, 50)
    assert (clip.num_source_frames, clip.num_frames_sampled_from) == (75, 26)
    midpoints = partial(segment_midpoints, num_frames=2)
    assert read_media(media, midpoints).frame_indices == (31, 43)


def test_indices_of_a_sampler_of_ones_own(file_of: FileOf) -> None:
    media = Media("video", file_of("three_frames.mp4"))

    def shown(taken: Any) -> tuple[int, ...]:
        return read_media(media, lambda _: taken).frame_indices

    assert list(map(type, shown(np.arange(3)))) == [int, int, int]
    with pytest.raises(MediaError, match="float64' object cannot be interpreted as an integer"):
        shown(np.linspace(0, 2, 2))
    with pytest.raises(MediaError, match="the sampler takes none of its frames"):
        shown([])


def test_fewer_frames_than_asked(file_of: FileOf) -> None:
    clip = read_media(Media("video", file_of("three_frames.mp4")), four)
    assert clip.frame_indices == (0, 0, 1, 2)
    assert clip.frames[0].equal(clip.frames[1])
    assert read_media(Media("video", file_of("one_frame.mp4")), four).frame_indices == (0, 0, 0, 0)


def test_an_animated_gif(file_of: FileOf) -> None:
    clip = read_media(Media("video", file_of("animation.gif")), four)
    assert clip.frame_indices == (0, 6, 12, 19)
    assert clip.num_source_frames == 20


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "CMYK"])
def test_an_image(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    Image.fromarray(corpus.picture(3)).convert(mode).save(path)
    clip = read_media(Media("image", str(path)), never)
    assert clip.frames.shape == (1, 3, corpus.HEIGHT, corpus.WIDTH)
    expected = np.asarray(Image.open(path).convert("RGB"))
    assert np.array_equal(clip.frames[0].permute(1, 2, 0).numpy(), expected)
    assert clip.frame_indices == (0,)
    assert clip.fps is None


def test_an_image_as_a_video(tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    Image.fromarray(corpus.picture(3)).save(path)
    assert read_media(Media("video", str(path)), four).frame_indices == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (b"no picture", "not an image that can be read"),
        (b"\x89PNG\r\n\x1a\n" + bytes(30), "image"),
    ],
)
def test_images_that_are_none(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "image.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=rf"image\.png: .*{message}"):
        read_media(Media("image", str(path)), never)


def test_a_truncated_image(tmp_path: Path) -> None:
    whole = tmp_path / "whole.jpg"
    Image.fromarray(corpus.picture(3)).save(whole)
    path = tmp_path / "half.jpg"
    path.write_bytes(whole.read_bytes()[:900])
    with pytest.raises(MediaError, match=r"half\.jpg: damaged image"):
        read_media(Media("image", str(path)), never)


@pytest.mark.parametrize("digits", [1, 5])
def test_a_folder_in_the_order_of_its_numbers(digits: int, tmp_path: Path) -> None:
    folder = folder_of_frames(tmp_path / "frames", 30, first=1, digits=digits)
    (Path(folder) / "notes.txt").write_text("not a frame")
    (Path(folder) / ".hidden.png").write_text("not a frame")
    clip = read_media(Media("video", folder), four)
    assert clip.frame_indices == (0, 9, 19, 29)
    assert levels(clip.frames) == [0, 9, 19, 29]
    assert clip.pts_seconds == pytest.approx([0.0, 3.0, 19 / 3, 29 / 3])
    assert clip.fps == 3.0
    assert clip.num_source_frames == 30


def test_names_are_sorted_naturally(tmp_path: Path) -> None:
    for name in ("b2.png", "b10.png", "a3.png", "b1.JPG"):
        (tmp_path / name).touch()
    assert frame_files(str(tmp_path)) == ["a3.png", "b1.JPG", "b2.png", "b10.png"]


@pytest.mark.parametrize(
    "names",
    [
        ["0.0.png", "0.25.png", "0.5.png", "1.0.png", "10.0.png"],  # of seconds, as str() writes
        ["0.png", "0.25.png", "0.5.png", "1.png", "10.png"],  # likewise by %g
        ["frame_0.25.png", "frame_0.5.png", "frame_1.png"],
        ["cut2_0.25.png", "cut2_0.5.png"],
        ["1234567.25.png", "1234567.5.png", "1234568.png"],
        ["1.8.png", "1.9.png", "1.10.png", "2.1.png"],  # of scenes, and frames in them
        ["2024.1.5.png", "2024.1.25.png"],
        ["a3.png", "1.png"],
    ],
)
def test_frames_that_are_named_by_seconds(names: list[str], tmp_path: Path) -> None:
    for name in reversed(names):
        (tmp_path / name).touch()
    assert frame_files(str(tmp_path)) == names


@pytest.mark.parametrize(
    ("first", "start", "end", "indices"),
    [
        # MVBench: max(1, round(start * 3)) to min(round(end * 3), count), numbers from 1
        (1, 2.0, 4.0, (5, 11)),
        (1, 0.0, 4.0, (0, 11)),
        (1, 2.0, 40.0, (5, 29)),
        (0, 2.0, 4.0, (6, 12)),
    ],
)
def test_a_cut_of_a_folder(
    first: int, start: float, end: float, indices: tuple[int, int], tmp_path: Path
) -> None:
    folder = folder_of_frames(tmp_path / "frames", 30, first=first)
    info = media_info(Media("video", folder, start, end))
    assert (info.first_frame_index, info.first_frame_index + info.num_frames - 1) == indices
    assert (info.width, info.height) == (16, 12)


def test_an_image_that_pillow_refuses_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    header = struct.pack(">IIBBBBB", 20_000, 10_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    content = struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content + struct.pack(">I", 0) + b"IDAT" + b"\0" * 4)
    with pytest.raises(MediaError, match=r"large\.png: too large an image .*200000000 pixels"):
        read_media(Media("image", str(path)), never)


def test_folders_that_hold_no_frames(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="the folder holds no image files"):
        read_media(Media("video", str(tmp_path)), four)
    folder = folder_of_frames(tmp_path / "frames", 3, first=1)
    with pytest.raises(MediaError, match="frame index 3 is out of range, the folder has 3 images"):
        read_media(Media("video", folder), lambda info: [3])
    with pytest.raises(MediaError, match="is a folder, expected an image file"):
        read_media(Media("image", folder), never)
    (Path(folder) / "frame_2.jpg").touch()
    with pytest.raises(MediaError, match=r"frame_2\.jpg and frame_2\.png are one frame twice"):
        read_media(Media("video", folder), never)


def test_prepared_frames(file_of: FileOf, tmp_path: Path) -> None:
    cache = FrameCache(default_store(), lambda frames: frames[:, :, ::2].contiguous(), "half")
    video = Media("video", file_of("h264.mp4"))
    plain = read_media(video, four)
    for _ in range(2):
        clip = read_media(video, four, cache=cache)
        assert clip.frames.equal(plain.frames[:, :, ::2])
        assert (clip.frame_indices, clip.pts_seconds) == (plain.frame_indices, plain.pts_seconds)
    folder = Media("video", folder_of_frames(tmp_path / "frames", 9, first=1))
    assert read_media(folder, four, cache=cache).frames.shape == (4, 3, 6, 16)
    image = Media("image", str(tmp_path / "frames" / "frame_1.png"))
    assert read_media(image, never, cache=cache).frames.shape == (1, 3, 12, 16)


def test_a_sampler_that_fails_on_one_video_is_that_videos_error(demo: Path) -> None:
    def refuses(info: VideoInfo) -> list[int]:
        raise ValueError("too short for me")

    with pytest.raises(MediaError, match=r"demo_001\.mp4: ValueError: too short for me"):
        read_media(Media("video", str(demo / "videos" / "demo_001.mp4")), refuses)


def test_times_of_a_folder_of_frames(tmp_path: Path) -> None:
    """Three frames a second; the first is at 0 s, whatever its number."""
    folder = folder_of_frames(tmp_path / "frames", 7, first=1)
    info = media_info(Media("video", folder))
    assert (info.num_frames, info.fps, info.width, info.height) == (7, 3.0, 16, 12)
    assert info.seconds == pytest.approx(7 / 3)
    clip = read_media(Media("video", folder), lambda _: (0, 3, 6))
    assert clip.pts_seconds == (0.0, 1.0, 2.0)
    assert (clip.fps, clip.num_source_frames) == (3.0, 7)
    assert levels(clip.frames) == [0, 3, 6]
    for index in (-1, 7):
        with pytest.raises(MediaError, match=f"frame index {index} is out of range, .* 7 images"):
            read_media(Media("video", folder), lambda _, index=index: (0, index))  # type: ignore[misc]


@pytest.mark.parametrize(("num_asked", "problem"), [(3, None), (4, "3 frames, 4 were asked for")])
def test_shorter_than_asked(num_asked: int, problem: str | None, file_of: FileOf) -> None:
    sampler = partial(linspace_to_last_frame, num_frames=num_asked)
    clip = read_media(Media("video", file_of("three_frames.mp4")), sampler)
    assert [each.detail for each in clip.problems] == ([] if problem is None else [problem])
    clip = read_media(Media("video", file_of("three_frames.mp4")), lambda _: [0] * num_asked)
    assert [each.detail for each in clip.problems] == ([] if problem is None else [problem])
