"""Tables of an explanation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llava_eval.errors import RunDirectoryError
from llava_eval.results.explain.screen import disagreements_table, stored_parts
from llava_eval.types import Generation, SampleResult, Score
from tests.results.runs_on_disk import answered


def test_texts_that_rules_read_otherwise_are_marked() -> None:
    def read(number: int, text: str, target: tuple[str, ...], *scores: Score) -> list[SampleResult]:
        said = Generation(text)
        return [answered(number, True, generation=said, target=target, score=s) for s in scores]

    listed = [
        read(1, "It is A", ("A", "a"), Score(0.0, None), Score(1.0, "A")),
        read(2, "", ("B",), Score(0.5, "C"), Score(None, None)),
    ]
    table = disagreements_table(listed)
    assert table.header == ["sample", "text", "target", "A", "B"]
    assert table.rows == [
        ["q1", "It is A", "A | a", "-", "A+"],
        ["q2", "(empty)", "B", "C", "-"],
    ]
    assert disagreements_table(listed[:1]).rows == table.rows[:1]


def test_parts_of_a_gap_are_found_where_their_interval_leaves_out_zero(tmp_path: Path) -> None:
    def part(name: str, difference: float, low: float | None, high: float | None) -> object:
        return {"name": name, "difference": difference, "low": low, "high": high}

    parts = {
        "unit": "percent",
        "num_groups": 9,
        "changes": [
            part("rule", 2.0, 1.0, 3.0),
            part("frames", -2.0, -3.0, -1.0),
            part("prompt", 1.0, 0.0, 2.0),
            part("sampler", -1.0, -2.0, 0.0),
            part("seed", 0.5, -1.0, 2.0),
            part("judge", 0.5, None, 2.0),
            part("model", 0.5, 0.25, None),
        ],
        "not_explained": part("", 0.25, -0.5, 1.0),
        "whole": part("", 1.25, 0.5, 2.0),
    }
    path = tmp_path / "explain.json"
    assert stored_parts(tmp_path) is None
    path.write_text(json.dumps({"against": "the paper", "parts": parts}))
    stored = stored_parts(tmp_path)
    assert stored is not None
    table, against = stored
    assert against == "the paper"
    assert table.header == ["change alone", "percent", "95 % interval", ""]
    assert [(row[0], row[1], row[3]) for row in table.rows] == [
        ("from the rule", "+2.0", "found"),
        ("from the frames", "-2.0", "found"),
        ("from the prompt", "+1.0", ""),
        ("from the sampler", "-1.0", ""),
        ("from the seed", "+0.5", ""),
        ("from the judge", "+0.5", ""),
        ("from the model", "+0.5", ""),
        ("not explained (interactions, all else)", "+0.2", ""),
        ("the whole difference", "+1.2", "found"),
    ]
    assert table.rows[0][2] == "+1.0 to +3.0"
    path.write_text('{"against": "x"}')
    with pytest.raises(RunDirectoryError, match=r"explain\.json cannot be read: .*parts"):
        stored_parts(tmp_path)
    path.write_text('{"against": "x", "parts": NaN}')
    with pytest.raises(RunDirectoryError, match=r"explain\.json cannot be read: .*it holds NaN"):
        stored_parts(tmp_path)
