"""What a comparison says in a terminal: a sentence, samples that changed, tables of its width."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from llava_eval.metrics.paired import PairedEstimate
from llava_eval.results.compare.comparison import RunComparison, compare_runs
from llava_eval.results.compare.comparison_tables import FIDELITY_WORDS
from llava_eval.results.compare.sweep_curves import sweeps_of
from llava_eval.results.compare.terminal import comparison_text, headline_sentence, sweep_text
from llava_eval.results.runs import Run, RunReader
from tests.results.runs_on_disk import answered, failed, write_run

NUM_QUESTIONS = 18


def read(path: Path, num_wrong: int, *, frames: tuple[int, ...] = (0, 5), **changes: Any) -> Run:
    results = [
        answered(number, number >= num_wrong, frame_indices=(frames,))
        for number in range(NUM_QUESTIONS)
    ]
    return RunReader().read(write_run(path, results, **changes))


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> RunComparison:
    folder = tmp_path_factory.mktemp("runs")
    return compare_runs([read(folder / str(number), number) for number in range(2)])[0]


def no_interval(num_clusters: int) -> PairedEstimate:
    return PairedEstimate(50.0, 60.0, 10.0, None, None, None, None, 9, num_clusters)


def between(low: float, high: float) -> PairedEstimate:
    return PairedEstimate(50.0, 50.0 + (low + high) / 2, (low + high) / 2, low, high, 0.01, 1, 9, 9)


SHOWN = "No difference in accuracy between A and B is shown"


@pytest.mark.parametrize(
    ("estimate", "adjusted", "said"),
    [
        (between(1, 9), 0.049, "accuracy is higher in B than in A, by 5.0 (+1.0 to +9.0)."),
        (between(-9, -1), 0.049, "accuracy is lower in B than in A, by 5.0 (-9.0 to -1.0)."),
        # one of several runs: what its own interval shows may be chance
        (between(1, 9), 0.05, f"{SHOWN} (+1.0 to +9.0"),
        (between(1, 9), None, f"{SHOWN} (+1.0 to +9.0)."),
        # a test and an interval of two methods: both have to say it
        (between(-1, 9), 0.04, f"{SHOWN} (-1.0 to +9.0)."),
        (between(0, 9), 0.04, f"{SHOWN} (+0.0 to +9.0)."),
        (no_interval(1), None, "cannot be told apart: too few videos in common."),
        (no_interval(2), None, "told apart: most draws of the videos lack what it needs."),
        (None, None, "accuracy of A and B is not compared."),
    ],
)
def test_a_sentence_says_no_more_than_was_found(
    comparison: RunComparison,
    estimate: PairedEstimate | None,
    adjusted: float | None,
    said: str,
) -> None:
    metric = dataclasses.replace(comparison.headline, estimate=estimate)
    changed = RunComparison("B", comparison.pairing, [metric], 0, {"accuracy": adjusted})
    assert said in headline_sentence(changed)


@pytest.mark.parametrize(
    ("num_wrong", "title"),
    [
        (1, "B is worse on 1 sample:"),
        (5, "B is worse on 5 samples:"),
        (6, "B is worse on 6 samples; the first 5:"),
    ],
)
def test_of_many_samples_that_changed_five_are_listed(
    tmp_path: Path, num_wrong: int, title: str
) -> None:
    runs = [read(tmp_path / "a", 0), read(tmp_path / "b", num_wrong)]
    lines = comparison_text(runs, compare_runs(runs)).splitlines()
    header = lines.index(title) + 1
    assert lines[header].split()[0] == "sample"
    assert lines.index("", header) - header - 1 == min(num_wrong, 5)


def test_what_is_the_same_is_not_listed(tmp_path: Path) -> None:
    runs = [read(tmp_path / name, 2) for name in "ab"]
    text = comparison_text(runs, compare_runs(runs))
    assert "\n\nno setting differs\n\n" in text
    assert "B is worse" not in text
    assert "B is better" not in text


def test_measures_of_likeness_are_explained_where_one_run_has_them(tmp_path: Path) -> None:
    frames = ((0, 5), (0, 5), (0, 6))
    runs = [read(tmp_path / str(n), n, frames=shown) for n, shown in enumerate(frames)]
    likeness = " ".join(FIDELITY_WORDS.split())
    both = compare_runs(runs, allow_differences=True)
    assert likeness in " ".join(comparison_text(runs, both).split())
    other = comparison_text([runs[0], runs[2]], both[1:])
    assert likeness not in " ".join(other.split())


def test_tables_with_a_column_for_each_run_go_on_below_where_they_are_too_wide(
    tmp_path: Path,
) -> None:
    """Of 80 columns a long name leaves 80 - 26 - 10, in which five settings have 8 each."""
    name, runs = "a_name_of_a_parameter_of_forty_characters", []
    for number in range(9):
        config = {f"sampler.{name}": f"value_{number}_of_it"}
        results = [failed(0), *(answered(n, True) for n in range(1, 9))]
        runs.append(RunReader().read(write_run(tmp_path / str(number), results, config=config)))
    found = compare_runs(runs, allow_differences=True)
    headers = [
        line.split()[3:]
        for line in comparison_text(runs, found).splitlines()
        if line.startswith("differs in")
    ]
    assert headers == [[*"ABCDE"], [*"FGHI"]]
    narrow = comparison_text(runs[:3], found[:2], width=10).splitlines()
    assert [line.split()[1:] for line in narrow if line.startswith("samples ")][-3:] == [
        *(["A"], ["B"], ["C"]),
    ]
    narrow = comparison_text(runs[:3], found[:2], width=24).splitlines()
    levels = [line.split()[2:] for line in narrow if line.startswith("by duration")]
    assert levels == [["A"], ["B", "-", "A"], ["C", "-", "A"]]


def test_a_sweep_shows_what_its_media_took(tmp_path: Path) -> None:
    session = {"stage_seconds": {"prepare": 1.8, "prefill": 3.6}, "num_generated": NUM_QUESTIONS}
    runs = [
        read(
            tmp_path / str(number),
            number,
            config={"sampler.num_frames": number},
            manifest={"sessions": [session]},
        )
        for number in (4, 8)
    ]
    (sweep,) = sweeps_of(runs)
    lines = [line.split() for line in sweep_text(sweep).splitlines()]
    header = lines.index(
        ["frames", *("model", "s", "preparing", "s", "from", "cache", "wall", "s")]
    )
    assert [line[:3] for line in lines[header + 1 : header + 3]] == [
        ["4", "0.2", "0.1"],
        ["8", "0.2", "0.1"],
    ]
