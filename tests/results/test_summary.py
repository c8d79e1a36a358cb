"""Published numbers beside a run's own."""

from __future__ import annotations

import dataclasses

import pytest

from llava_eval.config.schema import PublishedConfig
from llava_eval.results.summary import Summary, compare_to_published, summarise
from llava_eval.results.tables import to_json, to_markdown, to_terminal
from llava_eval.types import Generation, MetricValue, SampleResult, Score
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
