"""Answers that changed and the divergence of the first letter, with the samples each takes."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from llava_eval.cli import run_command
from llava_eval.results.compare.fidelity import divergence
from llava_eval.types import Generation, SampleResult
from tests.conftest import read_lines, slow
from tests.results.runs_on_disk import answered, write_run


def moved(number: int, right: bool, shift: float | None) -> SampleResult:
    """Return an answer whose first letter was drawn from (0.5 + shift, 0.5 - shift) times 0.9."""
    kept = None
    if shift is not None:
        kept = (math.log(0.9 * (0.5 + shift)), math.log(0.9 * (0.5 - shift)))
    result = answered(number, right)
    generation = dataclasses.replace(result.generation, choice_logprobs=kept)
    return dataclasses.replace(result, generation=generation)


def test_divergence_is_of_the_options_alone() -> None:
    first, second = (0.8, 0.2), (0.5, 0.5)
    exact = 0.8 * math.log(0.8 / 0.5) + 0.2 * math.log(0.2 / 0.5)
    assert divergence(list(np.log(first)), list(np.log(second))) == pytest.approx(exact)
    assert divergence(list(np.log(first) - 3), list(np.log(second) - 1)) == pytest.approx(exact)
    assert divergence((-0.1, -2.3), (-0.1, -2.3)) == 0.0


def test_measures_by_hand_and_in_80_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    shifts = np.random.default_rng(0).uniform(0.05, 0.15, 120)
    first = [moved(n, True, 0.0) for n in range(120)]
    # Question 3 of every tenth video changes; the last sample did not keep its letters.
    second = [moved(n, n % 30 != 2, None if n == 119 else shifts[n]) for n in range(120)]
    paths = [str(write_run(tmp_path / name, side)) for name, side in (("a", first), ("b", second))]
    assert run_command(["compare", "--json", *paths]) == 0
    (comparison,) = json.loads(capsys.readouterr().out)["comparisons"]
    found = comparison["fidelity"]
    assert list(found) == ["accuracy", "answers changed", "KL of letters"]
    assert found["accuracy"]["difference"] == pytest.approx(-400 / 120)
    changed, diverged = found["answers changed"], found["KL of letters"]
    assert changed["difference"] == pytest.approx(400 / 120)
    assert 0 <= changed["low"] < changed["difference"] < changed["high"]
    exact = [-0.5 * math.log(1 - 4 * shift**2) for shift in shifts[:119]]
    assert diverged["difference"] == pytest.approx(np.mean(exact))
    assert diverged["low"] < np.mean(exact) < diverged["high"]
    assert diverged["num_samples"] == 119
    assert diverged["num_samples_needed"] < 10 < changed["num_samples_needed"]
    assert run_command(["compare", *paths]) == 0
    text = capsys.readouterr().out
    assert "KL of letters" in text
    assert max(map(len, text.splitlines())) <= 80


def test_letters_that_never_diverge_tell_no_bound(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    side = [moved(n, True, 0.1) for n in range(12)]
    paths = [str(write_run(tmp_path / name, side)) for name in ("a", "b")]
    assert run_command(["compare", "--json", *paths]) == 0
    (comparison,) = json.loads(capsys.readouterr().out)["comparisons"]
    diverged = comparison["fidelity"]["KL of letters"]  # has no upper end, unlike a share
    assert (diverged["difference"], diverged["low"], diverged["high"]) == (0.0, None, None)


def test_runs_of_other_frames_and_without_letters_are_not_told_apart_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = [answered(n, True) for n in range(12)]
    other = [dataclasses.replace(one, frame_indices=((1, 2),)) for one in first]
    paths = [
        str(write_run(tmp_path / name, side))
        for name, side in (("a", first), ("same", first), ("other", other))
    ]
    assert run_command(["compare", "--json", *paths]) == 0
    same, differs = json.loads(capsys.readouterr().out)["comparisons"]
    assert list(same["fidelity"]) == ["accuracy", "answers changed"]
    assert same["fidelity"]["answers changed"]["difference"] == 0
    assert same["fidelity"]["answers changed"]["num_samples_needed"] is None
    assert differs["fidelity"] == {}


def test_kept_letters_are_read_back(tmp_path: Path) -> None:
    from llava_eval.results.ledger import from_line, to_line

    kept = moved(0, True, 0.1)
    assert from_line(to_line(kept)) == kept
    plain = dataclasses.replace(kept, generation=Generation("A", 1, 1, "eos"))
    assert "choice_logprobs" not in to_line(plain)


@pytest.mark.parametrize("name", ["open_ended", slow("caption")])
def test_questions_without_options_have_no_letters_to_keep(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [f"benchmark=demo/{name}", "runner.keep_choice_logprobs=true"]
    assert run_command(words) == 2
    error = capsys.readouterr().err
    assert f"demo/{name} asks nothing with options" in error
    assert len(error.splitlines()) == 1


@pytest.mark.slow
def test_kept_letters_change_nothing_else_and_are_no_other_run(tmp_path: Path) -> None:
    words = ["-q", "benchmark=demo/multiple_choice", "benchmark.limit=9", "sampler.num_frames=4"]
    lines = []
    for keep in ("false", "true"):
        folder = tmp_path / keep
        settings = [f"output_dir={folder}", f"runner.keep_choice_logprobs={keep}"]
        assert run_command([*words, *settings]) == 0
        lines.append(read_lines(folder / "samples.jsonl"))
    kept = [line["generation"].pop("choice_logprobs") for line in lines[1]]
    assert lines[0] == lines[1]
    for logprobs, line in zip(kept, lines[1], strict=True):
        assert len(logprobs) == len(line["choices"])
        assert 0.5 < sum(map(math.exp, logprobs)) <= 1.01
        assert "ABCD"[logprobs.index(max(logprobs))] == line["generation"]["text"]
    manifests = [
        json.loads((tmp_path / one / "manifest.json").read_text()) for one in ("false", "true")
    ]
    assert manifests[0]["fingerprint"] == manifests[1]["fingerprint"]
