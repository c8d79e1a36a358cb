"""llava-eval plan: from runs, from a pair, and from what is stated."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from llava_eval.cli import run_command
from llava_eval.errors import ComparisonError
from llava_eval.results.runs import RunReader
from llava_eval.results.sample_size import SamplePlan, SamplePlans, plans_of, plans_text
from llava_eval.types import Score
from tests.results.runs_on_disk import answered, equal_models, failed, write_run


def pair_on_disk(tmp_path: Path) -> list[Path]:
    first, second = equal_models(1)
    return [
        write_run(tmp_path / "first", first, seconds=36.0),
        write_run(tmp_path / "second", second, config={"benchmark.num_rows": 180}),
    ]


def test_a_pair_plans_by_its_own_spread_and_times(tmp_path: Path) -> None:
    runs = [RunReader().read(path) for path in pair_on_disk(tmp_path)]
    plans = plans_of(runs, detect=2.0)
    (plan,) = plans.plans
    assert plans.at_hand == 180
    assert plans.detectable is not None
    # Half the difference takes four times the samples; more groups narrow Student's quantiles.
    assert plan.num_samples == pytest.approx(180 * (plans.detectable / 2) ** 2, rel=0.05)
    assert plan.num_groups == -(-plan.num_samples // 3)
    assert plan.seconds[0] == pytest.approx(0.2 * plan.num_samples)


def test_one_run_is_on_the_safe_side(tmp_path: Path) -> None:
    runs = [RunReader().read(path) for path in pair_on_disk(tmp_path)]
    alone, paired = plans_of(runs[:1], detect=2.0), plans_of(runs, detect=2.0)
    assert alone.plans[0].num_samples > paired.plans[0].num_samples


def test_stated_flips_need_no_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["plan", "--flips", "8", "--detect", "1", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert 6279 <= content["plans"][0]["num_samples"] <= 6284
    assert content["at_hand"] is None


def test_the_screen_has_eighty_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["plan", *map(str, pair_on_disk(tmp_path))]) == 0
    text = capsys.readouterr().out
    assert "to detect" in text
    assert "four times in five" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--flips PERCENT"),
        (["--flips", "0"], "--flips 0"),
        (["--flips", "8", "--detect", "-1"], "--detect -1"),
        (["--flips", "8", "--per-group", "0.5"], "--per-group 0.5"),
    ],
)
def test_mistakes_are_one_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["plan", *words]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1


def test_a_run_of_one_video_cannot_be_planned_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_run(tmp_path / "x", [answered(n, n > 1, per_video=9) for n in range(9)])
    assert run_command(["plan", str(path)]) == 2
    assert "all samples are of one group" in capsys.readouterr().err


def test_a_run_without_an_answer_plans_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_run(tmp_path / "x", [failed(0), failed(1)])
    assert run_command(["plan", str(path)]) == 2
    assert capsys.readouterr().err == f"llava-eval: {path} holds no sample that was answered\n"


def test_of_a_run_that_is_empty_one_thing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_run(tmp_path / "x", [], manifest={"identity": {"num_samples": 3}})
    assert run_command(["plan", str(path)]) == 2
    assert capsys.readouterr().err == f"llava-eval: {path} holds no sample that was answered\n"
    (path / "metrics.json").unlink()
    words = ["export", str(path), "--to", "eee", "--out", str(tmp_path / "out")]
    assert run_command(words) == 2
    said = f"llava-eval: {path} has no metrics.json; it is not finished\n"
    assert capsys.readouterr().err == said


def test_two_videos_are_taken_to_flip_as_a_whole(tmp_path: Path) -> None:
    runs = [
        RunReader().read(
            write_run(tmp_path / name, [answered(n, n in right, per_video=15) for n in range(30)])
        )
        for name, right in (("x", (0, 1, 2)), ("y", (2, 20)))
    ]
    plans = plans_of(runs, detect=2.0)
    assert plans.basis == (
        "10.0 % of samples change between the two, those of a group together, which is the safe "
        "side"
    )
    # (1.96 + 0.84)^2 * 0.1 * 15 / 0.02^2 of the normal distribution; a little more of Student's
    assert plans.plans[0].num_samples == pytest.approx(29_433, rel=0.005)


def test_scores_without_spread_plan_nothing_but_what_is_stated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right = write_run(tmp_path / "right", [answered(n, True) for n in range(9)])
    lower, higher = (
        write_run(
            tmp_path / f"{more}",
            [answered(n, True, score=Score((n + more) / 32, "A")) for n in range(15)],
        )
        for more in (0, 4)
    )
    alike = [lower, higher]
    for paths, reason in (([right], "of all samples is the same"), (alike, "differs alike, if at")):
        assert run_command(["plan", *map(str, paths)]) == 2
        assert reason in capsys.readouterr().err
    assert run_command(["gate", str(higher), "--baseline", str(lower)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "does not tell how small a drop in accuracy they would show" in printed
    (plan,) = plans_of([RunReader().read(right)], detect=2.0, flips=8.0).plans
    (stated,) = plans_of([], detect=2.0, flips=8.0, per_group=3.0).plans
    assert plan.num_samples == stated.num_samples


def test_usual_differences_are_planned_for_in_the_unit_of_the_metric(tmp_path: Path) -> None:
    stated = plans_of([], flips=8.0)
    assert (stated.subject, stated.unit) == ("right or wrong", "percent")
    assert stated.basis == "8 % of samples change"
    assert [plan.difference for plan in stated.plans] == pytest.approx([0.5, 1, 2, 5, 10])
    assert [plan.seconds for plan in stated.plans] == [[]] * 5
    # Samples of a group that change together take as many times more.
    grouped = plans_of([], detect=2.0, flips=8.0, per_group=3.0)
    (plan,) = grouped.plans
    assert grouped.basis == (
        "8 % of samples change; the 3 samples of a group are taken to change together, which is "
        "the safe side: independent ones take 3 times fewer"
    )
    assert plan.num_samples == pytest.approx(3 * stated.plans[2].num_samples, rel=0.01)
    assert plan.num_groups == -(-plan.num_samples // 3)
    metrics = {"share": {"_target_": "llava_eval.metrics.means.mean_score", "scale": 1.0}}
    run = RunReader().read(write_run(tmp_path / "x", equal_models(1)[0], metrics=metrics))
    assert [plan.difference for plan in plans_of([run]).plans] == pytest.approx(
        [0.005, 0.01, 0.02, 0.05, 0.1]
    )


def test_what_plans_rest_on_is_said(tmp_path: Path) -> None:
    first, second = equal_models(1)
    changed = sum(
        one.score.value != other.score.value for one, other in zip(first, second, strict=True)
    )
    runs = [
        RunReader().read(write_run(tmp_path / name, side, config={"benchmark.num_rows": rows}))
        for name, side, rows in (("a", first, 180), ("b", second, None))
    ]
    paired, same = plans_of(runs), plans_of([runs[0], runs[0]])
    assert paired.subject == "accuracy of made/up, 180 samples"
    assert paired.basis == f"{100 * changed / 180:.1f} % of samples change between the two"
    assert (paired.num_rows, plans_of(runs[1:]).num_rows) == (180, None)
    assert same.basis == (
        "0.0 % of samples change between the two, so that this is a bound of what chance may do"
    )
    alone = plans_of(runs[:1])
    assert alone.basis.startswith("as if the other run answered independently")
    stated = plans_of(runs[:1], flips=8.0)
    assert stated.basis.startswith("8 % of samples change, as stated; those of a group")
    assert stated.plans[1].num_samples == pytest.approx(
        plans_of([], detect=1.0, flips=8.0, per_group=3.0).plans[0].num_samples
    )


@pytest.mark.slow
def test_a_metric_that_is_no_mean_needs_a_pair(tmp_path: Path) -> None:
    metrics = {"F1": {"_target_": "llava_eval.metrics.yes_no.yes_no", "measure": "f1"}}
    results = [
        answered(n, True, per_video=1, target=("yes",), score=Score(1.0, said))
        for n, said in enumerate(("yes", "no"))
    ]
    run = RunReader().read(write_run(tmp_path / "a", results, metrics=metrics))
    with pytest.raises(ComparisonError, match="F1 is not a mean over samples; plan needs a pair"):
        plans_of([run])


def test_nothing_that_can_be_compared_is_refused(tmp_path: Path) -> None:
    results = [answered(n, True, score=Score(None, None)) for n in range(6)]
    run = RunReader().read(write_run(tmp_path / "x", results))
    with pytest.raises(ComparisonError, match="none of its metrics has a paired difference"):
        plans_of([run])


def test_plans_are_a_table_with_remarks() -> None:
    plans = SamplePlans(
        "accuracy of b, 10 samples",
        "a guess",
        "percent",
        [
            SamplePlan(0.5, 9000, 3000, [173000.0, None]),
            SamplePlan(1.0, 900, 300, [172800.0, 7200.0]),
            SamplePlan(2.5, 90, 30, [7199.0, 120.0]),
            SamplePlan(10.0, 9, 3, [119.4, 0.4]),
        ],
        at_hand=10,
        detectable=12.34,
        num_rows=8999,
    )
    lines = plans_text(plans, ["x/y", "z"], width=100).splitlines()
    assert lines[:5] == ["accuracy of b, 10 samples", "A x/y", "B z", "Spread: a guess.", ""]
    assert lines[5].split() == ["to", "detect", "samples", "groups", "A", "takes", "B", "takes"]
    assert [line.split() for line in lines[6:10]] == [
        ["0.5", "9000", "3000", "2.0", "days", "-"],
        ["1", "900", "300", "2.0", "days", "2.0", "h"],
        ["2.5", "90", "30", "120.0", "min", "2.0", "min"],
        ["10", "9", "3", "119", "s", "0", "s"],
    ]
    assert lines[11:] == [
        "At hand: 10 samples show a true difference of 12.3 or more four times in five.",
        "The whole benchmark has 8999 rows: it cannot show 0.5.",
        "A difference is found at 5 %, two-sided, four times in five.",
    ]
    enough = dataclasses.replace(plans, num_rows=9000, at_hand=None)
    assert plans_text(enough, ["x", "z"], width=100).splitlines()[11:] == lines[13:]
    small = plans_text(dataclasses.replace(plans, num_rows=89), ["x", "z"], width=100)
    assert "has 89 rows: it cannot show 2.5 or less." in small


def test_no_percentages_differ_by_more_than_100() -> None:
    said = "Percentages differ by 100 at most."
    texts = [plans_text(plans_of([], detect, 10.0), []) for detect in (100.0, 101.0)]
    assert [said in text for text in texts] == [False, True]
    graded = dataclasses.replace(plans_of([], 6.0, 10.0), unit="0-5")
    assert "Scores differ by 5 at most." in plans_text(graded, [])


@pytest.mark.slow
def test_commands_on_a_run_that_goes_on_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = [answered(n, n % 3 > 0) for n in range(30)]
    path = str(write_run(tmp_path / "run", results, manifest={"status": "running"}))
    for words in (["plan", path], ["export", path, "--to", "eee", "--out", str(tmp_path)]):
        assert run_command(words) == 0
        assert "run is not finished (status 'running')" in capsys.readouterr().err
    assert run_command(["explain", path]) == 0
    assert "It is not finished (status 'running')." in capsys.readouterr().out


def test_flips_of_judged_scores_are_worth_the_whole_scale(tmp_path: Path) -> None:
    """Of 0 to 5, 8 % of flips of three a video: 2.8 standard errors of 5 * sqrt(0.24 / n)."""
    node = {"_target_": "llava_eval.metrics.means.mean_score", "unit": "0-5", "scale": 1.0}
    results = [answered(n, True, score=Score(5.0 * (n % 2), "A")) for n in range(60)]
    run = RunReader().read(write_run(tmp_path / "run", results, metrics={"score": node}))
    stated = plans_of([run], detect=0.05, flips=8.0)
    assert stated.plans[0].num_samples == pytest.approx(2.802**2 * 25 * 0.24 / 0.05**2, rel=0.01)
    usual = [plan.difference for plan in plans_of([run]).plans]
    assert usual == pytest.approx([0.025, 0.05, 0.1, 0.25, 0.5])


def test_a_pair_detects_what_compare_says_where_some_answers_are_hidden(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hidden = [answered(n, True, score=Score(None, "A"), target=()) for n in range(30, 36)]
    paths = [
        str(write_run(tmp_path / str(k), [*(answered(n, n % k > 0) for n in range(30)), *hidden]))
        for k in (2, 3)
    ]
    assert run_command(["compare", *paths, "--json"]) == 0
    (comparison,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert run_command(["plan", *paths, "--json"]) == 0
    plans = json.loads(capsys.readouterr().out)
    assert (plans["subject"], plans["at_hand"]) == ("accuracy of made/up, 30 samples", 30)
    told = comparison["metrics"]["accuracy"]["smallest_detectable"]
    assert plans["detectable"] == pytest.approx(told)
    # fifteen of thirty: 3, 9, 15, 21 and 27, and the ten even numbers that are no multiples of 3
    assert plans["basis"].startswith("50.0 % of samples change")
