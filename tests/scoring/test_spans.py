"""Times that a reply names, and their overlap with the right ones."""

from __future__ import annotations

import pytest

from llava_eval.errors import ConfigError
from llava_eval.scoring.clues import fenced_result, intervals_overlap
from llava_eval.scoring.spans import (
    Rule,
    Span,
    SpanOverlap,
    charades_spans,
    overlap,
    timelens_spans,
)
from llava_eval.types import Sample


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        ((0, 10), (0, 10), 1.0),
        ((0, 10), (5, 10), 0.5),
        ((0, 10), (5, 15), 1 / 3),
        ((0, 10), (10, 20), 0.0),
        ((0, 10), (12, 20), 0.0),
        ((5, 5), (5, 5), 0.0),
        ((10, 0), (0, 10), 0.0),
        ((2, 4), (0, 8), 0.25),
    ],
)
def test_the_overlap(first: Span, second: Span, share: float) -> None:
    assert overlap(first, second) == pytest.approx(share)
    assert overlap(second, first) == pytest.approx(share)


@pytest.mark.parametrize(
    ("reply", "spans"),
    [
        ("It starts at 3 and ends at 9.5", []),
        ("It starts at 3.\nIt ends at 9.5", [(3.0, 9.5)]),
        ("It ends at 9.5.\nIt starts at 3", [(3.0, 9.5)]),
        ("from 3 to 9.5 seconds", [(3.0, 9.5)]),
        ("9.5 - 3", [(3.0, 9.5)]),
        ("1:02 - 1:10", [(62.0, 70.0)]),
        ("1:00:02 to 1:00:10", [(3602.0, 3610.0)]),
        ("at 0:05 and then 0:02", [(2.0, 5.0)]),
        ("1 - 2\nThe event happens in 3 - 4", [(3.0, 4.0)]),
        ("3.0s - 9s", [(3.0, 9.0)]),
        ("nothing", []),
        ("", []),
    ],
)
def test_the_first_span_of_charades(reply: str, spans: list[Span]) -> None:
    assert charades_spans(reply) == spans


@pytest.mark.parametrize(
    ("reply", "official", "lmms_eval"),
    [
        ("0:05 until 1:10", [(5.0, 70.0)], None),
        ("0:05, 0:10, 0:20", [(5.0, 10.0)], None),
        ("1:00:05.5 and 1:00:06", [(3605.5, 3606.0)], None),
        ("3-9 and 10 - 12", [(3.0, 9.0), (10.0, 12.0)], None),
        ("3 to 9", [(3.0, 9.0)], None),
        ("9 to 3", [(9.0, 3.0)], None),
        ("at 3.5 and 9", [(3.5, 9.0)], None),
        ("3, 9, 12", [(3.0, 9.0)], None),
        ("3, 9, 12, 20", [(3.0, 9.0), (12.0, 20.0)], None),
        ("only 3", [], None),
    ],
)
def test_the_spans_of_timelens(
    reply: str, official: list[Span], lmms_eval: list[Span] | None
) -> None:
    assert timelens_spans(reply, "timelens_official") == official
    assert timelens_spans(reply, "timelens_lmms_eval") == (lmms_eval or official)


@pytest.mark.parametrize(
    ("rule", "reply", "value", "reached"),
    [
        ("charades_lmms_eval", "0 to 10", 1.0, (1.0, 1.0, 1.0)),
        ("charades_lmms_eval", "0 to 7", 0.7, (1.0, 1.0, 1.0)),
        ("charades_lmms_eval", "0 to 5", 0.5, (1.0, 1.0, 0.0)),
        ("charades_lmms_eval", "0 to 3", 0.3, (1.0, 0.0, 0.0)),
        ("charades_lmms_eval", "0 to 2.5", 0.25, (0.0, 0.0, 0.0)),
        ("timelens_lmms_eval", "0 - 2.6", 0.26, (0.0, 0.0, 0.0)),
        ("timelens_official", "0 - 2.6", 0.3, (1.0, 0.0, 0.0)),
        ("timelens_official", "well", 0.0, (0.0, 0.0, 0.0)),
    ],
)
def test_thresholds_are_reached_at_their_value(
    rule: Rule, reply: str, value: float, reached: tuple[float, ...]
) -> None:
    sample = Sample(id="1", row=0, group="v", content=("q",), targets=("0 10",))
    score = SpanOverlap(rule).score(reply, sample)
    assert score.value == pytest.approx(value)
    assert dict(score.details or {}) == dict(
        zip(("R1@0.3", "R1@0.5", "R1@0.7"), reached, strict=True)
    )


@pytest.mark.parametrize("target", ["3.5", "B", "", "1 2 3", "3-5"])
def test_an_answer_that_is_no_span_is_told(target: str) -> None:
    sample = Sample(id="1", row=0, group="v", content=("q",), targets=(target,))
    with pytest.raises(ConfigError, match=f"sample 1: the right answer '{target}' should be two t"):
        SpanOverlap("timelens_official").score("3 - 9", sample)


def test_a_span_is_read_where_the_right_one_is_hidden() -> None:
    sample = Sample(id="1", row=0, group="v", content=("q",), targets=())
    score = SpanOverlap("timelens_official").score("3 - 9", sample)
    assert (score.answer, score.value, score.unreadable) == ("3 to 9 s", None, False)
    assert score.details == {}
    assert SpanOverlap("timelens_official").score("well", sample).unreadable


@pytest.mark.parametrize(
    ("first", "second", "share"),
    [
        ([[0, 10]], [[0, 10]], 1.0),
        ([[0, 4], [6, 10]], [[0, 10]], 0.8),
        ([[0, 6], [4, 10]], [[0, 10]], 1.0),
        ([[0, 5], [5, 10]], [[2, 4]], 0.2),
        ([[0, 8], [2, 3]], [[4, 12]], 1 / 3),
        ([], [[0, 1]], 0.0),
        ([], [], 0.0),
        ([[6, 10], [0, 4]], [[3, 7]], 0.2),
    ],
)
def test_lists_of_intervals(
    first: list[list[float]], second: list[list[float]], share: float
) -> None:
    assert intervals_overlap(first, second) == pytest.approx(share)
    assert intervals_overlap(second, first) == pytest.approx(share)


def test_intervals_stand_in_a_list() -> None:
    """The original calls ``sort``, which a tuple has not, and an empty one is not sorted."""
    with pytest.raises(TypeError, match="expected a list of intervals, got tuple"):
        intervals_overlap(((1, 2),), [[1, 2]])
    assert intervals_overlap((), [[1, 2]]) == 0.0


@pytest.mark.parametrize(
    ("reply", "quote_words", "result"),
    [
        ('```json\n{"result": "B"}\n```', False, ("B",)),
        ('so ```json{"result": [1, 2]}``` and ```json{"result": 3}```', False, ([1, 2],)),
        ('```json\n{"result": B}\n```', True, ("B",)),
        ('```json\n{"result": B}\n```', False, ()),
        ('```json\n{"result": "B"}', False, ()),
        ('{"result": "B"}', False, ()),
        ('```json\n{"answer": "B"}\n```', False, ()),
        ("```json\n[1]\n```", False, ()),
    ],
)
def test_the_result_of_a_block(reply: str, quote_words: bool, result: tuple[object, ...]) -> None:
    assert fenced_result(reply, quote_words=quote_words) == result


@pytest.mark.parametrize("rule", ["charades_lmms_eval", "timelens_lmms_eval", "timelens_official"])
@pytest.mark.parametrize("reply", ["{} - 5", "5 - {}", "from {} to {}"])
def test_a_time_of_hundreds_of_digits_shares_nothing(rule: Rule, reply: str) -> None:
    """Replies that end in a loop have such numbers; Python's ``float`` takes them for infinite."""
    sample = Sample("a", 0, "g", ("When?",), ("4 9",))
    score = SpanOverlap(rule).score(reply.replace("{}", "1" * 400), sample)
    assert (score.value, score.unreadable) == (0.0, False)


def test_an_endless_number_is_read_in_no_time() -> None:
    """The cube of this length would take centuries, its square some ten seconds."""
    assert timelens_spans("0" * 40_000, "timelens_official") == []
    assert timelens_spans("0" * 40_000, "timelens_lmms_eval") == []
    assert charades_spans("0" * 40_000 + "x") == []
    assert timelens_spans("12.5.3 - 4. 1.-2", "timelens_official") == [(5.3, 4.0), (1.0, 2.0)]
