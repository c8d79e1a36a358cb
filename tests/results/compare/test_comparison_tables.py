"""Tables of a comparison, cell by cell; of tests and intervals they show what was computed."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from llava_eval.results.compare.comparison import ComparedLevel, Flip, RunComparison, compare_runs
from llava_eval.results.compare.comparison_tables import (
    agreement_table,
    cost_table,
    counts_table,
    facet_tables,
    flips_table,
    metrics_table,
    settings_table,
)
from llava_eval.results.compare.export import metrics_data
from llava_eval.results.compare.terminal import comparison_text
from llava_eval.results.formatting import Table
from llava_eval.results.report.overview import facet_table
from llava_eval.results.run_names import letters
from llava_eval.results.runs import Run, RunReader
from llava_eval.types import Score
from tests.results.runs_on_disk import ACCURACY, answered, failed, write_run

#: Of 12 questions, three to a video: A alone is right on 0, 1, 2; B alone on 3; none on 10, 11.
WRONG_OF_A, WRONG_OF_B = (3, 10, 11), (0, 1, 2, 10, 11)


def read(path: Path, wrong: tuple[int, ...], **changes: Any) -> Run:
    results = [answered(number, number not in wrong) for number in range(12)]
    return RunReader().read(write_run(path, results, **changes))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("runs")
    sides = (WRONG_OF_A, WRONG_OF_B, WRONG_OF_A)
    return [read(folder / str(number), wrong) for number, wrong in enumerate(sides)]


@pytest.fixture(scope="module")
def comparisons(runs: list[Run]) -> list[RunComparison]:
    return compare_runs(runs)


def columns(table: Table, *names: str) -> list[list[str]]:
    assert {len(row) for row in table.rows} == {len(table.header)}
    indices = [table.header.index(name) for name in names]
    return [[row[index] for index in indices] for row in table.rows]


def test_runs_have_letters() -> None:
    names = letters(54)
    assert [names[index] for index in (0, 1, 25, 26, 51, 52, 53)] == [
        *("A", "B", "Z", "A2", "Z2", "A3", "B3"),
    ]


def test_settings_are_those_that_differ(tmp_path: Path) -> None:
    results = [answered(n, True) for n in range(3)]
    paths = {"a": {}, "b": {"sampler.num_frames": 8}}
    runs = [
        RunReader().read(write_run(tmp_path / name, results, config=config))
        for name, config in paths.items()
    ]
    table = settings_table(runs)
    assert table is not None
    assert table.header == ["differs in", "role", "A", "B"]
    assert [list(row) for row in table.rows] == [["num_frames", "protocol", "3", "8"]]
    assert settings_table([runs[0], runs[0]]) is None


def test_the_better_of_two_runs_is_marked(comparisons: list[RunComparison]) -> None:
    table = metrics_table(comparisons[:1])
    assert columns(table, "metric", "A", "B", "B - A") == [["accuracy", "75.0", "58.3", "-16.7"]]
    # Of the four questions that changed, three fell: 2 (1 + 4) / 2^4.
    assert columns(table, "McNemar p") == [["0.6250"]]
    assert list(table.best) == [(0, 1)]
    estimate = comparisons[0].metrics[0].estimate
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    ends = f"{estimate.low:+.1f} to {estimate.high:+.1f}"
    assert columns(table, "95 % interval", "p") == [[ends, f"{estimate.p_value:.4f}"]]


def test_every_run_is_held_to_the_first(comparisons: list[RunComparison]) -> None:
    table = metrics_table(comparisons)
    assert columns(table, "metric", "runs", "value", "change", "McNemar") == [
        ["accuracy", "A", "75.0", "-", "-"],
        ["accuracy", "B - A", "58.3", "-16.7", "0.6250"],
        ["accuracy", "C - A", "75.0", "+0.0", "1.0000"],
    ]
    assert list(table.best) == [(0, 2), (2, 2)]
    assert table.num_names == 2


def test_levels_of_a_facet(comparisons: list[RunComparison]) -> None:
    # Even numbers are long: A is right on 5 of 6, B on 3; of the short both on 4.
    (pair,) = facet_tables(comparisons[:1])
    assert columns(pair, "by duration", "samples", "A", "B", "B - A") == [
        ["long", "6", "83.3", "50.0", "-33.3"],
        ["short", "6", "66.7", "66.7", "+0.0"],
    ]
    assert list(pair.best) == [(0, 2)]
    p_values = [level.adjusted_p_value for level in comparisons[0].facets["duration"]]
    assert columns(pair, "Holm p") == [[f"{p_value:.4f}"] for p_value in p_values]
    (many,) = facet_tables(comparisons)
    assert many.header == ["by duration", "A", "B - A", "C - A"]
    assert many.rows == [["long", "83.3", "-33.3 ", "+0.0 "], ["short", "66.7", "+0.0 ", "+0.0 "]]


@pytest.mark.slow
def test_no_level_is_better_by_what_has_no_direction(tmp_path: Path) -> None:
    node = {"_target_": "llava_eval.metrics.yes_no.yes_no", "measure": "yes_ratio"}
    runs = []
    for name, answer in (("a", "yes"), ("b", "no")):
        results = [answered(n, True, target=("yes",), score=Score(1.0, answer)) for n in range(6)]
        path = write_run(tmp_path / name, results, metrics={"yes_ratio": node})
        runs.append(RunReader().read(path))
    (table,) = facet_tables(compare_runs(runs))
    assert [row[2:4] for row in table.rows] == [["100.0", "0.0"]] * 2
    assert (list(table.best), list(facet_table(runs, "duration", "yes_ratio").best)) == ([], [])


def with_levels(comparison: RunComparison, *levels: ComparedLevel) -> RunComparison:
    changed = copy.copy(comparison)
    vars(changed)["facets"] = {"duration": levels}
    return changed


def test_levels_are_told_by_their_names(comparisons: list[RunComparison]) -> None:
    first, second = comparisons
    long, short = first.facets["duration"]
    assert long.estimate is not None
    marked = dataclasses.replace(long, adjusted_p_value=0.049)
    turned = with_levels(first, short, marked)
    none = with_levels(second, short)
    (table,) = facet_tables([first, turned, none])
    assert table.rows == [
        ["long", "83.3", "-33.3 ", "-33.3*", "-"],
        ["short", "66.7", "+0.0 ", "+0.0 ", "+0.0 "],
    ]
    border = dataclasses.replace(long, adjusted_p_value=0.05)
    unknown = dataclasses.replace(short, estimate=None)
    other = with_levels(first, border, unknown)
    (table,) = facet_tables([first, other])
    assert [row[-1] for row in table.rows] == ["-33.3 ", "-"]


def test_how_alike_runs_are(comparisons: list[RunComparison]) -> None:
    table = agreement_table(comparisons)
    counts = ("runs", "samples", "clusters", "same text", "same answer", "worse", "better")
    assert columns(table, *counts) == [
        ["B - A", "12", "4", "66.7 %", "66.7 %", "3", "1"],
        ["C - A", "12", "4", "100.0 %", "100.0 %", "0", "0"],
    ]


@pytest.mark.parametrize(("num_samples", "ends_with"), [(6, "> 100"), (12, "93.7")])
def test_no_difference_in_percent_above_100_is_detectable(
    tmp_path: Path, num_samples: int, ends_with: str
) -> None:
    results = [answered(number, True) for number in range(num_samples)]
    pair = [RunReader().read(write_run(tmp_path / name, results)) for name in "ab"]
    (row,) = agreement_table(compare_runs(pair)).rows
    assert row[-1] == ends_with


@pytest.mark.slow
def test_levels_are_compared_by_the_metric_that_the_runs_tables_have_for_them(
    tmp_path: Path,
) -> None:
    """The overall score is none of a level: the mean of both levels' accuracies, as in MLVU."""
    overall = {"_target_": "llava_eval.metrics.groups.macro_mean", "facet": "duration"}
    changes = {
        "metrics": {"overall": overall, **ACCURACY},
        "config": {"benchmark.facet_metrics": ["accuracy"]},
    }
    pair = [read(tmp_path / name, wrong, **changes) for name, wrong in (("a", ()), ("b", (0, 1)))]
    found = compare_runs(pair)
    assert found[0].headline.name == "overall"
    rows = metrics_data(pair, found)["by_duration"]
    of_second = rows[(rows["run"] == pair[1].name) & (rows["metric"] == "accuracy")]
    assert dict(zip(of_second["level"], of_second["difference"], strict=True)) == pytest.approx(
        {"long": -100 / 6, "short": -100 / 6}
    )
    assert "Levels are compared by accuracy" in " ".join(comparison_text(pair, found).split())


def test_samples_that_changed(comparisons: list[RunComparison]) -> None:
    (metric,) = comparisons[0].metrics
    flips = [
        Flip("q1", "video 7", ("a.mp4", "b.mp4"), ("A", "C"), "A", None, -100.0),
        Flip("q2", "video 7", (), ("B",), "C", "B", 50.0),
    ]
    table = flips_table(flips, metric, second="C")
    assert table.header == ["sample", "video", "A", "C", "target"]
    assert table.rows == [
        ["q1", "a.mp4, b.mp4", "A", "(none)", "A | C"],
        ["q2", "video 7", "C", "B", "B"],
    ]
    graded = flips_table(flips, dataclasses.replace(metric, mcnemar=None))
    assert graded.header == ["sample", "video", "A", "B", "target", "change"]
    assert [row[-1] for row in graded.rows] == ["-100.0", "+50.0"]
    assert (table.num_names, graded.num_names) == (5, 5)


def test_samples_that_must_be_known_of_are_counted(runs: list[Run], tmp_path: Path) -> None:
    assert counts_table(runs) is None
    results = [failed(0), failed(1), *(answered(n, None if n < 5 else True) for n in range(2, 12))]
    odd = RunReader().read(write_run(tmp_path / "odd", results))
    table = counts_table([runs[0], odd])
    assert table is not None
    assert table.header == ["samples", "A", "B"]
    assert table.rows == [["unreadable", "0", "3"], ["failed", "0", "2"]]


def test_what_runs_cost(runs: list[Run], tmp_path: Path) -> None:
    session = {
        "stage_seconds": {"prepare": 6.0, "vision": 3.0, "decode": 9.0, "decode_wait": 2.5},
        "wall_seconds": 20.0,
        "frames": {"num_cached": 30, "num_decoded": 10},
        "num_generated": 12,
        "peak_device_memory_bytes": 1_250_000,
    }
    sessions = [session, {**session, "num_generated": 0, "wall_seconds": 90.0}]
    manifest = {"sessions": sessions, "judge": {"cost": 0.12345}}
    costly = read(tmp_path / "costly", WRONG_OF_A, manifest=manifest)
    table = cost_table([runs[0], costly])
    assert table.header == ["cost", "A", "B"]
    assert table.rows == [
        ["model (ms a sample)", "833", "1000"],
        ["prefill (s)", "2.5", "-"],
        ["decode (s)", "7.5", "9.0"],
        ["vision (s)", "-", "3.0"],
        ["preparing media (ms a sample)", "-", "500"],
        ["frames from the cache (%)", "-", "75"],
        ["load_model (s)", "5.0", "-"],
        ["decode_wait (s)", "-", "2.5"],
        ["wall, without loading (s)", "10.0", "14.5"],
        ["samples/s", "1.20", "0.83"],
        ["weights (MB)", "1.0", "1.0"],
        ["peak device memory (MB)", "-", "1.2"],
        ["peak host memory (MB)", "500.0", "-"],
        ["input tokens a sample", "100.0", "100.0"],
        ["output tokens a sample", "2.0", "2.0"],
        ["judge's cost", "-", "0.1235"],
    ]
    killed = {"sessions": [{**session, "num_generated": None}, {**session, "num_generated": 5}]}
    continued = read(tmp_path / "continued", WRONG_OF_A, manifest=killed)
    assert cost_table([runs[0], continued]).rows[0] == ["samples timed", "12", "5"]


def test_a_metric_without_a_difference_is_dashes_beside_the_others(
    comparisons: list[RunComparison],
) -> None:
    (metric,) = comparisons[0].metrics
    unknown = dataclasses.replace(metric, name="SPICE", estimate=None, mcnemar=None)
    both = [dataclasses.replace(item, metrics=[*item.metrics, unknown]) for item in comparisons]
    many = metrics_table(both)
    assert many.rows[3:] == [
        ["SPICE", "A", *["-"] * 6],
        ["SPICE", "B - A", *["-"] * 6],
        ["SPICE", "C - A", *["-"] * 6],
    ]
    assert list(many.best) == list(metrics_table(comparisons).best)
    assert [row[0] for row in metrics_table(both[:1]).rows] == ["accuracy"], "its note says why"
    alone = dataclasses.replace(both[0], metrics=[unknown])
    assert agreement_table([alone]).rows[0][-1] == "-"


def test_a_level_that_one_of_the_runs_cannot_tell_has_no_samples(tmp_path: Path) -> None:
    """Samples 0, 2, ... are of one level; the second run's scorer leaves all of these out."""
    first = [answered(n, True) for n in range(12)]
    second = [
        answered(n, True, score=Score(None, None)) if n % 2 == 0 else first[n] for n in range(12)
    ]
    runs = [
        RunReader().read(write_run(tmp_path / name, results))
        for name, results in (("a", first), ("b", second))
    ]
    (table,) = facet_tables(compare_runs(runs))
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows[first[0].facets["duration"]] == ["0", *["-"] * 5]
    assert rows[first[1].facets["duration"]][:4] == ["6", "100.0", "100.0", "+0.0"]


def test_the_first_run_has_the_value_of_the_samples_that_are_compared(tmp_path: Path) -> None:
    sides = (
        [answered(n, n < 6) for n in range(12)],
        [failed(n) if n < 6 else answered(n, True) for n in range(12)],
        [answered(n, True) for n in range(12)],
    )
    runs = [RunReader().read(write_run(tmp_path / str(n), side)) for n, side in enumerate(sides)]
    found = compare_runs(runs)
    table = metrics_table(found)
    assert columns(table, "runs", "value", "change") == [
        ["A, as B", "0.0", "-"],
        ["B - A", "100.0", "+100.0"],
        ["A, as C", "50.0", "-"],
        ["C - A", "100.0", "+50.0"],
    ]
    assert list(table.best) == []
    (facet,) = facet_tables(found)
    assert facet.rows == [
        ["long, as B", "0.0", "+100.0 ", "-"],
        ["long, as C", "50.0", "-", "+50.0 "],
        ["short, as B", "0.0", "+100.0 ", "-"],
        ["short, as C", "50.0", "-", "+50.0 "],
    ]
