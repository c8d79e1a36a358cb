"""llava-eval probes: changes against the plain run, by level, and letters answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llava_eval.cli import run_command
from tests.results.runs_on_disk import answered, write_run


def runs(tmp_path: Path) -> list[str]:
    """Write a plain run, all right, and one that is wrong on "long" and answers B there."""
    plain = [answered(n, True) for n in range(90)]
    probed = [answered(n, n % 2 > 0) for n in range(90)]
    paths = [
        write_run(tmp_path / "plain", plain),
        write_run(tmp_path / "blind", probed, config={"benchmark.probe": "blind"}),
    ]
    return [str(path) for path in paths]


def test_what_falls_is_seen_by_level_and_by_letter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["probes", *runs(tmp_path)]) == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    assert max(map(len, text.splitlines())) <= 80
    assert ["A", "plain", "100.0", "-", "-", "-"] in lines
    assert ["chance", "25.0", "-", "-", "-"] in lines
    assert any(line[:4] == ["B", "blind", "50.0", "-50.0"] for line in lines)
    assert any(line[:1] == ["long"] and "-100.0" in line for line in lines)
    assert ["A", "100.0", "100.0", "50.0"] in lines


def test_it_is_written_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["probes", "--json", *runs(tmp_path)]) == 0
    content = json.loads(capsys.readouterr().out)
    (probe,) = content["probes"]
    assert probe["change"]["difference"] == -50
    assert probe["levels"]["duration"]["short"]["difference"] == 0
    assert content["chance"] == 25


@pytest.mark.parametrize("number", [0, 1])
def test_plain_and_probed_runs_are_needed(
    tmp_path: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["probes", runs(tmp_path)[number]]) == 2
    assert "probes need one plain run" in capsys.readouterr().err


@pytest.mark.slow
def test_the_embedded_model_knows_nothing_blind_and_only_order_in_the_order_of_frames(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "benchmark.limit=126",
        f"hydra.sweep.dir={tmp_path}",
        "probe=none,blind,shuffled_frames",
    ]
    assert run_command(["-m", "-q", *words]) == 0
    capsys.readouterr()
    assert run_command(["probes", "--json", str(tmp_path)]) == 0
    blind, shuffled = json.loads(capsys.readouterr().out)["probes"]
    assert (blind["probe"], shuffled["probe"]) == ("blind", "shuffled_frames")
    assert blind["change"]["second"] == pytest.approx(25, abs=10)
    by_type = {name: one["difference"] for name, one in shuffled["levels"]["task_type"].items()}
    # scripts/train_demo.py: these ask for the order of what is shown, or where it moves.
    order = ("Temporal Reasoning", "Temporal Perception", "Action Recognition")
    still = ("Attribute Perception", "Object Recognition", "Information Synopsis")
    assert max(by_type[name] for name in order) < -25
    assert min(by_type[name] for name in still) > -15
