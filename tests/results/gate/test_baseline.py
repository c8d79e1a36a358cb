"""Baselines: small, readable, and as good as the run they were written from."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from llava_eval.errors import ComparisonError
from llava_eval.results.gate.baseline import read_baseline, write_baseline
from llava_eval.results.gate.rule import GateRule, verdict_of
from llava_eval.results.runs import Run, RunReader
from llava_eval.types import Generation, MediaInput, MediaProblem, Score
from tests.results.compare.test_comparison import CAPTION_METRICS, CAPTION_SCORER, captions
from tests.results.runs_on_disk import answered, equal_models, failed, write_run


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Run, Run]:
    """Return a baseline run, and another run."""
    before, after = equal_models(8)
    before[3] = answered(3, None)
    after[5] = answered(5, None)
    reader = RunReader()
    return (
        reader.read(write_run(tmp_path / "before", before)),
        reader.read(write_run(tmp_path / "after", after)),
    )


def test_a_written_baseline_judges_as_its_run_does(tmp_path: Path, sides: tuple[Run, Run]) -> None:
    before, after = sides
    path = tmp_path / "deep" / "baseline.json"
    write_baseline(path, before)
    rule = GateRule(max_slowdown=2.0)
    by_run, by_file = (
        verdict_of(after, one, rule) for one in (before, read_baseline(path, after, RunReader()))
    )
    assert by_file.checks == by_run.checks
    assert by_file.confidence == by_run.confidence
    assert [flip.id for flip in by_file.worse] == [flip.id for flip in by_run.worse]
    assert by_file.worse[0].before == by_run.worse[0].before


def test_captions_too(tmp_path: Path) -> None:
    good = captions(["a red car on the road", "two dogs play", "the red car", "dogs playing"] * 5)
    poor = captions(["a car", "two cats", "a bus", "dogs"] * 5)
    reader = RunReader()
    before, after = (
        reader.read(
            write_run(
                tmp_path / name, side, metrics=CAPTION_METRICS, config=CAPTION_SCORER, facets=()
            )
        )
        for name, side in (("good", good), ("poor", poor))
    )
    path = tmp_path / "baseline.json"
    write_baseline(path, before)
    by_run, by_file = (
        verdict_of(after, one, GateRule())
        for one in (before, read_baseline(path, after, RunReader()))
    )
    assert by_file.checks == by_run.checks
    assert [check.name for check in by_file.regressions] == ["CIDEr", "BLEU_4"]


def test_the_file_is_one_line_a_sample_and_changes_where_a_sample_does(
    tmp_path: Path, sides: tuple[Run, Run]
) -> None:
    before, _ = sides
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    write_baseline(first, before)
    results = [answered(0, not before.results[0].score.value), *before.results[1:]]
    write_baseline(second, RunReader().read(write_run(tmp_path / "other", results)))
    lines = [path.read_text().splitlines() for path in (first, second)]
    changed = [one for one, other in zip(*lines, strict=True) if one != other]
    assert len(changed) <= 2, "the sample, and the metric's value in the header"
    content = json.loads(first.read_text())
    assert (content["format"], content["version"]) == ("llava_eval baseline", 1)
    assert content["metrics"]["accuracy"] == pytest.approx(
        before.tables.metrics["accuracy"].value, abs=1e-4
    )
    assert content["protocol"]["sampler.num_frames"] == 3
    assert sum('"asked"' in line for line in lines[0]) == len(before.results)
    assert first.stat().st_size < 130 * len(before.results) + 2000


def test_a_changed_question_is_noticed(tmp_path: Path, sides: tuple[Run, Run]) -> None:
    before, after = sides
    path = tmp_path / "baseline.json"
    write_baseline(path, before)
    for change, words in (
        ({"prompt": "Other?"}, "1 prompt (q4)"),
        ({"target": ("B",)}, "1 target (q4)"),
        ({"media": ("9.mp4",)}, "1 prompt (q4)"),  # one digest holds the prompt and its media
    ):
        results = list(after.results)
        results[4] = answered(4, True, **change)
        name = next(iter(change))
        run = RunReader().read(write_run(tmp_path / name, results))
        with pytest.raises(ComparisonError) as caught:
            verdict_of(run, read_baseline(path, run, RunReader()), GateRule())
        assert words in str(caught.value)


def test_missing_samples_are_noticed(tmp_path: Path, sides: tuple[Run, Run]) -> None:
    before, after = sides
    path = tmp_path / "baseline.json"
    write_baseline(path, before)
    run = RunReader().read(write_run(tmp_path / "fewer", after.results[2:]))
    with pytest.raises(ComparisonError, match=r"2 samples of the baseline are missing \(q0, q1\)"):
        verdict_of(run, read_baseline(path, run, RunReader()), GateRule())


def test_a_run_with_failed_samples_makes_no_baseline(tmp_path: Path) -> None:
    results = [failed(0), *(answered(n, True) for n in range(1, 9))]
    run = RunReader().read(write_run(tmp_path / "run", results))
    with pytest.raises(ComparisonError, match="cannot be a baseline: it holds 1 failed samples"):
        write_baseline(tmp_path / "x.json", run)
    assert not (tmp_path / "x.json").exists()
    allowed = RunReader().read(write_run(tmp_path / "ok", results, config={"errors.max": 1}))
    write_baseline(tmp_path / "x.json", allowed)
    baseline = read_baseline(tmp_path / "x.json", allowed, RunReader())
    assert verdict_of(allowed, baseline, GateRule()).regressions == []
    assert baseline.results[0].generation.error == "MediaError: broken"


def test_scores_and_details_survive(tmp_path: Path) -> None:
    scores = {
        1: Score(None, None, unreadable=True, details={"chosen_at_random": True}),
        2: Score(0.25, "x", details={"cider": 1.5, "by": "a judge"}),
    }
    results = [answered(n, True, score=scores.get(n, Score(1.0, "A"))) for n in range(6)]
    run = RunReader().read(write_run(tmp_path / "run", results))
    write_baseline(tmp_path / "x.json", run)
    assert [one.score for one in read_baseline(tmp_path / "x.json", run, RunReader()).results] == [
        one.score for one in results
    ]


def test_flags_survive(tmp_path: Path) -> None:
    cut = Generation("A", 100, 16, "length")
    damaged = MediaInput(problems=(MediaProblem("damaged", "one line"),))
    results = [
        answered(0, True, generation=cut),
        answered(1, True, inputs=(damaged,)),
        answered(2, True, score=Score(1.0, "A", details={"chosen_at_random": True})),
        answered(3, True),
    ]
    run = RunReader().read(write_run(tmp_path / "run", results))
    write_baseline(tmp_path / "x.json", run)
    baseline = read_baseline(tmp_path / "x.json", run, RunReader())
    assert [one.flags for one in baseline.results] == [one.flags for one in results]
    assert [one.flags for one in results] == [
        ("cut_at_limit",),
        ("damaged",),
        ("chosen_at_random",),
        (),
    ]


def test_numbers_have_the_decimals_that_are_compared(tmp_path: Path) -> None:
    score = Score(1.8587672629899049e-06, "x", details={"cider": 0.1 + 0.2})
    run = RunReader().read(write_run(tmp_path / "run", [answered(0, True, score=score)]))
    write_baseline(tmp_path / "x.json", run)
    (sample,) = json.loads((tmp_path / "x.json").read_text())["samples"]
    assert (sample["value"], sample["details"]) == (1.859e-06, {"cider": 0.3})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"),
        ("[]", "holds no JSON object"),
        ({"format": "other"}, "is no baseline: its format is 'other'"),
        ({"format": "llava_eval baseline", "version": 2}, "of version 2, expected 1"),
        ({"format": "llava_eval baseline", "version": 1}, "is damaged (KeyError"),
    ],
)
def test_what_is_no_baseline_is_refused(tmp_path: Path, content: Any, words: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    run = RunReader().read(write_run(tmp_path / "run", [answered(0, True)]))
    with pytest.raises(ComparisonError) as caught:
        read_baseline(path, run, RunReader())
    assert words in str(caught.value)
    with pytest.raises(ComparisonError, match="there is no baseline"):
        read_baseline(tmp_path / "nothing.json", run, RunReader())


def test_what_is_known_of_its_run_is_read_back(tmp_path: Path) -> None:
    results = [answered(n, n % 2 > 0) for n in range(12)]
    run = RunReader().read(
        write_run(tmp_path / "run", results, label="made/up (x=1)", seconds=30.0)
    )
    path = tmp_path / "x.json"
    write_baseline(path, run)
    baseline = read_baseline(path, run, RunReader())
    assert (baseline.name, baseline.label, baseline.model) == (str(path), "made/up (x=1)", "made")
    assert baseline.benchmark == "made/up"
    assert baseline.origin == {
        "llava_eval": "0.1.0",
        "torch": "2.15.0",
        "transformers": None,
        "commit": "c" * 10,
        "weights": "a" * 10,
    }
    cost = baseline.cost
    assert (cost.seconds, cost.seconds_per_sample) == (30.0, 2.5)
    assert (cost.model_seconds_per_sample, cost.num_samples) == (2.5, 12)
    assert (cost.num_generated, cost.machine) == (12, "a CPU, 2 cores")
    assert baseline.incomplete is None
    content = json.loads(path.read_text())
    assert content["origin"] == {
        "date": "2026-01-01T00:00:00+00:00",
        "git_commit": "c" * 40,
        "llava_eval": "0.1.0",
        "torch": "2.15.0",
        "transformers": None,
        "weights_sha256": "a" * 64,
        "machine": "a CPU, 2 cores",
    }
    counts = ("num_samples", "num_unreadable", "num_errors", "seconds_per_sample")
    assert [content[name] for name in counts] == [12, 0, 0, 2.5]


@pytest.mark.parametrize("is_file", [True, False])
def test_another_model_behind_the_same_name_of_a_server_is_told_and_changed_code(
    tmp_path: Path, is_file: bool
) -> None:
    reader, runs = RunReader(), []
    for name in ("m-2026-01-05", "m-2026-03-09"):
        manifest: dict[str, Any] = {"model": {"checkpoint": "m", "answers_as": name}}
        manifest["git_commit"] = "c" * 40 + "+changes" * ("05" in name)
        manifest["code"] = {"scorer": ("a" if "05" in name else "b") * 64, "model": "d" * 64}
        results = [answered(n, n % 4 > 0) for n in range(40)]
        runs.append(reader.read(write_run(tmp_path / name, results, manifest=manifest)))
    before, after = runs
    path = tmp_path / "baseline.json" if is_file else before.path
    if is_file:
        write_baseline(path, before)
    text = verdict_of(after, read_baseline(path, after, reader), GateRule()).text(width=100)
    assert re.search(r"answers_as +software +m-2026-01-05 +m-2026-03-09\n", text)
    assert re.search(r"commit +software +c{10}\+changes +c{10}\n", text)
    assert re.search(r"code of scorer +software +a{10} +b{10}\n", text)
    assert "code of model" not in text


@pytest.mark.parametrize(
    ("change", "incomplete", "words"),
    [
        ({"num_samples": 3}, "holds 2 of its 3 samples", None),
        (
            {"samples": [{"id": "q0", "asked": "", "target": ""}] * 2},
            "holds 1 of its 2 samples",
            None,
        ),
        ({"origin": {}, "seconds_per_sample": None}, None, None),
        ({"protocol": {"a": 1, "a.b": 2}}, None, "a.b lies below a value"),
        ({"protocol": {"benchmark.version": "x"}}, None, "is damaged"),
        ({"num_samples": -1}, None, "is damaged"),
        ({"samples": [{"id": "q0"}]}, None, "is damaged"),
    ],
)
def test_a_baseline_that_somebody_edited(
    tmp_path: Path, change: dict[str, Any], incomplete: str | None, words: str | None
) -> None:
    run = RunReader().read(write_run(tmp_path / "run", [answered(0, True), answered(1, True)]))
    path = tmp_path / "x.json"
    write_baseline(path, run)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    if words is not None:
        with pytest.raises(ComparisonError, match="write it anew") as caught:
            read_baseline(path, run, RunReader())
        assert words in str(caught.value)
        return
    baseline = read_baseline(path, run, RunReader())
    assert baseline.incomplete == incomplete
    if "origin" in change:
        assert (baseline.origin["commit"], baseline.origin["weights"]) == ("", "")
        assert (baseline.cost.seconds, baseline.cost.machine) == (None, "")


def test_a_question_that_the_run_does_not_hold_stands_for_itself(tmp_path: Path) -> None:
    run = RunReader().read(write_run(tmp_path / "run", [answered(0, True), answered(1, False)]))
    path = tmp_path / "x.json"
    write_baseline(path, run)
    other = RunReader().read(write_run(tmp_path / "other", [answered(0, True)]))
    known, unknown = read_baseline(path, other, RunReader()).results
    assert (known.group, known.prompt, known.target) == ("video 0", run.results[0].prompt, ("A",))
    assert (unknown.id, unknown.group, unknown.row) == ("q1", "q1", 1)
    assert unknown.prompt.startswith("(digest ")
    assert unknown.target[0].startswith("(digest ")
    assert (unknown.generation.text, unknown.score.value) == ("B", 0.0)


def test_digests_are_those_of_files_that_were_written_before(tmp_path: Path) -> None:
    """The first ten digits of the SHA-256 of the texts as JSON, which anybody can compute."""
    result = answered(
        0, True, prompt="Wh\u00e4t?", media=("of/a/b.mp4", "c.png"), target=("A", "x")
    )
    result = dataclasses.replace(result, score=Score(1.0, "gr\u00fcn"))
    run = RunReader().read(write_run(tmp_path / "run", [result]))
    write_baseline(tmp_path / "x.json", run)
    assert (tmp_path / "x.json").read_bytes().isascii()
    (sample,) = json.loads((tmp_path / "x.json").read_text())["samples"]
    assert sample["answer"] == "gr\u00fcn"
    asked, target = r'["Wh\u00e4t?", "b", "c"]', '["A", "x"]'
    assert sample["asked"] == hashlib.sha256(asked.encode()).hexdigest()[:10]
    assert sample["target"] == hashlib.sha256(target.encode()).hexdigest()[:10]


def test_people_read_the_metrics_with_four_decimals(tmp_path: Path) -> None:
    run = RunReader().read(write_run(tmp_path / "run", [answered(n, n > 0) for n in range(3)]))
    write_baseline(tmp_path / "x.json", run)
    header = json.loads((tmp_path / "x.json").read_text())
    assert header["metrics"] == {"accuracy": 66.6667}
