"""``llava-eval compare`` as people use it: what it prints, writes and refuses."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet
import pytest

from llava_eval import cli
from llava_eval.results.compare.export import data_files
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_files_of_rows_have_the_columns_of_the_data_alone() -> None:
    written = data_files("x", pd.DataFrame({"sample": ["a", "b"], "change": [-3.0, 1.0]}))
    assert written["x.csv"] == "sample,change\na,-3.0\nb,1.0\n"
    content = written["x.parquet"]
    assert isinstance(content, bytes)
    assert pyarrow.parquet.read_table(io.BytesIO(content)).column_names == ["sample", "change"]


def test_a_cell_that_a_spreadsheet_would_run_is_text(tmp_path: Path) -> None:
    data = pd.DataFrame({"sample": ["=1+1", "@x"], "change": [-3.0, 1.0]}).convert_dtypes()
    rows = list(csv.DictReader(io.StringIO(str(data_files("x", data)["x.csv"]))))
    assert [row["sample"] for row in rows] == ["'=1+1", "'@x"]
    assert [float(row["change"]) for row in rows] == [-3.0, 1.0]


@pytest.mark.slow
def test_latex_calls_runs_by_what_differs(runs: Path) -> None:
    assert cli.run_command(["compare", "a", "b", "worse", "--export", "out"]) == 0
    table = Path("out/comparison_metrics.tex").read_text()
    assert "worse $-$ a" in table  # settings and models name two of the three alike
    assert cli.run_command(["compare", "worse", "b", "--export", "out"]) == 0
    header, row = Path("out/comparison_metrics.tex").read_text().splitlines()[3:6:2]
    assert header.startswith("metric & num\\_frames=3 & num\\_frames=8 & num")
    assert row.split(" & ")[2].startswith("\\textbf{")


@pytest.mark.slow
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


def test_a_sweep_over_judges_keeps_the_models_names_in_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        results = [answered(n, name == "one" or n % 2 == 0) for n in range(12)]
        write_run(tmp_path / "sweep" / name, results, config={"judge.model": name})
    assert cli.run_command(["compare", "sweep", "--export", "out"]) == 0
    rows = pd.read_csv("out/sweep_made_up.csv")
    assert rows["model"].tolist() == ["made", "made"]
    assert rows["setting_model"].tolist() == ["one", "two"]


@pytest.mark.slow
def test_a_facet_with_a_slash_in_its_name_has_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        results = [answered(n, True, facets={"task/type": "x"}) for n in range(6)]
        write_run(tmp_path / name, results, facets=["task/type"])
    assert cli.run_command(["compare", "one", "two", "--export", "out"]) == 0
    assert pd.read_csv("out/comparison_by_task_type.csv")["facet"].tolist() == ["task/type"] * 2
    assert cli.run_command(["report", "one", "two", "--out", "r.html", "--export", "tables"]) == 0
    assert (tmp_path / "tables" / "made_up_by_task_type.tex").exists()


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


@pytest.mark.slow
def test_every_file_that_is_written_is_counted(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_command(["compare", "a", "worse", "--export", "out"]) == 0
    num_files = len(list(Path("out").iterdir()))
    assert capsys.readouterr().out.endswith(f"\n\n{num_files} files in out\n")
    names = {path.name for path in Path("out").iterdir()}
    tables = ("runs", "metrics", "agreement", "cost", "fidelity", "by_duration", "flips_B")
    assert {f"comparison_{name}.tex" for name in tables} <= names
    assert cli.run_command(["compare", ".", "--export", "swept"]) == 0
    num_files = len(list(Path("swept").iterdir()))
    assert capsys.readouterr().out.endswith(f"\n\n{num_files} files in swept\n")


def test_json_holds_both_runs_their_samples_and_their_levels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 12 questions: A alone is right on 0, 1, 2; B alone on 3; even numbers are long.
    sides = [(3, 10, 11), (0, 1, 2, 10, 11)]
    paths = [
        str(write_run(tmp_path / f"{n}", [answered(i, i not in wrong) for i in range(12)]))
        for n, wrong in enumerate(sides)
    ]
    assert cli.run_command(["compare", "--json", *paths]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [run["path"] for run in content["runs"]] == paths
    counted = ("benchmark", "model", "num_samples", "num_unreadable", "num_errors", "flags")
    for run in content["runs"]:
        assert [run[name] for name in counted] == ["made/up", "made", 12, 0, 0, {}]
        assert run["cost"]["seconds"] == 10.0
    (found,) = content["comparisons"]
    assert (found["first"], found["second"]) == tuple(paths)
    assert found["agreement"] == {"num_samples": 12, "num_same_text": 8, "num_same_answer": 8}
    assert [flip["id"] for flip in found["worse"]] == ["q0", "q1", "q2"]
    assert [flip["id"] for flip in found["better"]] == ["q3"]
    levels = found["facets"]["duration"]
    assert {name: level["difference"] for name, level in levels.items()} == {
        "long": pytest.approx(-100 / 3), "short": pytest.approx(0.0),
    }  # fmt: skip
    assert all(0 < level["holm_p_value"] <= 1 for level in levels.values())
    accuracy = found["metrics"]["accuracy"]
    assert accuracy["holm_p_value"] == accuracy["p_value"], "the only comparison"
    empty = ("first_only", "second_only", "failed", "differences")
    assert [found[name] for name in empty] == [[]] * 4


def test_json_of_a_sweep_holds_its_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for frames, right in ((4, 6), (8, 9)):
        write_run(
            tmp_path / str(frames),
            [answered(n, n < right, frame_indices=(tuple(range(frames)),)) for n in range(12)],
            seconds=1.5 * frames,
            config={"sampler.num_frames": frames},
        )
    assert cli.run_command(["compare", "--json", str(tmp_path)]) == 0
    (sweep,) = json.loads(capsys.readouterr().out)
    named = ("benchmark", "metric", "chance", "memory", "notes")
    assert [sweep[name] for name in named] == ["made/up", "accuracy", 25.0, "weights", []]
    few, many = sweep["settings"]
    assert [one["run"] for one in (few, many)] == [str(tmp_path / name) for name in ("4", "8")]
    assert few["settings"] == {"num_frames": "4"}
    assert [one["num_frames"] for one in (few, many)] == [4.0, 8.0]
    assert [one["score"]["value"] for one in (few, many)] == [50.0, 75.0]
    assert [one["seconds_per_sample"] for one in (few, many)] == [0.5, 1.0]
    assert [one["memory_bytes"] for one in (few, many)] == [1_000_000] * 2
    assert [one["on_time_frontier"] for one in (few, many)] == [True, True]
    assert [one["on_memory_frontier"] for one in (few, many)] == [False, True]
    assert many["to_best"] is many["holm_p_value"] is None
    assert few["to_best"]["difference"] == pytest.approx(-25.0)
    assert few["holm_p_value"] == few["to_best"]["p_value"], "the only pair"
    assert few["cost"]["num_samples"] == 12


def test_a_difference_that_holms_correction_takes_back_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, num_wrong in (("a", 0), ("b", 5), ("c", 0)):
        results = [answered(n, n >= num_wrong, per_video=1) for n in range(60)]
        write_run(tmp_path / name, results)
    assert cli.run_command(["compare", *(str(tmp_path / name) for name in "abc")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    (p_value,) = re.findall(r"accuracy B - A 91\.7 -8\.3 -18\.3 to -1\.6 (0\.0\d+)", said)
    (corrected,) = re.findall(
        r"No difference in accuracy between A and B is shown \(-18\.3 to -1\.6, "
        r"but p is (0\.05\d\d) after Holm's correction\)\.",
        said,
    )
    assert float(corrected) == pytest.approx(2 * float(p_value), abs=2e-4)  # of two runs
    assert "No difference in accuracy between A and C is shown (-6.3 to +6.3)." in said


@pytest.mark.slow
def test_the_screen_says_what_the_headline_shows(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(*names: str) -> str:
        assert cli.run_command(["compare", *names, "--allow-differences"]) == 0
        return " ".join(capsys.readouterr().out.split())

    assert "accuracy is lower in B than in A, by" in told("a", "worse")
    higher = r"accuracy is higher in B than in A, by \d+\.\d \(\+\d+\.\d to \+\d+\.\d\)\."
    assert re.search(higher, told("worse", "a"))
    same = told("a", "a")
    assert "No difference in accuracy between A and B is shown (" in same
    assert "no setting differs" in same
    assert "Holm: p corrected" not in same
    assert "Told apart by: the mean, which is 0" in same
    assert "Holm: p corrected for the number of runs" in told("a", "worse", "b")
    write_run(runs / "one video", [answered(n, True, per_video=9) for n in range(9)])
    lonely = told("one video", "one video")
    assert "accuracy of A and B cannot be told apart: too few videos in common." in lonely
    own = {"accuracy": {"_target_": "mine.metric"}}
    for name in ("own", "own too"):
        path = write_run(runs / name, [answered(n, True) for n in range(9)])
        manifest = json.loads((path / "manifest.json").read_text())
        manifest["config"]["benchmark"]["metrics"] = own
        (path / "manifest.json").write_text(json.dumps(manifest))
    unknown = told("own", "own too")
    assert "accuracy of A and B is not compared." in unknown
    assert "too few videos" not in unknown
    shorter = told("a", "one video")
    assert (
        "Note: 171 samples only in A, not compared: q9, q10, q11, q12, q13 and 166 more." in shorter
    )


def test_changed_samples_are_listed_to_the_fifth(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    sides = ([answered(n, n != 30) for n in range(60)], [answered(n, n > 5) for n in range(60)])
    paths = [str(write_run(tmp_path / str(n), side)) for n, side in enumerate(sides)]
    assert cli.run_command(["compare", *paths]) == 0
    blocks = [block.splitlines() for block in capsys.readouterr().out.split("\n\n")]
    worse, better = [block for block in blocks if block[0].startswith("B is ")]
    assert worse[0] == "B is worse on 6 samples; the first 5:"
    assert [line.split()[0] for line in worse[1:]] == ["sample", *(f"q{n}" for n in range(5))]
    assert better[0] == "B is better on 1 sample:"
    assert [line.split() for line in better[1:]] == [
        ["sample", "video", "A", "B", "target"],
        ["q30", "10.mp4", "B", "A", "A"],
    ]


@pytest.mark.slow
def test_costs_of_many_runs_stand_in_several_tables(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run_command(["compare", *(["a"] * 12)]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line.split()[1:] for line in lines if line.startswith("cost ")]
    assert [name for head in heads for name in head] == list("ABCDEFGHIJKL")
    assert sum(line.startswith("samples/s") for line in lines) == len(heads) > 1


def test_a_sweep_says_what_all_its_runs_were_asked_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, frames, model in (("a", 8, "m (dtype=float16)"), ("b", 16, "m")):
        write_run(
            tmp_path / "sweep" / name,
            [answered(n, n % frames > 0) for n in range(12)],
            label=f"made/up (limit=12, num_frames={frames}, temperature=0.5)",
            config={"sampler.num_frames": frames},
            manifest={"model_label": model},
        )
    assert cli.run_command(["compare", "sweep", "--export", "out"]) == 0
    asked = "made/up (limit=12, temperature=0.5)"
    assert capsys.readouterr().out.startswith(f"{asked}, 2 runs\nmodel: m\n\n")
    lines = (tmp_path / "out" / "sweep.md").read_text().splitlines()
    assert f"{asked}, model m" in lines
    (content,) = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert (content["benchmark"], content["label"], content["model"]) == ("made/up", asked, "m")
