"""Facts of a run in the words of other tools, and what each tool's files say of a made-up run."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import posixpath
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_core import from_json

from llava_eval.errors import ComparisonError
from llava_eval.results.exchange.every_eval_ever import every_eval_ever
from llava_eval.results.exchange.foreign import foreign_records
from llava_eval.results.exchange.hub import hub_entry
from llava_eval.results.exchange.inspect_log import inspect_log
from llava_eval.results.exchange.lm_eval import lm_eval
from llava_eval.results.exchange.run_facts import RunFacts, as_share, sha256_of
from llava_eval.results.exchange.trackers import numbers_of, settings_of
from llava_eval.results.files import write_files
from llava_eval.results.report.samples import SampleSet, index_of
from llava_eval.results.runs import Run, RunReader
from llava_eval.types import Generation, Score
from tests.results.runs_on_disk import ACCURACY, answered, failed, write_run

START, END = "2026-03-01T10:00:00+00:00", "2026-03-01T10:01:30+00:00"
#: Seconds since 1970 of START: 20,513 days, of which 14 years were leap years, and ten hours.
START_SECONDS = 20_513 * 86_400 + 10 * 3_600
RESULTS = [
    answered(0, True, choices=("x", "y"), generation=Generation("A", 100, 2, "eos")),
    answered(1, False, generation=Generation("B", 100, 2, "length"), target=("A", "a")),
    answered(2, None, generation=Generation("well", None, 3, "odd"), choices=()),
    failed(3),
]


def run_of(tmp_path: Path, **changes: Any) -> Run:
    session = {"started": START, "ended": START, "command": ["llava-eval", "a=b c"]}
    fields: dict[str, Any] = {
        "label": "made/up (limit=4)",
        "config": {
            "model.checkpoint": "org/model-7b",
            "model.name": "model",
            "benchmark.source": "hub://org/set",
            "benchmark.generation.temperature": 0.0,
            "errors.max": 1,
            **changes.pop("config", {}),
        },
        "manifest": {
            "versions": {"llava_eval": "0.1.0", "transformers": "5.0.0"},
            "sessions": [session, {**session, "ended": END, "command": ["other"]}],
            **changes.pop("manifest", {}),
        },
        **changes,
    }
    return RunReader().read(write_run(tmp_path / "run", RESULTS, **fields))


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_facts_are_gathered_from_manifest_and_settings(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    facts = RunFacts.of(run)
    assert dataclasses.asdict(dataclasses.replace(facts, run=None)) == {  # type: ignore[arg-type]
        "run": None,
        "model": "org/model-7b",
        "scorer": "StrictChoice",
        "source": "hub://org/set",
        "generation": {"temperature": 0.0, "max_tokens": 16},
        "fingerprint": "f" * 64,
        "started": START,
        "ended": END,
        "command": "llava-eval a=b c",
    }
    assert (facts.dataset, facts.file_name) == ("org/set", "made_up")


def test_what_is_not_known_has_a_plain_value(tmp_path: Path) -> None:
    config = {
        "model.checkpoint": "/folder/of/model",
        "model.name": None,
        "benchmark.source": "x.csv",
    }
    manifest: dict[str, Any] = {"sessions": [], "fingerprint": None}
    facts = RunFacts.of(run_of(tmp_path, config=config, manifest=manifest))
    assert (facts.model, facts.dataset, facts.command) == ("made", None, None)
    assert facts.started == facts.ended == "1970-01-01T00:00:00+00:00"
    assert facts.fingerprint == "0" * 64
    named = RunFacts.of(run_of(tmp_path / "b", config={**config, "model.name": "mine"}))
    assert named.model == "mine", "a folder's path is nobody else's business"
    config["model.checkpoint"] = "out/checkpoint-5"  # which a commit tells from a hub id
    for number, (commit, model) in enumerate([(None, "made"), ("c0ffee", "out/checkpoint-5")]):
        record = {"model": {"commit": commit}}
        of_folder = run_of(tmp_path / str(number), config=config, manifest=record)
        assert RunFacts.of(of_folder).model == model


@pytest.mark.parametrize("asked", [{}, {"benchmark.generation.max_new_tokens": 99}])
def test_scored_texts_were_asked_for_as_their_source_says(
    tmp_path: Path, asked: dict[str, Any]
) -> None:
    run = run_of(tmp_path, manifest={"generations": {"asked": asked}})
    config = {name: run.config[name] for name in ("benchmark", "scorer")}
    told = RunFacts.of(dataclasses.replace(run, config=config)).generation
    assert told == ({"max_tokens": 99} if asked else {})


@pytest.mark.parametrize(
    ("value", "unit", "share"),
    [(50.0, "percent", 0.5), (4.0, "0-5", 4.0), (None, "percent", None)],
)
def test_percent_become_shares(value: float | None, unit: str, share: float | None) -> None:
    assert as_share(value, unit) == share


def test_a_digest_takes_half_a_surrogate_pair_too() -> None:
    assert sha256_of("é") == hashlib.sha256(b"\xc3\xa9").hexdigest()
    assert sha256_of("\ud800") == hashlib.sha256(b"\\ud800").hexdigest()


def test_inspect_is_told_of_every_sample(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    (path,) = write_files(tmp_path, inspect_log(RunFacts.of(run)))
    assert path.name == f"2026-03-01T10-00-00+00-00_made-up_{'f' * 22}.json"
    log = read(path)
    assert log["status"] == "success"
    spec = log["eval"]
    assert (spec["created"], spec["task_version"], spec["model"]) == (START, 1, "org/model-7b")
    assert spec["dataset"] == {
        "name": "hub://org/set",
        "samples": 4,
        "sample_ids": ["q0", "q1", "q2", "q3"],
        "shuffled": False,
    }
    assert spec["task_args"] == {"benchmark": "made/up (limit=4)", "model": "made"}
    assert log["stats"] == {"started_at": START, "completed_at": END}
    assert (log["results"]["total_samples"], log["results"]["completed_samples"]) == (4, 3)
    (score,) = log["results"]["scores"]
    # One of the three with a score is right; unreadable counts as wrong.
    assert score["metrics"]["accuracy"]["value"] == pytest.approx(1 / 3)
    assert set(score["metrics"]) <= {"accuracy", "stderr", "ci_low", "ci_high"}
    assert (score["scored_samples"], score["unscored_samples"]) == (3, 1)
    first, second, third, last = log["samples"]
    assert first["messages"] == [
        {"role": "user", "content": "Which?\nA. x\nB. y", "source": "input"},
        {"role": "assistant", "content": "A", "source": "generate", "model": "org/model-7b"},
    ]
    assert first["output"]["usage"] == {
        "input_tokens": 100,
        "output_tokens": 2,
        "total_tokens": 102,
    }
    assert first["model_usage"] == {"org/model-7b": first["output"]["usage"]}
    assert third["output"]["usage"] == {
        "input_tokens": 0,
        "output_tokens": 3,
        "total_tokens": 3,
    }
    assert set(last["output"]["usage"].values()) == {0}
    reasons = [sample["output"]["choices"][0]["stop_reason"] for sample in log["samples"]]
    assert reasons == ["stop", "max_tokens", "unknown", "unknown"]
    assert first["scores"]["StrictChoice"] == {
        "value": 1.0,
        "answer": "A",
        "explanation": None,
        "metadata": {"unreadable": False},
    }
    assert third["scores"]["StrictChoice"]["metadata"] == {"unreadable": True}
    assert (first["choices"], third["choices"], second["target"]) == (["x", "y"], None, ["A", "a"])
    assert first["metadata"] == {
        "duration": "long",
        "group": "video 0",
        "row": 0,
        "media": ["0.mp4"],
        "frame_indices": [[0, 5, 9]],
    }
    assert last["error"]["message"] == "MediaError: broken"
    assert "scores" not in last
    partial = run_of(tmp_path / "b", manifest={"status": "interrupted", "fingerprint": "e" * 64})
    (path,) = write_files(tmp_path, inspect_log(RunFacts.of(partial)))
    assert read(path)["status"] == "cancelled"


def test_every_eval_ever_is_told_of_what_has_a_score(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    paths = write_files(tmp_path / "store", every_eval_ever(RunFacts.of(run)))
    below = tmp_path / "store" / "data" / "made_up" / "org" / "model-7b"
    assert [path.parent for path in paths] == [below, below]
    content, lines = read(paths[0]), lines_of(paths[1])
    assert content["evaluation_id"] == f"made_up/org_model-7b/{START_SECONDS}"
    assert content["evaluation_timestamp"] == str(START_SECONDS)
    assert content["model_info"]["id"] == "org/model-7b"
    assert content["model_info"]["inference_engine"]["version"] == "5.0.0"
    assert content["model_info"]["additional_details"] == {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights",
    }
    (result,) = content["evaluation_results"]
    assert result["evaluation_result_id"] == f"{content['evaluation_id']}/accuracy"
    assert result["source_data"] == {
        "dataset_name": "made/up",
        "source_type": "hf_dataset",
        "hf_repo": "org/set",
        "samples_number": 4,
    }
    config = result["metric_config"]
    assert (config["min_score"], config["max_score"]) == (0.0, 100.0)
    assert config["lower_is_better"] is False
    details = result["score_details"]
    assert details["score"] == pytest.approx(100 / 3)
    assert details["details"] == {"scored": "3", "unreadable": "1", "failed": "1"}
    assert details["uncertainty"]["num_samples"] == 3
    assert result["generation_config"]["generation_args"] == {
        "temperature": 0.0,
        "max_tokens": 16,
        "execution_command": "llava-eval a=b c",
    }
    assert [line["sample_id"] for line in lines] == ["q0", "q1", "q2"]
    first, second, third = lines
    assert [line["evaluation"]["is_correct"] for line in lines] == [True, False, False]
    assert first["sample_hash"] == sha256_of("Which?\nA. x\nB. yA")
    assert first["input"]["choices"] == ["x", "y"]
    assert "choices" not in third["input"]
    assert first["token_usage"] == {"input_tokens": 100, "output_tokens": 2, "total_tokens": 102}
    assert "token_usage" not in third, "the server did not say how long the prompt was"
    (attribution,) = second["answer_attribution"]
    assert attribution["extracted_value"] == "B"
    assert (attribution["turn_idx"], attribution["is_terminal"]) == (0, True)
    assert third["answer_attribution"] == []
    assert [line["metadata"]["unreadable"] for line in lines] == ["false", "false", "true"]
    assert json.loads(first["metadata"]["frame_indices"]) == [[0, 5, 9]]


@pytest.mark.parametrize(
    ("unit", "bounds"),
    [
        ("percent", (0.0, 100.0)),
        ("0-5", (0.0, 5.0)),
        ("-1-1", (-1.0, 1.0)),
        ("nats", ("-Infinity", "Infinity")),
    ],
)
def test_a_unit_has_bounds(tmp_path: Path, unit: str, bounds: tuple[object, object]) -> None:
    node = {**ACCURACY["accuracy"], "unit": unit}
    local = {"model.checkpoint": "/folder", "model.name": "mine", "benchmark.source": "x.csv"}
    unknown: dict[str, Any] = {"versions": {}, "model": None, "sessions": [{"started": START}]}
    run = run_of(tmp_path, metrics={"accuracy": node}, config=local, manifest=unknown)
    aggregate, _ = write_files(tmp_path / "store", every_eval_ever(RunFacts.of(run)))
    content = read(aggregate)
    (result,) = content["evaluation_results"]
    found = (result["metric_config"]["min_score"], result["metric_config"]["max_score"])
    assert found == bounds
    assert aggregate.parent == tmp_path / "store" / "data" / "made_up" / "local" / "mine"
    assert content["model_info"]["id"] == "local/mine"
    assert content["model_info"]["inference_engine"]["version"] == "unknown"
    assert set(content["model_info"]["additional_details"].values()) == {"unknown"}
    assert result["source_data"] == {"dataset_name": "made/up", "source_type": "other"}
    assert "execution_command" not in result["generation_config"]["generation_args"]


def test_an_error_is_right_at_0(tmp_path: Path) -> None:
    words = [answered(n, True, score=Score(value, "x")) for n, value in enumerate((0.0, 2.0))]
    node = {"_target_": "llava_eval.metrics.means.mean_score", "scale": -1.0, "unit": "words"}
    run = RunReader().read(write_run(tmp_path / "run", words, metrics={"wer": node}))
    _, samples = write_files(tmp_path, every_eval_ever(RunFacts.of(run)))
    assert [line["evaluation"]["is_correct"] for line in lines_of(samples)] == [True, False]


def test_a_score_of_0_to_5_is_right_at_5(tmp_path: Path) -> None:
    marks = [answered(n, True, score=Score(float(n), "x")) for n in range(6)]
    node = {"_target_": "llava_eval.metrics.means.mean_score", "scale": 1.0, "unit": "0-5"}
    served = {"model": {"checkpoint": "gpt", "base_url": "https://x"}}
    path = write_run(tmp_path / "run", marks, metrics={"score": node}, manifest=served)
    run = RunReader().read(path)
    aggregate, samples = write_files(tmp_path, every_eval_ever(RunFacts.of(run)))
    said = [line["evaluation"]["is_correct"] for line in lines_of(samples)]
    assert said == [False] * 5 + [True]
    index = index_of(SampleSet.of([run]), {})
    assert index["states"] == ["wppppr"]
    model = read(aggregate)["model_info"]
    assert model["inference_engine"]["name"] == "unknown", "a server does not say what it runs"
    assert model["additional_details"]["deployment_type"] == "unknown"
    results, _ = lm_eval(RunFacts.of(run)).values()
    assert results["model_source"] == "unknown"


def test_a_share_of_yes_is_better_in_neither_direction(tmp_path: Path) -> None:
    node = {"_target_": "llava_eval.metrics.yes_no.yes_no", "measure": "yes_ratio"}
    facts = RunFacts.of(run_of(tmp_path, metrics={**ACCURACY, "yes_ratio": node}))
    aggregate, _ = every_eval_ever(facts).values()
    said = [item["metric_config"] for item in aggregate["evaluation_results"]]
    assert ["additional_details" in config for config in said] == [False, True]


def test_lm_eval_is_told_of_every_sample(tmp_path: Path) -> None:
    run = run_of(tmp_path)
    results_path, samples_path = write_files(tmp_path / "out", lm_eval(RunFacts.of(run)))
    folder = tmp_path / "out" / "org__model-7b"
    assert results_path == folder / "results_2026-03-01T10-00-00.000000.json"
    assert samples_path == folder / "samples_made_up_2026-03-01T10-00-00.000000.jsonl"
    content, lines = read(results_path), lines_of(samples_path)
    numbers = content["results"]["made_up"]
    assert numbers["alias"] == "made/up"
    assert numbers["accuracy,none"] == pytest.approx(1 / 3)
    # All samples are of one video: one cluster has no standard error, which lm-eval writes so.
    assert numbers["accuracy_stderr,none"] == "N/A"
    assert content["n-samples"] == {"made_up": {"original": 4, "effective": 4}}
    assert content["n-shot"] == {"made_up": 0}
    assert content["higher_is_better"] == {"made_up": {"accuracy": True}}
    assert content["versions"] == {"made_up": 1}
    assert content["model_source"] == "hf"
    assert (content["start_time"], content["end_time"]) == (START_SECONDS, START_SECONDS + 90)
    assert content["total_evaluation_time_seconds"] == "90.0"
    assert content["model_name_sanitized"] == "org__model-7b"
    assert content["config"]["max_tokens"] == 16
    first, second, third, last = lines
    assert [line["doc_id"] for line in lines] == [0, 1, 2, 3]
    assert (first["target"], second["target"]) == ("A", ["A", "a"])
    assert [line["filtered_resps"] for line in lines] == [["A"], ["B"], [""], [""]]
    assert [line["resps"] for line in lines] == [[["A"]], [["B"]], [["well"]], [[""]]]
    assert (first["accuracy"], last["accuracy"]) == (1.0, None)
    assert first["prompt_hash"] == sha256_of("Which?\nA. x\nB. y")
    assert first["target_hash"] == sha256_of("A")
    assert first["doc_hash"] == sha256_of(json.dumps(first["doc"], ensure_ascii=False))
    assert first["doc"]["duration"] == "long"
    assert first["arguments"]["gen_args_0"]["arg_0"] == "Which?\nA. x\nB. y"
    assert third["metrics"] == ["accuracy"]
    *_, record = foreign_records(samples_path.read_bytes(), samples_path) or []
    generation = record.generation
    assert (generation.text, generation.error) == (None, "MediaError: broken")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"manifest": {"status": "failed"}}, "the hub takes whole runs"),
        ({"config": {"benchmark.source": "x.csv"}}, "its rows came from x.csv, and the hub"),
        ({"config": {"benchmark.source": None}}, "came from nowhere that is known"),
        ({"metrics": {"iou": {**ACCURACY["accuracy"], "detail": "iou"}}}, "metric has no value"),
    ],
)
def test_the_hub_takes_no_other_runs(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    facts = RunFacts.of(run_of(tmp_path, **changes))
    with pytest.raises(ComparisonError, match=message):
        write_files(tmp_path, hub_entry(facts))
    assert not (tmp_path / ".eval_results").exists()


def test_a_tracker_gets_every_number_by_one_name(tmp_path: Path) -> None:
    run = run_of(tmp_path, config={"judge.base_url": "https://me:word@host/v1"})
    numbers = numbers_of(run)
    assert numbers["made/up/accuracy"] == pytest.approx(100 / 3)
    assert numbers["made/up/accuracy_num_samples"] == 3
    assert numbers["made/up/duration/short/accuracy"] == 0.0
    assert numbers["made/up/duration/long/accuracy"] == 50.0
    counts = {name: numbers[f"made/up/num_{name}"] for name in ("samples", "unreadable", "errors")}
    assert counts == {"samples": 4, "unreadable": 1, "errors": 1}
    settings = settings_of(run)
    assert settings["judge.base_url"] == "https://host/v1"
    assert settings["benchmark_label"] == "made/up (limit=4)"
    assert settings["llava_eval"] == "0.1.0"
    assert "benchmark.media_root" not in settings, "null is left out"
    odd = RunReader().read(
        write_run(tmp_path / "odd", [answered(0, True, facets={"duration": "a:b%"})])
    )
    assert "made/up/duration/a_b_/accuracy" in numbers_of(odd)


def test_days_are_counted_rightly() -> None:
    assert datetime.datetime.fromisoformat(START).timestamp() == START_SECONDS


@pytest.mark.parametrize(
    ("tasks", "subset", "expected"),
    [
        ([{"id": "a", "config": "x"}, {"id": "b"}], None, "b"),
        ([{"id": "a", "config": "x"}, {"id": "b"}], "x", "a"),
        ([{"id": "a", "split": "dev"}, {"id": "b", "split": "test"}], None, "b"),
        ([{"id": "a", "split": "dev"}], None, "no task of subset 'default' and split 'test'"),
        ([{"name": "a"}], None, "its eval.yaml names no tasks: 'id'"),
        (7, None, "its eval.yaml names no tasks"),
        (b"tasks: \xff", None, "its eval.yaml names no tasks: .* codec can't decode byte 0xff"),
        (None, None, "has no eval.yaml that can be read"),
    ],
)
def test_the_hub_is_told_by_the_data_sets_own_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tasks: Any, subset: str | None, expected: str
) -> None:
    cache = tmp_path / "hub" / "datasets--org--set"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache.parent))
    if tasks is not None:
        (cache / "snapshots" / ("0" * 40)).mkdir(parents=True)
        (cache / "refs").mkdir()
        (cache / "refs" / "main").write_text("0" * 40)
        content = tasks if isinstance(tasks, bytes) else json.dumps({"tasks": tasks}).encode()
        (cache / "snapshots" / ("0" * 40) / "eval.yaml").write_bytes(content)
    facts = RunFacts.of(run_of(tmp_path, config={"benchmark.subset": subset}))
    if len(expected) > 1:
        with pytest.raises(ComparisonError, match=expected):
            write_files(tmp_path, hub_entry(facts))
        return
    (path,) = write_files(tmp_path, hub_entry(facts))
    assert path == tmp_path / ".eval_results" / "made_up.yaml"
    (entry,) = yaml.safe_load(path.read_text())
    assert entry["dataset"] == {"id": "org/set", "task_id": expected}
    assert entry["value"] == 33.3333
    assert str(entry["date"]) == START[:10]
    first, second, third, name = entry["notes"].split("; ")
    assert first == "made/up (limit=4): accuracy 33.3 percent"
    assert second.startswith("95 % interval ")
    assert third == "3 scored, 1 unreadable, 1 failed"
    assert name == "made", "the hub's name is that of the checkpoint"


def test_other_tools_read_texts_with_any_character(tmp_path: Path) -> None:
    """Some readers end lines where Python does, and some refuse half a surrogate pair."""
    text = "one\u2028two\u2029three\x85four \ud800"
    results = [answered(n, True, generation=Generation(text)) for n in range(3)]
    facts = RunFacts.of(RunReader().read(write_run(tmp_path / "run", results)))
    written = write_files(tmp_path / "lm_eval", lm_eval(facts))
    lines = written[1].read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["resps"] for line in lines] == [[[text]]] * 3
    written = write_files(tmp_path / "eee", every_eval_ever(facts))
    lines = written[1].read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["output"]["raw"] for line in lines] == [[text]] * 3
    (path,) = write_files(tmp_path / "inspect", inspect_log(facts))
    samples = from_json(path.read_bytes())["samples"]
    assert samples[0]["output"]["choices"][0]["message"]["content"] == f"{text[:-1]}?"


def test_no_part_of_a_trackers_name_is_one_that_no_path_has(tmp_path: Path) -> None:
    """MLflow takes none of the numbers where a name is another one as a path."""
    levels = (".", "..", "", "a/./b", "/c/", "...")
    results = [answered(n, True, facets={"duration": level}) for n, level in enumerate(levels)]
    names = numbers_of(RunReader().read(write_run(tmp_path / "run", results)))
    assert all(posixpath.normpath(name) == name for name in names)
    found = [name for name in names if "/duration/" in name and name.endswith("/accuracy")]
    assert [name.removeprefix("made/up/duration/").removesuffix("/accuracy") for name in found] == [
        *("_u002e_", "_u002e__u002e_", "_empty_", "a/_/b", "_/c/_", "..."),
    ]
