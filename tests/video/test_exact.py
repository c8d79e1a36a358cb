"""Every kind of file: each frame equals the plain decode to the last bit, or is refused clearly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from llava_eval.errors import MediaError
from llava_eval.types import Clip
from llava_eval.video import decode_frames, probe
from tests.video import corpus, naive

FileOf = Callable[[str], str]
ShownBy = Callable[[str], tuple[naive.Frames, list[float | None]]]

#: Why a file is decoded from its start; all others must not be.
SEQUENTIAL = {
    "h264.avi": "another order than stated",
    "h264.h264": "no timestamp",
    "interlaced.mp4": "interlaced",
    "starts_inside.mkv": "first packet",
    "starts_inside.mp4": "first sample",
    "edit_list_twice.mp4": "shows the same samples twice",
    "edit_list_open_gop.mp4": "first packet",
    "mpeg4.avi": "nothing is known",
    "mpeg4_b.avi": "nothing is known",
    "mpeg2.ts": "nothing is known",
    "mpeg2.mpg": "nothing is known",
    "wmv2.asf": "nothing is known",
    "flv1.flv": "nothing is known",
    "lossless.mkv": "nothing is known",
    "animation.gif": "nothing is known",
    "truncated.mp4": "marked as corrupt",
    "truncated.flv": "marked as corrupt",
    "truncated.ts": "marks frame",
    "truncated_fragments.mp4": "marked as corrupt",
    "stored_times.mp4": "another order than stated",
    "stored_times.mkv": "another order than stated",
    "stored_times_hevc.mp4": "another order than stated",
    "stored_times_later.mp4": "another order than stated",
    "stored_times_later.mkv": "another order than stated",
    "late_b_frames.mp4": "another order than stated",
    "late_b_frames.mkv": "another order than stated",
    "new_parameters.mp4": "changes its parameters",
    "put_together.mp4": "several sequences",
    "put_together.mkv": "several sequences",
    "put_together.ts": "several sequences",
    "joined_hevc.mp4": "joined at a keyframe",
    "joined_hevc.mkv": "joined at a keyframe",
    "joined_hevc.ts": "joined at a keyframe",
    "joined_h264.mp4": "joined at a keyframe",
    "joined_h264.mkv": "joined at a keyframe",
    "joined_h264.ts": "joined at a keyframe",
    "empty_sample.mp4": "a sample is empty",
    "unknown_track.webm": "Invalid track number",
    "twice.ts": "",  # timestamps or continuity counters jump
    "new_size.ts": "",
}


def check(clip: Clip, indices: Sequence[int], frames: naive.Frames) -> None:
    assert clip.frame_indices == tuple(indices)
    for row, index in enumerate(indices):
        pixels = clip.frames[row].permute(1, 2, 0).numpy()
        assert np.array_equal(pixels, frames[index]), f"frame {index} differs"


@pytest.mark.parametrize(
    "name",
    corpus.cases(name for name in (*corpus.NAMES, *corpus.UNSTEADY) if name != "new_size.ts"),
)
def test_every_kind_of_file(name: str, file_of: FileOf, shown_by: ShownBy) -> None:
    path = file_of(name)
    frames, times = shown_by(name)
    count = len(frames)
    info = probe(path)
    assert info.num_frames == count
    assert (info.height, info.width) == frames[0].shape[:2]

    random = np.random.default_rng(count)
    unordered = [int(index) for index in random.integers(0, count, 7)]
    for indices in (
        [int(index) for index in np.linspace(0, count - 1, 8, dtype=int)],
        [*unordered, unordered[0], count - 1],
        [count - 1],
        [count // 2],
    ):
        clip = decode_frames(path, indices)
        check(clip, indices, frames)
        assert clip.num_source_frames == count
        for row, index in enumerate(indices):
            if (time := times[index]) is not None:
                assert clip.pts_seconds[row] == pytest.approx(time, abs=1e-6)
        if name == "truncated.ts":  # only its last frame is damaged
            assert all(SEQUENTIAL[name] in note for note in clip.notes)
        elif name in SEQUENTIAL:
            assert len(clip.notes) == 1
            assert clip.notes[0].startswith("decoded sequentially: ")
            assert SEQUENTIAL[name] in clip.notes[0]
        else:
            assert clip.notes == ()


@pytest.mark.slow  # together about 14 s
@pytest.mark.parametrize("name", [name for name in corpus.NAMES if name not in SEQUENTIAL])
def test_each_single_frame(name: str, file_of: FileOf, shown_by: ShownBy) -> None:
    path = file_of(name)
    frames, _ = shown_by(name)
    for index in range(len(frames)):
        check(decode_frames(path, [index], num_threads=1), [index], frames)


@pytest.mark.parametrize("name", ["h264.mp4", "hevc_cra.mp4", "vp9_hidden.webm", "av1.mp4"])
def test_all_frames_at_once(name: str, file_of: FileOf, shown_by: ShownBy) -> None:
    frames, _ = shown_by(name)
    indices = range(len(frames))
    check(decode_frames(file_of(name), indices), indices, frames)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stored_times.mp4", "stored_times.mkv", "new_parameters.mp4"])
def test_times_that_rise_as_frames_are_stored(
    name: str, file_of: FileOf, shown_by: ShownBy
) -> None:
    frames, _ = shown_by(name)
    for index in range(len(frames)):
        check(decode_frames(file_of(name), [index]), [index], frames)


@pytest.mark.slow
@pytest.mark.parametrize(
    "b_frames", [("bframes=0", "bframes=2"), ("bframes=1:b-pyramid=0", "bframes=6:b-pyramid=1")]
)
def test_a_part_that_reorders_further_than_the_one_before_states(
    b_frames: tuple[str, str], tmp_path: Path
) -> None:
    """As ffmpeg joins files: the decoder keeps the first one's parameters, and shows by these."""
    parts = [tmp_path / "first.mp4", tmp_path / "second.mp4"]
    for part, own in zip(parts, b_frames, strict=True):
        options = f"log-level=error:keyint=10:scenecut=0:ref=3:b-adapt=0:{own}"
        corpus.encode(part, "libx265", count=20, options={"x265-params": options})
    path = tmp_path / "joined.mp4"
    with av.open(str(path), "w") as outputs:
        copy = None
        for number, part in enumerate(parts):
            with av.open(str(part)) as inputs:
                stream = inputs.streams.video[0]
                copy = copy or outputs.add_stream_from_template(stream)
                for packet in inputs.demux(stream):
                    if packet.pts is not None and packet.dts is not None:
                        packet.pts += number * 24 * 512
                        packet.dts += number * 24 * 512
                        packet.stream = copy
                        outputs.mux(packet)
    frames, times = naive.decode_all(str(path))
    assert times != sorted(times, key=lambda time: time or 0.0)
    for index in range(20, len(frames)):
        check(decode_frames(path, [index]), [index], frames)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_times_that_rise_in_part_of_a_group(suffix: str, file_of: FileOf, tmp_path: Path) -> None:
    path = tmp_path / f"part.{suffix}"
    with av.open(file_of("b_frames.mp4")) as inputs, av.open(str(path), "w") as outputs:
        stream = inputs.streams.video[0]
        copy = outputs.add_stream_from_template(stream)
        for number, packet in enumerate(inputs.demux(stream)):
            if not packet.size:
                continue
            if 25 <= number < 37:  # as ffmpeg mends times that would jump back where files join
                packet.pts = packet.dts = 25 * 512 + 20 * (number - 25)
            packet.stream = copy
            outputs.mux(packet)
    frames, _ = naive.decode_all(str(path))
    assert len(frames) == 75
    for index in (26, 60):
        check(decode_frames(path, [index]), [index], frames)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["ts", "mp4"])
def test_parameter_sets_of_another_stream_at_keyframes(
    suffix: str, file_of: FileOf, tmp_path: Path
) -> None:
    with av.open(file_of("hevc_long.ts")) as other:
        stale = bytes(other.streams.video[0].codec_context.extradata or b"")
    path = tmp_path / f"sets.{suffix}"
    with av.open(file_of("hevc.ts")) as inputs, av.open(str(path), "w") as outputs:
        stream = inputs.streams.video[0]
        copy = outputs.add_stream_from_template(stream)
        for packet in inputs.demux(stream):
            if packet.size:
                written = av.Packet(stale * packet.is_keyframe + bytes(packet))
                written.pts, written.dts = packet.pts, packet.dts
                written.time_base, written.is_keyframe = packet.time_base, packet.is_keyframe
                written.stream = copy
                outputs.mux(written)
    frames, _ = naive.decode_all(str(path))
    assert len(frames) < 75
    assert probe(path).num_frames == len(frames)


@pytest.mark.parametrize("suffix", [".avi", ".mov"])
def test_colours_of_a_palette(suffix: str, tmp_path: Path) -> None:
    path = str(tmp_path / f"palette{suffix}")
    palette = np.random.default_rng(0).integers(0, 256, (256, 4), np.uint8)
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "pal8"
        for number in range(5):
            pixels: Any = (np.ascontiguousarray(corpus.picture(number)[:, :, 0]), palette)
            frame = av.VideoFrame.from_ndarray(pixels, format="pal8")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frames, _ = naive.decode_all(path)
    assert probe(path).num_frames == len(frames) == 5
    check(decode_frames(path, [4, 1]), [4, 1], frames)


def test_a_change_of_resolution(file_of: FileOf, shown_by: ShownBy) -> None:
    path = file_of("new_size.ts")
    frames, _ = shown_by("new_size.ts")
    assert probe(path).num_frames == len(frames) == 60
    check(decode_frames(path, [0, 29]), [0, 29], frames)
    check(decode_frames(path, [59, 31]), [59, 31], frames)
    with pytest.raises(MediaError, match=r"new_size\.ts: frame 59 is 64x48 while others are 96x64"):
        decode_frames(path, [0, 59])


def test_rotation_is_stated_and_not_applied(file_of: FileOf, shown_by: ShownBy) -> None:
    info = probe(file_of("rotated.mp4"))
    assert info.rotation == 90
    assert (info.width, info.height) == (corpus.WIDTH, corpus.HEIGHT)
    clip = decode_frames(file_of("rotated.mp4"), [10])
    assert clip.frames.shape == (1, 3, corpus.HEIGHT, corpus.WIDTH)
    check(clip, [10], shown_by("rotated.mp4")[0])
    assert probe(file_of("h264.mp4")).rotation == 0


def test_frames_are_laid_out_as_they_were_decoded(file_of: FileOf) -> None:
    frames = decode_frames(file_of("h264.mp4"), [0, 1]).frames
    assert frames.permute(0, 2, 3, 1).is_contiguous()
