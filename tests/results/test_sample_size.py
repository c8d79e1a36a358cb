"""llava-eval plan: from runs, from a pair, and from what is stated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llava_eval.cli import run_command
from llava_eval.results.runs import RunReader
from llava_eval.results.sample_size import plans_of
from tests.results.runs_on_disk import answered, equal_models, write_run


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
