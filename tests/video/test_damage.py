"""Damaged streams: what can be decoded equals the plain decode, and the clip says what happened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest

from llava_eval.errors import MediaError
from llava_eval.types import MediaProblem
from llava_eval.video import decode_frames, probe
from llava_eval.video.container import libav_messages, sign_of_damage
from tests.conftest import slow
from tests.video import corpus, naive
from tests.video.test_exact import check

FileOf = Callable[[str], str]


@pytest.mark.parametrize("seed", [0, 1, slow(2), slow(3)])
@pytest.mark.parametrize(
    "name",
    [
        "h264.mp4",
        "h264.mkv",
        "h264.ts",
        "hevc.mp4",
        *map(slow, ("pyramid.mp4", "intra_refresh.mp4")),
    ],
)
def test_frames_of_damaged_files(name: str, seed: int, file_of: FileOf, tmp_path: Path) -> None:
    path = str(tmp_path / name)
    corpus.damage(file_of(name), path, seed=seed, places=1 + seed)
    frames, _ = naive.decode_all(path)
    sizes = {frame.shape for frame in frames}
    if len(frames) < 2 or len(sizes) > 1:
        pytest.skip("the damage hit what describes the stream")
    indices = [int(index) for index in np.linspace(0, len(frames) - 1, 10, dtype=int)]
    check(decode_frames(path, indices), indices, frames)
    for index in indices[1::3]:
        check(decode_frames(path, [index]), [index], frames)


def concealed(folder: Path) -> tuple[str, naive.Frames]:
    """An h264 file with damage inside a picture that libav conceals without an error."""
    source = folder / "whole.mp4"
    corpus.encode(source, size=(320, 192), options={"g": "1000", "bf": "0"})
    content = source.read_bytes()
    with av.open(str(source)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0)]
    path = folder / "concealed.mp4"
    for start, size in packets[30:60]:
        assert start is not None
        middle = start + size // 2
        path.write_bytes(content[:middle] + bytes(range(200, 208)) + content[middle + 8 :])
        with libav_messages(of_helpers=True) as messages:
            frames, _ = naive.decode_all(str(path))
        if len(frames) == 75 and sign_of_damage(messages, "h264"):
            return str(path), frames
    raise AssertionError("no place was found where damage is concealed")


@pytest.mark.slow
def test_concealed_damage_is_replayed_and_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, frames = concealed(tmp_path)
    # the part before the damage needs no replay
    before = decode_frames(path, [3])
    check(before, [3], frames)
    assert before.notes == ()
    clip = decode_frames(path, [74, 3])
    check(clip, [74, 3], frames)
    (note,) = clip.notes
    assert note.startswith("decoded sequentially: the decoder ")
    assert "concealed.mp4" in caplog.text
    assert "replaying from the start" in caplog.text
    # what was found does not change later decodes: they depend on the file and the frames alone
    assert decode_frames(path, [3]).notes == ()


def test_frames_before_a_damaged_packet_are_replayed(file_of: FileOf, tmp_path: Path) -> None:
    """A range is read further than its frames, a decode from the start is not."""
    content = bytearray(Path(file_of("h264.mp4")).read_bytes())
    with av.open(file_of("h264.mp4")) as container:
        starts = [packet.pos for packet in container.demux(video=0)]
    assert starts[20] is not None
    content[starts[20] : starts[20] + 4] = b"\xff\xff\xff\xff"  # size of a NAL unit
    path = str(tmp_path / "size.mp4")
    Path(path).write_bytes(content)
    clip = decode_frames(path, [12])
    assert clip.frames.equal(decode_frames(file_of("h264.mp4"), [12]).frames)
    assert clip.notes == ("decoded sequentially: packet 20 is damaged",)
    assert clip.problems == (
        MediaProblem("damaged", "packet 20 is damaged"),
        MediaProblem("replayed", "decoded from the start: packet 20 is damaged"),
    )


@pytest.mark.parametrize("name", ["hevc.mkv", slow("open_gop.mkv")])
def test_packets_that_the_demuxer_misses(name: str, file_of: FileOf, tmp_path: Path) -> None:
    """Which frames a decoder makes of the rest depends on all of it."""
    content = bytearray(Path(file_of(name)).read_bytes())
    with av.open(file_of(name)) as container:
        starts = [packet.pos for packet in container.demux(video=0)]
    assert starts[12] is not None
    content[starts[12] - 3 : starts[12]] = bytes(3)  # size and kind of a block
    path = str(tmp_path / name)
    Path(path).write_bytes(content)
    frames, _ = naive.decode_all(path)
    assert 10 < len(frames) < 75
    indices = [0, 5, len(frames) // 2, len(frames) - 1]
    for _ in range(2):
        clip = decode_frames(path, indices)
        check(clip, indices, frames)
        assert clip.notes[0].startswith("decoded sequentially: the demuxer reports damage: ")
        assert [problem.kind for problem in clip.problems] == ["damaged"]


@pytest.mark.slow
def test_a_decode_that_ends_early(file_of: FileOf, tmp_path: Path) -> None:
    """An undecodable packet ends the plain decode: frames before it, then a clear error."""
    content = bytearray(Path(file_of("one_keyframe.mp4")).read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3000] = bytes(3000)
    path = str(tmp_path / "hole.mp4")
    Path(path).write_bytes(content)
    frames, _ = naive.decode_all(path)
    assert 5 < len(frames) < 70
    check(decode_frames(path, [5]), [5], frames)
    with pytest.raises(MediaError, match=rf"hole\.mp4: frame 70 cannot .* {len(frames)} frames"):
        decode_frames(path, [5, 70])


def test_the_end_of_a_truncated_file(file_of: FileOf) -> None:
    path = file_of("truncated.mp4")
    frames, _ = naive.decode_all(path)
    count = probe(path).num_frames
    assert count == len(frames) < 75
    check(decode_frames(path, [count - 1]), [count - 1], frames)
    with pytest.raises(MediaError, match=f"frame index {count} is out of range"):
        decode_frames(path, [count])


@pytest.mark.slow
def test_sound_that_a_truncated_file_lacks_ends_its_frames(tmp_path: Path) -> None:
    """In a fragment the sound comes after the pictures, and libav reads both by their times."""
    pictures, whole, path = (tmp_path / name for name in ("v.mp4", "whole.mp4", "cut.mp4"))
    corpus.encode(pictures, options={"g": "1000"})
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    corpus.with_sound(pictures, whole, seconds=3, container_options=fragments)
    content = whole.read_bytes()
    path.write_bytes(content[: int(0.95 * len(content))])
    frames, _ = naive.decode_all(str(path))
    assert probe(path).num_frames == len(frames) < 75
    check(decode_frames(path, [len(frames) - 1]), [len(frames) - 1], frames)


def test_libav_logging_is_put_back() -> None:
    before = av.logging.get_level(), av.logging.get_skip_repeated()
    with libav_messages(of_helpers=True) as outer:
        with libav_messages(of_helpers=True) as inner:
            av.logging.log(av.logging.INFO, "h264", "concealing 3 DC errors\n")
        assert [text.strip() for _, _, text in inner] == ["concealing 3 DC errors"]
    assert (av.logging.get_level(), av.logging.get_skip_repeated()) == before
    assert outer == []


@pytest.mark.parametrize(
    ("level", "source", "text", "expected"),
    [
        (16, "h264", "error while decoding MB 3 4\n", "error while decoding MB 3 4"),
        (32, "h264", "concealing 34 DC", "concealing 34 DC"),
        (32, "h264", "Reinit context", None),
        (16, "swscaler", "deprecated pixel format", None),
        (16, "h264", "mmco: unref short failure", None),
    ],
)
def test_signs_of_damage(level: int, source: str, text: str, expected: str | None) -> None:
    messages = [(level, source, text)]
    assert sign_of_damage(messages, "h264", ignore="mmco: unref short") == expected
