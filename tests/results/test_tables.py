"""The numbers and the tables made of them, read back by contract."""

from __future__ import annotations

import csv
import functools
import io
import json

import pytest

from llava_eval.metrics.means import mean_score
from llava_eval.results.summary import Summary, named_with_overrides, summarise
from llava_eval.results.tables import to_csv, to_json, to_markdown, to_terminal
from llava_eval.types import NOT_SCORED, Generation, Score
from tests.results.helpers import make_result


@pytest.fixture
def summary() -> Summary:
    results = [
        make_result(0),
        make_result(1, score=Score(0.0, "B")),
        make_result(2),
        make_result(3, score=Score(0.0, None, unreadable=True)),
        make_result(4, generation=Generation(None, error="broken"), score=NOT_SCORED),
    ]
    return summarise(
        results[::-1],
        {"accuracy": functools.partial(mean_score)},
        benchmark="demo/multiple_choice (num_frames=4)",
        model="demo | x",
        facets=["duration"],
        chance={"accuracy": 25.0},
    )


def test_metrics_json_follows_the_contract(summary: Summary) -> None:
    content = json.loads(json.dumps(to_json(summary)))
    assert content["benchmark"] == "demo/multiple_choice (num_frames=4)"
    assert content["num_samples"] == 5
    assert content["num_scored"] == 4
    assert content["num_unreadable"] == 1
    assert content["num_errors"] == 1
    accuracy = content["metrics"]["accuracy"]
    assert set(accuracy) == {"value", "stderr", "ci_low", "ci_high", "num_samples", "unit"}
    assert (accuracy["value"], accuracy["num_samples"], accuracy["unit"]) == (50.0, 4, "percent")
    assert accuracy["ci_low"] < 50.0 < accuracy["ci_high"]
    levels = content["groups"]["duration"]
    assert list(levels) == ["long", "short"]
    assert levels["long"]["accuracy"]["value"] == 100.0
    assert levels["short"]["accuracy"]["value"] == 0.0


def test_metrics_csv_has_one_row_per_number(summary: Summary) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(summary))))
    assert [(row["facet"], row["level"], row["value"]) for row in rows] == [
        ("", "", "50.0"),
        ("duration", "long", "100.0"),
        ("duration", "short", "0.0"),
    ]
    assert {row["chance"] for row in rows} == {"25.0"}


def test_markdown_escapes_its_own_marks(summary: Summary) -> None:
    text = to_markdown(summary)
    assert "Model: demo \\| x" in text
    assert "| accuracy | 50.0 |" in text
    assert "5 samples: 4 scored, 1 unreadable, 1 failed" in text


def test_the_terminal_table_fits_80_columns(summary: Summary) -> None:
    text = to_terminal(summary, width=80)
    assert max(map(len, text.splitlines())) <= 80
    for part in ("accuracy", "50.0", "95 % interval", "25.0", "by duration", "1 unreadable"):
        assert part in text


def test_long_levels_are_cut_to_the_width() -> None:
    results = [make_result(0, facets={"kind": "an extremely long name of a level " * 4})]
    metrics = {"accuracy": functools.partial(mean_score)}
    long = summarise(results, metrics, benchmark="b", model=None, facets=["kind"])
    assert "\n1 samples: 1 scored, 0 unreadable, 0 failed" in to_terminal(long)
    assert max(map(len, to_terminal(long, width=80).splitlines())) <= 80


def test_overrides_stand_beside_the_name() -> None:
    assert named_with_overrides("videomme/official", {}) == "videomme/official"
    assert (
        named_with_overrides("videomme/official", {"num_frames": 16, "limit": None})
        == "videomme/official (num_frames=16, limit=null)"
    )
