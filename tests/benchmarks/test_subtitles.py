"""Subtitles of the frames that are shown, against what the references make of the same files."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from llava_eval.benchmarks.adapters.cgbench import SubtitlesAndTimes
from llava_eval.benchmarks.adapters.longvideobench import FramesAndSubtitles
from llava_eval.benchmarks.adapters.videomme_v2 import ListedWords
from llava_eval.benchmarks.subtitles import Subtitles, first_cues, read_cues, windows_of_frames
from llava_eval.errors import MediaError
from llava_eval.types import Clip, Media, prompt_text
from tests.scoring.protocols import protocol

GOLDEN = Path(__file__).parent / "golden"
VIDEO = Media("video", "v.mp4")
SRT = """1
00:00:00,000 --> 00:00:02,000
Hello <i>there</i>.

2
00:00:02,000 --> 00:00:04,500
two
lines
"""


def clip(frame_indices: list[int], fps: float | None = 10.0) -> Clip:
    return Clip(
        torch.zeros((len(frame_indices), 3, 2, 2), dtype=torch.uint8),
        tuple(frame_indices),
        tuple(index / 10 for index in frame_indices),
        fps=fps,
    )


def golden(name: str) -> list[dict[str, Any]]:
    rows = json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    assert len(rows) > 20
    return list(rows)


def test_subtitle_lines_of_the_references(tmp_path: Path) -> None:
    path = tmp_path / "v.srt"
    for row in golden("subtitles.json"):
        path.write_text(row["srt"], encoding="utf-8")
        shown = row["frame_indices"], row["fps"]
        assert first_cues(path, *shown) == row["first_cue"]
        assert windows_of_frames(path, *shown) == row["lmms_eval"]


def test_webvtt_may_leave_hours_out_and_time_its_words(tmp_path: Path) -> None:
    path = tmp_path / "v.vtt"
    path.write_text(
        "\ufeffWEBVTT\n\n00:01.000 --> 00:02.000 align:start\nso<00:00:01.200><c> it</c>"
        "<00:00:01.500><c> is</c>\n\nNOTE of nobody\n\nlast words\n"
        "59:58.000 --> 01:00:02.000\nlate\n"
    )
    assert first_cues(path, [15, 36_000], 10.0) == "so it is\nlate"
    path.write_text(
        "[Script Info]\n[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,so it is\n"
    )
    with pytest.raises(MediaError, match="no subtitle in this file; expected SubRip or WebVTT"):
        first_cues(path, [15], 10.0)


@pytest.mark.parametrize(
    "expanded",
    [
        lambda path: Subtitles(VIDEO, path, "first_cue").expand(clip([5])),
        lambda path: SubtitlesAndTimes(VIDEO, path).expand(clip([5])),
        lambda path: ListedWords(VIDEO, path, "{words}").expand(clip([5])),
    ],
)
def test_a_video_is_without_subtitles_only_where_there_are_surely_none(
    expanded: Callable[[str], tuple[str, ...]], tmp_path: Path
) -> None:
    none = expanded(f"{tmp_path}/none.srt")
    assert expanded(f"{tmp_path}/") == none, "of a CSV's row without a name"
    for name, target in (("loop", "loop"), ("dangling", "share/that/is/gone")):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(OSError, match=name):
            expanded(str(tmp_path / name))
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="is a pipe, socket or device"):
        expanded(str(tmp_path / "pipe"))


def test_times_have_hours_and_minutes(tmp_path: Path) -> None:
    path = tmp_path / "v.srt"
    shown = '1\n{} --> {}\n<font color="white" size=".72c">late</font>\n'
    path.write_text(shown.format("01:02:03,100", "01:02:03,300"))
    frames = [index for index in range(37_225, 37_240) if windows_of_frames(path, [index], 10.0)]
    assert frames == [37231, 37232]  # of 3723.1 s up to 3723.3 s


def test_the_number_of_the_next_cue_is_no_text(tmp_path: Path) -> None:
    """As pysubs2's SubripFormat has it, also behind a cue without text."""
    path = tmp_path / "v.srt"
    path.write_text(
        "1\n00:00:00,000 --> 00:00:02,000\n\n2\n00:00:02,000 --> 00:00:04,000\n\nlate\n3\n"
        "00:00:04,000 --> 00:00:06,000\n7\n"
    )
    assert [cue.text for cue in read_cues(path)] == ["", "late", "7"]


@pytest.mark.parametrize("line_break", ["\r\n", "\r"])
def test_line_breaks_of_other_systems(tmp_path: Path, line_break: str) -> None:
    path = tmp_path / "v.srt"
    marked = SRT.replace("Hello", '<font color="white" size=".72c">Hi</font>\nHello')
    marked = marked.replace("two", '<font color="white" size=".72c">two</font>')
    path.write_bytes(marked.replace("\n", line_break).encode())
    assert first_cues(path, [5, 30], 10.0) == "Hi Hello {\\i1}there{\\i0}.\ntwo lines"
    assert windows_of_frames(path, [5, 30], 10.0) == "Hi\ntwo"
    even = Subtitles(VIDEO, str(path), "cgbench_lmms_eval").expand(clip([0, 40]))
    assert even == ('<font color="white" size=".72c">Hi</font> Hello <i>there</i>.\n',)


def test_interleaved_frames_and_lines_of_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    for row in golden("interleaved.json"):
        path.write_text(json.dumps(row["subtitles"]))
        num_frames = min(row["max_frames"], int(row["duration"]))
        piece = FramesAndSubtitles(
            VIDEO, str(path), float(row["duration"]), float(row["start"]), row["max_frames"]
        )
        pieces = piece.expand(clip(list(range(num_frames))))
        images = [one for one in pieces if isinstance(one, Clip)]
        text = "".join(one if isinstance(one, str) else "<image>\n" for one in pieces)
        assert text + "Q" == row["text"]
        assert [image.frame_indices for image in images] == [(n,) for n in range(num_frames)]


def test_interleaved_lines_may_have_hours_and_begin_later(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    path.write_text('[{"start": "01:02:03.500", "end": "01:02:05.500", "line": "late"}]')
    # The video begins at 1:02:00, a frame a second: the line's middle is at 4.5 s of it.
    pieces = FramesAndSubtitles(VIDEO, str(path), 8.0, 3720.0, 16).expand(clip(list(range(8))))
    shown = [one if isinstance(one, str) else one.frame_indices[0] for one in pieces]
    assert shown == [0, 1, 2, 3, 4, "late\n", 5, 6, 7]


def test_the_official_prompt_with_subtitles(tmp_path: Path) -> None:
    (tmp_path / "subtitle").mkdir()
    (tmp_path / "subtitle" / "v.srt").write_text(SRT)
    row = {
        "videoID": "v",
        "question_id": "1",
        "question": "Q?",
        "options": ["A. w", "B. x", "C. y", "D. z"],
        "answer": "B",
    }
    parts = protocol("videomme/official_subtitles", "benchmark.adapter.media=[v.mp4]")
    adapter = parts.adapter
    from llava_eval.benchmarks.rows import Row

    sample = adapter(Row(0, row, "rows", tmp_path))
    assert not isinstance(sample, tuple)
    assert sample.media == (Media("video", str(tmp_path / "v.mp4")),)
    (part,) = sample.frame_dependent_parts
    assert part == pickle.loads(pickle.dumps(part))
    expanded = part.expand(clip([1, 5, 30]))
    assert expanded == (
        (
            "This video's subtitles are listed below:\n"
            "Hello {\\i1}there{\\i0}.\nHello {\\i1}there{\\i0}.\ntwo lines\n"
        ),
    )
    asked = [*sample.content[:1], *expanded, *sample.content[2:]]
    assert prompt_text(asked).endswith(
        "two lines\nSelect the best answer to the following multiple-choice question based on "
        "the video. Respond with only the letter (A, B, C, or D) of the correct option.\nQ?\n"
        "A. w\nB. x\nC. y\nD. z\nThe best answer is:"
    )
    assert sample.prompt.startswith("[This video's subtitles are listed below: first_cue of v.srt]")


def test_a_video_without_subtitles(tmp_path: Path) -> None:
    none = str(tmp_path / "none.srt")
    assert Subtitles(VIDEO, none, "first_cue", "Heading:\n").expand(clip([1])) == ()
    lmms_eval = Subtitles(VIDEO, none, "lmms_eval", "Heading: \n", "No subtitles available")
    assert lmms_eval.expand(clip([1])) == ("Heading: \nNo subtitles available\n",)


def test_a_frame_without_a_line_leaves_the_heading_out_or_alone(tmp_path: Path) -> None:
    path = tmp_path / "v.srt"
    path.write_text(SRT)
    first = Subtitles(VIDEO, str(path), "first_cue", "H\n")
    assert first.expand(clip([600])) == ()
    assert first.expand(clip([0, 20, 45])) == ()  # where one begins or ends, none is shown
    kept = Subtitles(VIDEO, str(path), "lmms_eval", "H\n", "none")
    assert kept.expand(clip([600])) == ("H\n\n",)


@pytest.mark.parametrize(
    ("content", "fps", "part"),
    [
        (b"no cue here", 10.0, "no subtitle"),
        (b"\xff\xfe1\n", 10.0, "cannot be read"),
        (SRT.encode(), None, "frame rate"),
    ],
)
def test_unusable_subtitles_fail_the_sample(
    tmp_path: Path, content: bytes, fps: float | None, part: str
) -> None:
    path = tmp_path / "v.srt"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=part):
        Subtitles(VIDEO, str(path), "first_cue").expand(clip([1], fps))


def test_cgbench_shows_subtitles_that_are_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "v.srt"
    path.write_bytes(SRT.replace("Hello", "caf\xe9").encode("latin-1"))
    shown = Subtitles(VIDEO, str(path), "cgbench_lmms_eval").expand(clip([0, 40]))
    assert shown == ("caf\ufffd <i>there</i>.\n",)


def test_a_cue_without_times_is_named(tmp_path: Path) -> None:
    path = tmp_path / "v.srt"
    path.write_text("1\nsoon\ntext\n")
    with pytest.raises(MediaError, match="'soon'"):
        windows_of_frames(path, [1], 10.0)


@pytest.mark.parametrize("content", ["[", '[{"timestamp": [1]}]', '[{"start": "x", "end": "y"}]'])
def test_damaged_interleaved_subtitles_fail_the_sample(tmp_path: Path, content: str) -> None:
    path = tmp_path / "v.json"
    path.write_text(content)
    with pytest.raises(MediaError, match=r"v\.json: the subtitles cannot be read"):
        FramesAndSubtitles(VIDEO, str(path), 10.0, 0.0, 16).expand(clip([1]))
