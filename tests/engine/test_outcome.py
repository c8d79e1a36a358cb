"""What a command says at its end, and its exit code."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from llava_eval.engine.outcome import Outcome, print_outcome
from llava_eval.results.ledger import rewrite_ledger
from llava_eval.results.summary import summarise
from llava_eval.types import SampleResult
from tests.results.runs_on_disk import answered, failed


def outcome(
    folder: Path,
    results: Sequence[SampleResult],
    judge: dict[str, Any] | None = None,
    max_errors: int = 0,
) -> Outcome:
    rewrite_ledger(folder / "samples.jsonl", results)
    summary = summarise(results, {}, benchmark="made/up", model="made")
    return Outcome(folder, dataclasses.replace(summary, judge=judge), max_errors)


@pytest.mark.parametrize(
    ("num_failed", "max_errors", "judge", "exit_code", "said"),
    [
        (0, 0, None, 0, []),
        (1, 1, None, 0, ["1 x "]),
        (2, 1, None, 1, ["2 x ", "at most 1 are allowed"]),
        (2, 1, None, 1, ["2 x ", "and a run with output_dir="]),
        (0, 0, {"num_judged": 5, "num_prompts": 5, "stopped": None}, 0, []),
        (0, 0, {"num_judged": 4, "num_prompts": 5, "stopped": None}, 1, ["4 of 5 prompts are"]),
        (0, 1, {"num_judged": 4, "num_prompts": 5, "stopped": None}, 0, ["judged; replies so far"]),
        (0, 1, {"num_judged": 4, "num_prompts": 5, "stopped": None}, 0, [" command with output_"]),
        (
            0,
            9,
            {"num_judged": 4, "num_prompts": 5, "stopped": "too dear"},
            1,
            ["judged: too dear;"],
        ),
        (1, 1, {"num_judged": 4, "num_prompts": 5, "stopped": None}, 1, ["4 of 5", "1 x "]),
    ],
)
def test_an_end_is_said_and_counted(
    num_failed: int,
    max_errors: int,
    judge: dict[str, Any] | None,
    exit_code: int,
    said: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = [failed(n) if n < num_failed else answered(n, True) for n in range(6)]
    assert print_outcome(outcome(tmp_path, results, judge, max_errors)) == exit_code
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == len(said), lines
    assert [part in line for part, line in zip(said, lines, strict=True)] == [True] * len(said)
    table, _, directory = captured.out.rstrip().rpartition("\n\n")
    assert directory == str(tmp_path)
    assert "made/up" in table
    assert str(len(results)) in table


def test_a_run_is_not_said_to_ask_again_for_given_texts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = dataclasses.replace(outcome(tmp_path, [failed(0)]), of_given_texts=True)
    assert print_outcome(given) == 1
    assert capsys.readouterr().err.endswith(f"they are in {tmp_path / 'samples.jsonl'}\n")
