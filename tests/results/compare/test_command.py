"""``llava-eval compare`` as people use it: what it prints, writes and refuses."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest

from llava_eval import cli
from llava_eval.results.compare.export import write_data
from llava_eval.types import Generation
from tests.results.runs_on_disk import answered, equal_models, write_run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make three runs: a, b alike, and worse."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    first, second = equal_models(5)
    write_run(tmp_path / "a", first)
    write_run(
        tmp_path / "b", second, label="made/up (num_frames=8)", config={"sampler.num_frames": 8}
    )
    write_run(tmp_path / "worse", [answered(n, n % 3 == 0) for n in range(180)])
    return tmp_path


def test_two_runs_in_80_columns(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["compare", "a", "worse"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for part in (
        "metric", "B - A", "95 % interval", "McNemar p", "same text", "detectable",
        "accuracy is lower in B than in A, by", "B is worse on", "B is better on", ".mp4",
        "by duration", "samples/s", "prefill (s)", "weights (MB)", "output tokens a sample",
    ):  # fmt: skip
        assert part in text
    cli.run_command(["compare", "a", "worse"])
    assert capsys.readouterr().out == text, "the same runs give the same numbers"


def test_several_runs_in_80_columns(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["compare", "a", "b", "worse", "a", "b", "worse", "a", "b"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for part in ("B - A", "C - A", "H - A", "Holm", "num_frames", "No difference in accuracy"):
        assert part in text


def test_files_for_programs_and_papers(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["compare", "a", "b", "--export", "out/deep"]) == 0
    folder = runs / "out" / "deep"
    content = json.loads((folder / "comparison.json").read_text())
    (comparison,) = content["comparisons"]
    accuracy = comparison["metrics"]["accuracy"]
    assert accuracy["low"] < accuracy["difference"] < accuracy["high"]
    assert set(accuracy["mcnemar"]) == {"num_first_only", "num_second_only", "p_value"}
    assert comparison["num_samples"] == 180
    assert comparison["num_clusters"] == 60
    assert len(comparison["worse"]) == accuracy["mcnemar"]["num_first_only"]
    flips = (folder / "comparison_flips_B.csv").read_text()
    rows = list(csv.DictReader(io.StringIO(flips)))
    assert len(rows) == len(comparison["worse"]) + len(comparison["better"])
    assert "| accuracy |" in (folder / "comparison.md").read_text()
    assert "\\toprule" in (folder / "comparison_metrics.tex").read_text()


def test_csv_and_parquet_hold_every_digit(runs: Path) -> None:
    assert cli.run_command(["compare", "a", "b", "--export", "out"]) == 0
    found = json.loads(Path("out/comparison.json").read_text())["comparisons"][0]["metrics"]
    rows = list(csv.DictReader(io.StringIO(Path("out/comparison_metrics.csv").read_text())))
    whole = {row["run"]: row for row in rows if row["facet"] == ""}
    assert whole["a"]["difference"] == ""
    second = whole["b"]
    assert second["settings"] == "num_frames=8"
    assert second["against"] == "a"
    accuracy = found["accuracy"]
    for column, value in (
        ("difference", accuracy["difference"]),
        ("difference_low", accuracy["low"]),
        ("p", accuracy["p_value"]),
        ("value", accuracy["second"]),
    ):
        assert float(second[column]) == value
    frame = pd.read_parquet("out/comparison_metrics.parquet")
    assert [str(value) for value in frame["value"]] == [row["value"] for row in rows]
    levels = pd.read_parquet("out/comparison_by_duration.parquet")
    assert set(levels["facet"]) == {"duration"}
    assert levels["difference"].notna().sum() == len(levels) / 2


def test_no_csv_file_holds_rounded_cells(runs: Path) -> None:
    assert cli.run_command(["compare", "a", "b", "--export", "out"]) == 0
    written = {path.stem for path in Path("out").glob("*.csv")}
    assert written == {path.stem for path in Path("out").glob("*.parquet")}
    found = json.loads(Path("out/comparison.json").read_text())
    (row,) = csv.DictReader(io.StringIO(Path("out/comparison_agreement.csv").read_text()))
    agreement = found["comparisons"][0]["agreement"]
    assert (row["run"], row["against"]) == ("b", "a")
    assert int(row["num_same_text"]) == agreement["num_same_text"]
    costs = csv.DictReader(io.StringIO(Path("out/comparison_cost.csv").read_text()))
    counts = [run["num_unreadable"] for run in found["runs"]]
    assert [int(row["num_unreadable"]) for row in costs] == counts


def test_a_cell_that_a_spreadsheet_would_run_is_text(tmp_path: Path) -> None:
    data = pd.DataFrame({"sample": ["=1+1", "@x"], "change": [-3.0, 1.0]}).convert_dtypes()
    write_data(tmp_path / "x.csv", data)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text())))
    assert [row["sample"] for row in rows] == ["'=1+1", "'@x"]
    assert [float(row["change"]) for row in rows] == [-3.0, 1.0]


def test_latex_calls_runs_by_what_differs(runs: Path) -> None:
    assert cli.run_command(["compare", "a", "b", "worse", "--export", "out"]) == 0
    table = Path("out/comparison_metrics.tex").read_text()
    assert "worse $-$ a" in table  # settings and models name two of the three alike
    assert cli.run_command(["compare", "worse", "b", "--export", "out"]) == 0
    header, row = Path("out/comparison_metrics.tex").read_text().splitlines()[3:6:2]
    assert header.startswith("metric & num\\_frames=3 & num\\_frames=8 & num")
    assert row.split(" & ")[2].startswith("\\textbf{")


def test_a_sweep_has_a_table_curves_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for number, (frames, method, rate) in enumerate(
        [(2, "none", 2), (8, "none", 5), (2, "bnb_int8", 2), (8, "bnb_int8", 4)]
    ):
        results = [
            answered(n, n % rate != 0, frame_indices=(tuple(range(frames)),)) for n in range(60)
        ]
        write_run(
            tmp_path / "sweep" / str(number),
            results,
            seconds=6.0 * frames,
            config={"sampler.num_frames": frames, "quantization.name": method},
            manifest={"model": {"memory_bytes": 4_000_000 if method == "none" else 1_000_000}},
        )
    assert cli.run_command(["compare", "sweep", "--export", "out"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for part in (
        "made/up, 4 runs", "frames", "quantization", "to best", "Pareto", "best",
        "score against frames", "score against time", "score against memory",
        "o none", "x bnb_int8", "--- Pareto set", "... chance",
    ):  # fmt: skip
        assert part in text
    names = {path.name for path in (tmp_path / "out").iterdir()}
    for part in ("frames", "time", "memory"):
        assert {f"made_up_score_against_{part}.{end}" for end in ("svg", "pdf", "png")} <= names
    assert {"sweep.json", "sweep.md", "sweep_made_up.csv", "sweep_made_up.tex"} <= names
    rows = pd.read_csv("out/sweep_made_up.csv")
    assert rows["value"].tolist() == [50.0, 80.0, 50.0, 75.0]
    assert rows["difference"].tolist()[::2] == pytest.approx([-30.0, -30.0])
    assert rows["num_frames"].tolist() == [2, 8, 2, 8]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["compare"], "RUN"),
        (["compare", "a"], "compare needs another run beside a"),
        (["compare", "a", "nothing"], "there is no folder nothing"),
        (["compare", "a", "b", "--colour"], "--colour"),
        (["compare", "a", "other"], "no sample in common: they are of made/up and other/set"),
        (["compare", "a", "prompts"], "they differ in 1 prompt (q0)"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    runs: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    write_run(runs / "other", [answered(500, True)], benchmark="other/set")
    changed = [answered(0, True, prompt="Other?"), *equal_models(5)[0][1:]]
    write_run(runs / "prompts", changed)
    assert cli.run_command(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("llava-eval: ")
    assert words in line


def test_help_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run_command(["compare", "--help"]) == 0
    text = capsys.readouterr().out
    assert "--allow-differences" in text
    assert max(map(len, text.splitlines())) <= 80


def test_hostile_texts_act_on_no_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    evil = "\x1b[2J\n::error::owned\u202e"
    first = [answered(n, True, id=f"{n}{evil}", media=(evil,)) for n in range(6)]
    second = [
        answered(n, n > 2, id=f"{n}{evil}", media=(evil,), generation=Generation(evil))
        for n in range(6)
    ]
    write_run(tmp_path / "a", first, label=f"made/up {evil}")
    write_run(tmp_path / "b", second, label=f"made/up {evil}")
    assert cli.run_command(["compare", "a", "b"]) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert not [line for line in text.splitlines() if line.startswith("::")]
