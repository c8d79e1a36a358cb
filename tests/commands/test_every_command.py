"""Each command by its words: its exit code, what it prints, and what it refuses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from llava_eval.cli import run_command
from tests.conftest import DEMO, read_lines, write_lines
from tests.results.runs_on_disk import answered, write_run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make two small runs, a all right and b half right, and a folder with both."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    write_run(tmp_path / "both" / "a", [answered(n, True) for n in range(6)])
    frames = {"sampler.num_frames": 8}
    write_run(tmp_path / "both" / "b", [answered(n, n % 2 > 0) for n in range(6)], config=frames)
    return tmp_path


A, B = "both/a", "both/b"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["compare", A, B], 0, "accuracy"),
        (["compare", "both"], 0, "made/up, 2 runs\n"),
        (["plan", A, B, "--detect", "5"], 0, "both/a"),
        (["plan", "--flips", "100", "--per-group", "1"], 0, "samples"),
        (["gate", A, "--baseline", A], 0, "passed"),
        (["gate", A, "--write-baseline", "base.json"], 0, "wrote base.json, "),
        (["frames", "diff", A, A], 0, "\n\n0 of 6 samples saw something else."),
        (["report", A, "--out", "x.html"], 0, "wrote x.html, 0.1 MB, 1 run\n"),
        (["report", A, "--out", "x.html", "--thumbnails-mb", "0"], 0, "1 run\n"),
        (["report", "both", "--out", "x.html", "--export", "y"], 0, " files in y\n"),
        (["export", A, "--to", "lm-eval", "--out", "out"], 0, "out/made/results_"),
        (["published", "--benchmark", "videomme", "--model", "34b"], 0, "LLaVA-NeXT-Video-34B "),
        (["completion", "zsh"], 0, "--write-baseline"),
        (["list", "samplers", "segment"], 0, "segment_midpoints"),
    ],
)
def test_what_is_done_is_said(
    runs: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    assert run_command(words) == code
    captured = capsys.readouterr()
    assert said in captured.out
    assert captured.err == ""
    assert "Traceback" not in captured.out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["compare", A, B], 1),
        (["compare", "--help"], 1),
        (["gate", A, "--baseline", A], 2),  # 1 is that of a run that regressed
        (["gate", A, "--baseline", A, "--json"], 2),
        (["gate", A, "--write-baseline", "base.json"], 2),
        (["frames", "diff", A, A], 2),  # 1 is that of other frames
    ],
)
def test_what_cannot_be_printed_is_no_verdict(
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        assert run_command(words) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("what the command prints cannot be written: No space left on device")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", A, ""], "argument RUN: an empty word names no file or folder"),
        (["gate", A, "--baseline", A, "--summary="], "argument --summary: an empty word"),
        (["export", A, "--to", "lm-eval", "--out", ""], "argument --out: an empty word"),
        (["compare", A], "compare needs another run beside both/a"),
        (["compare", A, B, "--version"], "--version"),
        (["export"], "arguments are required: RUN, --to, --out; usage: "),
        (["plan"], "plan needs one run, a pair of runs, or --flips PERCENT"),
        (["plan", A, B, A], "plan needs one run, a pair of runs"),
        (["plan", A, "--detect", "0"], "--detect 0: expected points above 0"),
        (["plan", A, "--detect", "inf"], "--detect inf: expected points above 0"),
        (["plan", "--flips", "0"], "--flips 0: expected a percentage above 0, at most 100"),
        (["plan", "--flips", "101"], "--flips 101: expected a percentage"),
        (["plan", A, "--per-group", "0.5"], "--per-group 0.5: expected at least 1 sample"),
        (["plan", A, "--per-group", "nan"], "--per-group nan: expected at least 1 sample"),
        (["plan", A, "--per-group", "1e300"], "--per-group 1e+300: expected at least 1 sample, at"),
        (["gate", A, B, "--baseline", A], "gate takes one run directory, got both/a both/b"),
        (["gate", "--baseline", A], "gate takes one run directory, got none"),
        (["gate", A], "gate needs either --baseline"),
        (["audit", A, "--groups", "0"], "--groups 0: expected at least 1"),
        (["audit", A, "--limit", "nan"], "--limit nan: expected a percentage from 0 on"),
        (["report", A, "--out", "x", "--thumbnails-seconds", "nan"], "--thumbnails-seconds must"),
        (["report", A, "--out", "x", "--thumbnails-mb", "-0.1"], "--thumbnails-mb must be at"),
        (["explain", A, "--run", "2"], "--run needs --against"),
        (["explain", A, "--against", B, "--run", "1"], "--run 1: expected at least 2 groups"),
        (["explain", "nowhere", "--against", B, "--run", "2"], "there is no run directory nowhere"),
        (["list", "samplers", "models"], "list takes one kind and part of a name"),
        (["list", "a", "b", "c"], "list takes one kind and part of a name"),
        (["score", "benchmark=demo/caption"], "score needs generations=FILE"),
        (["-m", "--dry-run", "a=1,2"], "--dry-run and --cfg look at one run, not at a sweep"),
        (["--cfg", "seeds=3"], "--dry-run and --cfg look at one run, not at a sweep"),
    ],
)
def test_a_mistake_is_named_in_one_line(
    runs: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert run_command(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert said in line


@pytest.mark.slow
def test_what_is_exported_is_counted(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["compare", A, B], ["compare", "both"], ["report", "both", "--out", "x.html"]):
        folder = words[0] + str(len(words))
        assert run_command([*words, "--export", folder]) == 0
        last = capsys.readouterr().out.rstrip().splitlines()[-1]
        assert last == f"{len(list(Path(folder).iterdir()))} files in {folder}"


def test_json_is_all_that_is_printed(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checks: list[tuple[list[str], Callable[[object], bool]]] = [
        (["compare", A, B, "--json"], lambda content: "comparisons" in content),  # type: ignore[operator]
        (["compare", "both", "--json"], lambda content: len(content) == 1),  # type: ignore[arg-type]
        (["plan", "--flips", "8", "--json"], lambda content: isinstance(content, dict)),
        (["gate", A, "--baseline", A, "--json"], lambda content: content["passed"] is True),  # type: ignore[index]
        (["list", "models", "--json"], lambda content: bool(content)),
    ]
    for words, is_right in checks:
        assert run_command(words) == 0
        assert is_right(json.loads(capsys.readouterr().out)), words


@pytest.mark.slow
def test_prepare_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["prepare", "benchmark.limit=3"]) == 0
    capsys.readouterr()
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / "demo_001.mp4").symlink_to(DEMO / "videos" / "demo_001.mp4")
    words = ["prepare", "benchmark.limit=6", f"benchmark.media_root={videos}"]
    assert run_command(words) == 1
    assert "demo_002.mp4" in capsys.readouterr().out
    row = {**read_lines(DEMO / "multiple_choice.jsonl")[0], "videoID": "\x1b[2Jdemo é"}
    source = write_lines(tmp_path / "rows.jsonl", [row])
    words = ["prepare", f"benchmark.source={source}", f"benchmark.media_root={videos}"]
    assert run_command(words) == 1
    lines = capsys.readouterr().out.splitlines()
    assert f"  missing: {videos}/\\u001b[2Jdemo é.mp4" in lines
    assert lines[-1] == "INCOMPLETE"


def test_a_written_baseline_is_told_with_its_size(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["gate", A, "--write-baseline", "base.json"]) == 0
    size = (runs / "base.json").stat().st_size
    assert capsys.readouterr().out == f"wrote base.json, {round(size / 1000)} kB\n"


def test_part_of_a_name_lists_what_holds_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["list", "samplers", "segment"]) == 0
    (_, *lines) = capsys.readouterr().out.strip().splitlines()
    names = [line.split()[0] for line in lines if line[2:3].strip()]
    assert "segment_midpoints" in names
    assert [name for name in names if "segment" not in name] == []


@pytest.mark.slow
def test_the_doctor_ends_with_what_it_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = shutil.copytree(DEMO / "checkpoint", tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    name = next(name for name in weights if name.endswith("norm.weight") and "layers" not in name)
    save_file({**weights, name: weights[name] * float("nan")}, broken / "model.safetensors")
    assert run_command(["doctor", f"model.checkpoint={broken}"]) == 1
    assert "\none image: transformers itself fails: " in capsys.readouterr().out
