"""A sweep's scores, costs and Pareto sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llava_eval.errors import ComparisonError
from llava_eval.metrics.paired import holm
from llava_eval.results.compare.comparison import compare_runs
from llava_eval.results.compare.sweep_curves import (
    frontier,
    legend,
    preparing_table,
    sweep_charts,
    sweep_table,
    sweeps_of,
)
from llava_eval.results.runs import RunReader
from llava_eval.types import Score
from tests.results.runs_on_disk import ACCURACY, answered, equal_models, failed, write_run


def test_the_pareto_set_by_hand() -> None:
    points = [(1.0, 50.0), (2.0, 60.0), (3.0, 55.0), (2.0, 58.0), (4.0, 60.0), (5.0, 70.0)]
    assert frontier(points) == [True, True, False, False, False, True]
    assert frontier([(1.0, 5.0), (1.0, 5.0)]) == [True, True], "equals beat each other nowhere"
    assert frontier([(None, 5.0), (1.0, None), (2.0, 1.0)]) == [False, False, True]


def test_runs_are_held_against_the_best_with_all_pairs_corrected(tmp_path: Path) -> None:
    sides = [*equal_models(1), [answered(n, n % 3 == 0) for n in range(180)]]
    runs = [
        RunReader().read(write_run(tmp_path / str(n), side, config={"sampler.num_frames": n}))
        for n, side in enumerate(sides)
    ]
    (sweep,) = sweeps_of(runs)
    pairs = {
        (one, other): compare_runs([runs[one], runs[other]])[0].headline.estimate
        for one, other in ((0, 1), (0, 2), (1, 2))
    }
    adjusted = dict(
        zip(pairs, holm([one.p_value if one else None for one in pairs.values()]), strict=True)
    )
    best = next(n for n, one in enumerate(sweep.settings) if one.is_best)
    for place, setting in enumerate(sweep.settings):
        if place == best:
            assert setting.to_best is None
            continue
        key = (min(place, best), max(place, best))
        assert setting.p_value == pytest.approx(adjusted[key])
        expected = pairs[key]
        assert expected is not None
        sign = 1 if place > best else -1
        assert setting.to_best is not None
        assert setting.to_best.difference == pytest.approx(sign * expected.difference)


def test_scores_of_other_rules_are_by_that_of_the_first_run(tmp_path: Path) -> None:
    mean: dict[str, Any] = ACCURACY["accuracy"]
    rules = (mean, {**mean, "scale": 1.0, "unit": "0-1"})
    runs = [
        RunReader().read(
            write_run(
                tmp_path / str(number),
                [answered(n, n % 10 < right) for n in range(60)],
                metrics={"accuracy": rule},
            )
        )
        for number, (right, rule) in enumerate(zip((7, 9), rules, strict=True))
    ]
    (sweep,) = sweeps_of(runs)
    assert [one.score.value for one in sweep.settings] == [70.0, 90.0]
    assert [one.is_best for one in sweep.settings] == [False, True]
    to_best = sweep.settings[0].to_best
    assert to_best is not None
    assert to_best.difference == pytest.approx(-20.0)
    (note,) = sweep.notes
    assert note.startswith(f"accuracy is by the rule of {runs[0].name} for all: that of ")
    assert note.endswith(f" {runs[1].name} is configured otherwise")


def test_values_that_depend_on_the_set_are_held_to_no_other_set(tmp_path: Path) -> None:
    cider = {"CIDEr": {**ACCURACY["accuracy"], "detail": "cider", "unit": "points"}}
    whole = [
        answered(n, True, score=Score(1.0, "A", details={"cider": 0.1 * n})) for n in range(12)
    ]
    scorer = {"scorer._target_": "llava_eval.scoring.captions.corpus.CaptionScorer"}
    runs = [
        RunReader().read(write_run(tmp_path / str(n), side, metrics=cider, config=scorer))
        for n, side in enumerate([whole, [*whole[:11], failed(11)], whole])
    ]
    (sweep,) = sweeps_of(runs)
    assert [one.to_best is None for one in sweep.settings] == [True, True, False]


def test_benchmarks_of_a_sweep_stand_apart_and_unfinished_runs_are_left_out(
    tmp_path: Path,
) -> None:
    results = [answered(n, n % 2 == 0) for n in range(12)]
    paths = [
        write_run(tmp_path / "0", results),
        write_run(tmp_path / "1", results, benchmark="other/set"),
        write_run(tmp_path / "2", results, manifest={"status": "failed"}),
        write_run(tmp_path / "3", results[:9], config={"benchmark.limit": 9}),
    ]
    reader = RunReader()
    found = sweeps_of([reader.read(path) for path in paths])
    assert [(one.benchmark, len(one.settings)) for one in found] == [
        ("made/up", 2),
        ("other/set", 1),
    ]
    assert found[0].notes == [
        f"left out: {paths[2]} is not finished (status 'failed')",
        f"{paths[3]} and {paths[0]} do not share 3 samples",
    ]
    with pytest.raises(ComparisonError, match="there is no finished run"):
        sweeps_of([reader.read(paths[2])])


def test_other_prompts_in_a_sweep_are_refused(tmp_path: Path) -> None:
    reader = RunReader()
    runs = [
        reader.read(
            write_run(tmp_path / prompt, [answered(n, True, prompt=prompt) for n in range(6)])
        )
        for prompt in ("one", "two")
    ]
    with pytest.raises(ComparisonError, match="6 prompts"):
        sweeps_of(runs)
    assert len(sweeps_of(runs, allow_differences=True)[0].settings) == 2


def test_runs_without_a_common_sample_in_a_sweep_are_refused(tmp_path: Path) -> None:
    runs = [
        RunReader().read(
            write_run(tmp_path / str(n), [answered(3 * n + one, True) for one in (0, 1)])
        )
        for n in range(2)
    ]
    with pytest.raises(ComparisonError, match="have no sample in common"):
        sweeps_of(runs)
    (sweep,) = sweeps_of(runs, allow_differences=True)
    assert sweep.notes == [f"{runs[0].name} and {runs[1].name} have no sample in common"]


def test_the_table_and_the_curves_hold_what_was_measured(tmp_path: Path) -> None:
    reader = RunReader()
    runs = [
        reader.read(
            write_run(
                tmp_path / str(number),
                [
                    answered(n, n % 6 >= misses, frame_indices=(tuple(range(frames)),))
                    for n in range(60)
                ],
                seconds=seconds,
                config={"sampler.num_frames": frames, "quantization.name": method},
                manifest={"model": {"memory_bytes": size}},
            )
        )
        for number, (frames, method, misses, seconds, size) in enumerate(
            [
                (4, "none", 3, 12.0, 4_000_000),
                (16, "none", 1, 30.0, 4_000_000),
                (4, "bnb_nf4", 4, 15.0, 1_000_000),
            ]
        )
    ]
    (sweep,) = sweeps_of(runs)
    table = sweep_table(sweep)
    assert table.header[:3] == ["frames", "quantization", "accuracy"]
    cells = [dict(zip(table.header, row, strict=True)) for row in table.rows]
    assert [row["accuracy"] for row in cells] == ["50.0", "83.3", "33.3"]
    assert [row["s/sample"] for row in cells] == ["0.2", "0.5", "0.25"]
    assert [row["MB"] for row in cells] == ["4.0", "4.0", "1.0"]
    assert [row["Pareto"] for row in cells] == ["T", "TM", "M"]
    assert [row["to best"] for row in cells] == ["-33.3*", "best", "-50.0*"]
    assert "MB: weights" in legend(sweep)
    assert "* is p < 0.05 after Holm's correction for all 3 pairs of runs" in legend(sweep)
    (pair,) = sweeps_of(runs[:2])
    assert "* is p < 0.05 for the only pair of runs. s/sample" in legend(pair)
    charts = sweep_charts(sweep)
    assert list(charts) == ["frames", "time", "memory"]
    assert [series.name for series in charts["frames"].series] == ["none", "bnb_nf4"]
    assert [(point.x, round(point.y)) for point in charts["frames"].series[0].points] == [
        (4, 50),
        (16, 83),
    ]
    assert charts["time"].frontier == [(0.2, 50.0), (0.5, pytest.approx(250 / 3))]
    assert charts["memory"].x_name == "weights (MB)"
    lines = [[point.on_line for point in series.points] for series in charts["memory"].series]
    assert lines == [[False, True], [True]], "a line joins what none of the same setting beats"
    assert charts["frames"].reference == (25.0, "chance")
    axes = [(chart.x_name, chart.y_name) for chart in charts.values()]
    assert axes == [
        ("frames a sample", "accuracy (percent)"),
        ("model seconds a sample", "accuracy (percent); beside points: frames"),
        ("weights (MB)", "accuracy (percent); beside points: frames"),
    ]
    at = [
        [(p.x, p.label) for series in chart.series for p in series.points]
        for chart in charts.values()
    ]
    assert at == [
        [(4, ""), (16, ""), (4, "")],
        [(0.2, "4"), (0.5, "16"), (0.25, "4")],
        [(4.0, "4"), (4.0, "16"), (1.0, "4")],
    ]
    bars = [
        series.points[0].low is not None for chart in charts.values() for series in chart.series
    ]
    assert bars == [True, True, False, False, False, False]


def test_what_media_took_stands_beside_the_model_s_time(tmp_path: Path) -> None:
    reader, runs = RunReader(), []
    for frames, num_cached in ((4, 0), (8, 30)):
        session = {
            "stage_seconds": {"prepare": 1.2, "decode_wait": 0.3, "prefill": 0.6, "decode": 0.6},
            "wall_seconds": 3.0,
            "frames": {"num_cached": num_cached, "num_decoded": 10},
            "num_generated": 12,
        }
        path = write_run(
            tmp_path / str(frames),
            [answered(n, n % 2 == 0) for n in range(12)],
            config={"sampler.num_frames": frames},
            manifest={"sessions": [session]},
        )
        runs.append(reader.read(path))
    (sweep,) = sweeps_of(runs)
    table = preparing_table(sweep)
    assert table is not None
    assert table.header == ["frames", "model s", "preparing s", "from cache", "wall s"]
    assert table.rows == [["4", "0.1", "0.1", "0 %", "0.125"], ["8", "0.1", "0.1", "75 %", "0.125"]]
    assert [row[4] for row in sweep_table(sweep).rows] == ["0.1", "0.1"]


def test_what_does_not_vary_has_no_curve(tmp_path: Path) -> None:
    reader = RunReader()
    results = [answered(n, n % 2 == 0) for n in range(12)]
    runs = [reader.read(write_run(tmp_path / str(n), results)) for n in range(2)]
    (sweep,) = sweeps_of(runs)
    assert sweep_charts(sweep) == {}
    other = {"quantization.name": "bnb_nf4"}
    slower = write_run(tmp_path / "slower", results, seconds=9.0, config=other)
    runs = [runs[0], reader.read(slower)]
    (chart,) = sweep_charts(*sweeps_of(runs)).values()
    assert (chart.x_name, chart.y_name) == ("model seconds a sample", "accuracy (percent)")
    assert [[point.label for point in series.points] for series in chart.series] == [[""], [""]]


def test_a_metric_that_cannot_be_called_is_taken_from_the_tables(tmp_path: Path) -> None:
    reader, runs = RunReader(), []
    for frames, right in ((4, 6), (8, 9)):
        path = write_run(
            tmp_path / str(frames),
            [answered(n, n < right) for n in range(12)],
            config={"sampler.num_frames": frames},
        )
        content = json.loads((path / "manifest.json").read_text())
        content["config"]["benchmark"]["metrics"] = {"accuracy": {"_target_": "of.somebody"}}
        (path / "manifest.json").write_text(json.dumps(content))
        runs.append(reader.read(path))
    (sweep,) = sweeps_of(runs)
    assert [item.score.value for item in sweep.settings] == [50.0, 75.0]
    assert [item.to_best for item in sweep.settings] == [None, None], "no paired values"
    assert [row[3] for row in sweep_table(sweep).rows] == ["-", "-"]
    (tmp_path / "4" / "metrics.json").unlink()
    with pytest.raises(ComparisonError, match=r"its metrics\.json has no accuracy"):
        sweeps_of([reader.read(tmp_path / "4")])
    unnamed = write_run(tmp_path / "unnamed", [answered(0, True)], metrics={}, facets=())
    with pytest.raises(ComparisonError, match="its manifest names no metrics"):
        sweeps_of([reader.read(unnamed)])


def test_graded_scores_are_compared_in_the_unit_of_the_table(tmp_path: Path) -> None:
    metrics = {"score": {**ACCURACY["accuracy"], "scale": 5.0, "unit": "0-5"}}
    runs = [
        RunReader().read(
            write_run(
                tmp_path / str(frames),
                [answered(n, True, score=Score(value, "A")) for n in range(12)],
                config={"sampler.num_frames": frames},
                metrics=metrics,
            )
        )
        for frames, value in ((4, 0.4), (8, 0.6))
    ]
    (sweep,) = sweeps_of(runs)
    low, high = sweep.settings
    assert (low.score.value, high.score.value) == pytest.approx((2.0, 3.0))
    assert (low.is_best, high.is_best) == (False, True)
    assert low.to_best is not None
    assert low.to_best.difference == pytest.approx(-1.0)
    assert [row[3] for row in sweep_table(sweep).rows] == ["-1.00", "best"]


def test_a_curve_holds_the_runs_that_have_a_score_and_a_price(tmp_path: Path) -> None:
    reader = RunReader()
    sides = {
        "4": [answered(n, n % 2 == 0, frame_indices=((1, 2),)) for n in range(12)],
        "8": [answered(n, True, frame_indices=((1, 2, 3),)) for n in range(12)],
        "unscored": [answered(n, True, score=Score(None, None)) for n in range(12)],
        "unknown": [answered(n, True, frame_indices=()) for n in range(12)],
    }
    runs = [
        reader.read(write_run(tmp_path / name, side, config={"quantization.name": name}))
        for name, side in sides.items()
    ]
    (sweep,) = sweeps_of(runs)
    assert [item.num_frames for item in sweep.settings] == [2.0, 3.0, 3.0, 0.0]
    (chart,) = sweep_charts(sweep).values()
    points = {s.name: [(p.x, p.y) for p in s.points] for s in chart.series}
    assert points == {"4": [(2.0, 50.0)], "8": [(3.0, 100.0)]}


def test_a_curve_goes_by_its_price_also_where_the_score_falls(tmp_path: Path) -> None:
    num_right = {8: 3, 2: 9, 4: 6}  # frames, in the order of the runs
    for frames, right in num_right.items():
        shown = (tuple(range(frames)),)
        side = [answered(n, n < right, frame_indices=shown) for n in range(12)]
        write_run(tmp_path / str(frames), side, config={"sampler.num_frames": frames})
    (sweep,) = sweeps_of([RunReader().read(tmp_path / str(frames)) for frames in num_right])
    (series,) = sweep_charts(sweep)["frames"].series
    assert [(p.x, p.y) for p in series.points] == [(2.0, 75.0), (4.0, 50.0), (8.0, 25.0)]


def test_checkpoints_of_the_same_name_have_a_curve_each(tmp_path: Path) -> None:
    def named(*checkpoints: str) -> list[str]:
        runs = [
            RunReader().read(
                write_run(
                    tmp_path / str(len(checkpoints)) / str(frames) / name,
                    [answered(n, True, frame_indices=(tuple(range(frames)),)) for n in range(6)],
                    config={"sampler.num_frames": frames, "model.checkpoint": name},
                )
            )
            for frames in (2, 4)
            for name in checkpoints
        ]
        (sweep,) = sweeps_of(runs)
        return [series.name for series in sweep_charts(sweep)["frames"].series]

    assert named("out/a/step-5", "out/b/step-6") == ["step-5", "step-6"]
    whole = ["out/a/step-5", "out/b/step-5", "out/b/step-6"]
    assert named(*whole) == whole


def test_a_run_is_held_to_the_best_on_the_samples_that_both_answered(tmp_path: Path) -> None:
    right = [n % 4 > 0 for n in range(24)]
    write_run(tmp_path / "0", [answered(n, one) for n, one in enumerate(right)])
    # Wrong on two more; eight of the questions failed, of which the best answered six.
    worse = [failed(n) if n < 8 else answered(n, right[n] and n not in (9, 10)) for n in range(24)]
    changed = {"sampler.num_frames": 4, "errors.max": 8}
    write_run(tmp_path / "1", worse, config=changed)
    (sweep,) = sweeps_of(RunReader().read_all([tmp_path]))
    to_best = sweep.settings[1].to_best
    assert to_best is not None
    assert to_best.num_samples == 16
    assert to_best.difference == pytest.approx(-100 * 2 / 16)
    assert sweep.notes == [f"{tmp_path / '1'}: 8 samples failed"]


def test_runs_of_the_same_settings_are_told_apart_by_weights_or_else_by_folders(
    tmp_path: Path,
) -> None:
    reader = RunReader()
    for week, digest in ((1, "a"), (2, "b"), (3, "b")):
        for frames in (2, 4):
            write_run(
                tmp_path / str(week) / str(frames),
                [
                    answered(n, n < week + frames, frame_indices=(tuple(range(frames)),))
                    for n in range(12)
                ],
                config={"sampler.num_frames": frames},
                manifest={"model": {"weights_sha256": digest * 64}},
            )
    (sweep,) = sweeps_of(reader.read_all([tmp_path / "1", tmp_path / "2"]))
    first, second = 10 * "a", 10 * "b"
    rows = [["2", first], ["4", first], ["2", second], ["4", second]]
    assert sweep_table(sweep).header[:3] == ["frames", "weights", "accuracy"]
    assert [list(row[:2]) for row in sweep_table(sweep).rows] == rows
    assert [item.name for item in sweep_charts(sweep)["frames"].series] == [first, second]
    (sweep,) = sweeps_of(reader.read_all([tmp_path / "2", tmp_path / "3"]))
    folders = [str(tmp_path / week / frames) for week in "23" for frames in "24"]
    assert [list(item.values) for item in sweep.settings] == [["num_frames", "folder"]] * 4
    assert [item.values["folder"] for item in sweep.settings] == folders
    (series,) = sweep_charts(sweep)["frames"].series
    assert [point.x for point in series.points] == [2, 2, 4, 4]
    (sweep,) = sweeps_of([reader.read(tmp_path / "1" / "2")])
    assert sweep.settings[0].values == {}


def test_frames_that_a_sampler_did_not_show_stand_beside_the_setting(tmp_path: Path) -> None:
    sides = [(4, ["linspace_to_last_frame"], [4, 4]), (4, ["at_fps"], [3, 4]), (8, ["at_fps"], [])]
    for limit, (name,), shown in sides:
        write_run(
            tmp_path / f"{name} {limit}",
            [
                answered(n, n < 3, frame_indices=(tuple(range(shown[n % 2])),) if shown else ())
                for n in range(6)
            ],
            config={
                "sampler._target_": f"llava_eval.video.samplers.{name}",
                "sampler.num_frames": limit,
            },
        )
    (sweep,) = sweeps_of(RunReader().read_all([tmp_path]))
    cells = {row[1]: row[0] for row in sweep_table(sweep).rows if row[0] != "8"}
    assert sweep_table(sweep).header[:2] == ["frames", "sampler"]
    assert cells == {"linspace_to_last_frame": "4", "at_fps": "4 (3.5 shown)"}
    assert [setting.values["num_frames"] for setting in sweep.settings] == ["4", "8", "4"]
