"""A look at a run before it is made."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from llava_eval import cli, load_run


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
