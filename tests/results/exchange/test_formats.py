"""A run in the files of other tools, held to those tools' own readers where they are installed."""

from __future__ import annotations

import hashlib
import json
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from llava_eval import cli
from llava_eval.results.exchange.every_eval_ever import every_eval_ever
from llava_eval.results.exchange.inspect_log import inspect_log
from llava_eval.results.exchange.lm_eval import lm_eval
from llava_eval.results.exchange.run_facts import RunFacts
from llava_eval.results.files import write_files
from llava_eval.results.runs import RunReader
from llava_eval.types import Score
from tests.results.runs_on_disk import answered, failed, write_run


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six questions on two videos, of which one is missing."""
    folder = tmp_path_factory.mktemp("export")
    videos = folder / "videos"
    videos.mkdir()
    demo = Path(cli.__file__).parent / "demo" / "videos" / "demo_001.mp4"
    (videos / demo.name).symlink_to(demo)
    words = ["benchmark.limit=6", f"benchmark.media_root={videos}", "errors.max=3"]
    assert cli.run_command([*words, f"output_dir={folder / 'run'}"]) == 0
    return folder / "run"


def export(run: Path, form: str, folder: Path) -> list[Path]:
    assert cli.run_command(["export", str(run), "--to", form, "--out", str(folder)]) == 0
    return sorted(path for path in folder.rglob("*") if path.is_file())


def metric_of(run: Path) -> dict[str, Any]:
    metrics = json.loads((run / "metrics.json").read_text())
    return dict(metrics["metrics"]["accuracy"])


@pytest.mark.slow
def test_a_log_of_inspect(run: Path, tmp_path: Path) -> None:
    (path,) = export(run, "inspect", tmp_path)
    log = json.loads(path.read_text())
    ledger, metric = lines_of(run / "samples.jsonl"), metric_of(run)
    assert (log["version"], log["status"]) == (2, "success")
    assert log["eval"]["task"] == "demo/multiple_choice"
    assert log["results"]["total_samples"] == 6
    assert log["results"]["completed_samples"] == 3
    (score,) = log["results"]["scores"]
    assert score["metrics"]["accuracy"]["value"] == pytest.approx(metric["value"] / 100)
    assert (score["scored_samples"], score["unscored_samples"]) == (3, 3)
    for sample, line in zip(log["samples"], ledger, strict=True):
        assert (sample["id"], sample["input"]) == (line["id"], line["prompt"])
        failed = line["generation"]["error"]
        assert ("scores" in sample, "error" in sample) == (failed is None, failed is not None)
        if failed is None:
            assert sample["scores"]["StrictChoice"]["value"] == line["score"]["value"]
            assert sample["output"]["choices"][0]["message"]["content"] == str(
                line["generation"]["text"]
            )


def test_inspect_reads_its_log(run: Path, tmp_path: Path) -> None:
    log = pytest.importorskip("inspect_ai.log")
    (path,) = export(run, "inspect", tmp_path)
    read = log.read_eval_log(str(path))
    assert (read.status, len(read.samples)) == ("success", 6)
    assert [info.task for info in log.list_eval_logs(str(tmp_path))] == ["demo-multiple-choice"]


def test_every_eval_ever(run: Path, tmp_path: Path) -> None:
    aggregate_path, samples_path = export(run, "eee", tmp_path)
    aggregate, metric = json.loads(aggregate_path.read_text()), metric_of(run)
    (result,) = aggregate["evaluation_results"]
    assert result["score_details"]["score"] == metric["value"]
    assert result["score_details"]["uncertainty"]["num_samples"] == 3
    assert result["score_details"]["details"]["failed"] == "3"
    assert result["metric_config"]["max_score"] == 100.0
    detailed = aggregate["detailed_evaluation_results"]
    assert tmp_path / detailed["file_path"] == samples_path
    assert detailed["checksum"] == hashlib.sha256(samples_path.read_bytes()).hexdigest()
    scored = [
        line for line in lines_of(run / "samples.jsonl") if line["score"]["value"] is not None
    ]
    instances = lines_of(samples_path)
    assert detailed["total_rows"] == len(instances) == len(scored) == 3
    for instance, line in zip(instances, scored, strict=True):
        assert instance["evaluation_id"] == aggregate["evaluation_id"]
        assert instance["evaluation_result_id"] == result["evaluation_result_id"]
        assert instance["input"]["reference"] == line["target"]
        assert instance["evaluation"]["score"] == line["score"]["value"]
        assert instance["answer_attribution"][0]["extracted_value"] == line["score"]["answer"]
    again = export(run, "eee", tmp_path / "again")
    assert [path.name for path in again] == [aggregate_path.name, samples_path.name]


def test_every_eval_ever_takes_both_files(run: Path, tmp_path: Path) -> None:
    aggregates = pytest.importorskip("every_eval_ever.eval_types")
    instances = pytest.importorskip("every_eval_ever.instance_level_types")
    aggregate_path, samples_path = export(run, "eee", tmp_path)
    aggregates.EvaluationLog.model_validate_json(aggregate_path.read_text())
    for line in samples_path.read_text().splitlines():
        instances.InstanceLevelEvaluationLog.model_validate_json(line)


#: What names a model, and the folders that the data store's own publisher files it in.
FOLDERS = {
    "llava:7b": ("local/llava:7b", "local/llava_7b"),
    "org/llava:7b": ("org/llava:7b", "org/llava_7b"),
    "host/library/llava": ("host/library/llava", "host/library_llava"),
    "naïve 模型": ("local/naïve 模型", "local/naïve 模型"),
}


@pytest.mark.parametrize("model", FOLDERS)
def test_every_eval_ever_has_folders_that_its_store_takes(model: str, tmp_path: Path) -> None:
    results = [answered(number, True) for number in range(3)]
    path = write_run(tmp_path / "run", results, config={"model.name": model})
    aggregate_path, samples_path = export(path, "eee", tmp_path / "out")
    identity, folders = FOLDERS[model]
    aggregate = json.loads(aggregate_path.read_text())
    assert aggregate["model_info"]["id"] == identity
    assert aggregate_path.parent == tmp_path / "out" / "data" / "made_up" / folders
    assert (
        aggregate["detailed_evaluation_results"]["file_path"]
        == samples_path.relative_to(tmp_path / "out").as_posix()
    )


def test_every_eval_ever_has_no_file_of_samples_where_none_is_scored(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [failed(number) for number in range(3)])
    (aggregate_path,) = export(path, "eee", tmp_path / "out")
    aggregate = json.loads(aggregate_path.read_text())
    assert aggregate["evaluation_results"] == []
    assert "detailed_evaluation_results" not in aggregate


@pytest.mark.parametrize(
    ("model", "is_scored"), [*((model, True) for model in FOLDERS), ("org/llava", False)]
)
def test_every_eval_evers_validator_finds_nothing(
    model: str, is_scored: bool, tmp_path: Path
) -> None:
    validation = pytest.importorskip("every_eval_ever.validator.validation_core")
    results = [answered(number, True) if is_scored else failed(number) for number in range(3)]
    run = write_run(tmp_path / "run", results, config={"model.name": model})
    root = tmp_path / "out"
    names = [path.relative_to(root).as_posix() for path in export(run, "eee", root)]
    for name in names:
        report = validation.validate_file(
            root / name,
            repo_path=name,
            available_files=set(names),
            read_repo_file=lambda other: (root / other).read_text(encoding="utf-8"),
            run_semantic_checks=True,
        )
        assert (report.valid, report.errors, report.warnings) == (True, [], [])


def test_results_and_samples_of_lm_eval(run: Path, tmp_path: Path) -> None:
    results_path, samples_path = export(run, "lm-eval", tmp_path)
    assert results_path.parent.name == "demo"
    results, metric = json.loads(results_path.read_text()), metric_of(run)
    numbers = results["results"]["demo_multiple_choice"]
    assert numbers["accuracy,none"] == pytest.approx(metric["value"] / 100)
    assert numbers["sample_len"] == results["n-samples"]["demo_multiple_choice"]["effective"] == 6
    for sample, line in zip(lines_of(samples_path), lines_of(run / "samples.jsonl"), strict=True):
        assert (sample["doc_id"], sample["doc"]["id"]) == (line["row"], line["id"])
        assert sample["target"] == line["target"][0]
        assert sample["resps"] == [[line["generation"]["text"] or ""]]
        assert sample["accuracy"] == line["score"]["value"]


def of_the_hub(run: Path, folder: Path) -> Path:
    """Copy a run and let its manifest say that its rows came from the hub."""
    folder.mkdir()
    for path in run.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["config"]["benchmark"] |= {"source": "hub://org/set", "split": "test"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_an_entry_of_the_hub(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = of_the_hub(run, tmp_path / "run")
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    words = ["export", str(copied), "--to", "hub", "--out", str(tmp_path / "model")]
    assert cli.run_command(words) == 2
    assert "org/set has no eval.yaml" in capsys.readouterr().err
    snapshot = cache / "datasets--org--set" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    refs = cache / "datasets--org--set" / "refs"
    refs.mkdir()
    (refs / "main").write_text("0" * 40)
    tasks = [{"id": "other", "config": "b"}, {"id": "videos", "split": "test"}]
    (snapshot / "eval.yaml").write_text(yaml.safe_dump({"name": "set", "tasks": tasks}))
    assert cli.run_command(words) == 0
    (entry,) = yaml.safe_load(
        (tmp_path / "model" / ".eval_results" / "demo_multiple_choice.yaml").read_text()
    )
    assert entry["dataset"] == {"id": "org/set", "task_id": "videos"}
    assert entry["value"] == metric_of(run)["value"]
    assert "3 scored, 0 unreadable, 3 failed" in entry["notes"]
    (snapshot / "eval.yaml").write_text(yaml.safe_dump({"tasks": tasks[:1]}))
    assert cli.run_command(words) == 2
    assert "no task of subset 'default' and split 'test'" in capsys.readouterr().err


def test_what_cannot_go_there_is_one_line(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, part in (
        ([str(run), "--to", "hub"], "package://"),
        ([str(run), "--to", "excel"], "invalid choice"),
        ([str(tmp_path), "--to", "eee"], str(tmp_path)),
    ):
        assert cli.run_command(["export", *words, "--out", str(tmp_path / "x")]) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert part in line


@pytest.fixture
def facts(tmp_path: Path) -> RunFacts:
    """24 questions on 8 videos, 18 answered rightly and one of them a whole video wrongly."""
    results = [answered(number, number % 4 > 0) for number in range(24)]
    sessions = [{"started": "2026-01-02T03:04:05+00:00", "ended": "2026-01-02T03:04:15+00:00"}]
    path = write_run(tmp_path / "run", results, manifest={"sessions": sessions})
    return RunFacts.of(RunReader().read(path))


def test_every_eval_ever_tells_how_sure_a_number_is(facts: RunFacts, tmp_path: Path) -> None:
    path, _ = write_files(tmp_path, every_eval_ever(facts))
    (result,) = json.loads(path.read_text())["evaluation_results"]
    uncertainty = result["score_details"]["uncertainty"]
    metric = metric_of(facts.run.path)
    assert (result["score_details"]["score"], uncertainty["num_samples"]) == (75.0, 24)
    assert uncertainty["standard_error"]["value"] == metric["stderr"]
    bounds = uncertainty["confidence_interval"]
    assert (bounds["lower"], bounds["upper"]) == (metric["ci_low"], metric["ci_high"])
    assert bounds["confidence_level"] == 0.95


def test_lm_eval_is_told_shares_and_times(facts: RunFacts, tmp_path: Path) -> None:
    path, _ = write_files(tmp_path, lm_eval(facts))
    content = json.loads(path.read_text())
    (numbers,) = content["results"].values()
    assert numbers["accuracy,none"] == 0.75
    assert numbers["accuracy_stderr,none"] == metric_of(facts.run.path)["stderr"] / 100
    assert content["total_evaluation_time_seconds"] == "10.0"
    assert content["end_time"] - content["start_time"] == 10


def test_inspect_counts_samples_of_metrics_that_count_groups(tmp_path: Path) -> None:
    results = [answered(n, True) for n in range(5)]
    results.append(answered(5, True, score=Score(None, None)))
    metrics = {"circular": {"_target_": "llava_eval.metrics.groups.all_right"}}
    run = RunReader().read(write_run(tmp_path / "run", results, metrics=metrics))
    (content,) = inspect_log(RunFacts.of(run)).values()
    (score,) = content["results"]["scores"]
    assert (score["scored_samples"], score["unscored_samples"]) == (5, 1)


def test_inspect_is_told_shares_and_what_was_not_scored(facts: RunFacts, tmp_path: Path) -> None:
    (path,) = write_files(tmp_path, inspect_log(facts))
    log = json.loads(path.read_text())
    (score,) = log["results"]["scores"]
    metric = metric_of(facts.run.path)
    assert {name: item["value"] for name, item in score["metrics"].items()} == {
        "accuracy": 0.75,
        **{name: metric[name] / 100 for name in ("stderr", "ci_low", "ci_high")},
    }
    assert (score["scored_samples"], score["unscored_samples"]) == (24, 0)
    assert log["stats"] == {
        "started_at": "2026-01-02T03:04:05+00:00",
        "completed_at": "2026-01-02T03:04:15+00:00",
    }


#: Facets as users call them, and levels, one of them a word of inspect's for a refused prompt.
TAKEN = {
    "id": "7",
    "question": "short",
    "media": "screen",
    "group": "night",
    "row": "3",
    "unreadable": "yes",
    "epoch": "2",
    "stop_reason": "content_filter",
}


@pytest.mark.parametrize(("form", "beside"), [("inspect", 3), ("eee", 5), ("lm-eval", 3)])
def test_facets_and_metrics_of_any_name_go_out_and_texts_come_back(
    form: str, beside: int, tmp_path: Path
) -> None:
    columns = "".join(f', "{name}": "{level}"' for name, level in TAKEN.items())
    rows = [
        f'{{"uid": "s{n}", "q": "What is {n}?", "right": "it is 1"{columns}}}' for n in range(3)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    texts = [json.dumps({"id": f"s{n}", "text": f"it is {n}"}) for n in range(3)]
    (tmp_path / "texts.jsonl").write_text("\n".join(texts))
    metric = "{target: {_target_: llava_eval.metrics.means.mean_score}}"
    protocol = f"""
    # @package _global_
    defaults: [override /scorer: exact_match]
    benchmark:
      name: mine
      source: {tmp_path / "rows.jsonl"}
      adapter: {{_target_: llava_eval.benchmarks.adapters.open.open_ended, id: "{{uid}}",
        group: "{{uid}}", media: ["{{uid}}.mp4"], question: "{{q}}", prompt: "{{q}}",
        answers: right}}
      facets: [{", ".join(TAKEN)}]
      metrics: {metric}
    """
    (tmp_path / "configs" / "benchmark").mkdir(parents=True)
    (tmp_path / "configs" / "benchmark" / "mine.yaml").write_text(textwrap.dedent(protocol).strip())
    words = ["score", "benchmark=mine", f"--config-dir={tmp_path / 'configs'}"]
    first, again = tmp_path / "first", tmp_path / "again"
    given = f"generations={tmp_path / 'texts.jsonl'}"
    assert cli.run_command([*words, given, f"output_dir={first}"]) == 0
    paths = export(first, form, tmp_path / "out")
    (path,) = [path for path in paths if form == "inspect" or "samples" in path.name]
    line = json.loads(path.read_text())["samples"][1] if form == "inspect" else lines_of(path)[1]
    told = line["doc" if form == "lm-eval" else "metadata"]
    renamed = [name for name in TAKEN if f"facet_{name}" in told]
    assert len(renamed) == beside
    assert {n: told[f"facet_{n}" if n in renamed else n] for n in TAKEN} == TAKEN
    if form == "lm-eval":
        assert (line["target"], line["metrics"]) == ("it is 1", ["metric_target"])
        assert line["metric_target"] == 1.0
    assert cli.run_command([*words, f"generations='{path}'", f"output_dir={again}"]) == 0
    assert (again / "metrics.json").read_text() == (first / "metrics.json").read_text()


def test_texts_scored_by_two_rules_are_two_runs_of_every_eval_ever(tmp_path: Path) -> None:
    results = [answered(number, True) for number in range(3)]
    labels = ("made/up", "made/up (scorer=other)")
    runs = [write_run(tmp_path / label, results, label=label) for label in labels]
    for run in runs:
        write_files(tmp_path / "store", every_eval_ever(RunFacts.of(RunReader().read(run))))
    aggregates = [path for path in tmp_path.rglob("store/**/*.json") if path.is_file()]
    told = [json.loads(path.read_text()) for path in aggregates]
    descriptions = [
        result["metric_config"]["evaluation_description"]
        for content in told
        for result in content["evaluation_results"]
    ]
    assert sorted(descriptions) == sorted(labels)
