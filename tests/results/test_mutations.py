"""Run directories and baselines in which something was changed: one line, or a result."""

from __future__ import annotations

import copy
import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llava_eval import cli
from llava_eval.types import Generation, Score
from tests.conftest import slow
from tests.results.runs_on_disk import answered, failed, write_run

#: What a value is replaced by.
VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 5, 10**30, 1.5, -1e308, float("nan"), float("inf"), "", "x", "\ud800",
    "\x1b[31m", [], [1], ["x"], [[]], {}, {"x": 1}, {"_target_": "os.system"}, "9" * 5000,
)  # fmt: skip

#: Exit codes of a command whose input can be used, or is refused in one line.
KNOWN_CODES = (0, 1, 2)

Path_ = tuple[str | int, ...]


def places_in(content: Any, place: Path_ = ()) -> Iterator[Path_]:
    """Yield the place of every value in a JSON value, its own first."""
    yield place
    items: list[tuple[str | int, Any]] = []
    if isinstance(content, dict):
        items = list(content.items())
    elif isinstance(content, list):
        items = list(enumerate(content))
    for key, value in items:
        yield from places_in(value, (*place, key))


def changed(content: Any, place: Path_, change: Callable[[Any, str | int], None]) -> Any:
    """Return a copy with the value at a place changed."""
    content = copy.deepcopy(content)
    parent = content
    for key in place[:-1]:
        parent = parent[key]
    change(parent, place[-1])
    return content


def one_change(content: Any, draw: random.Random) -> Any:
    """Return a copy with one value replaced, removed or renamed."""
    place = draw.choice([place for place in places_in(content) if place])

    def change(parent: Any, key: str | int) -> None:
        action = draw.randrange(6)
        if action == 0:
            del parent[key]
        elif action == 1 and isinstance(parent, dict):
            parent[f"{key} "] = parent.pop(key)
        else:
            parent[key] = draw.choice(VALUES)

    return changed(content, place, change)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make two runs and a baseline of the first."""
    folder = tmp_path_factory.mktemp("mutations")
    metrics = {
        "accuracy": {"_target_": "llava_eval.metrics.means.mean_score"},
        "cider": {"_target_": "llava_eval.metrics.means.mean_score", "detail": "cider"},
    }
    details = {"cider": 1.5, "counts": [1, 2]}
    score = Score(0.5, "x", explanation="why", details=details)
    results = [
        answered(0, True, score=Score(1.0, "A", details=details)),
        answered(1, None, score=Score(0.0, None, unreadable=True, details=details)),
        failed(2),
        answered(3, True, score=score, frame_indices=((0, 1), (2,)), media=("0.mp4", "1.jpg")),
        answered(
            4,
            True,
            generation=Generation("x", 3, 4, "length", option_losses=(0.5, 1.0)),
            score=score,
        ),
    ]
    config = {"errors.max": 1, "benchmark.media_root": "media", "seed": 3}
    for name in ("a", "b"):
        write_run(folder / name, results, metrics=metrics, config=config)
    assert (
        cli.run_command(["gate", str(folder / "a"), "--write-baseline", str(folder / "b.json")])
        == 0
    )
    return folder


def spoil(folder: Path, made: Path, draw: random.Random) -> str:
    """Copy the runs and the baseline, change one value of one file, and return its name."""
    shutil.copytree(made, folder)
    name = draw.choice(["samples.jsonl", "manifest.json", "metrics.json", "b.json"])
    path = folder / name if name == "b.json" else folder / "a" / name
    text = path.read_text()
    if name == "samples.jsonl":
        lines = text.splitlines()
        number = draw.randrange(len(lines))
        lines[number] = json.dumps(one_change(json.loads(lines[number]), draw))
        path.write_text("\n".join(lines) + "\n")
    else:
        path.write_text(json.dumps(one_change(json.loads(text), draw)))
    return name


def check(folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run each command that reads a file: none of them may end with anything but a known code."""
    a, b, baseline = (str(folder / name) for name in ("a", "b", "b.json"))
    of_runs = [
        ["compare", a, b, "--allow-differences"],
        ["compare", b, a],
        ["compare", str(folder)],
        ["gate", a, "--baseline", b, "--max-slowdown", "2"],
        ["report", a, b, "--out", str(folder / "report.html"), "--thumbnails-mb", "0"],
    ]
    for command in [["gate", b, "--baseline", baseline]] if name == "b.json" else of_runs:
        code = cli.run_command(command)
        captured = capsys.readouterr()
        assert code in KNOWN_CODES, (command, captured.err)
        if code == 2:
            (line,) = captured.err.splitlines()
            assert line.startswith("llava-eval: "), command
        assert "\x1b" not in captured.out + captured.err


@pytest.mark.parametrize("seed", [*range(12), *map(slow, range(12, 60))])
def test_one_change(
    seed: int, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = spoil(tmp_path / "x", made, random.Random(seed))
    check(tmp_path / "x", name, capsys)


@pytest.mark.parametrize(
    ("name", "written", "edited", "told"),
    [
        ("samples.jsonl", '"row": 1', '"row": -5', "samples.jsonl, line 2 .*q1: row is -5"),
        ("samples.jsonl", '"id": "q1"', '"id": ""', "samples.jsonl, line 2 .*id is empty"),
        ("samples.jsonl", '"group": "video 1"', '"group": ""', "line 4 .*q3: group is empty"),
        ("samples.jsonl", '"counts": [1, 2]', '"counts": [NaN]', "line 1 .*it holds NaN"),
        ("manifest.json", '"seed": 3', '"seed": Infinity', "manifest.json .*it holds Infinity"),
        ("metrics.json", '"num_samples": 4', '"num_samples": -4', "accuracy is of -4 samples"),
    ],
)
def test_a_file_that_was_edited_by_hand_is_named_in_one_line(
    name: str,
    written: str,
    edited: str,
    told: str,
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = shutil.copytree(made / "a", tmp_path / "a")
    text = (run / name).read_text()
    assert written in text
    (run / name).write_text(text.replace(written, edited, 1))
    for command in (
        ["explain", str(run)],
        ["gate", str(run), "--write-baseline", str(tmp_path / "baseline.json")],
        ["export", str(run), "--to", "lm-eval", "--out", str(tmp_path / "out")],
    ):
        assert cli.run_command(command) == 2, command
        (line,) = capsys.readouterr().err.splitlines()
        assert re.search(told, line), command
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("kind", ["lm-eval", "eee"])
def test_a_time_that_is_none_is_named_where_it_is_exported(
    kind: str, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(made / "a", tmp_path / "a")
    text = (run / "manifest.json").read_text()
    (run / "manifest.json").write_text(text.replace('"ended": "2026', '"ended": "soon', 1))
    assert cli.run_command(["export", str(run), "--to", kind, "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(run / "manifest.json") in line
    assert "'soon-01-01T00" in line


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_many_changes(
    block: int, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(1000 + 30 * block, 1030 + 30 * block):
        folder = tmp_path / str(seed)
        name = spoil(folder, made, random.Random(seed))
        check(folder, name, capsys)
        shutil.rmtree(folder)
