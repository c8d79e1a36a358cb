"""llava-eval show and rerun: one sample of a run, looked at and answered once more."""

from __future__ import annotations

import functools
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from llava_eval.cli import run_command
from llava_eval.commands.show import contact_sheet
from llava_eval.types import Clip, Generation
from tests import processes
from tests.results.runs_on_disk import answered, failed, write_run


def clip(*colours: int, height: int = 12, width: int = 16) -> Clip:
    frames = torch.stack([torch.full((3, height, width), c, dtype=torch.uint8) for c in colours])
    numbers = tuple(range(len(colours)))
    return Clip(frames, numbers, tuple(map(float, numbers)))


def test_a_contact_sheet_holds_all_frames_in_reading_order() -> None:
    sheet = np.asarray(contact_sheet([clip(10, 20, 30), clip(40, 50)]))
    assert sheet.shape == (24, 64, 3)
    assert [sheet[6, 8 + 16 * column, 0] for column in range(4)] == [10, 20, 30, 40]
    assert sheet[18, 8, 0] == 50
    assert contact_sheet([clip(10, height=3, width=5000)]).size == (320, 1)  # 0.19 pixels high


@pytest.mark.slow
def test_what_cannot_be_made_again_is_shown_as_the_ledger_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", [answered(n, n > 0) for n in range(3)])
    assert run_command(["show", str(run), "q0", "--out", str(tmp_path / "f.png")]) == 0
    text, said = capsys.readouterr()
    assert f"{tmp_path / 'f.png'} is not written: " in said
    assert "B. y" in text
    assert "not made again:" in text
    assert "target A" in text
    assert run_command(["show", str(run), "q9"]) == 2
    assert "holds no sample 'q9'" in capsys.readouterr().err
    assert run_command(["show", str(run), "Q1 "]) == 2
    assert "holds no sample 'Q1 ' (did you mean 'q1'?)" in capsys.readouterr().err
    assert run_command(["show", str(run), "-xR3L5"]) == 2
    assert "(one that begins with - stands behind --)" in capsys.readouterr().err
    for words in ([str(run), "--", "-xR3L5"], ["--", str(run), "-xR3L5"]):
        assert run_command(["show", *words]) == 2
        assert "holds no sample '-xR3L5'" in capsys.readouterr().err


def test_a_failed_sample_has_no_reply_and_no_frames(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path / "run", [failed(0)], config={"errors.max": 1})
    picture = tmp_path / "f.png"
    assert run_command(["show", str(run), "q0"]) == 0
    text, said = capsys.readouterr()
    assert "  nothing: MediaError: broken" in text.splitlines()
    assert "is not written" not in said
    assert run_command(["show", str(run), "q0", "--json", "--out", str(picture)]) == 0
    text, said = capsys.readouterr()
    content = json.loads(text)
    assert (content["generation"]["error"], content["rules"]) == ("MediaError: broken", [])
    assert said.startswith(f"llava-eval: {picture} is not written: ")
    assert not picture.exists()


@pytest.mark.slow
def test_a_reply_that_is_far_to_the_right_begins_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    reply = Generation(f"{' ' * 200}A\n\t \x1fB")
    run = write_run(tmp_path / "run", [answered(0, True, generation=reply)])
    assert run_command(["show", str(run), "q0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    after = lines.index("the model wrote") + 1
    assert lines[after : after + 2] == [f"{' ' * 40}A", "     B"]


def write_in(encoding: str) -> None:
    """Make this process's output what PYTHONIOENCODING makes it."""
    for stream in (sys.stdout, sys.stderr):
        assert isinstance(stream, io.TextIOWrapper)
        stream.reconfigure(encoding=encoding)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_a_text_that_the_terminal_s_encoding_lacks_is_escaped(
    encoding: str, tmp_path: Path
) -> None:
    text = "\ud800 é 中"
    run = write_run(tmp_path / "run", [answered(0, True, generation=Generation(text))])
    before = functools.partial(write_in, encoding)
    shown = []
    for more in ([], ["--json"]):
        command = ["show", str(run), "q0", *more]
        done = processes.run_command(command, tmp_path, before, encoding=encoding)
        assert done.exit_code == 0, done.stderr
        shown.append(done.stdout)
    assert "tokens, ended by" not in shown[0]
    assert json.loads(shown[1])["generation"]["text"] == text


@pytest.mark.slow
def test_a_sample_of_the_embedded_benchmark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, again = tmp_path / "run", tmp_path / "again"
    assert run_command(["-q", "benchmark.limit=6", f"output_dir={run}"]) == 0
    lines = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    name = lines[4]["id"]
    capsys.readouterr()
    picture = tmp_path / "new" / "frames.png"
    assert run_command(["show", str(run), name, "--out", str(picture), "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["num_prompt_tokens"] == lines[4]["generation"]["num_input_tokens"]
    assert len(content["prompt_tokens"]) == content["num_prompt_tokens"]
    assert content["prompt_tokens"][-2:] == ["ĠASSISTANT", ":"]
    assert content["prompt"].startswith("USER: <video>")
    assert content["rules"][0]["answer"] == lines[4]["score"]["answer"]
    with Image.open(picture) as image:
        assert image.size == (4 * 144, 4 * 112)
    assert run_command(["rerun", str(run), name, "--out", str(again), "--json"]) == 0
    (sample,) = json.loads(capsys.readouterr().out)["samples"]
    assert sample["before"] == sample["after"]
    (line,) = (again / "samples.jsonl").read_text().splitlines()
    assert json.loads(line) == lines[4]
    assert run_command(["rerun", str(run), "nothing"]) == 2
    assert "no sample 'nothing'" in capsys.readouterr().err
    assert run_command(["rerun", str(run), f"{name}x"]) == 2
    assert f"no sample '{name}x' (did you mean '{name}'?)" in capsys.readouterr().err
