"""Two runs compared: numbers by hand, refusals, and everything beside the numbers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import llava_eval
from llava_eval import cli
from llava_eval.errors import ComparisonError
from llava_eval.metrics.paired import holm, mcnemar_exact, paired_means
from llava_eval.results.compare.comparison import RunComparison, all_notes, compare_runs, notes
from llava_eval.results.compare.comparison_tables import agreement_table, metrics_table
from llava_eval.results.compare.export import metrics_data
from llava_eval.results.compare.pairing import metric_of
from llava_eval.results.report.overview import Overview
from llava_eval.results.runs import Run, RunReader
from llava_eval.scoring.captions.corpus import CaptionScorer, corpus_bleu
from llava_eval.types import Generation, Sample, SampleResult, Score
from tests.results.runs_on_disk import answered, equal_models, failed, write_run

CAPTION_METRICS: dict[str, dict[str, Any]] = {
    "CIDEr": {
        "_target_": "llava_eval.metrics.means.mean_score",
        "detail": "cider",
        "unit": "points",
    },
    "BLEU_4": {"_target_": "llava_eval.scoring.captions.corpus.corpus_bleu", "order": 4},
}
CAPTION_SCORER = {"scorer._target_": "llava_eval.scoring.captions.corpus.CaptionScorer"}


def read(path: Path) -> Run:
    return RunReader().read(path)


def compared(
    tmp_path: Path, *sides: Sequence[SampleResult], allow: bool = False, **of_all: Any
) -> list[RunComparison]:
    runs = [
        read(write_run(tmp_path / f"run{number}", side, **of_all))
        for number, side in enumerate(sides)
    ]
    return compare_runs(runs, allow_differences=allow)


@pytest.mark.slow
def test_a_group_of_which_a_sample_failed_is_left_out_as_in_the_table_of_its_run(
    tmp_path: Path,
) -> None:
    circular = {"circular": {"_target_": "llava_eval.metrics.groups.all_right"}}
    first = [answered(n, n != 8) for n in range(9)]
    second = [failed(1) if n == 1 else answered(n, True) for n in range(9)]
    runs = [
        RunReader().read(write_run(tmp_path / str(number), results, metrics=circular))
        for number, results in enumerate([first, second])
    ]
    (found,) = compare_runs(runs)
    estimate = found.headline.estimate
    assert estimate is not None
    # one of the two whole videos is right in the first run, both are in the second
    assert (estimate.first, estimate.second) == (50.0, 100.0)
    assert estimate.second == runs[1].tables.metrics["circular"].value


def test_numbers_by_hand(tmp_path: Path) -> None:
    # 12 questions: A alone is right on 0, 1, 2; B alone on 3; both on 4 to 9; neither on 10, 11.
    first = [answered(n, n not in (3, 10, 11)) for n in range(12)]
    second = [answered(n, n not in (0, 1, 2, 10, 11)) for n in range(12)]
    (found,) = compared(tmp_path, first, second)
    (accuracy,) = found.metrics
    assert accuracy.estimate is not None
    assert accuracy.estimate.first == 75.0
    assert accuracy.estimate.second == pytest.approx(700 / 12)
    assert accuracy.estimate.difference == pytest.approx(-200 / 12)
    assert (accuracy.estimate.num_samples, accuracy.estimate.num_clusters) == (12, 4)
    assert accuracy.mcnemar is not None
    assert (accuracy.mcnemar.num_first_only, accuracy.mcnemar.num_second_only) == (3, 1)
    assert accuracy.mcnemar.p_value == pytest.approx(10 / 16)  # 2 * (1 + 4) / 2^4
    assert [flip.id for flip in found.worse] == ["q0", "q1", "q2"]
    assert [flip.id for flip in found.better] == ["q3"]
    flip = found.worse[0]
    assert (flip.media, flip.before, flip.after, flip.target) == (("0.mp4",), "A", "B", ("A",))
    assert flip.change == -100.0
    assert found.agreement.num_same_answer == 8
    assert found.agreement.num_same_text == 8


def test_facets_have_their_own_differences_and_holms_p_values(tmp_path: Path) -> None:
    first, second = equal_models(4)
    (found,) = compared(tmp_path, first, second)
    levels = found.facets["duration"]
    assert [level.level for level in levels] == ["long", "short"]
    p_values = []
    for level in levels:
        rows = [n for n, one in enumerate(first) if one.facets["duration"] == level.level]
        assert level.estimate is not None
        assert level.estimate.num_samples == len(rows)
        difference = sum((second[n].score.value or 0) - (first[n].score.value or 0) for n in rows)
        assert level.estimate.difference == pytest.approx(100 * difference / len(rows))
        p_values.append(level.estimate.p_value)
    assert [level.adjusted_p_value for level in levels] == holm(p_values)


def test_scored_texts_are_said_to_know_nothing_of_how_they_were_asked(tmp_path: Path) -> None:
    first, second = (
        RunReader().read(write_run(tmp_path / name, [answered(0, True)])) for name in "ab"
    )
    scored = {name: first.config[name] for name in ("benchmark", "scorer")}
    (found,) = compare_runs([first, dataclasses.replace(second, config=scored)])
    assert notes(found) == [
        "of B only how it was scored is known; its other settings are not compared"
    ]


def test_several_runs_are_corrected_by_holm(tmp_path: Path) -> None:
    first, second = equal_models(1)
    _, third = equal_models(2)
    worse = [answered(n, n % 4 == 0) for n in range(len(first))]
    found = compared(tmp_path, first, second, third, worse)
    p_values = [one.headline.estimate.p_value if one.headline.estimate else None for one in found]
    assert [one.adjusted_p_values["accuracy"] for one in found] == holm(p_values)


def test_samples_in_one_run_only_are_left_out_and_named(tmp_path: Path) -> None:
    first = [*(answered(n, True) for n in range(6)), failed(6)]
    second = [answered(n, n > 2) for n in range(1, 9)]
    (found,) = compared(tmp_path, first, second)
    assert found.agreement.num_samples == 5
    assert notes(found) == [
        "1 sample only in A, not compared: q0",
        "2 samples only in B, not compared: q7, q8",
        "1 sample failed, not compared: q6",
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prompt": "Other?"}, "they differ in 1 prompt (q2)"),
        ({"target": ("B",)}, "they differ in 1 target (q2)"),
        ({"media": ("9.mp4",)}, "they differ in 1 medium (q2)"),
    ],
)
def test_other_questions_are_refused_unless_allowed(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    first = [answered(n, True) for n in range(6)]
    second = [answered(n, True, **(changes if n == 2 else {})) for n in range(6)]
    with pytest.raises(ComparisonError) as caught:
        compared(tmp_path / "x", first, second)
    assert words in str(caught.value)
    assert "--allow-differences" in str(caught.value)
    (found,) = compared(tmp_path / "y", first, second, allow=True)
    assert f"A and B {words.removeprefix('they ')}" in notes(found)


def test_another_version_or_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    results = [answered(n, True) for n in range(6)]
    first = read(write_run(tmp_path / "a", results))
    newer = read(write_run(tmp_path / "b", results, config={"benchmark.version": 2}))
    with pytest.raises(ComparisonError, match="versions 1 and 2 of made/up"):
        compare_runs([first, newer])
    killed = read(write_run(tmp_path / "c", results, manifest={"status": "interrupted"}))
    with pytest.raises(ComparisonError, match="is not finished"):
        compare_runs([first, killed])
    (found,) = compare_runs([first, killed], allow_differences=True)
    assert notes(found) == ["B is not finished (status 'interrupted')"]
    lines = (tmp_path / "a" / "samples.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "a" / "samples.jsonl").write_text("".join(lines[1:]))
    with pytest.raises(ComparisonError, match="holds 5 of its 6 samples"):
        compare_runs([read(tmp_path / "a"), first])


def captions(texts: Sequence[str | None]) -> list[SampleResult]:
    """Return scored captions; None is a failed one."""
    references = [("a red car on a road", "the red car"), ("two dogs play", "dogs are playing")]
    targets = [references[n % 2] for n in range(len(texts))]
    samples = [Sample(f"q{n}", n, f"v{n}", ("?",), targets[n]) for n in range(len(texts))]
    kept = [n for n, text in enumerate(texts) if text is not None]
    scores = dict(
        zip(
            kept,
            CaptionScorer().score_all(
                [Generation(texts[n]) for n in kept], [samples[n] for n in kept]
            ),
            strict=True,
        )
    )
    return [
        dataclasses.replace(failed(n, "x"), group=f"v{n}", target=targets[n])
        if text is None
        else answered(
            n, True, group=f"v{n}", target=targets[n], generation=Generation(text), score=scores[n]
        )
        for n, text in enumerate(texts)
    ]


def test_captions_are_compared_by_their_details_and_sums(tmp_path: Path) -> None:
    good = captions(["a red car on the road", "two dogs play", "the red car", "dogs playing"] * 3)
    poor = captions(["a car", "two cats", "a bus", "dogs"] * 3)
    (found,) = compared(
        tmp_path, good, poor, metrics=CAPTION_METRICS, config=CAPTION_SCORER, facets=()
    )
    cider, bleu = found.metrics
    assert cider.estimate is not None
    assert bleu.estimate is not None
    means = [
        100 * sum(float(str(one.score.details["cider"])) for one in side) / len(side)
        for side in (good, poor)
    ]
    assert (cider.unit, cider.mcnemar) == ("points", None)
    assert cider.estimate.difference == pytest.approx(means[1] - means[0])
    assert bleu.estimate.first == pytest.approx(corpus_bleu(good).value)
    assert bleu.estimate.second == pytest.approx(corpus_bleu(poor).value)
    assert found.worse[0].change <= found.worse[-1].change


def test_cider_of_different_sets_is_not_compared(tmp_path: Path) -> None:
    texts = ["a red car on the road", "two dogs play", "the red car", "dogs playing"]
    (found,) = compared(
        tmp_path,
        captions(texts),
        captions([*texts[:3], None]),
        metrics=CAPTION_METRICS,
        config=CAPTION_SCORER,
        facets=(),
    )
    cider, bleu = found.metrics
    assert cider.estimate is None
    assert "CIDEr is not compared: its values weigh words by the whole set" in notes(found)[-1]
    assert bleu.estimate is not None
    assert found.headline is bleu
    assert agreement_table([found]).rows[0][5:7] == ["-", "-"], "of no sample by itself"


def test_all_runs_are_looked_at_by_one_metric_and_notes_name_theirs(tmp_path: Path) -> None:
    metrics = {
        "CIDEr": {**CAPTION_METRICS["CIDEr"]},
        "ROUGE_L": {"_target_": "llava_eval.metrics.means.mean_score", "detail": "rouge_l"},
    }
    whole = [
        answered(
            n, n > 0, score=Score(float(n > 0), "A", details={"cider": 0.1 * n, "rouge_l": 0.5})
        )
        for n in range(12)
    ]
    partly = [*whole[:11], failed(11)]
    found = compared(tmp_path, whole, whole, partly, metrics=metrics, config=CAPTION_SCORER)
    assert [item.headline.name for item in found] == ["ROUGE_L", "ROUGE_L"]
    assert [item.metrics[0].estimate is None for item in found] == [False, True]
    said, reason = all_notes(found)
    assert said == "1 sample of C failed, not compared: q11"
    assert reason.startswith("CIDEr of A and C is not compared: its values weigh words")


def test_a_run_without_a_common_sample_does_not_end_the_others(tmp_path: Path) -> None:
    short, long = [answered(n, n > 0) for n in range(6)], [answered(n, True) for n in range(6, 12)]
    paths = [
        write_run(tmp_path / str(number), side)
        for number, side in enumerate((short, long, [*short, *long]))
    ]
    runs = [read(path) for path in paths]
    with pytest.raises(ComparisonError, match="no sample in common"):
        compare_runs(runs)
    with pytest.raises(ComparisonError, match="no sample in common"):
        compare_runs(runs[:2], allow_differences=True)
    (found,) = compare_runs(runs, allow_differences=True)
    assert found.letter == "C"
    assert list(metrics_table([found]).header[1:4]) == ["A", "C", "C - A"]
    assert all_notes([found], runs) == [
        "B is not compared: A has no sample that B answered",
        "6 samples only in C, not compared: q6, q7, q8, q9, q10 and 1 more",
    ]
    numbers = metrics_data(runs, [found])["metrics"].query("level == ''")
    assert numbers["num_compared"].fillna(0).tolist() == [0, 0, 6]
    overview = Overview.of(runs)
    assert [item.letter for item in overview.comparisons] == ["C"]
    assert overview.sweep is not None
    assert all_notes(compare_runs([runs[2], *runs[:2]])) == [
        "6 samples only in A of A and B, not compared: q6, q7, q8, q9, q10 and 1 more",
        "6 samples only in A of A and C, not compared: q0, q1, q2, q3, q4 and 1 more",
    ]


def test_a_report_of_many_runs_says_which_hold_other_samples(tmp_path: Path) -> None:
    sides = [[answered(n, n > 0) for n in range(size)] for size in (6, 6, 6, 6, 4)]
    paths = [write_run(tmp_path / str(number), side) for number, side in enumerate(sides)]
    (note,) = Overview.of([read(path) for path in paths]).notes
    assert note == f"{paths[4]} and {paths[0]} do not share 2 samples"


@pytest.mark.slow
def test_levels_of_whole_groups_are_those_of_the_runs_own_tables(tmp_path: Path) -> None:
    rating = {
        "_target_": "llava_eval.metrics.question_groups.videomme_v2_rating",
        "unread": "wrong",
    }

    def run(is_right: Callable[[int], bool]) -> list[SampleResult]:
        facets = {"group_type": "relevance", "group_structure": ""}
        levels = ["1", "1", "2", "3"]  # of a group it is that of its last row
        return [
            answered(n, is_right(n % 4), per_video=4, facets={**facets, "level": levels[n % 4]})
            for n in range(48)
        ]

    sides = [run(lambda n: True), run(lambda n: n < 2)]
    (found,) = compared(tmp_path, *sides, metrics={"total": rating}, facets=["level"])
    (level,) = found.facets["level"]
    assert level.level == "3"
    assert level.estimate is not None
    assert (level.estimate.first, level.estimate.second) == (100.0, 25.0)  # (2 / 4) ** 2


def test_a_graded_score_has_a_bootstrapped_interval_and_no_mcnemar(tmp_path: Path) -> None:
    first = [answered(n, True, score=Score((n % 4) / 3, "x")) for n in range(30)]
    second = [answered(n, True, score=Score((n % 3) / 3, "x")) for n in range(30)]
    (found,) = compared(tmp_path, first, second)
    estimate = found.headline.estimate
    assert estimate is not None
    assert found.headline.mcnemar is None
    assert estimate.low is not None
    assert estimate.low < estimate.difference < (estimate.high or 0)


def test_unread_replies_keep_the_denominators_of_the_tables(tmp_path: Path) -> None:
    left_out = Score(None, None, unreadable=True)
    first = [answered(n, n % 2 == 0) for n in range(12)]
    second = [answered(n, True, score=left_out) if n < 4 else first[n] for n in range(12)]
    (found,) = compared(tmp_path, first, second)
    estimate = found.headline.estimate
    assert estimate is not None
    assert (estimate.first, estimate.second) == (50.0, 50.0)


def test_only_metrics_of_the_package_are_called(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"os\.system is not a metric"):
        metric_of({"_target_": "os.system"})
    path = write_run(tmp_path / "run", [answered(n, True) for n in range(6)])
    run = read(path)
    metrics = {"x": {"_target_": "os.system"}}
    benchmark = dataclasses.replace(run.parts.benchmark, metrics=metrics)
    foreign = dataclasses.replace(run, parts=dataclasses.replace(run.parts, benchmark=benchmark))
    (found,) = compare_runs([foreign, run])
    assert found.headline.estimate is None
    (note,) = notes(found)
    assert note == (
        "x is not compared: ValueError: os.system is not a metric of llava_eval, and is not "
        "called; --config-dir DIR allows those that its files name"
    )


OWN = """
from llava_eval.types import MetricValue

def share_of_a(results, *, bonus: float = 0.0):
    share = sum(one.score.answer == "A" for one in results) / len(results)
    return MetricValue(100 * share + bonus, None, None, None, len(results), "percent")
"""


@pytest.mark.slow
def test_a_metric_of_ones_own_is_called_where_ones_own_files_name_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_metrics.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    node = {"_target_": "own_metrics.share_of_a", "bonus": 1.0}
    files = tmp_path / "own" / "benchmark" / "mine"
    files.mkdir(parents=True)
    (files / "x.yaml").write_text(yaml.safe_dump({"benchmark": {"metrics": {"share": node}}}))
    first, second = equal_models(4)
    for name, side in (("a", first), ("b", second)):
        path = write_run(tmp_path / name, side)
        manifest = json.loads((path / "manifest.json").read_text())
        manifest["config"]["benchmark"]["metrics"] = {"share": node}
        (path / "manifest.json").write_text(json.dumps(manifest))
    assert cli.run_command(["compare", "a", "b"]) == 0
    assert "own_metrics.share_of_a is not a metric of llava_eval" in _flat(capsys)
    assert cli.run_command(["compare", "a", "b", "--config-dir", "own"]) == 0
    share = 100 * sum(one.score.answer == "A" for one in first) / len(first) + 1
    assert f"share {share:.1f}" in _flat(capsys)
    assert cli.run_command(["gate", "a", "--write-baseline", "base.json"]) == 0
    for baseline in ("a", "base.json"):
        command = ["gate", "b", "--baseline", baseline]
        assert cli.run_command(command) == 2
        assert cli.run_command([*command, "--config-dir", "own"]) == 0
        assert "share" in _flat(capsys)
    assert cli.run_command(["report", "a", "b", "--out", "r.html", "--config-dir", "own"]) == 0
    assert f"<td>{share:.1f}</td>" in (tmp_path / "r.html").read_text()
    assert cli.run_command(["compare", "a", "b", "--config-dir", "nowhere"]) == 2
    assert "there is no folder nowhere" in capsys.readouterr().err
    (tmp_path / "own").rename("llava_eval_local")  # found by itself, in Python too
    one, two = llava_eval.load_runs(tmp_path)
    estimate = llava_eval.compare(one, two).headline.estimate
    assert estimate is not None
    assert estimate.first == pytest.approx(share)


def _flat(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed with single spaces."""
    return " ".join(capsys.readouterr().out.split())


def test_a_comparison_says_the_same_as_its_parts(tmp_path: Path) -> None:
    first, second = equal_models(3)
    (found,) = compared(tmp_path, first, second)
    columns = [[float(one.score.value or 0) for one in side] for side in (first, second)]
    expected = paired_means(np.array(columns[0]), np.array(columns[1]), np.arange(len(first)) // 3)
    assert expected is not None
    assert found.headline.estimate == expected.scaled(100.0)
    assert found.headline.mcnemar == mcnemar_exact(np.array(columns[0]), np.array(columns[1]))


def test_changes_of_any_size_are_flips_the_largest_first(tmp_path: Path) -> None:
    mean = {"_target_": "llava_eval.metrics.means.mean_score", "unit": "0-5", "scale": 5.0}
    values = [0.2, 0.4, 0.9, 1.0, 0.0]
    first = [answered(n, True, score=Score(0.4, "A")) for n in range(5)]
    second = [answered(n, True, score=Score(value, "A")) for n, value in enumerate(values)]
    (found,) = compared(tmp_path, first, second, metrics={"score": mean})
    assert [flip.id for flip in found.better] == ["q3", "q2"]
    assert [flip.change for flip in found.better] == pytest.approx([3.0, 2.5])
    assert [flip.id for flip in found.worse] == ["q4", "q0"]
    assert [flip.change for flip in found.worse] == pytest.approx([-2.0, -1.0])


def test_a_sample_counts_under_each_level_that_it_has(tmp_path: Path) -> None:
    levels = ("ocr", "ocr+math", "math")
    sides = [
        [answered(n, n not in wrong, facets={"skill": levels[n % 3]}) for n in range(12)]
        for wrong in ((), (1, 3))
    ]
    (found,) = compared(tmp_path, *sides, facets=("skill",))
    values = {
        item.level: (item.estimate.num_samples, item.estimate.first, item.estimate.second)
        for item in found.facets["skill"]
        if item.estimate is not None
    }
    assert values == {"ocr": (8, 100.0, 75.0), "math": (8, 100.0, 87.5)}
    for level, (_, *both) in values.items():
        for run, value in zip((found.pairing.first, found.pairing.second), both, strict=True):
            assert isinstance(run, Run)
            assert run.tables.groups["skill"][level]["accuracy"].value == value


def test_a_metric_that_the_other_run_counts_otherwise_is_said(tmp_path: Path) -> None:
    results = [answered(n, None if n == 0 else True) for n in range(6)]
    mean = "llava_eval.metrics.means.mean_score"
    nodes = ({"_target_": mean}, {"_target_": mean, "denominator": "strict"})
    runs = [
        RunReader().read(write_run(tmp_path / str(n), results, metrics={"accuracy": node}))
        for n, node in enumerate(nodes)
    ]
    (same,), (other,) = compare_runs([runs[0], runs[0]]), compare_runs(runs)
    assert notes(same) == []
    assert notes(other) == [
        "accuracy is by the rule of A for both: that of B is configured otherwise"
    ]
