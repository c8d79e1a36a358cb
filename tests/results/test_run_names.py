"""Short names of runs that stand beside each other."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import pytest

from llava_eval.results.run_names import letters, paper_names, run_names, settings_texts
from llava_eval.results.runs import Run, RunReader
from tests.results.runs_on_disk import answered, write_run


@pytest.mark.parametrize("number", [0, 1, 26, 27, 53, 79])
def test_letters_begin_anew_with_a_number(number: int) -> None:
    rounds = [f"{letter}{n}" for n in ("", "2", "3", "4") for letter in string.ascii_uppercase]
    assert letters(number) == rounds[:number]


def read(path: Path, **changes: Any) -> Run:
    return RunReader().read(write_run(path, [answered(0, True), answered(1, False)], **changes))


def of(path: Path, model: str, settings: dict[str, Any], label: str = "made/up") -> Run:
    return read(path, manifest={"model_label": model}, config=settings, label=label)


FRAMES_4, FRAMES_16 = {"sampler.num_frames": 4}, {"sampler.num_frames": 16}
NF4 = {"quantization.name": "bnb_nf4", "quantization.method": "bnb_nf4"}


@pytest.mark.parametrize(
    ("runs", "names"),
    [
        # model, settings, label -> the model where models differ, and the settings that do
        ([("m", FRAMES_4, "b"), ("m", FRAMES_16, "b")], ["4 frames", "16 frames"]),
        (
            [("m", {"sampler.num_frames": 1}, "b"), ("m", FRAMES_16, "b")],
            ["1 frame", "16 frames"],
        ),
        ([("org/m", {}, "b"), ("org/n (x=1)", {}, "b")], ["m", "n"]),
        (
            [("m", FRAMES_4, "b"), ("m", {**FRAMES_16, **NF4}, "b")],
            ["4 frames · quantization=none", "16 frames · bnb_nf4"],
        ),
        (
            [("m", FRAMES_4, "b"), ("n", FRAMES_16, "b")],
            ["m · 4 frames", "n · 16 frames"],
        ),
        # a setting that nobody named beside a run tells nothing; then the folder does
        ([("m", {"seed": 1}, "b"), ("m", {"seed": 2}, "b")], ["m · 0", "m · 1"]),
        (
            [("m", {"seed": 1}, "b"), ("m (seed=2)", {"seed": 2}, "b")],
            ["seed=1", "seed=2"],
        ),
        (
            [("m (seed=2)", {"seed": None}, "b"), ("m", {"seed": 2}, "b")],
            ["0", "seed=2"],
        ),
        # a plain run beside a probe is named as on the command line
        (
            [("m", {}, "b"), ("m", {"benchmark.probe": "blind"}, "b (probe=blind)")],
            ["probe=none", "blind"],
        ),
        ([("m", {}, "made/up (x=1)"), ("m", {}, "made/up")], ["m · x=1", "m"]),
        ([("m (a=1)", {}, "b"), ("m (a=2)", {}, "b")], ["m (a=1)", "m (a=2)"]),
    ],
)
def test_runs_are_named_by_what_tells_them_apart(
    tmp_path: Path, runs: list[tuple[str, dict[str, Any], str]], names: list[str]
) -> None:
    read_back = [of(tmp_path / str(n), *parts) for n, parts in enumerate(runs)]
    assert run_names(read_back) == names


def test_folders_of_the_same_name_are_told_by_their_paths(tmp_path: Path) -> None:
    paths = [tmp_path / name / "run" for name in ("base", "new")]
    runs = [of(path, "m", {}) for path in paths]
    assert run_names(runs) == [f"m · {path}" for path in paths]
    assert paper_names(runs) == {"A": str(paths[0]), "B": str(paths[1])}


def test_settings_are_texts_and_papers_take_the_first_names_that_differ(tmp_path: Path) -> None:
    two = [of(tmp_path / "a", "m", FRAMES_4), of(tmp_path / "b", "m", {**FRAMES_16, "seed": 7})]
    assert settings_texts(two) == ["num_frames=4, seed=null", "num_frames=16, seed=7"]
    assert paper_names(two) == {"A": "num_frames=4, seed=null", "B": "num_frames=16, seed=7"}
    models = [of(tmp_path / name, name, {}) for name in ("x", "y")]
    assert paper_names(models) == {"A": "x", "B": "y"}
    alike = [of(tmp_path / name, "m", {}) for name in ("p", "q")]
    assert paper_names(alike) == {"A": "p", "B": "q"}
    assert settings_texts(alike) == ["", ""]
