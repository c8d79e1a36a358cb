"""A look at a run before it is made."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from llava_eval import cli, load_run
from llava_eval.commands.dry_run import Asked
from llava_eval.types import Clip, Media, MediaProblem


@pytest.mark.slow
def test_the_prompt_is_the_one_that_the_run_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["benchmark.limit=3", "sampler.num_frames=4", f"output_dir={tmp_path / 'run'}"]
    assert cli.run_command(["run", "--dry-run", *words]) == 0
    assert not (tmp_path / "run").exists()
    shown = capsys.readouterr().out
    assert cli.run_command(words) == 0
    first = json.loads((tmp_path / "run" / "samples.jsonl").read_text().splitlines()[0])
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert f"\nfirst sample: {first['id']}\n" in shown
    assert re.search(r"\nreading all media takes about \d+ s with 2 workers", shown)
    assert "\nhow long the model takes is not known" in shown
    seconds = load_run(tmp_path / "run").cost.model_seconds_per_sample
    again = [words[0], "sampler.num_frames=8", f"output_dir={tmp_path / 'again'}"]
    capsys.readouterr()
    assert cli.run_command(["run", "--dry-run", *again]) == 0
    (line,) = re.findall(r"\nthe model takes about .*", capsys.readouterr().out)
    assert f"{seconds:.2g} s a sample in {tmp_path / 'run'} (" in line
    assert line.endswith("other num_frames)")
    default = Path("results/runs/demo/multiple_choice/demo/now")
    default.parent.mkdir(parents=True)
    (tmp_path / "run").rename(default)
    assert cli.run_command(["run", "--dry-run", *again[:2]]) == 0
    assert f" s a sample in {default} (" in capsys.readouterr().out
    indices = ", ".join(map(str, first["frame_indices"]))
    assert f"\n  frames {indices} of 61\n" in shown
    assert f" {first['generation']['num_input_tokens']} tokens " in shown
    prompt = shown.partition("as the model reads it")[2].partition("\n")[2]
    assert [line.strip() for line in prompt.splitlines()] == [
        line.strip() for line in manifest["first_prompt"].splitlines()
    ]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["model.checkpoint=/nowhere/at/all"], ["model.checkpoint=/nowhere/at/all"]),
        (["benchmark.media_root=/nowhere"], ["/nowhere is no folder", "90", "prepare"]),
        (["-m", "sampler.num_frames=2,4"], ["--dry-run", "sweep"]),
    ],
)
def test_what_would_end_the_run_is_one_line(
    words: list[str], parts: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_command(["run", "--dry-run", *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert all(part in line for part in parts), line


@pytest.mark.parametrize(
    ("tokens", "title"),
    [
        (None, "its prompt, which the model puts into its conversation"),
        ([], "its prompt, as the model reads it: 0 tokens with those of the media"),
        (["a"] * 7, "its prompt, as the model reads it: 7 tokens with those of the media"),
    ],
)
def test_what_is_asked_is_shown_line_by_line(tokens: list[str] | None, title: str) -> None:
    video = Clip(
        torch.zeros(2, 3, 24, 32, dtype=torch.uint8),
        (0, 40),
        (0.0, 1.376),
        fps=30.0,
        num_source_frames=61,
        problems=(MediaProblem("damaged", "one\x1b block"), MediaProblem("truncated", "less")),
    )
    image = Clip(torch.zeros(1, 3, 5, 6, dtype=torch.uint8), (0,), (0.0,), num_source_frames=1)
    media = {Media("video", "/v/a\x1b.mp4"): video, Media("image", "/v/b.png"): image}
    asked = Asked(media, "Which?\nA. x\x1b", tokens)
    assert asked.num_tokens == (None if tokens is None else len(tokens))
    assert asked.lines == [
        "  video /v/a\\u001b.mp4: 32 x 24 pixels",
        "  frames 0, 40 of 61",
        "  at 0.00, 1.38 s",
        "  damaged: one\\u001b block",
        "  truncated: less",
        "  image /v/b.png: 6 x 5 pixels",
        "",
        title,
        "  Which?",
        "  A. x\\u001b",
    ]
