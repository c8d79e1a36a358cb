"""Whole runs whose prompts depend on the frames, or that ask how likely texts are."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from llava_eval.config.compose import compose_config
from llava_eval.run import run
from llava_eval.video import decode_frames
from tests.conftest import DEMO, read_lines, write_lines


def ledger(folder: Path) -> list[dict[str, Any]]:
    return read_lines(folder / "samples.jsonl")


@pytest.mark.slow
def test_the_ledger_holds_the_subtitles_that_were_asked_with(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to(DEMO / "videos")
    (tmp_path / "subtitle").mkdir()
    (tmp_path / "subtitle" / "demo_001.srt").write_text(
        "1\n00:00:00,000 --> 00:00:01,000\nEarly\n\n2\n00:00:01,000 --> 00:01:00,000\nLate\n"
    )
    overrides = [
        "benchmark=videomme/official_subtitles",
        f"benchmark.source={DEMO / 'multiple_choice.jsonl'}",
        f"benchmark.media_root={tmp_path}",
        "benchmark.limit=4",
        "sampler.num_frames=3",
        f"output_dir={tmp_path / 'out'}",
    ]
    assert run(compose_config(overrides)).exit_code == 0
    lines = ledger(tmp_path / "out")
    heading = "This video's subtitles are listed below:\n"
    with_file = [line for line in lines if line["group"] == "demo_001"]
    without = [line for line in lines if line["group"] != "demo_001"]
    assert with_file
    assert without
    assert all(
        line["prompt"].startswith(f"{heading}Late\nLate\nSelect the best") for line in with_file
    )
    assert all(line["prompt"].startswith("Select the best") for line in without)
    # Going on with a finished run asks nothing again and keeps what was asked.
    assert run(compose_config(overrides)).exit_code == 0
    assert ledger(tmp_path / "out") == lines


@pytest.mark.slow
def test_subtitles_that_cannot_be_seen_are_not_taken_for_none(tmp_path: Path) -> None:
    """As links into a share that is gone: their questions fail, those without a file are asked."""
    (tmp_path / "data").symlink_to(DEMO / "videos")
    subtitles = tmp_path / "subtitle"
    subtitles.mkdir()
    (subtitles / "demo_001.srt").symlink_to(tmp_path / "gone" / "demo_001.srt")
    (subtitles / "demo_002.srt").symlink_to("demo_002.srt")
    rows = [
        {**row, "question_id": row["videoID"]}
        for row in read_lines(DEMO / "multiple_choice.jsonl")
        if row["question_id"] in ("001-1", "002-1", "003-1")
    ]
    overrides = [
        "benchmark=videomme/official_subtitles",
        f"benchmark.source={write_lines(tmp_path / 'rows.jsonl', rows)}",
        f"benchmark.media_root={tmp_path}",
        "sampler.num_frames=1",
        f"output_dir={tmp_path / 'out'}",
    ]
    assert run(compose_config(overrides)).exit_code == 1
    errors = {line["id"]: line["generation"]["error"] for line in ledger(tmp_path / "out")}
    assert errors == {
        "demo_001": f"MediaError: {subtitles}/demo_001.srt: no such file",
        "demo_002": f"MediaError: {subtitles}/demo_002.srt: its links go round in a circle",
        "demo_003": None,
    }


@pytest.mark.slow
def test_questions_with_replaced_subtitles_are_asked_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").symlink_to(DEMO / "videos")
    subtitles = tmp_path / "subtitle"
    subtitles.mkdir()

    def write(number: int, text: str) -> None:
        cue = f"1\n00:00:00,000 --> 00:01:00,000\n{text}\n"
        (subtitles / f"demo_{number:03}.srt").write_text(cue)

    overrides = [
        "benchmark=videomme/official_subtitles",
        f"benchmark.source={DEMO / 'multiple_choice.jsonl'}",
        f"benchmark.media_root={tmp_path}",
        "benchmark.limit=15",
        "sampler.num_frames=3",
        f"output_dir={tmp_path / 'out'}",
    ]
    for number, text in ((1, "One"), (2, "Two"), (3, "Three")):
        write(number, text)
    run(compose_config(overrides))
    before = {line["id"]: line for line in ledger(tmp_path / "out")}
    write(1, "Another")
    write(2, "Two")  # the same again
    (subtitles / "demo_003.srt").unlink()
    write(4, "New")
    run(compose_config(overrides))
    after = {line["id"]: line for line in ledger(tmp_path / "out")}
    assert before.keys() == after.keys()
    changed = {id for id in before if before[id]["prompt"] != after[id]["prompt"]}
    assert {before[id]["group"] for id in changed} == {"demo_001", "demo_004"}
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["sessions"][1]["num_generated"] == len(changed)
    assert "demo_001.srt" in caplog.text
    assert f"replaced since the run read it; {len(changed)} finished" in caplog.text


@pytest.mark.slow
def test_interleaved_frames_are_images_in_the_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "videos").symlink_to(DEMO / "videos")
    (tmp_path / "subtitles").mkdir()
    lines = [{"start": "00:00:00.500", "end": "00:00:01.900", "line": "first"}]
    (tmp_path / "subtitles" / "a.json").write_text(json.dumps(lines))
    common = {
        "video_path": "demo_001.mp4",
        "question": "What?",
        **{f"option{n}": text for n, text in enumerate(["x", "y", "N/A", "N/A", "N/A"])},
        "correct_choice": 1,
        "duration": 3.0,
        "duration_group": 15,
        "question_category": "S2E",
        "starting_timestamp_for_subtitles": 0,
    }
    rows = [
        {**common, "id": "1", "subtitle_path": "a.json"},
        {**common, "id": "2", "subtitle_path": "gone.json", "video_path": "demo_002.mp4"},
    ]
    source = write_lines(tmp_path / "rows.jsonl", rows)
    outcome = run(
        compose_config(
            [
                "benchmark=longvideobench/lmms_eval_interleaved",
                f"benchmark.source={source}",
                f"benchmark.media_root={tmp_path}",
                "sampler.num_frames=3",
                "conversation=plain",
                f"output_dir={tmp_path / 'out'}",
            ]
        )
    )
    assert (outcome.exit_code, outcome.summary.num_errors) == (1, 1)
    asked, failed = ledger(tmp_path / "out")
    assert asked["prompt"] == (
        "<image>\n<image>\nfirst\n<image>\nWhat?\nA. x\nB. y\n"
        "Answer with the option's letter from the given choices directly.\n"
    )
    # int(3.0 s of the row * 8 fps / 3) frames apart; the file is 7.6 s long.
    assert asked["frame_indices"] == [0, 8, 16]
    assert "gone.json" in failed["generation"]["error"]
    assert failed["score"]["value"] is None


@pytest.mark.slow
def test_answers_by_likelihood_ask_for_every_option(tmp_path: Path) -> None:
    """The losses are those that the model itself computes for prompt, reply and end token."""
    (tmp_path / "videos").symlink_to(DEMO / "videos")
    colors = ("red", "blue", "green", "pink", "white")
    options = [f"{letter}. {text}" for letter, text in zip("ABCDE", colors, strict=True)]
    row = {"video_idx": "demo_001", "question": "Which color?", "option": options, "answer": "3"}
    source = write_lines(tmp_path / "rows.jsonl", [row])
    overrides = [
        "benchmark=egoschema/mc_ppl",
        f"benchmark.source={source}",
        f"benchmark.media_root={tmp_path}",
        "sampler.num_frames=4",
        f"output_dir={tmp_path / 'out'}",
    ]
    assert run(compose_config(overrides)).exit_code == 0
    (line,) = ledger(tmp_path / "out")
    clip = decode_frames(tmp_path / "videos" / "demo_001.mp4", line["frame_indices"])
    # The reference puts a space before each option, beside that of the conversation.
    replies = [f" {color}" for color in colors]
    expected = model_losses(clip.frames, "Which color?", replies)
    assert line["generation"]["option_losses"] == pytest.approx(expected, rel=1e-4)
    assert line["generation"]["text"] == replies[expected.index(min(expected))]
    assert line["score"]["answer"] == "ABCDE"[expected.index(min(expected))]


@pytest.mark.slow
def test_sixty_answers_by_likelihood_end_at_the_references_number(tmp_path: Path) -> None:
    (tmp_path / "videos").symlink_to(DEMO / "videos")
    rows = [
        {
            "video_idx": row["videoID"],
            "question": row["question"],
            "option": [*row["options"], "E. something else"],
            "answer": str("ABCD".index(row["answer"])),
        }
        for row in read_lines(DEMO / "multiple_choice.jsonl")[:180:3]
    ]
    overrides = [
        "benchmark=egoschema/mc_ppl",
        f"benchmark.source={write_lines(tmp_path / 'rows.jsonl', rows)}",
        f"benchmark.media_root={tmp_path}",
        "sampler.num_frames=4",
        f"output_dir={tmp_path / 'out'}",
    ]
    assert run(compose_config(overrides)).exit_code == 0
    num_right = 0
    for row, line in zip(rows, ledger(tmp_path / "out"), strict=True):
        clip = decode_frames(tmp_path / "videos" / f"{row['video_idx']}.mp4", line["frame_indices"])
        texts = [option.split(".")[1].strip() for option in row["option"]]
        losses = model_losses(clip.frames, row["question"], [f" {text}" for text in texts])
        assert line["generation"]["option_losses"] == pytest.approx(losses, rel=1e-3)
        num_right += losses.index(min(losses)) == int(row["answer"])
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())["metrics"]
    assert metrics["accuracy"]["value"] == pytest.approx(100 * num_right / 60)


@functools.cache
def plain_model() -> tuple[Any, Any]:
    model = AutoModelForImageTextToText.from_pretrained(DEMO / "checkpoint", dtype=torch.float32)
    return AutoProcessor.from_pretrained(DEMO / "checkpoint"), model


def model_losses(frames: torch.Tensor, question: str, replies: Sequence[str]) -> list[float]:
    """Return the loss of each reply from labels that mask everything else."""
    processor, model = plain_model()
    turn = [{"type": "video"}, {"type": "text", "text": question}]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": turn}], add_generation_prompt=True
    )
    asked = processor(text=[prompt], videos=[frames], return_tensors="pt")
    losses = []
    for reply in replies:
        text = f"{prompt} {reply}</s>"
        whole = processor(text=[text], videos=[frames], return_tensors="pt")
        labels = whole["input_ids"].clone()
        labels[:, : asked["input_ids"].shape[1]] = -100
        with torch.inference_mode():
            losses.append(float(model(**whole, labels=labels).loss))
    return losses
