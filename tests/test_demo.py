"""The embedded data: what the README says about it, counted from the files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from llava_eval.video import probe
from tests.conftest import read_lines

MEGABYTE = 1 << 20


def test_everything_together_is_small(demo: Path) -> None:
    files = [path for path in demo.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 15 * MEGABYTE


def test_the_questions_cover_lengths_and_tasks_and_no_letter_is_favoured(demo: Path) -> None:
    rows = read_lines(demo / "multiple_choice.jsonl")
    assert len({row["question_id"] for row in rows}) == len(rows) == 270
    assert Counter(row["duration"] for row in rows) == {"short": 90, "medium": 90, "long": 90}
    assert len({row["task_type"] for row in rows}) >= 6
    assert set(Counter(row["videoID"] for row in rows).values()) == {3}
    letters = Counter(row["answer"] for row in rows)
    assert set(letters) == set("ABCD")
    assert max(letters.values()) - min(letters.values()) <= 1
    for row in rows:
        texts = [option.partition(". ")[2] for option in row["options"]]
        assert len(set(texts)) == 4


def test_every_row_has_its_video_and_every_video_its_rows(demo: Path) -> None:
    videos = {path.stem for path in (demo / "videos").glob("*.mp4")}
    columns = {"multiple_choice": "videoID", "open_ended": "video_name", "captions": "videoID"}
    for name, column in columns.items():
        assert {row[column] for row in read_lines(demo / f"{name}.jsonl")} == videos
    assert len(videos) == 90


def test_long_videos_are_longer(demo: Path) -> None:
    rows = read_lines(demo / "multiple_choice.jsonl")
    bounds = {"short": (7.0, 9.0), "medium": (14.0, 18.0), "long": (28.0, 36.0)}
    for stem, duration in {row["videoID"]: row["duration"] for row in rows}.items():
        info = probe(demo / "videos" / f"{stem}.mp4")
        low, high = bounds[duration]
        assert low <= info.num_frames / 8 <= high
        assert (info.codec, info.width, info.height) == ("h264", 144, 112)
