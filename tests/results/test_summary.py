"""Published numbers beside a run's own."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import pytest

from llava_eval.config.schema import PublishedConfig
from llava_eval.metrics.differences import Metric
from llava_eval.metrics.question_groups import of_whole_groups
from llava_eval.results.summary import (
    Summary,
    compare_to_published,
    failures_by_cause,
    named_with_overrides,
    summarise,
)
from llava_eval.results.tables import counts_line, to_json, to_markdown, to_terminal
from llava_eval.types import NOT_SCORED, Generation, MetricValue, SampleResult, Score
from tests.results.helpers import make_result


def summary(value: float | None, low: float | None, high: float | None) -> Summary:
    metric = MetricValue(value, None, low, high, 100, "percent")
    return Summary(
        benchmark="b/p",
        model="m",
        num_samples=100,
        num_scored=100,
        num_unreadable=0,
        num_errors=0,
        metrics={"accuracy": metric},
        groups={"duration": {"short": {"accuracy": metric}}},
        chance={},
    )


@pytest.mark.parametrize(
    ("published", "explained"),
    [(53.5, True), (50.0, True), (57.0, True), (57.04, True), (57.06, False), (49.9, False)],
)
def test_is_within_interval_what_lies_in_our_interval(published: float, explained: bool) -> None:
    found = compare_to_published(
        summary(53.0, 50.0, 57.0), PublishedConfig("accuracy", published, "a blog")
    )
    assert found.is_within_interval is explained
    assert found.difference == pytest.approx(53.0 - published)


def test_without_an_interval_or_a_value_nothing_is_claimed() -> None:
    number = PublishedConfig("accuracy", 53.5, "a blog")
    assert compare_to_published(summary(53.0, None, None), number).is_within_interval is None
    nothing = compare_to_published(summary(None, None, None), number)
    assert (nothing.ours, nothing.difference, nothing.is_within_interval) == (None, None, None)


def test_a_level_of_a_facet() -> None:
    number = PublishedConfig("accuracy", 61.7, "a table", facet="duration", level="short")
    found = compare_to_published(summary(53.0, 50.0, 57.0), number)
    assert (found.name, found.ours) == ("accuracy (short)", 53.0)


def test_every_table_shows_the_comparison() -> None:
    bare = summary(53.0, 50.0, 57.0)
    number = PublishedConfig("accuracy", 60.2, "a blog", note="32 frames are inferred")
    full = dataclasses.replace(bare, published=(compare_to_published(bare, number),))
    [line] = [one for one in to_terminal(full).splitlines() if one.startswith("accuracy  ")][1:]
    assert line.split() == ["accuracy", "60.2", "53.0", "-7.20", "50.0", "to", "57.0", "no"]
    assert "source: a blog" in to_terminal(full)
    assert "note: 32 frames are inferred" in to_markdown(full)
    assert "published" not in to_json(bare)
    assert to_json(full)["published"][0]["difference"] == pytest.approx(-7.2)


@pytest.mark.parametrize(
    ("value", "half_step", "shown"),
    [(26.9, 0.005, "26.90"), (53.5, 0.05, "53.5"), (54.0, 0.5, "54"), (57.04, 0.05, "57.04")],
)
def test_a_published_value_is_shown_as_it_was_printed(
    value: float, half_step: float, shown: str
) -> None:
    bare = summary(53.0, 50.0, 57.0)
    number = PublishedConfig("accuracy", value, "a blog", half_step=half_step)
    full = dataclasses.replace(bare, published=(compare_to_published(bare, number),))
    [line] = [item for item in to_terminal(full).splitlines() if item.startswith("accuracy  ")][1:]
    assert line.split()[1] == shown


def judged(number: int, value: float | None, published: bool | None) -> SampleResult:
    generation = Generation("A", published_correct=published)
    return make_result(number, generation=generation, score=Score(value, "A"))


def test_verdicts_that_came_with_the_texts_are_counted_where_both_are_known() -> None:
    both = [judged(0, 1.0, True), judged(1, 0.0, False), judged(2, 1.0, True)]
    known_to_one = [judged(3, None, True), judged(4, 1.0, None)]

    def notes(*results: SampleResult) -> list[str]:
        return list(summarise(results, {}, benchmark="b/p", model=None).notes)

    assert notes(*known_to_one) == []
    assert notes(*both, *known_to_one) == ["our scores agree with 3 of 3 published verdicts"]
    start = "our scores agree with 3 of 5 published verdicts; the first that differs: "
    differing = [judged(5, 0.5, True), judged(6, 1.0, False)]
    assert notes(*both, *differing) == [f"{start}q5, published as right"]
    assert notes(*both, *(judged(item.row, 1.0, False) for item in differing)) == [
        f"{start}q5, published as wrong"
    ]


def mean(results: Sequence[SampleResult]) -> MetricValue:
    """Return the mean score of results, with their number."""
    values = [result.score.value or 0.0 for result in results]
    return MetricValue(sum(values) / len(values), None, None, None, len(values), "points")


def test_counts_levels_and_their_metrics_by_hand() -> None:
    drawn = {"chosen_at_random": True}
    results = [
        make_result(0, facets={"kind": "x+y"}, score=Score(1.0, "A", details=drawn)),
        make_result(1, facets={"kind": "y"}, score=Score(0.0, None, unreadable=True)),
        make_result(2, facets={"kind": "x"}, score=Score(0.5, "B", details=drawn)),
        make_result(
            3, facets={"kind": "18+"}, score=NOT_SCORED, generation=Generation(None, error="e")
        ),
    ]
    found = summarise(
        results[::-1],
        {"mean": mean, "other": mean},
        benchmark="b",
        model=None,
        facets=["kind"],
        facet_metrics=["mean"],
    )
    assert (found.num_samples, found.num_scored, found.num_unreadable, found.num_errors) == (
        4,
        3,
        1,
        1,
    )
    assert (found.num_random, found.flags, found.chance) == (2, {"chosen_at_random": 2}, {})
    assert list(found.metrics) == ["mean", "other"]
    levels = {
        level: {name: (value.value, value.num_samples) for name, value in metrics.items()}
        for level, metrics in found.groups["kind"].items()
    }
    # In the order of the rows; a sample of two levels counts under both.
    assert list(levels.items()) == [
        ("x", {"mean": (0.75, 2)}),
        ("y", {"mean": (0.5, 2)}),
        ("18+", {"mean": (0.0, 1)}),
    ]
    assert summarise(results, {}, benchmark="b", model="m").num_random == 2
    assert summarise(results[1:2], {}, benchmark="b", model="m").num_random == 0


def test_a_plus_beside_a_space_joins_no_levels() -> None:
    results = [make_result(n, facets={"d": d}) for n, d in enumerate(["0-10 min", "10+ min"])]
    found = summarise(results, {"mean": mean}, benchmark="b", model=None, facets=["d"])
    assert list(found.groups["d"]) == ["0-10 min", "10+ min"]


def test_a_metric_of_whole_groups_is_of_those_whose_last_row_has_the_level() -> None:
    @of_whole_groups
    def count(results: Sequence[SampleResult]) -> MetricValue:
        return MetricValue(float(len(results)), None, None, None, 0, "points")

    levels = ["x", "y", "y", "x", "x"]  # of two groups: rows 0 to 2, and 3 and 4
    results = [make_result(n, facets={"kind": level}) for n, level in enumerate(levels)]
    metrics: dict[str, Metric] = {"count": functools.partial(count), "mean": mean}
    found = summarise(results, metrics, benchmark="b", model="m", facets=["kind"]).groups["kind"]
    numbers = {level: (m["count"].value, m["mean"].num_samples) for level, m in found.items()}
    assert numbers == {"x": (2.0, 3), "y": (3.0, 2)}


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ({}, "b/p"),
        ({"num_frames": 4, "prompt": None}, "b/p (num_frames=4, prompt=null)"),
        ({"prompt": "two\n  lines"}, "b/p (prompt=two lines)"),
        ({"prompt": "x" * 40}, f"b/p (prompt={'x' * 40})"),
        ({"prompt": "x" * 41}, f"b/p (prompt={'x' * 37}...)"),
    ],
)
def test_overrides_are_written_in_one_line(overrides: dict[str, object], name: str) -> None:
    assert named_with_overrides("b/p", overrides) == name


def test_failures_are_told_by_cause_the_most_frequent_first() -> None:
    errors = [
        None, "rare", "cannot read /a/b.mp4: broken", "cannot read /c/d9.mp4: broken", "at 17, no",
        *["HTTP 500: no (6 attempts)", "HTTP 500: no (1 attempts)"] * 2,
    ]  # fmt: skip
    results = [
        make_result(
            n, generation=Generation("A") if error is None else Generation(None, error=error)
        )
        for n, error in enumerate(errors)
    ]
    assert failures_by_cause(results) == [
        "4 x HTTP ...: no (... attempts); for instance sample q5: HTTP 500: no (6 attempts)",
        "2 x cannot read ...: broken; for instance sample q2: cannot read /a/b.mp4: broken",
        "1 x rare; for instance sample q1: rare",
        "1 x at ..., no; for instance sample q4: at 17, no",
    ]
    assert failures_by_cause(results[:1]) == []


def test_the_flags_of_samples_stand_in_the_line_of_counts_and_in_json() -> None:
    bare = summary(53.0, 50.0, 57.0)
    full = dataclasses.replace(bare, flags={"cut_at_limit": 3, "mystery": 1, "chosen_at_random": 2})
    assert counts_line(bare) == "100 samples: 100 scored, 0 unreadable, 0 failed"
    assert counts_line(full) == (
        "100 samples: 100 scored, 0 unreadable, 0 failed, 3 cut at the limit of tokens, 1 mystery, "
        "2 chosen at random"
    )
    assert to_json(full)["num_random"] == 2
    assert to_json(full)["flags"] == {"cut_at_limit": 3, "mystery": 1, "chosen_at_random": 2}
    assert not {"num_random", "flags", "notes", "judge", "published"} & to_json(bare).keys()
    judged_run = dataclasses.replace(bare, judge={"calls": 3}, notes=["be careful"])
    assert to_json(judged_run)["judge"] == {"calls": 3}
    assert to_json(judged_run)["notes"] == ["be careful"]
    assert "\n- be careful\n" in to_markdown(judged_run)
    assert "\nbe careful\n" in to_terminal(judged_run)


def test_the_screen_shows_the_first_metric_that_a_facet_has() -> None:
    metric = MetricValue(40.0, None, 30.0, 50.0, 7, "percent", "a note")
    levels = {"short": {"second": metric, "third": MetricValue(1.0, None, None, None, 7, "points")}}
    full = dataclasses.replace(
        summary(53.0, 50.0, 57.0),
        metrics={name: metric for name in ("first", "second")},
        groups={"duration": levels, "empty": {"x": {"unknown": metric}}},
        model=None,
    )
    blocks = [block.splitlines() for block in to_terminal(full).split("\n\n")]
    assert blocks[0] == ["b/p"]
    (facet,) = [block for block in blocks if block[0].startswith("by ")]
    assert [line.split() for line in facet] == [
        ["by", "duration", "second", "95", "%", "interval", "samples"],
        ["short", "40.0", "30.0", "to", "50.0", "7"],
    ]
    assert ["first: a note"] in blocks
    assert "Model" not in to_markdown(full)
    assert "| short | third | 1.0 | - | 7 |" in to_markdown(full)
