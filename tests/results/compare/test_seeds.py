"""llava-eval seeds: spread between seeds apart from that between questions, and flips."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llava_eval.cli import run_command
from tests.results.runs_on_disk import answered, write_run


def runs(
    tmp_path: Path, config: dict[str, Any] | None = None, seeds: tuple[int, ...] = (0, 1, 2, 3)
) -> list[str]:
    """Write runs of 12 questions: q0 flips under seed 3, q1 under seeds 2 and 3."""
    paths = []
    for number, seed in enumerate(seeds):
        right = [n % 3 > 0 for n in range(12)]
        right[0] ^= seed == 3
        right[1] ^= seed >= 2
        results = [answered(n, one) for n, one in enumerate(right)]
        changes = config if number and config else {}
        path = write_run(tmp_path / f"{number}", results, config={"seed": seed, **changes})
        paths.append(str(path))
    return paths


def test_spreads_and_flips(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = runs(tmp_path)
    assert run_command(["seeds", "--json", *paths]) == 0
    content = json.loads(capsys.readouterr().out)
    means = [100 * 8 / 12, 100 * 8 / 12, 100 * 7 / 12, 100 * 8 / 12]
    assert list(content["means"].values()) == pytest.approx(means)
    assert content["mean"] == pytest.approx(np.mean(means))
    assert content["spread_of_seeds"] == pytest.approx(np.std(means, ddof=1))
    assert content["flips"] == {"q1": 0.5, "q0": 0.25}
    # Four videos: means of 7/12 (q0: 1/4, q1: 1/2, q2: 1), 2/3, 2/3, 2/3; G / (G - 1) for clusters.
    videos = np.array([1.75, 2, 2, 2]) / 3
    stderr = 100 * np.sqrt(4 / 3 * ((videos - videos.mean()) ** 2).sum()) / 4
    assert content["stderr_of_questions"] == pytest.approx(stderr)
    assert run_command(["seeds", *paths]) == 0
    text = capsys.readouterr().out
    assert "2 samples (16.7 %) are not worth the same" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80


def test_runs_that_differ_in_more_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["seeds", *runs(tmp_path / "x", {"model.dtype": "float16"})]) == 2
    assert "differ in more than their seed: dtype" in capsys.readouterr().err
    assert run_command(["seeds", *runs(tmp_path / "y", seeds=(0, 0))]) == 2
    assert "seeds are to differ" in capsys.readouterr().err
    assert run_command(["seeds", runs(tmp_path / "z")[0]]) == 2
    assert "at least two runs" in capsys.readouterr().err
