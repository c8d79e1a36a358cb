"""What is known of a medium beyond its pixels: problems, and a proof of what was read."""

from __future__ import annotations

import hashlib
import pickle
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from llava_eval.errors import MediaError
from llava_eval.types import Clip, Media, MediaProblem, VideoInfo
from llava_eval.video import decode_frames, probe, read_media
from llava_eval.video.fast import forget_indices
from llava_eval.video.frame_cache import FrameCache, default_store
from llava_eval.video.samplers import each_frame_once, linspace_to_last_frame
from llava_eval.video.truncation import shortfall, truncation
from tests.conftest import slow
from tests.video import corpus, naive
from tests.video.test_damage import concealed

FileOf = Callable[[str], str]


def kinds(problems: Sequence[MediaProblem]) -> list[str]:
    return [problem.kind for problem in problems]


#: What is wrong with corpus files; nothing with all others.
PROBLEMS = {
    "truncated.mp4": ["truncated"],
    "truncated.mkv": ["truncated"],
    "truncated.webm": ["truncated"],
    "truncated.flv": ["truncated"],
    "truncated_fragments.mp4": ["truncated"],
    "truncated.ts": ["truncated"],
    "unknown_track.webm": ["damaged"],
    "joined_hevc.mp4": ["damaged"],  # the second part refers to pictures that it lacks
    "joined_hevc.mkv": ["damaged"],
    "joined_hevc.ts": ["damaged"],
}
#: Of two streams put together: the demuxer may mark the packet where the second one begins.
JOINED = {"new_size.ts", "twice.ts"}


@pytest.mark.parametrize("name", corpus.cases(corpus.NAMES))
def test_problems_of_every_kind_of_file(name: str, file_of: FileOf) -> None:
    path = file_of(name)
    info = probe(path)
    if name not in JOINED:
        assert kinds(info.problems) == PROBLEMS.get(name, [])
    assert decode_frames(path, [0, info.num_frames // 3]).problems == info.problems
    forget_indices()  # the index on disk says the same
    assert probe(path).problems == info.problems


CUT = (
    "faststart.mp4 fragmented.mp4 h264.mkv vp9.webm live.webm h264.flv flv1.flv mpeg4.avi "
    "mjpeg.avi wmv2.asf h264.ts vp8.ogv animation.gif"
)


@pytest.mark.parametrize("share", [0.35, 0.6, 0.9])
@pytest.mark.parametrize("name", CUT.split())
def test_a_download_that_broke_off(
    name: str, share: float, file_of: FileOf, tmp_path: Path
) -> None:
    """Whatever is left is shown as a plain decode shows it, and it is said that more is missing."""
    content = Path(file_of(name)).read_bytes()
    size = int(share * len(content))
    size -= size % 188 == 0
    path = tmp_path / name
    path.write_bytes(content[:size])
    frames, _ = naive.decode_all(str(path))
    if not frames:
        with pytest.raises(MediaError):
            probe(path)
        return
    info = probe(path)
    assert info.num_frames == len(frames)
    # a live recording states neither size nor duration, but the demuxer misses the end of a block
    assert ("damaged" if name == "live.webm" else "truncated") in kinds(info.problems)
    media = Media("video", str(path))
    clip = read_media(media, lambda info: [0, info.num_frames - 1])
    assert set(info.problems) <= set(clip.problems)
    assert np.array_equal(clip.frames[1].permute(1, 2, 0).numpy(), frames[-1])


@pytest.mark.parametrize("name", ["h264.mkv", "vp9.webm", "mpeg4.avi", "h264.ts"])
def test_a_file_whose_end_was_never_filled(name: str, file_of: FileOf, tmp_path: Path) -> None:
    """As download managers leave it that set the size first."""
    content = Path(file_of(name)).read_bytes()
    path = tmp_path / name
    half = len(content) // 2
    path.write_bytes(content[:half] + bytes(len(content) - half))
    frames, _ = naive.decode_all(str(path))
    try:
        clip = read_media(Media("video", str(path)), lambda info: range(info.num_frames))
    except MediaError:
        return
    assert clip.problems
    assert len(clip) == len(frames)


@pytest.mark.parametrize("name", ["video.y4m", "video.dv", "video.ivf", "image.webp", "image.avif"])
def test_files_of_frames_alone_that_are_cut_or_were_never_filled(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "video.y4m":
        frame = b"FRAME\n" + bytes(range(16, 112)) * 3
        path.write_bytes(b"YUV4MPEG2 W16 H12 F25:1 C420jpeg\n" + 9 * frame)
    elif name.startswith("video"):
        size = (720, 576) if name == "video.dv" else (96, 64)
        codec = "dvvideo" if name == "video.dv" else "libvpx"
        corpus.encode(path, codec, count=3, size=size, options={"b": "4M"})
    else:
        noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
    content = path.read_bytes()
    kept = len(content) - 1100 * (name != "video.y4m") - 13
    filled = bytes(0 if name in ("video.y4m", "video.dv") else len(content) - kept)
    kind: Any = name.partition(".")[0]
    medium, first = Media(kind, str(path)), lambda _: [0]
    assert read_media(medium, first).problems == ()
    path.write_bytes(content[:kept] + filled)
    forget_indices()
    assert kinds(read_media(medium, first).problems) == ["truncated"]


def test_containers_that_state_no_size(file_of: FileOf, tmp_path: Path) -> None:
    """A broadcast in ASF, and AVI whose writer was stopped before it knew."""
    asf = bytearray(Path(file_of("wmv2.asf")).read_bytes())
    flags = asf.index(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")) + 88
    asf[flags] |= 1
    avi = bytearray(Path(file_of("mpeg4.avi")).read_bytes())
    avi[4:8] = bytes(4)
    for content, name in ((asf, "asf"), (avi, "avi")):
        path = tmp_path / f"video.{name}"
        path.write_bytes(content[:-100])
        assert truncation(str(path), name) == ()


@pytest.mark.parametrize(
    ("name", "content", "needed"),
    [
        ("mp4", b"\0\0\0\1mdat" + (1016).to_bytes(8, "big") + bytes(1000), 1016),  # largesize
        ("mp4", b"\0\0\0\0mdat" + bytes(1000), None),  # to the end of the file
        ("mp4", b"\0\0\3\xe8what" + bytes(992), None),  # no box of ISO/IEC 14496-12
        ("matroska", b"\x1a\x45\xdf\xa3\x9f" + bytes(31), 36),  # a header of EBML alone
        ("matroska", b"\x1a\x45\xdf\xa3\x80" + bytes(31), None),  # and no element behind it
        # An identifier of five bytes and a size of nine: RFC 8794 has at most four and eight.
        ("matroska", b"\x08\1\1\1\1\x9f" + bytes(31), None),
        ("matroska", b"\x1a\x45\xdf\xa3\0" + (987).to_bytes(7, "big") + bytes(988), None),
    ],
)
def test_what_the_outermost_layer_states(
    name: str, content: bytes, needed: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "video"
    path.write_bytes(content)
    assert truncation(str(path), name) == ()
    path.write_bytes(content[:20])
    details = [item.detail for item in truncation(str(path), name)]
    expected = [] if needed is None else [f"its structure needs {needed:,} bytes, it has 20"]
    assert [detail.removeprefix("the file is truncated: ") for detail in details] == expected


@pytest.mark.parametrize("lengths", [[4, 10], [5, 10], [4, 11]])
def test_long_avi_files_have_several_chunks(lengths: list[int], tmp_path: Path) -> None:
    chunks = [b"RIFF" + length.to_bytes(4, "little") + bytes(length) for length in lengths]
    content = (b"\0" * (lengths[0] % 2)).join(chunks)
    path = tmp_path / "video.avi"
    for missing in range(4):
        path.write_bytes(content[: len(content) - missing])
        assert kinds(truncation(str(path), "avi")) == ["truncated"] * (missing > 0)


@pytest.mark.parametrize("prefix", [0, 4])
def test_packets_of_mpegts_with_and_without_time_codes(
    prefix: int, file_of: FileOf, tmp_path: Path
) -> None:
    content = Path(file_of("h264.ts")).read_bytes()
    packets = [content[start : start + 188] for start in range(0, len(content), 188)]
    stored = b"".join(bytes(prefix) + packet for packet in packets)
    path = tmp_path / "video.m2ts"
    for size in (len(stored), len(stored) - 2 * (188 + prefix), len(stored) - 50, 199):
        path.write_bytes(stored[:size])
        is_cut = size % (188 + prefix) > 0 and size > 200
        assert kinds(truncation(str(path), "mpegts")) == ["truncated"] * is_cut
    path.write_bytes(stored[: 5 * (188 + prefix)] + bytes(2 * (188 + prefix)))
    assert kinds(truncation(str(path), "mpegts")) == ["truncated"]
    path.write_bytes(bytes(1000))
    assert truncation(str(path), "mpegts") == ()


@pytest.mark.parametrize("name", ["lossless.mkv", "h264.mkv", "vp9.webm"])
def test_a_header_that_states_more_seconds(name: str, file_of: FileOf, tmp_path: Path) -> None:
    """Decoded plainly, indexed by packets, indexed by blocks."""
    content = Path(file_of(name)).read_bytes().replace(b"DURATION", b"UNTAGGED")
    start = content.index(b"\x44\x89\x88") + 3  # Duration, a float of eight bytes
    (milliseconds,) = struct.unpack(">d", content[start : start + 8])
    path = tmp_path / name
    for factor, expected in ((1.0, []), (4.0, ["truncated"])):
        stated = struct.pack(">d", milliseconds * factor)
        path.write_bytes(content[:start] + stated + content[start + 8 :])
        assert kinds(probe(path).problems) == expected


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libx264", ".mkv"), ("mpeg4", ".mkv"), ("mpeg4", ".mp4")]
)
def test_a_last_frame_that_is_held_is_no_truncation(
    codec: str, suffix: str, tmp_path: Path
) -> None:
    """Indexed and decoded plainly."""
    if suffix == ".mkv" and av.__version__.startswith("18.0."):
        pytest.skip("PyAV 18.0 copies no frame rate, and without it mkv keeps no frame's duration")
    source, path = tmp_path / f"even{suffix}", tmp_path / f"held{suffix}"
    corpus.encode(source, codec, count=10)
    with av.open(str(source)) as inputs, av.open(str(path), "w") as outputs:
        copy = outputs.add_stream_from_template(inputs.streams.video[0])
        packets = [packet for packet in inputs.demux(video=0) if packet.size]
        last = max(packets, key=lambda packet: packet.pts or 0)
        last.duration = round(20 / last.time_base)
        for packet in packets:
            packet.stream = copy
            outputs.mux(packet)
    info = probe(path)
    assert info.problems == ()
    assert info.seconds == pytest.approx(9 / 25 + 20, abs=0.05)


@pytest.mark.parametrize("name", ["lossless.mkv", "h264.mkv", "vp9.webm"])
def test_longer_sound_is_no_truncation(name: str, file_of: FileOf, tmp_path: Path) -> None:
    path = tmp_path / name
    corpus.with_sound(file_of(name), path, seconds=10)
    info = probe(path)
    assert info.problems == ()
    assert info.seconds == pytest.approx(info.num_frames / 25, abs=0.05)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("flv", ".flv"),
        ("wmv2", ".wmv"),
        ("mpeg4", ".mkv"),
        ("libx264", ".mkv"),
        ("libx264", ".flv"),
    ],
)
def test_longer_sound_where_only_the_whole_file_states_a_duration(
    codec: str, suffix: str, tmp_path: Path
) -> None:
    """Decoded plainly, and indexed."""
    path = tmp_path / f"sound{suffix}"
    with av.open(str(path), "w") as outputs:
        pictures: Any = outputs.add_stream(codec, rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 96, 64, "yuv420p"
        sound: Any = outputs.add_stream("pcm_s16le", rate=44100)
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(corpus.picture(number), format="rgb24")
            outputs.mux(pictures.encode(frame))
        outputs.mux(pictures.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 441_000), np.int16), "s16", "mono")
        silence.sample_rate = 44100
        outputs.mux(sound.encode(silence))
        outputs.mux(sound.encode(None))
    if suffix == ".mkv":  # mkvmerge may tag it in a language, which is another name to libav
        path.write_bytes(path.read_bytes().replace(b"DURATION", b"UNTAGGED"))
    info = probe(path)
    assert info.problems == ()
    assert info.seconds == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("name", ["lossless.mkv", "h264.mkv", "vp9.webm"])
def test_seconds_before_the_first_frame_are_not_of_the_video(
    name: str, file_of: FileOf, tmp_path: Path
) -> None:
    """As of a part of a live recording that kept its times."""
    path = tmp_path / name
    corpus.remux(file_of(name), path, shift_seconds=Fraction(3600))
    info = probe(path)
    assert info.seconds == pytest.approx(info.num_frames / 25, abs=0.05)
    assert info.problems == ()


def test_fragments_after_the_first_last_as_long_as_their_frames(
    file_of: FileOf, tmp_path: Path
) -> None:
    """As of a live stream that was joined late: the initialisation, then later segments."""
    content = Path(file_of("fragmented.mp4")).read_bytes()
    first = content.index(b"moof") - 4
    second = content.index(b"moof", first + 8) - 4
    path = tmp_path / "late.mp4"
    path.write_bytes(content[:first] + content[second:])
    info = probe(path)
    assert info.num_frames == 50
    assert info.seconds == pytest.approx(2, abs=0.05)


@pytest.mark.slow
def test_ivf_that_was_written_to_a_pipe_states_no_length(tmp_path: Path) -> None:
    path = tmp_path / "video.ivf"
    corpus.encode(path, "libvpx", count=50)
    content = bytearray(path.read_bytes())
    content[24:32] = b"\xff" * 8  # as ffmpeg leaves it where it cannot go back
    path.write_bytes(content)
    info = probe(path)
    assert info.seconds == pytest.approx(2, abs=0.05)
    assert info.problems == ()


def test_avi_that_was_written_to_a_pipe_states_no_length(tmp_path: Path) -> None:
    corpus.encode(tmp_path / "video.avi", "mpeg4", count=50)
    pipe = Pipe()
    with (
        av.open(str(tmp_path / "video.avi")) as given,
        av.open(pipe, "w", format="avi") as taken,
    ):
        stream = taken.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                taken.mux(packet)
    path = tmp_path / "piped.avi"
    path.write_bytes(pipe.content)
    assert path.read_bytes()[4:8] == b"\xff" * 4  # as FFmpeg leaves it where it cannot go back
    info = probe(path)
    assert (info.num_frames, info.problems) == (50, ())
    assert info.seconds == pytest.approx(2, abs=0.05)


class Pipe:
    """A file that is written from its start to its end."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: bytes) -> int:
        self.content += data
        return len(data)


def test_times_below_0_are_no_damage(file_of: FileOf, tmp_path: Path) -> None:
    path = tmp_path / "early.webm"
    corpus.group_blocks(file_of("vp9.webm"), path, which=lambda number: False)  # without Cues
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as inputs:
        starts = [packet.pos for packet in inputs.demux(video=0) if packet.pos is not None]
    for start in starts:  # of the only cluster: track, 16 bits of time
        time = int.from_bytes(content[start + 1 : start + 3], "big")
        content[start + 1 : start + 3] = (time - 300).to_bytes(2, "big", signed=True)
    path.write_bytes(content)
    clip = decode_frames(path, [0])
    assert clip.pts_seconds == (-0.3,)
    assert clip.problems == ()


def test_stated_durations() -> None:
    assert kinds(shortfall("matroska,webm", 10.0, 5.0)) == ["truncated"]
    assert kinds(shortfall("flv", 10.0, 8.9)) == ["truncated"]
    assert shortfall("matroska,webm", 10.0, 9.1) == ()  # sound may be longer
    assert shortfall("matroska,webm", 1.5, 0.6) == ()
    assert shortfall("h264", 10.0, 5.0) == ()  # libav's guess
    assert shortfall("mpegts", 10.0, 5.0) == ()


def test_appended_bytes_are_no_truncation(file_of: FileOf, tmp_path: Path) -> None:
    for name in ("h264.mp4", "h264.mkv", "mpeg4.avi", "wmv2.asf"):
        for extra in (b"\0" * 5000, b"ID3" + b"\xff" * 300):
            path = tmp_path / name
            path.write_bytes(Path(file_of(name)).read_bytes() + extra)
            assert probe(path).problems == ()


@pytest.mark.slow
def test_damage_and_its_replay(tmp_path: Path) -> None:
    path, _ = concealed(tmp_path)
    assert decode_frames(path, [3]).problems == ()
    problems = decode_frames(path, [74]).problems
    for _ in range(2):
        assert decode_frames(path, [74]).problems == problems
        assert kinds(problems) == ["damaged", "replayed"]
        assert problems[1].detail.startswith("decoded from the start: the decoder ")
    cache = FrameCache(default_store(), lambda frames: frames, "raw")
    for _ in range(2):
        clip = read_media(Media("video", path), lambda _: [74], cache=cache)
        assert clip.problems == problems
    assert read_media(Media("video", path), lambda _: [3], cache=cache).problems == ()


@pytest.mark.parametrize("name", ["lossless.mkv", "vp9.webm", "h264.mkv", "mpeg4.avi", "flv1.flv"])
@pytest.mark.parametrize("skipped", [slow(-20), 0, 8])
def test_a_hole_in_the_middle(name: str, skipped: int, file_of: FileOf, tmp_path: Path) -> None:
    """Zeros over one packet, or over the structure around it."""
    content = bytearray(Path(file_of(name)).read_bytes())
    with av.open(file_of(name)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0)]
    start, size = packets[12]
    assert start is not None
    hole = slice(start + skipped, start + max(size, 40))
    content[hole] = bytes(len(content[hole]))
    path = tmp_path / name
    path.write_bytes(content)
    frames, _ = naive.decode_all(str(path))
    try:
        clip = read_media(Media("video", str(path)), lambda info: range(info.num_frames))
    except MediaError:
        return
    assert {"damaged", "truncated"} & set(kinds(clip.problems))
    assert len(clip) == len(frames)


four = partial(linspace_to_last_frame, num_frames=4)


@pytest.mark.parametrize(
    ("sampler", "name", "start", "expected"),
    [
        (four, "h264.mp4", None, []),
        (four, "three_frames.mp4", None, ["3 frames, 4 were asked for"]),
        (four, "one_frame.mp4", None, ["1 frames, 4 were asked for"]),
        (four, "h264.mp4", 2.9, ["3 frames, 4 were asked for"]),
        (lambda _: [0, 1, 1], "h264.mp4", None, []),
        (lambda _: [0, 1, 1, 2], "three_frames.mp4", None, ["3 frames, 4 were asked for"]),
        (
            partial(each_frame_once, num_frames=4),
            "three_frames.mp4",
            None,
            ["3 frames, 4 were asked for"],
        ),
    ],
)
def test_clips_shorter_than_asked(
    sampler: Callable[[VideoInfo], Sequence[int]],
    name: str,
    start: float | None,
    expected: list[str],
    file_of: FileOf,
) -> None:
    media = Media("video", file_of(name), start_seconds=start)
    for cache in (None, FrameCache(default_store(), lambda frames: frames, "raw")):
        clip = read_media(media, sampler, cache=cache)
        assert [problem.detail for problem in clip.problems] == expected
        assert set(kinds(clip.problems)) <= {"fewer_frames"}


def digests(pixels: Sequence[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]) -> tuple[str, ...]:
    return tuple(
        hashlib.blake2b(np.ascontiguousarray(each).tobytes(), digest_size=8).hexdigest()
        for each in pixels
    )


def test_a_proof_is_of_the_pixels_before_resizing(file_of: FileOf) -> None:
    path = file_of("hevc_cra.mp4")
    frames, _ = naive.decode_all(path)
    expected = digests([frames[index] for index in (74, 0, 74)])
    halved = FrameCache(default_store(), lambda frames: frames[:, :, ::2, ::2], "half")
    for cache in (None, halved, halved):  # decoded, decoded and kept, from the cache
        clip = read_media(Media("video", path), lambda _: [74, 0, 74], cache=cache)
        assert clip.proof is not None
        assert clip.proof.digests == expected
        assert (clip.proof.width, clip.proof.height) == (96, 64)
    assert decode_frames(path, [0]).proof is None
    forwards = read_media(Media("video", path), lambda _: [0, 74]).proof
    backwards = read_media(Media("video", path), lambda _: [74, 0]).proof
    assert forwards is not None
    assert backwards is not None
    assert forwards.digests == backwards.digests[::-1] != backwards.digests


def test_a_proof_of_images_and_folders(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(corpus.picture(number)).save(tmp_path / f"{number}.png")
    pixels = [corpus.picture(number) for number in range(3)]
    clip = read_media(Media("image", str(tmp_path / "1.png")), four)
    assert clip.proof is not None
    assert clip.proof.digests == digests(pixels[1:2])
    cache = FrameCache(None, lambda frames: frames[:, :, ::2], "half")
    clip = read_media(Media("video", str(tmp_path)), lambda _: [2, 0], cache=cache)
    assert clip.proof is not None
    assert clip.proof.digests == digests([pixels[2], pixels[0]])
    assert (clip.proof.width, clip.proof.height) == (96, 64)
    assert pickle.loads(pickle.dumps(clip.proof)) == clip.proof
    with pytest.raises(ValueError, match="proof of another number"):
        Clip(torch.zeros((1, 3, 4, 4), dtype=torch.uint8), (0,), (0.0,), proof=clip.proof)
