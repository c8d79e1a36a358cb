"""llava-eval probes: changes against the plain run, by level, and letters answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llava_eval.cli import run_command
from llava_eval.errors import ComparisonError
from llava_eval.results.compare.probe_tables import (
    Probes,
    answers_table,
    probe_of,
    probes_content,
    probes_table,
    probes_text,
)
from llava_eval.results.runs import Run, RunReader
from llava_eval.types import SampleResult, Score
from tests.results.runs_on_disk import answered, failed, write_run


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
    assert "p by level is corrected for the levels." in " ".join(text.split())
    assert "*" not in text, "no star is explained that no table has"


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


def read(path: Path, answers: str, targets: str, **changes: Any) -> Run:
    """Write and read a run whose answers and targets are letters, "-" where none was read."""
    results = [
        answered(
            n,
            True,
            target=(target,),
            score=Score(float(answer == target), None if answer == "-" else answer),
        )
        for n, (answer, target) in enumerate(zip(answers, targets, strict=True))
    ]
    return RunReader().read(write_run(path, results, **changes))


def probes(tmp_path: Path, plain: str, blind: str, targets: str, **changes: Any) -> Probes:
    config = {"benchmark.probe": "blind"}
    return Probes.of(
        [
            read(tmp_path / "blind", blind, targets, config=config, **changes),
            read(tmp_path / "plain", plain, targets, **changes),
        ]
    )


def test_letters_are_counted_by_hand(tmp_path: Path) -> None:
    found = probes(tmp_path, "ABBCA", "CCCC-", "ABACB")
    assert found.names == ["blind"]
    assert (probe_of(found.plain), found.chance) == (None, 25.0)
    table = answers_table(found)
    assert table is not None
    assert table.header == ["letter", "right", "A", "B"]
    # Of five: A is right on two, B on two, C on one.
    assert table.rows == [
        ["A", "40.0", "40.0", "0.0"],
        ["B", "40.0", "40.0", "0.0"],
        ["C", "20.0", "20.0", "80.0"],
    ]
    rows = probes_table(found).rows
    assert rows[0] == ["A", "plain", "60.0", "-", "-", "-"]
    assert rows[1][:4] == ["B", "blind", "20.0", "-40.0"]
    assert rows[2] == ["", "chance", "25.0", "-", "-", "-"]
    better = probes_table(probes(tmp_path / "turned", "CCCC-", "ABBCA", "ABACB")).rows
    assert better[1][:4] == ["B", "blind", "60.0", "+40.0"]


def test_an_accepted_letter_that_is_never_the_first_is_right_nowhere(tmp_path: Path) -> None:
    def side(*answers: str) -> list[SampleResult]:
        return [
            answered(n, True, target=("A", "B"), score=Score(1.0, one))
            for n, one in enumerate(answers)
        ]

    paths = [
        write_run(tmp_path / "plain", side("A", "B")),
        write_run(tmp_path / "x", side("B", "B"), config={"benchmark.probe": "x"}),
    ]
    table = answers_table(Probes.of([RunReader().read(path) for path in paths]))
    assert table is not None
    assert table.rows == [["A", "100.0", "50.0", "0.0"], ["B", "0.0", "50.0", "100.0"]]


def test_a_probe_that_moves_the_right_letters_says_so(tmp_path: Path) -> None:
    paths = [
        write_run(
            tmp_path / name,
            [
                answered(n, True, target=(one,), score=Score(1.0, one))
                for n, one in enumerate(letters)
            ],
            config={"benchmark.probe": name} if name != "plain" else {},
        )
        for name, letters in {"plain": "AABB", "shuffled_options": "BABB"}.items()
    ]
    table = answers_table(Probes.of([RunReader().read(path) for path in paths]))
    assert table is not None
    assert table.header == ["letter", "right", "A", "right in B", "B"]
    assert table.rows == [
        ["A", "50.0", "50.0", "25.0", "25.0"],
        ["B", "50.0", "50.0", "75.0", "75.0"],
    ]


def test_a_probe_of_other_samples_is_refused(tmp_path: Path) -> None:
    sides = {"plain": range(3), "blind": range(3), "one_frame": range(3, 6)}
    paths = [
        write_run(
            tmp_path / name,
            [answered(n, True) for n in numbers],
            config={"benchmark.probe": name} if name != "plain" else {},
        )
        for name, numbers in sides.items()
    ]
    with pytest.raises(ComparisonError, match="C is not compared: A has no sample that C answered"):
        Probes.of([RunReader().read(path) for path in paths])


def test_words_as_answers_have_no_table_of_letters(tmp_path: Path) -> None:
    def side() -> list[SampleResult]:
        return [answered(n, True, target=("two words",)) for n in range(3)]

    paths = [
        write_run(tmp_path / "plain", side()),
        write_run(tmp_path / "x", side(), config={"benchmark.probe": "x"}),
    ]
    found = Probes.of([RunReader().read(path) for path in paths])
    assert answers_table(found) is None
    assert "letters answered" not in probes_text(found)


def test_a_headline_that_cannot_be_compared_is_a_row_of_dashes(tmp_path: Path) -> None:
    unscored: dict[str, Any] = {"score": Score(None, None), "target": ()}
    paths = [
        write_run(tmp_path / "plain", [answered(n, True, **unscored) for n in range(3)]),
        write_run(
            tmp_path / "x",
            [answered(n, True, **unscored) for n in range(3)],
            config={"benchmark.probe": "x"},
        ),
    ]
    found = Probes.of([RunReader().read(path) for path in paths])
    assert probes_table(found).rows == [
        ["A", "plain", "-", "-", "-", "-"],
        ["B", "x", "-", "-", "-", "-"],
        ["", "chance", "25.0", "-", "-", "-"],
    ]
    (probe,) = probes_content(found)["probes"]
    assert probe == {"probe": "x", "change": None, "levels": {}}


def test_probes_of_unfinished_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ComparisonError, match=r"blind is not finished \(status 'failed'\)"):
        probes(tmp_path, "AB", "AB", "AB", manifest={"status": "failed"})


def test_numbers_stand_below_each_other(tmp_path: Path) -> None:
    found = Probes.of([RunReader().read(Path(path)) for path in runs(tmp_path)])
    header, plain, blind, chance = probes_table(found).to_text(80).splitlines()
    end = header.index("accuracy") + len("accuracy")
    assert [line[:end].split()[-1] for line in (plain, blind, chance)] == ["100.0", "50.0", "25.0"]
    assert {line[end - 1 : end + 1] for line in (plain, blind, chance)} == {"0 "}


def test_the_plain_value_stands_on_the_samples_that_each_probe_is_held_to(tmp_path: Path) -> None:
    right = [answered(n, True) for n in range(12)]
    sides: dict[str, list[SampleResult]] = {
        "none": [answered(n, n < 6) for n in range(12)],
        "blind": [failed(n) if n < 6 else one for n, one in enumerate(right)],
        "reversed": right,
    }
    paths = [
        write_run(
            tmp_path / name, side, config={"benchmark.probe": None if name == "none" else name}
        )
        for name, side in sides.items()
    ]
    found = Probes.of([RunReader().read(path) for path in paths])
    assert [row[:4] for row in probes_table(found).rows] == [
        ["A", "plain, as B", "0.0", "-"],
        ["A", "plain, as C", "50.0", "-"],
        ["B", "blind", "100.0", "+100.0"],
        ["C", "reversed", "100.0", "+50.0"],
        ["", "chance", "25.0", "-"],
    ]
