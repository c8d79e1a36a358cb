"""What a question of Video-MME-v2 shows: frames through JPEG, words and sentences between them."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from llava_eval.benchmarks.adapters.videomme_v2 import (
    FramesAndSentences,
    ListedWords,
    read_words,
    sentences,
    videomme_v2,
)
from llava_eval.benchmarks.frame_images import FrameImages
from llava_eval.benchmarks.rows import Row
from llava_eval.benchmarks.subtitles import Cue
from llava_eval.errors import MediaError, RowsError
from llava_eval.types import Clip, Media, Sample
from tests.scoring.protocols import protocol

GOLDEN = Path(__file__).parent / "golden" / "videomme_v2_subtitles.json.gz"


def clip(indices: list[int], fps: float, num_frames: int) -> Clip:
    pixels = np.random.default_rng(0).integers(0, 256, (len(indices), 24, 40, 3), dtype=np.uint8)
    return Clip(
        torch.from_numpy(pixels).permute(0, 3, 1, 2),
        tuple(indices),
        tuple(index / fps for index in indices),
        fps=fps,
        num_source_frames=num_frames,
    )


def turn(sample: Sample, shown: Clip) -> list[str | None]:
    """Return the texts of a user's turn, None for an image."""
    parts: list[str | None] = []
    for piece in sample.content:
        assert not isinstance(piece, Media)
        expanded = (piece,) if isinstance(piece, str) else piece.expand(shown)
        parts += [part if isinstance(part, str) else None for part in expanded]
    return parts


@pytest.mark.slow
@pytest.mark.parametrize("name", ["official_subtitles", "official_interleaved"])
def test_words_and_sentences_stand_where_the_authors_put_them(tmp_path: Path, name: str) -> None:
    content: dict[str, Any] = json.loads(gzip.decompress(GOLDEN.read_bytes()))
    path = tmp_path / "001.jsonl"
    overrides = (f"benchmark.adapter.subtitles={path}",)
    sample = protocol(f"videomme_v2/{name}", *overrides).sample(content["row"])
    for case in content["cases"]:
        path.unlink(missing_ok=True)
        if case["words"]:
            path.write_text("".join(json.dumps(word) + "\n\n" for word in case["words"]))
        shown = clip(case["frame_indices"], case["fps"], case["num_frames"])
        assert turn(sample, shown) == case[name]


def test_a_pause_as_long_as_the_limit_ends_no_sentence() -> None:
    words = [Cue(0.0, 0.0, "Go."), Cue(0.1, 1.0, "now"), Cue(1.5, 2.0, "on")]
    assert list(sentences(words)) == [Cue(0.0, 2.0, "Go. now on")]


def test_longer_pauses_end_a_sentence() -> None:
    words = [Cue(0.0, 1.0, "Go."), Cue(1.11, 2.0, "now"), Cue(2.51, 3.0, "on")]
    assert list(sentences(words)) == words


def test_a_sentence_stands_after_each_frame_that_it_touches(tmp_path: Path) -> None:
    """Frames 0 and 10 of ten a second are shown from 0.0 to 1.0 and from there to 2.0 s."""
    words = [(0.2, 1.0, "both"), (2.0, 2.5, "none")]
    lines = [{"start_time": start, "end_time": end, "text": text} for start, end, text in words]
    (tmp_path / "w.jsonl").write_text("\n".join(map(json.dumps, lines)))
    path, video = str(tmp_path / "w.jsonl"), Media("video", "v.mp4")
    pieces = FramesAndSentences(video, path).expand(clip([0, 10], 10.0, 20))
    said = "[Subtitle 0.20s - 1.00s]: both"
    assert [piece if isinstance(piece, str) else None for piece in pieces] == [
        *(None, said),
        *(None, said),
    ]
    shown = clip([0], 10.0, 20)
    for needs_words in (False, True):
        listed = ListedWords(video, path, "Said: {words}", needs_words)
        assert listed.expand(shown) == ("Said: both none",)
        without = dataclasses.replace(listed, path=str(tmp_path / "gone.jsonl"))
        assert without.expand(shown) == (() if needs_words else ("Said: ",))


def test_frames_are_what_a_jpeg_file_gives_back() -> None:
    shown = clip([3, 9], 10.0, 20)
    images = FrameImages(Media("video", "v.mp4"), num_jpeg=1).expand(shown)
    assert [image.frame_indices for image in images] == [(3,), (9,)]
    for image, frame in zip(images, shown.frames, strict=True):
        content = io.BytesIO()
        Image.fromarray(frame.permute(1, 2, 0).numpy()).save(content, "JPEG", quality=75)
        expected = torch.from_numpy(np.array(Image.open(content))).permute(2, 0, 1)
        assert torch.equal(image.frames[0], expected)
        assert not torch.equal(image.frames[0], frame)
    between = FramesAndSentences(Media("video", "v.mp4"), "gone.jsonl").expand(shown)
    assert all(
        isinstance(piece, Clip) and torch.equal(piece.frames, image.frames)
        for piece, image in zip(between, images, strict=True)
    )
    plain = FrameImages(Media("video", "v.mp4")).expand(shown)
    assert torch.equal(torch.cat([image.frames for image in plain]), shown.frames)


def test_a_damaged_subtitle_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(MediaError, match=r"x\.jsonl: the subtitles cannot be read: KeyError"):
        read_words(str(tmp_path / "x.jsonl"))


def test_an_answer_beyond_h_is_refused() -> None:
    content: dict[str, Any] = json.loads(gzip.decompress(GOLDEN.read_bytes()))
    with pytest.raises(RowsError, match="'I' is none of A, B"):
        protocol("videomme_v2/official").sample({**content["row"], "answer": "I"})


def test_options_that_a_cell_of_a_table_lists() -> None:
    row: dict[str, Any] = json.loads(gzip.decompress(GOLDEN.read_bytes()))["row"]
    made = protocol("videomme_v2/official")
    listed = ["A. A kite.", "B. A girl."]
    expected = made.sample({**row, "options": "A. A kite.\nB. A girl."})
    for cell in (listed, str(listed), json.dumps(listed)):
        assert made.sample({**row, "options": cell}) == expected
    assert expected.choices == ("A kite.", "A girl.")


@pytest.mark.slow
def test_pieces_of_the_authors_protocols() -> None:
    row: dict[str, Any] = json.loads(gzip.decompress(GOLDEN.read_bytes()))["row"]
    facets = ("group_type", "group_structure", "second_head", "third_head", "level")
    pieces: dict[str, tuple[type, ...]] = {
        "official": (FrameImages, str, str),
        "official_subtitles": (FrameImages, ListedWords, str),
        "official_interleaved": (FramesAndSentences, str, str),
    }
    for name, kinds in pieces.items():
        sample = protocol(f"videomme_v2/{name}").sample(row)
        assert tuple(map(type, sample.content)) == kinds
        if isinstance(images := sample.content[0], FrameImages):
            assert images.num_jpeg == 1
        assert sample.facets == {name: str(row[name]) for name in facets}


def test_a_video_is_shown_whole_or_as_jpeg_images() -> None:
    row = Row(0, json.loads(gzip.decompress(GOLDEN.read_bytes()))["row"], "rows.jsonl")
    whole = videomme_v2(row, media=["{video_id}.mp4"], prompt="{question}")
    images = videomme_v2(row, media=["{video_id}.mp4"], prompt="{question}", frames="jpeg_images")
    video = Media("video", "001.mp4")
    assert (whole.content[0], images.content[0]) == (video, FrameImages(video, num_jpeg=1))


def test_options_may_be_a_list() -> None:
    row: dict[str, Any] = json.loads(gzip.decompress(GOLDEN.read_bytes()))["row"]
    listed = {**row, "options": row["options"].split("\n")}
    parts = protocol("videomme_v2/official")
    assert parts.sample(listed).content == parts.sample(row).content
    assert parts.sample(listed).choices == parts.sample(row).choices != ()


@pytest.mark.slow
def test_lmms_eval_lists_the_words_only_where_there_are_some(tmp_path: Path) -> None:
    content = json.loads(
        gzip.decompress(GOLDEN.with_name("videomme_v2_listed_words.json.gz").read_bytes())
    )
    words = tmp_path / "subtitle" / "001.jsonl"
    words.parent.mkdir()
    parts = protocol("videomme_v2/lmms_eval_subtitles")
    for written, prompt in content["cases"]:
        words.unlink(missing_ok=True)
        if written is not None:
            words.write_text(written)
        sample = parts.adapter(Row(0, content["row"], "rows.jsonl", tmp_path))
        assert isinstance(sample, Sample)
        asked = dataclasses.replace(sample, content=sample.content[1:])
        assert "".join(map(str, turn(asked, clip([0], 10.0, 60)))) == prompt
