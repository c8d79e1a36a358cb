"""probe and decode_frames: what they say, what they refuse, how they fail."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from llava_eval.engine.console import messages_shown
from llava_eval.errors import MediaError
from llava_eval.types import VideoInfo
from llava_eval.video import decode_ahead, decode_frames, probe
from llava_eval.video.container import open_video
from llava_eval.video.decode import cut
from llava_eval.video.fast.ranges import _Cores
from llava_eval.video.samplers import segment_midpoints
from tests.video import corpus

FileOf = Callable[[str], str]


def grey_levels(path: Path, count: int) -> None:
    """A video whose frame i is grey with level 4 * i."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "12", "qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        for number in range(count):
            pixels = np.full((48, 64, 3), 4 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


def test_frame_numbers_are_right(tmp_path: Path) -> None:
    path = tmp_path / "grey.mp4"
    grey_levels(path, 60)
    indices = [59, 0, 13, 12, 11, 13]
    clip = decode_frames(path, indices)
    levels = clip.frames.float().mean(dim=(1, 2, 3)) / 4
    assert [round(float(level)) for level in levels] == indices
    assert clip.pts_seconds == pytest.approx([5.9, 0.0, 1.3, 1.2, 1.1, 1.3])
    assert clip.fps == 10.0
    assert clip.num_source_frames == 60


def test_probe(file_of: FileOf) -> None:
    info = probe(Path(file_of("h264.mp4")))
    assert info.path == file_of("h264.mp4")
    assert (info.num_frames, info.fps, info.seconds) == (75, 25.0, 3.0)
    assert (info.width, info.height, info.codec) == (96, 64, "h264")
    assert (info.rotation, info.first_frame_index) == (0, 0)
    assert probe(file_of("hevc.mkv")).codec == "hevc"
    assert probe(file_of("av1.mp4")).codec == "av1"


def test_probe_states_the_frames_that_are_shown(file_of: FileOf) -> None:
    assert probe(file_of("edit_list.mp4")).num_frames == 50
    assert probe(file_of("vp9.webm")).num_frames == 75


@pytest.mark.parametrize("name", ["live.mkv", "live.webm", "h264.h264"])
def test_a_duration_that_no_header_states_is_counted(name: str, file_of: FileOf) -> None:
    assert probe(file_of(name)).seconds == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize(
    ("start", "end", "first", "count"),
    [
        (None, None, 0, 75),
        (1.0, None, 25, 50),
        (None, 2.0, 0, 51),
        (1.0, 2.0, 25, 26),
        (0.5, 0.54, 12, 3),  # round(12.5) is 12, round(13.5) is 14
        (2.0, 99.0, 50, 25),
        (2.96, 3.5, 74, 1),
    ],
)
def test_cuts(
    start: float | None, end: float | None, first: int, count: int, file_of: FileOf
) -> None:
    info = probe(file_of("h264.mp4"), start_seconds=start, end_seconds=end)
    assert (info.first_frame_index, info.num_frames) == (first, count)
    indices = segment_midpoints(info, 4)
    assert all(first <= index < first + count for index in indices)
    if (start, end) != (None, None):
        assert info.seconds == pytest.approx(count / 25)


@pytest.mark.parametrize(
    ("start", "end", "counted_from", "first", "count"),
    [
        (1.0, 2.0, 0, 3, 4),  # frames 3 to 6 of 3 a second
        (1.0, 2.0, 1, 2, 4),  # the same names, of which the first frame has 1
        (0.0, 2.0, 1, 0, 6),
        (None, 2.0, 1, 0, 6),
        (1.0, None, 1, 2, 8),
        (1.0, 99.0, 1, 2, 8),
        (3.4, 9.0, 0, 10, 0),  # begins one frame after the last
        (3.7, 9.0, 1, 10, 0),
    ],
)
def test_cuts_of_frames_that_are_counted_from_0_or_1(
    start: float | None, end: float | None, counted_from: int, first: int, count: int
) -> None:
    whole = VideoInfo("v", 10, 3.0, 10 / 3, 8, 8, "png")
    part = cut(whole, start, end, first_number=counted_from)
    assert (part.first_frame_index, part.num_frames) == (first, count)
    assert part.seconds == pytest.approx(count / 3)
    with pytest.raises(MediaError, match="a cut needs a frame rate"):
        cut(replace(whole, fps=0.0), start, end)
    with pytest.raises(
        MediaError, match=r"between 4\.0 s and 9\.0 s; the video has 10 frames at 3"
    ):
        cut(whole, 4.0, 9.0, first_number=counted_from)


def test_a_cut_beyond_the_end(file_of: FileOf) -> None:
    with pytest.raises(MediaError, match=r"h264\.mp4: no frame lies between 5\.0 s and 6\.0 s"):
        probe(file_of("h264.mp4"), start_seconds=5.0, end_seconds=6.0)


@pytest.mark.parametrize("name", ["h264.mp4", "mpeg4.avi"])
@pytest.mark.parametrize("index", [75, 1000])
def test_an_index_out_of_range(index: int, name: str, file_of: FileOf) -> None:
    with pytest.raises(MediaError, match=rf"frame index {index} is out of range.* has 75 frames"):
        decode_frames(file_of(name), [0, index])


def test_a_negative_index(file_of: FileOf) -> None:
    with pytest.raises(MediaError, match=r"h264\.mp4: frame index -1 is out of range"):
        decode_frames(file_of("h264.mp4"), [0, -1])


def test_a_video_is_decoded_once_to_count_and_to_show(
    file_of: FileOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def note(path: str) -> object:
        opened.append(path)
        return open_video(path)

    monkeypatch.setattr("llava_eval.video.decode.open_video", note)
    clip = decode_frames(file_of("mpeg4.avi"), [0, 30])
    assert len(opened) == 1
    assert clip.num_source_frames == 75
    assert clip.frames.equal(decode_frames(file_of("mpeg4.avi"), [0, 30]).frames)


def test_no_indices(file_of: FileOf) -> None:
    with pytest.raises(ValueError, match="no frame indices were given"):
        decode_frames(file_of("h264.mp4"), [])


@pytest.mark.parametrize("function", [probe, lambda path: decode_frames(path, [0])])
@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.mp4", None, "no such file"),
        ("empty.mp4", b"", "the file is empty"),
        ("text.mp4", b"these are words\n" * 40, "not a video: the file holds text"),
        ("noise.mp4", bytes(range(256)) * 40, "not a video or damaged"),
    ],
)
def test_files_that_are_no_videos(
    function: Callable[[str], object],
    name: str,
    content: bytes | None,
    message: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=f"^{path}: {message}") as raised:
        function(str(path))
    assert "\n" not in str(raised.value)


def test_audio_only(tmp_path: Path) -> None:
    path = tmp_path / "audio.mp4"
    corpus.audio_only(path)
    with pytest.raises(MediaError, match=r"audio\.mp4: no video stream, only audio"):
        probe(path)


def test_a_codec_that_nothing_decodes(file_of: FileOf, tmp_path: Path) -> None:
    path = tmp_path / "future.mp4"
    path.write_bytes(Path(file_of("h264.mp4")).read_bytes().replace(b"avc1", b"h269"))
    with pytest.raises(MediaError, match=r"future\.mp4: no decoder for the codec of its video"):
        probe(path)


def test_a_folder_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is a folder, expected a video file"):
        probe(tmp_path)


def test_truncated_before_any_frame(file_of: FileOf, tmp_path: Path) -> None:
    path = tmp_path / "cut_off.mkv"
    path.write_bytes(Path(file_of("h264.mkv")).read_bytes()[:1500])
    with pytest.raises(MediaError, match=r"cut_off\.mkv: "):
        decode_frames(path, [0])


def test_header_without_samples(file_of: FileOf, tmp_path: Path) -> None:
    content = Path(file_of("faststart.mp4")).read_bytes()
    path = tmp_path / "no_samples.mp4"
    path.write_bytes(content[: content.index(b"mdat") + 4])
    with pytest.raises(MediaError, match=r"no_samples\.mp4: "):
        decode_frames(path, [0])


def test_time_limit(file_of: FileOf) -> None:
    with pytest.raises(MediaError, match=r"h264\.mp4: timed out after 1e-06 s"):
        decode_frames(file_of("h264.mp4"), [70], timeout_seconds=1e-6)


def test_the_reason_of_a_sequential_decode_is_logged(
    file_of: FileOf, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="llava_eval.video"):
        clip = decode_frames(file_of("mpeg4.avi"), [3])
    assert clip.notes == ("decoded sequentially: nothing is known of the codec's packets",)
    assert any(
        "mpeg4.avi" in record.getMessage() and "nothing is known" in record.getMessage()
        for record in caplog.records
    )


def test_the_codec_of_each_video_is_told_in_the_log_and_not_on_a_terminal(
    file_of: FileOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with messages_shown():
        logging.getLogger("llava_eval").info("there", extra={"run_directory": tmp_path})
        decode_frames(file_of("mpeg4.avi"), [3])
    assert "mpeg4.avi: decoded sequentially" in (tmp_path / "run.log").read_text()
    assert capsys.readouterr().err == "llava-eval: there\n"


def test_sets_are_decoded_together(file_of: FileOf) -> None:
    path = file_of("h264.mp4")
    sets = [[0, 30, 60], [74, 0], [5, 5]]
    together = decode_frames(path, [index for indices in sets for index in indices])
    assert together.num_source_frames == 75
    row = 0
    for indices in sets:
        alone, rows = decode_frames(path, indices), slice(row, row + len(indices))
        assert together.frame_indices[rows] == tuple(indices)
        assert together.pts_seconds[rows] == alone.pts_seconds
        assert together.frames[rows].equal(alone.frames)
        assert alone.num_source_frames == 75
        row += len(indices)


def test_frames_a_second_of_avi_are_those_that_are_shown(tmp_path: Path) -> None:
    """Every second packet is empty, as in copies of mp4: the header counts it all the same."""
    corpus.encode(tmp_path / "copy.avi", "mpeg4", count=40, times=lambda number: 2 * number)
    with av.open(str(tmp_path / "copy.avi")) as container:
        assert container.streams.video[0].average_rate == 25
    info = probe(tmp_path / "copy.avi")
    assert (info.num_frames, info.fps) == (40, 12.5)


@pytest.mark.parametrize(
    ("codec", "suffix"), [("libvpx", ".webm"), ("libx264", ".mkv"), ("mpeg4", ".mkv")]
)
def test_frames_a_second_of_a_recording_that_states_none(
    codec: str, suffix: str, tmp_path: Path
) -> None:
    """As browsers record, in milliseconds: by blocks, by packets, and decoded plainly."""
    path = tmp_path / f"recorded{suffix}"
    with av.open(str(path), "w", options={"live": "1"}) as container:
        stream: Any = container.add_stream(codec, rate=1000)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(corpus.picture(number), format="rgb24")
            frame.pts, frame.time_base = 33 * number + number % 3, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    stated = content.index(b"\x23\xe3\x83\x83")  # DefaultDuration, of 3 bytes
    path.write_bytes(content[:stated] + b"\xec\x85" + bytes(5) + content[stated + 7 :])  # Void
    info = probe(path)
    assert info.num_frames == 40
    assert info.fps == pytest.approx(39 / 1.287)
    assert info.seconds == pytest.approx(1.32, abs=0.01)


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_threads_do_not_change_frames(
    num_threads: int, file_of: FileOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llava_eval.video.fast.ranges._WORTH_PIXELS", 1)
    cores = _Cores(8)
    monkeypatch.setattr("llava_eval.video.fast.ranges._cores", cores)
    indices = list(range(0, 75, 3))
    expected = decode_frames(file_of("all_keyframes.mp4"), indices, num_threads=1)
    clip = decode_frames(file_of("all_keyframes.mp4"), indices, num_threads=num_threads)
    assert clip.frames.equal(expected.frames)
    assert cores.busy == 0


@pytest.mark.slow
@pytest.mark.parametrize("num_cores", [1, 2])
def test_videos_decoded_at_once_share_the_cores(
    num_cores: int, file_of: FileOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Helpers start where cores are free and leave where they are not; frames stay the same."""
    cores = _Cores(num_cores)
    monkeypatch.setattr("llava_eval.video.fast.ranges._WORTH_PIXELS", 1)
    monkeypatch.setattr("llava_eval.video.fast.ranges._cores", cores)
    names = ["all_keyframes.mp4", "h264.mp4", "hevc_cra.mp4", "av1.mp4"] * 3
    indices = list(range(0, 75, 2))
    expected = {name: decode_frames(file_of(name), indices, num_threads=1) for name in names}
    paths = [file_of(name) for name in names]
    outcomes = decode_ahead(
        paths, lambda path: decode_frames(path, indices, num_threads=4), num_workers=3
    )
    for name, outcome in zip(names, outcomes, strict=True):
        assert outcome.unwrap().frames.equal(expected[name].frames)
    assert cores.busy == 0


def test_an_error_of_a_helper_is_raised(file_of: FileOf, monkeypatch: pytest.MonkeyPatch) -> None:
    cores = _Cores(3)
    monkeypatch.setattr("llava_eval.video.fast.ranges._WORTH_PIXELS", 1)
    monkeypatch.setattr("llava_eval.video.fast.ranges._cores", cores)

    def fail(path: str) -> object:
        raise MediaError(f"{path}: vanished")

    monkeypatch.setattr("llava_eval.video.fast.ranges.open_source", fail)
    with pytest.raises(MediaError, match="vanished"):
        decode_frames(file_of("all_keyframes.mp4"), range(75), num_threads=3)
    assert cores.busy == 0


@pytest.mark.slow
def test_importing_does_not_need_torch() -> None:
    import subprocess
    import sys

    code = "import sys, llava_eval.video; print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_titles_that_are_not_utf_8(file_of: FileOf, tmp_path: Path) -> None:
    content = Path(file_of("h264.mp4")).read_bytes()
    assert content.count(b"Lavf") >= 1
    path = tmp_path / "latin.mp4"
    path.write_bytes(content.replace(b"Lavf", b"\xe9\xe8av"))
    clip = decode_frames(path, [0, 40])
    assert clip.frames.equal(decode_frames(file_of("h264.mp4"), [0, 40]).frames)


def test_what_libav_logs_is_afterwards_as_it_was_before(file_of: FileOf, tmp_path: Path) -> None:
    path = file_of("h264.mp4")
    kept = av.logging.get_level(), av.logging.get_skip_repeated()
    try:
        for level, skip_repeated in ((av.logging.ERROR, True), (av.logging.PANIC, False)):
            av.logging.set_level(level)
            av.logging.set_skip_repeated(skip_repeated)
            decode_frames(path, [0])
            with pytest.raises(MediaError):
                decode_frames(tmp_path / "nothing.mp4", [0])
            assert (av.logging.get_level(), av.logging.get_skip_repeated()) == (
                level,
                skip_repeated,
            )
    finally:
        av.logging.set_level(kept[0])
        av.logging.set_skip_repeated(kept[1])
