"""Files that would lead elsewhere, paths that are no files, and images that are turned."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageOps

from llava_eval.errors import MediaError
from llava_eval.types import Media, VideoInfo
from llava_eval.video import decode_frames, probe, read_media
from llava_eval.video.media import frame_files
from tests.video import corpus

FileOf = Callable[[str], str]


def first(info: VideoInfo) -> list[int]:
    return [info.first_frame_index]


def leading_elsewhere(folder: Path, target: str) -> Iterator[Path]:
    """Files that libav would read another file for."""
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3.0,\n{target}\n#EXT-X-ENDLIST\n"
    manifest = (
        '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT3S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">'
        '<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1">'
        f"<BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    for name, content in {
        "list.m3u8": playlist,
        "list.mp4": playlist,
        "joined.ffconcat": f"ffconcat version 1.0\nfile '{target}'\n",
        "joined.mp4": f"ffconcat version 1.0\nfile {target}\n",
        "manifest.mpd": manifest,
    }.items():
        path = folder / name
        path.write_text(content)
        yield path


def test_no_file_opens_another(file_of: FileOf, tmp_path: Path) -> None:
    target = tmp_path / "target.ts"
    target.write_bytes(Path(file_of("h264.ts")).read_bytes())
    was_read = []
    for path in leading_elsewhere(tmp_path, "target.ts"):
        try:
            with av.open(str(path)) as container:
                was_read += [path.suffix for _ in container.decode(video=0)][:1]
        except (av.error.FFmpegError, IndexError):
            pass
        for function in (probe, lambda path: decode_frames(path, [0])):
            with pytest.raises(MediaError, match=f"{path.name}: not a video"):
                function(str(path))
    assert {".m3u8", ".ffconcat"} <= set(was_read)  # without the limits


@pytest.mark.parametrize("suffix", ["png", "bmp", "tga"])
@pytest.mark.parametrize("name", ["%d", "%02d", "100%", "%*", "[0-9]"])
def test_a_name_is_no_pattern(name: str, suffix: str, tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(corpus.picture(number)).save(tmp_path / f"{number}.{suffix}")
    path = tmp_path / f"{name}.{suffix}"
    Image.fromarray(corpus.picture(9)).save(path)
    clip = read_media(Media("video", str(path)), first)
    assert clip.num_source_frames == 1
    assert np.array_equal(clip.frames[0].permute(1, 2, 0).numpy(), corpus.picture(9))


@pytest.mark.parametrize("name", ["subfile:a.mp4", "concat:a.mp4", "http:a.mp4", "file:a.mp4"])
def test_a_name_is_no_protocol(
    name: str, file_of: FileOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / name).write_bytes(Path(file_of("h264.mp4")).read_bytes())
    monkeypatch.chdir(tmp_path)
    clip = decode_frames(name, [3])
    assert clip.frames.equal(decode_frames(file_of("h264.mp4"), [3]).frames)


@pytest.mark.parametrize("kind", ["video", "image"])
@pytest.mark.parametrize("name", ["n" * 300, "circle", "nu\0ll", "pipe", "dangling", "file/below"])
def test_paths_that_are_no_files(name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    path = f"{tmp_path}/{name}"
    media = Media("video" if kind == "video" else "image", path)
    with pytest.raises(MediaError) as raised:
        read_media(media, first)
    assert str(raised.value).startswith(f"{tmp_path}/")


def test_a_folder_that_cannot_be_listed(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"gone: no such file"):
        frame_files(str(tmp_path / "gone"))


def test_a_video_whose_first_frame_is_damaged(file_of: FileOf, tmp_path: Path) -> None:
    path = tmp_path / "one_frame.mp4"
    content = Path(file_of("one_frame.mp4")).read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(content[:start] + bytes(200) + content[start + 200 :])
    with pytest.raises(MediaError, match=r"can be decoded \(decoding fails at the start: "):
        probe(str(path))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright_where_asked(orientation: int, tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(corpus.picture(4)).save(path, exif=exif)
    with Image.open(path) as image:
        stored = np.asarray(image.convert("RGB"))
        upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    content = path.read_bytes()
    for turned, expected in ((False, stored), (True, upright)):
        for media in (
            Media("image", str(path), upright=turned),
            Media("image", "row 1", data=content, upright=turned),
        ):
            pixels = read_media(media, first).frames[0].permute(1, 2, 0).numpy()
            assert np.array_equal(pixels, expected)
    assert (stored.shape == upright.shape) == (orientation < 5)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_exif_that_is_damaged(tmp_path: Path) -> None:
    """As the datasets library does, which loads such images as they are stored."""
    path = tmp_path / "image.jpg"
    Image.fromarray(corpus.picture(4)).save(path, exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12")
    clip = read_media(Media("image", str(path), upright=True), first)
    assert clip.frames.shape == (1, 3, corpus.HEIGHT, corpus.WIDTH)
