"""Questions about images in the forms of the references, and pieces of a prompt in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from llava_eval.benchmarks.adapters.cgbench import SubtitlesAndTimes
from llava_eval.benchmarks.adapters.image import image_caption, image_choice, image_question
from llava_eval.benchmarks.adapters.longvideobench import FramesAndSubtitles, longvideobench
from llava_eval.benchmarks.adapters.mmbench import mmbench
from llava_eval.benchmarks.adapters.videomme_v2 import FramesAndSentences, ListedWords
from llava_eval.benchmarks.frame_images import FrameImages
from llava_eval.benchmarks.rows import Row
from llava_eval.benchmarks.subtitles import Subtitles, cues_at_even_times
from llava_eval.errors import MediaError, RowsError
from llava_eval.types import Clip, FrameDependentPart, Media, PixelProof, Sample

VIDEO = Media("video", "v.mp4")
ROW: dict[str, Any] = {"id": 7, "question": " what IS it?\n", "answer": " A Dog ", "image": b"png"}


def asked(columns: dict[str, Any] | None = None, **parameters: Any) -> Sample:
    flat: dict[str, Any] = {
        "id": "{id}",
        "group": ["{document}", "{image}", "{id}"],
        "media": ["{id}.png"],
        "prompt": "{question}{ocr}",
        "answers": "answer",
    }
    row = Row(0, {**ROW, **(columns or {})}, "rows.jsonl", Path("/media"))
    return image_question(row, **{**flat, **parameters})


def clip(num_frames: int, fps: float | None = 10.0) -> Clip:
    frames = torch.arange(num_frames, dtype=torch.uint8)[:, None, None, None]
    digests = tuple(f"{n:016x}" for n in range(num_frames))
    return Clip(
        frames.expand(-1, 3, 2, 2).contiguous(),
        tuple(range(num_frames)),
        tuple(n / 10 for n in range(num_frames)),
        fps=fps,
        num_source_frames=num_frames,
        proof=PixelProof(2, 2, digests),
    )


@pytest.mark.parametrize(
    ("parameters", "prompt"),
    [
        ({}, " what IS it?\n"),
        ({"question_form": "stripped"}, "what IS it?"),
        ({"question_form": "capitalized"}, " what is it?\n"),
        ({"delete_from_question": "IS "}, " what it?\n"),
        ({"question": "Q{id}"}, "Q7"),
    ],
)
def test_forms_of_a_question(parameters: dict[str, Any], prompt: str) -> None:
    made = asked(**parameters)
    assert (made.prompt, made.question) == (prompt, prompt)


def test_answers_and_groups_of_an_image() -> None:
    assert asked().targets == (" A Dog ",)
    assert asked(lower_answers=True).targets == ("a dog",)
    assert asked({"answer": ["A", " B"]}, lower_answers=True).targets == ("a", "b")
    assert asked({"answer": "[14, 2]"}, one_answer=True).targets == ("[14, 2]",)
    assert asked({"answer": "[14, 2]"}).targets == ("14", "2")
    assert asked({"answer": None}).targets == ()
    assert asked({"document": 9}).group == "9"
    with pytest.raises(RowsError, match="there is no column 'third'"):
        asked(group=["{first}", "{second}", "{third}"])
    named = asked().group
    assert named == asked({"id": 8}).group != asked({"image": b"other"}).group
    assert asked({"image": None}).group == "7"
    assert asked({"image": None}).media[0].path == "/media/7.png"
    assert [asked(upright=turned).media[0].upright for turned in (True, False)] == [True, False]


def test_captions_of_an_image_as_the_hub_turns_it() -> None:
    row = Row(0, {**ROW, "captions": ["A dog.", "It."], "domain": "near"}, "rows.jsonl")
    made = image_caption(
        row,
        id="{id}",
        media=[],
        references="captions",
        prompt="Describe {id}.",
        facets={"domain": ["domain"]},
    )
    assert (made.id, made.group, made.prompt, made.question) == ("7", "7", "Describe 7.", "")
    assert (made.targets, made.facets) == (("A dog.", "It."), {"domain": "near"})
    assert [medium.upright for medium in (*made.media, *asked().media)] == [True, True]


def test_tokens_of_a_reader_of_texts() -> None:
    for tokens, prompt, level in (
        (["a", "b c"], "\nReference OCR token: a, b c", "given"),
        ([], "\nReference OCR token: ", "given"),
        (None, "", "unknown"),
    ):
        made = asked({"ocr": tokens}, ocr_tokens="ocr", question="")
        assert (made.prompt, made.facets) == (prompt, {"ocr_tokens": level})
    assert asked().facets == {}


def test_a_question_ends_before_its_options() -> None:
    """V*'s rows have both in one column."""
    text = "What is the glove made of? \n(A) rubber\n(B) cotton"
    made = image_choice(
        Row(0, {"id": 7, "text": text, "label": "B"}, "rows"),
        id="{id}",
        group=["{id}"],
        media=["{id}.jpg"],
        question="{text}",
        question_ends_before="(A)",
        question_form="stripped",
        options="text",
        option_pattern=r"\([AB]\)\s*(\w+)",
        answer="{label}",
        answer_form="letter",
        prompt="{question}\n{options}",
    )
    assert made.question == "What is the glove made of?"
    assert made.prompt == "What is the glove made of?\nA. rubber\nB. cotton"
    assert made.targets == ("B",)


def test_a_hint_before_options() -> None:
    flat: dict[str, Any] = {
        "id": "{id}",
        "group": ["{id}"],
        "media": ["{id}.png"],
        "options": "choices",
        "prompt": "{hint}{question}\n{options}",
        "hint_format": "Hint: {hint}\n",
    }
    columns = {"id": 7, "question": "Which?", "choices": ["x", "y"], "answer": 1, "hint": "cold"}

    def made(**changes: Any) -> Sample:
        return image_choice(Row(0, {**columns, **changes}, "rows"), **flat, hint="hint")

    assert made().prompt == "Hint: cold\nWhich?\nA. x\nB. y"
    assert (made().targets, made().choices) == (("B",), ("x", "y"))
    assert made(hint="").prompt == "Which?\nA. x\nB. y"
    assert image_choice(Row(0, columns, "rows"), **flat).prompt == "Which?\nA. x\nB. y"
    for answer in (2, -1, "A", "²"):
        with pytest.raises(RowsError, match="is not the number of one of 2 options"):
            made(answer=answer)


@pytest.mark.parametrize(
    ("empty_cells", "columns", "options", "choices"),
    [
        ("nan", {"C": None, "D": float("nan")}, "A. x\nB. y", ("x", "y")),
        ("nan", {"C": "nan", "D": "NA"}, "A. x\nB. y\nD. NA", ("x", "y", "nan", "NA")),
        ("pandas", {"C": "nan", "D": "NA"}, "A. x\nB. y", ("x", "y")),
        ("pandas", {"C": "NULL", "D": "z"}, "A. x\nB. y\nD. z", ("x", "y", "", "z")),
    ],
)
def test_empty_cells_of_mmbench(
    empty_cells: Any, columns: dict[str, Any], options: str, choices: tuple[str, ...]
) -> None:
    row = {
        "index": "3000241",
        "question": "Which?",
        "A": "x",
        "B": "y",
        "answer": "B",
        "image": b"x",
    }

    def made(**changes: Any) -> Sample:
        return mmbench(
            Row(0, {**row, **columns, **changes}, "rows"),
            media=["{index}.png"],
            prompt="{hint}{options}",
            hint_format="H: {hint}\n",
            empty_cells=empty_cells,
        )

    assert (made().prompt, made().choices) == (options, choices)
    assert (made().id, made().group, made().targets) == ("3000241", "241", ("B",))
    assert made().media[0].upright
    assert made(hint="cold").prompt == f"H: cold\n{options}"
    assert made(hint="nan").prompt == options
    assert made(answer=None).targets == made(answer="nan").targets == ()
    for answer in ("E", "AB", "b"):
        with pytest.raises(RowsError, match=f"the answer '{answer}' is no letter"):
            made(answer=answer)


def test_longvideobench_takes_duration_and_start_from_its_row(tmp_path: Path) -> None:
    columns = {
        "id": "86_0",
        "video_path": "86.mp4",
        "question": "Which?",
        "option0": "x",
        "option1": "y",
        "option2": "N/A",
        "correct_choice": 1,
        "duration": 190.16,
        "subtitle_path": "86_en.json",
        "starting_timestamp_for_subtitles": 12,
    }
    made = longvideobench(
        Row(0, columns, "rows.jsonl", tmp_path),
        media=["videos/{video_path}"],
        prompt="{question}\n{options}",
        option_columns=["option0", "option1", "option2"],
        subtitles="subtitles/{subtitle_path}",
        max_frames=8,
    )
    piece, text = made.content
    path = str(tmp_path / "videos/86.mp4")
    assert piece == FramesAndSubtitles(
        Media("video", path, stated_seconds=190.16),
        str(tmp_path / "subtitles/86_en.json"),
        190.16,
        12.0,
        8,
    )
    assert (text, made.targets) == ("Which?\nA. x\nB. y", ("B",))


def test_pieces_say_what_they_will_be() -> None:
    pieces: list[FrameDependentPart] = [
        FramesAndSubtitles(VIDEO, "/s/a.json", 190.16, 12.0, 8),
        SubtitlesAndTimes(VIDEO, "/s/a.srt"),
        ListedWords(VIDEO, "/s/a.jsonl", "{words}"),
        FramesAndSentences(VIDEO, "/s/a.jsonl"),
        Subtitles(VIDEO, "/s/a.srt", "first_cue", heading="Listed:\n"),
        Subtitles(VIDEO, "/s/a.srt", "lmms_eval"),
        *(FrameImages(VIDEO, num_jpeg=number) for number in range(3)),
    ]
    assert [piece.description for piece in pieces] == [
        "frames with the subtitles of a.json, 190.16 s from 12 s",
        "subtitles of a.srt, times of the frames",
        "words of a.jsonl",
        "frames as JPEG images with the sentences of a.jsonl",
        "Listed: first_cue of a.srt",
        "lmms_eval of a.srt",
        "frames as images",
        "frames as JPEG images",
        "frames as JPEG images, twice",
    ]


def test_a_frame_keeps_its_place_and_its_proof() -> None:
    one = clip(3).frame(1)
    assert one.frames.flatten().tolist() == [1] * 12
    assert (one.frame_indices, one.pts_seconds) == ((1,), (0.1,))
    assert one.proof == PixelProof(2, 2, (f"{1:016x}",))


def test_times_need_a_frame_rate(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:00,000 --> 00:00:02,000\nx\n")
    words = tmp_path / "a.jsonl"
    words.write_text(json.dumps({"text": "x", "start_time": 0, "end_time": 1}))
    for piece in (
        SubtitlesAndTimes(VIDEO, str(path)),
        FramesAndSentences(VIDEO, str(words)),
        Subtitles(VIDEO, str(path), "first_cue"),
    ):
        assert piece.expand(clip(3))
        with pytest.raises(MediaError, match=r"v\.mp4: .*frame rate"):
            piece.expand(clip(3, fps=None))


def test_cues_at_even_times(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    blocks = [
        "1\n00:00:00,000 --> 00:00:00,100\nfirst\nline",
        "no times here",
        "2\n00:00:00.100 --> 00:00:00.400\nbetween",
        "3\n00:00:00,400 --> 00:00:01,000\nlast",
    ]
    path.write_text("\n\n".join(blocks))
    # Three times for three of nine frames at 10 a second: 0 s, 0.4 s and 0.8 s.
    shown = Clip(
        torch.zeros((3, 3, 2, 2), dtype=torch.uint8),
        (0, 4, 8),
        (0.0, 0.4, 0.8),
        fps=10.0,
        num_source_frames=9,
    )
    assert cues_at_even_times(path, shown) == "first line\nlast"
    ends = ("1\n00:00:00,390 --> 00:00:00,410\nmiddle", "2\n00:00:00,790 --> 00:00:00,810\nend")
    path.write_text("\n\n".join(ends))
    assert cues_at_even_times(path, shown) == "middle\nend"
    two = Clip(shown.frames[:2], (0, 8), (0.0, 0.8), fps=10.0, num_source_frames=9)
    assert cues_at_even_times(path, two) == "end"
    path.write_text("1\n00:00:05,000 --> 00:00:06,000\nlater")
    assert cues_at_even_times(path, shown) is None
    path.write_text("1\nsoon --> later\nx")
    with pytest.raises(MediaError, match=r"expected two times, got 'soon --> later'"):
        cues_at_even_times(path, shown)
