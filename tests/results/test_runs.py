"""Runs read back: what they hold, what they lack, and what they cost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas
import pytest

from llava_eval import cli
from llava_eval.errors import ComparisonError, LlavaEvalError
from llava_eval.results import files
from llava_eval.results.cost import comparable_memory
from llava_eval.results.runs import (
    RunReader,
    differences_of,
    differing_settings,
    differing_versions,
    find_runs,
)
from llava_eval.types import Score
from tests.results.runs_on_disk import ACCURACY, answered, failed, write_run


def test_a_run_is_read_back(tmp_path: Path) -> None:
    results = [answered(0, True), answered(1, None), failed(2)]
    run = RunReader().read(
        write_run(tmp_path / "run", results, label="made/up (limit=3)", config={"errors.max": 2})
    )
    assert list(run.results) == results
    assert (run.benchmark, run.label, run.model) == ("made/up", "made/up (limit=3)", "made")
    benchmark = run.parts.benchmark
    assert (benchmark.version, benchmark.facets, run.parts.errors.max) == (1, ["duration"], 2)
    assert (run.num_errors, run.num_unreadable) == (1, 1)
    assert run.incomplete is None


def test_columns_without_a_value_have_the_type_of_those_with_one(tmp_path: Path) -> None:
    one, nine = [answered(0, None)], [answered(n, True) for n in range(9)]
    bare = RunReader().read(write_run(tmp_path / "bare", one))
    full = RunReader().read(write_run(tmp_path / "full", [*nine, failed(9)]))
    assert bare.metrics["stderr"].isna().all()
    assert list(bare.metrics.dtypes) == list(full.metrics.dtypes)
    (full.path / "metrics.json").unlink()  # not finished
    assert list(RunReader().read(full.path).metrics.columns) == list(full.metrics.columns)
    assert list(bare.samples.dtypes) == list(full.samples.dtypes)


def test_a_facet_that_is_called_as_a_column_stands_beside_it(tmp_path: Path) -> None:
    results = [answered(0, False, facets={"answer": "yes", "task": "t"})]
    samples = RunReader().read(write_run(tmp_path / "run", results)).samples
    assert samples[["facet_answer", "answer", "task"]].to_numpy().tolist() == [["yes", "B", "t"]]


def test_half_a_surrogate_pair_is_its_escape_in_tables(tmp_path: Path) -> None:
    facets = {"duration": "\ud800"}
    for name, is_right in (("a", True), ("b", False)):
        write_run(tmp_path / name, [answered(0, is_right, id="q\ud800", facets=facets)])
    run = RunReader().read(tmp_path / "a")
    assert run.samples[["id", "duration"]].to_numpy().tolist() == [["q\\ud800", "\\ud800"]]
    assert run.metrics["level"].tolist() == ["", "\\ud800"]
    words = ["compare", *(str(tmp_path / name) for name in "ab"), "--export", str(tmp_path / "out")]
    assert cli.run_command(words) == 0
    flips = pandas.read_parquet(tmp_path / "out" / "comparison_flips_B.parquet")
    assert flips["id"].tolist() == ["q\\ud800"]


def test_half_a_surrogate_pair_in_a_setting_goes_into_tables(tmp_path: Path) -> None:
    for name, kind in (("a", "x"), ("b", "\ud800")):
        config = {"model.video_as": kind, "benchmark.where": {"kind": [kind]}}
        write_run(tmp_path / name, [answered(0, True)], config=config)
    words = ["compare", *(str(tmp_path / name) for name in "ab"), "--export", str(tmp_path / "out")]
    assert cli.run_command([*words, "--allow-differences"]) == 0
    tables = map(pandas.read_parquet, (tmp_path / "out").glob("*.parquet"))
    assert any("\\ud800" in table.to_csv() for table in tables)


def test_what_samples_share_is_held_once(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [answered(0, True), answered(1, False)])
    reader = RunReader()
    first, second = reader.read(path), reader.read(path)
    assert first.results[0].prompt is second.results[0].prompt
    assert first.results[0].frame_indices is second.results[1].frame_indices
    assert first.results == second.results


@pytest.mark.parametrize(
    ("status", "num_samples", "words"),
    [
        ("running", 2, "is not finished (status 'running')"),
        ("stopped", 2, "is not finished (status 'stopped')"),
        ("finished", 3, "holds 2 of its 3 samples"),
    ],
)
def test_an_incomplete_run_says_so(
    tmp_path: Path, status: str, num_samples: int, words: str
) -> None:
    changed = {"status": status, "identity": {"num_samples": num_samples}}
    path = write_run(tmp_path / "run", [answered(0, True), answered(1, True)], manifest=changed)
    assert RunReader().read(path).incomplete == words


def test_the_tables_say_how_many_samples_a_scored_file_had(tmp_path: Path) -> None:
    results = [answered(number, True) for number in range(4)]
    path = write_run(tmp_path / "run", results, manifest={"identity": {}})
    lines = (path / "samples.jsonl").read_text().splitlines(keepends=True)
    (path / "samples.jsonl").write_text("".join(lines[:-1]))
    assert RunReader().read(path).incomplete == "holds 3 of its 4 samples"


def test_runs_say_in_what_their_weights_were_stored(tmp_path: Path) -> None:
    paths = [
        write_run(
            tmp_path / str(method),
            [answered(0, True)],
            manifest={"model": {"stored_quantization": method}},
        )
        for method in (None, "gptq")
    ]
    (found,) = differences_of([*map(RunReader().read, paths)])
    assert (found.name, *found.values) == ("stored_quantization", "null", "gptq")


def test_an_editor_may_leave_out_the_last_line_feed(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [answered(0, True), answered(1, True)])
    text = (path / "samples.jsonl").read_text()
    (path / "samples.jsonl").write_text(text.rstrip("\n"))
    assert len(RunReader().read(path).results) == 2


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [answered(0, True)])
    for missing in ("samples.jsonl", "manifest.json"):
        other = write_run(tmp_path / missing, [answered(0, True)])
        (other / missing).unlink()
        with pytest.raises(ComparisonError, match=f"no {missing}"):
            RunReader().read(other)
    with pytest.raises(ComparisonError, match="there is no run directory"):
        RunReader().read(tmp_path / "nothing")
    (tmp_path / "runs.zip").write_bytes(b"PK")
    with pytest.raises(ComparisonError, match=r"no run directory .*runs\.zip: it is a file"):
        RunReader().read(tmp_path / "runs.zip")
    with pytest.raises(ComparisonError, match=r"no folder .*runs\.zip: it is a file"):
        find_runs(tmp_path / "runs.zip")
    (path / "samples.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(LlavaEvalError, match="line 1 is damaged"):
        RunReader().read(path)
    (path / "metrics.json").write_text("{")
    (path / "samples.jsonl").write_text("")
    with pytest.raises(ComparisonError, match=r"metrics\.json cannot be read"):
        RunReader().read(path)


@pytest.mark.parametrize("name", ["n" * 300, "loop", "file/x"])
def test_odd_paths_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    run = str(write_run(tmp_path / "run", [answered(n, True) for n in range(6)]))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").write_text("x")
    odd = str(tmp_path / name)
    for command in (
        ["compare", odd, run],
        ["gate", odd, "--baseline", run],
        ["gate", run, "--baseline", odd],
        ["gate", run, "--write-baseline", f"{odd}/x"],
        ["report", odd, "--out", str(tmp_path / "report.html")],
        ["report", run, "--out", odd],
        ["report", run, "--out", str(tmp_path / "report.html"), "--export", f"{odd}/x"],
        ["frames", "diff", run, odd],
        ["compare", run, run, "--config-dir", odd],
    ):
        code = cli.run_command(command)
        (line,) = capsys.readouterr().err.splitlines() or [""]
        assert code in (1, 2), command
        assert line.startswith("llava-eval: "), command


def test_runs_of_a_sweep_are_found_in_natural_order(tmp_path: Path) -> None:
    for name in ("10", "9", "deep/1"):
        write_run(tmp_path / "sweep" / name, [answered(0, True)])
    found = [str(path.relative_to(tmp_path / "sweep")) for path in find_runs(tmp_path / "sweep")]
    assert found == ["9", "10", "deep/1"]
    assert find_runs(tmp_path / "sweep" / "9") == [tmp_path / "sweep" / "9"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ComparisonError, match="holds no run"):
        find_runs(tmp_path / "empty")
    with pytest.raises(ComparisonError, match="there is no folder"):
        find_runs(tmp_path / "nothing")


@pytest.mark.parametrize("there", [files.MANIFEST, files.LEDGER])
def test_half_a_run_says_which_file_it_lacks(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("{}")
    (lacking,) = {files.MANIFEST, files.LEDGER} - {there}
    with pytest.raises(ComparisonError, match=f"is no run directory: it has no {lacking}"):
        RunReader().read_all([tmp_path])


def test_linked_folders_count_once(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    own, other = (
        write_run(folder, [answered(0, True)]) for folder in (sweep / "b", tmp_path / "x")
    )
    for name, target in {"a": own, "self": sweep, "latest": other}.items():
        (sweep / name).symlink_to(target)
    assert find_runs(sweep) == [own, sweep / "latest"]


def test_a_link_to_a_run_that_is_gone_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = write_run(tmp_path / "runs" / "a", [answered(0, True)])
    (run / "note").symlink_to("gone")  # inside a run there is no other
    (tmp_path / "runs" / "latest").symlink_to("gone")
    (tmp_path / "runs" / "here").symlink_to("a")
    assert find_runs(tmp_path / "runs") == [run]
    assert caplog.messages == [
        f"{tmp_path}/runs/latest is a link that leads nowhere: no run is read there"
    ]


def test_a_ledger_without_a_manifest_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, half = (write_run(tmp_path / "runs" / name, [answered(0, True)]) for name in "ab")
    (half / "manifest.json").unlink()
    assert find_runs(tmp_path / "runs") == [whole]
    (told,) = caplog.messages
    assert told == f"{half} has samples.jsonl and no manifest.json: no run is read there"


def test_a_folder_that_cannot_be_read_leaves_no_run_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "run", [answered(0, True)])
    monkeypatch.chdir(tmp_path)
    for _ in range(20):  # deeper than a path may be long
        Path("x" * 250).mkdir()
        os.chdir("x" * 250)
    with pytest.raises(ComparisonError, match="xxx cannot be read: File name too long"):
        find_runs(tmp_path)


def test_cost_counts_processes_that_generated(tmp_path: Path) -> None:
    session = {
        "wall_seconds": 30.0,
        "stage_seconds": {"load_model": 8.0, "decode_wait": 2.0, "prefill": 4.0, "decode": 6.0},
        "peak_host_memory_bytes": 7,
        "num_generated": 3,
    }
    scored_again = {"wall_seconds": 99.0, "stage_seconds": {"score": 99.0}}
    changed = {
        "sessions": [session, {**session, "num_generated": 1}, scored_again],
        "judge": {"cost": 0.25},
    }
    results = [answered(number, True) for number in range(4)]
    cost = RunReader().read(write_run(tmp_path / "run", results, manifest=changed)).cost
    assert (cost.num_generated, cost.seconds) == (4, 24.0)
    assert (cost.seconds_per_sample, cost.samples_per_second) == (6.0, 4 / 24)
    assert cost.stage_seconds["decode"] == 12.0
    assert (cost.num_input_tokens, cost.num_output_tokens) == (400, 8)
    assert (cost.peak_host_bytes, cost.peak_device_bytes, cost.judge_cost) == (7, None, 0.25)


def test_the_model_s_seconds_are_counted_without_warm_up_and_without_preparing(
    tmp_path: Path,
) -> None:
    session = {
        "wall_seconds": 30.0,
        "stage_seconds": {
            "load_model": 8.0,
            "prepare": 40.0,
            "decode_wait": 2.0,
            "vision": 1.0,
            "prefill": 4.0,
            "decode": 6.0,
        },
        "warm_up": {"num_generated": 1, "stage_seconds": {"prefill": 3.0, "decode": 2.0}},
        "frames": {"num_cached": 30, "num_decoded": 10},
        "num_generated": 4,
    }
    results = [answered(number, True) for number in range(4)]
    write_run(tmp_path / "run", results, manifest={"sessions": [session]})
    cost = RunReader().read(tmp_path / "run").cost
    assert cost.model_seconds_per_sample == (11.0 - 5.0) / 3
    assert (cost.seconds, cost.prepare_seconds_per_sample, cost.cached_share) == (13.0, 10.0, 0.75)
    alone = {**session, "num_generated": 1}  # there is nothing but the first batch
    write_run(tmp_path / "alone", results[:1], manifest={"sessions": [alone]})
    assert RunReader().read(tmp_path / "alone").cost.model_seconds_per_sample == 11.0
    served = {"stage_seconds": {"server_wait": 6.0}, "wall_seconds": 7.0, "num_generated": 4}
    write_run(tmp_path / "served", results, manifest={"sessions": [served]})
    cost = RunReader().read(tmp_path / "served").cost
    assert (cost.model_seconds_per_sample, cost.prepare_seconds) == (1.5, None)
    assert (cost.prepare_seconds_per_sample, cost.cached_share) == (None, None)


def test_workers_that_overlap_cost_no_more_than_the_wall_time(tmp_path: Path) -> None:
    session = {"wall_seconds": 10.0, "stage_seconds": {"decode": 16.0}, "num_generated": 2}
    changed = {"sessions": [session]}
    results = [answered(0, True), answered(1, True)]
    run = RunReader().read(write_run(tmp_path / "run", results, manifest=changed))
    assert run.cost.seconds == 10.0


def test_a_scored_file_cost_nothing_that_is_known(tmp_path: Path) -> None:
    changed = {"sessions": [{"wall_seconds": 1.0, "stage_seconds": {}}], "model": None}
    run = RunReader().read(write_run(tmp_path / "run", [answered(0, True)], manifest=changed))
    cost = run.cost
    assert (cost.seconds, cost.seconds_per_sample, cost.samples_per_second) == (None, None, None)
    assert comparable_memory([cost]) == ("weights", [None])


def test_settings_that_differ_have_short_names(tmp_path: Path) -> None:
    results = [answered(0, True)]
    changes: tuple[dict[str, Any], ...] = (
        {},
        {
            "sampler.num_frames": 8,
            "quantization.name": "bnb_int8",
            "quantization.method": "bnb_int8",
            "output_dir": "elsewhere",
        },
    )
    runs = [
        RunReader().read(write_run(tmp_path / str(number), results, config=config))
        for number, config in enumerate(changes)
    ]
    assert differing_settings(runs) == {
        "num_frames": ["3", "8"],
        "quantization": ["none", "bnb_int8"],
    }
    assert [(item.name, item.role) for item in differences_of(runs)] == [
        ("num_frames", "protocol"),
        ("quantization", "model"),
    ]
    assert differing_versions(runs) == {}
    manifest = json.loads((tmp_path / "1" / "manifest.json").read_text())
    manifest["versions"]["torch"] = "2.14.0"
    (tmp_path / "1" / "manifest.json").write_text(json.dumps(manifest))
    assert differing_versions([runs[0], RunReader().read(tmp_path / "1")]) == {
        "torch": ["2.15.0", "2.14.0"]
    }


def test_long_settings_that_differ_at_their_ends_are_told_apart(tmp_path: Path) -> None:
    start = "Select the best answer to the question, and respond with the option's letter"
    prompts = [f"{start}.", f"{start}. Think first.", f"{start}. Think longer."]
    runs = [
        RunReader().read(
            write_run(tmp_path / str(n), [answered(0, True)], config={"benchmark.system": prompt})
        )
        for n, prompt in enumerate(prompts)
    ]
    shown = differing_settings(runs)
    assert shown == {"system": ["…letter.", "…letter. Think first.", "…letter. Think longer."]}
    assert differing_settings(runs[:1] * 2) == {}


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (
            ["llava-hf/base", "/data/models/finetuned-on-clips-of-ours/checkpoint-500"],
            ["llava-hf/base", "…checkpoint-500"],
        ),
        (
            [f"/data/models/finetuned-on-clips-of-ours/{name}/checkpoint-500" for name in "ab"],
            ["…a/checkpoint-500", "…b/checkpoint-500"],
        ),
    ],
)
def test_of_long_paths_the_ends_are_shown(
    tmp_path: Path, names: list[str], shown: list[str]
) -> None:
    runs = [
        RunReader().read(
            write_run(tmp_path / str(n), [answered(0, True)], config={"model.checkpoint": name})
        )
        for n, name in enumerate(names)
    ]
    assert differing_settings(runs) == {"checkpoint": shown}


@pytest.mark.parametrize(
    ("node", "score", "full"),
    [
        ({}, 1.0, 1.0),
        ({"scale": 1.0}, 1.0, 1.0),
        ({"scale": 1.0}, 50.0, 100.0),
        ({"unit": "0-100"}, 1.0, 1.0),
        ({"unit": "0-10", "scale": 10.0}, 1.0, 1.0),
        ({"unit": "0-5", "scale": 1.0}, 1.0, 5.0),
        ({"unit": "points", "scale": 1.0}, 1.0, 1.0),
        ({"unit": "seconds", "scale": -1.0}, 1.0, 0.0),
    ],
)
def test_what_is_all_right_is_worth_the_end_of_the_scale(
    tmp_path: Path, node: dict[str, Any], score: float, full: float
) -> None:
    metrics = {"accuracy": {**ACCURACY["accuracy"], **node}}
    results = [answered(0, True, score=Score(score, "A"))]
    path = write_run(tmp_path / "run", results, metrics=metrics)
    assert RunReader().read(path).full_score == full
