"""Parsers against the references, which were run on the same replies outside this package."""

from __future__ import annotations

import json
import lzma
import math
from pathlib import Path
from typing import Any

import pytest

from llava_eval.scoring.judge.parsers import PARSERS, ParsedReply, ParserName, parse_reply

GOLDEN = json.loads(lzma.decompress((Path(__file__).parent / "golden.json.xz").read_bytes()))


@pytest.mark.parametrize("name", PARSERS)
def test_every_reply_reads_as_in_the_reference(name: ParserName) -> None:
    num_defined = 0
    for row in GOLDEN["replies"]:
        parsed, expected = PARSERS[name](row["reply"]), row[name]
        if expected is None:
            assert parsed == ParsedReply(unreadable=True), row["reply"]
            continue
        num_defined += 1
        is_right, score = expected
        ours = None if parsed.is_right is None else int(parsed.is_right)
        assert ours == is_right, row["reply"]
        if score is None or parsed.score is None:
            assert score is parsed.score, row["reply"]
        else:
            assert math.isclose(parsed.score, score, rel_tol=1e-9, abs_tol=1e-9), row["reply"]
    assert num_defined > 300


# (reply, what the whole-literal rule makes of it, and the one that cuts out the first braces)
BY_HAND: list[tuple[str, Any, Any]] = [
    ("{'pred': 'yes', 'score': 4.8}", (True, 4), (True, 4)),
    ("{'pred': 'no', 'score': 0}", (False, 0), (False, 0)),
    ('{"pred": "yes", "score": "4"}', (True, 4), (True, 4)),
    ("{'pred': 'yes', 'score': '4.8'}", None, None),
    ("{'pred': 'I know', 'score': 3}", (False, 3), (False, 3)),
    ("{'pred': 'yes and no', 'score': 3}", (True, 3), (True, 3)),
    ("{'pred': 'maybe', 'score': 2}", (None, 2), (None, 2)),
    ("Sure: {'pred': 'yes', 'score': 5}", None, (True, 5)),
    ("```python\n{'pred': 'yes', 'score': 5}\n```", None, (True, 5)),
    ("{'pred': 'yes', 'score': 10}", (True, 10), (True, 10)),
    ("{'pred': 'no', 'score': -2}", (False, -2), (False, -2)),
    ("{'pred': 'yes', 'score': True}", (True, 1), (True, 1)),
    ("{'Pred': 'yes', 'score': 4}", None, None),
    ("yes", None, None),
    ("4", None, None),
    ("", None, None),
]


@pytest.mark.parametrize("score", ["1" + "0" * 30, "-2000000", "1e308"])
def test_a_number_beyond_any_scale_enters_no_mean(score: str) -> None:
    reply = f"{{'pred': 'yes', 'score': {score}}}"
    right = ParsedReply(verdict="yes", is_right=True)
    assert parse_reply("verdict_and_score_first_braces", reply) == right
    assert parse_reply("score_by_key", reply) == ParsedReply(unreadable=True)


@pytest.mark.parametrize(("reply", "whole", "braces"), BY_HAND)
def test_by_hand(reply: str, whole: Any, braces: Any) -> None:
    for name, expected in (
        ("verdict_and_score_whole", whole),
        ("verdict_and_score_first_braces", braces),
    ):
        parsed = PARSERS[name](reply)  # type: ignore[index]
        if expected is None:
            assert parsed == ParsedReply(unreadable=True)
        else:
            assert (parsed.is_right, parsed.score) == expected


def test_what_v0_2_makes_of_replies() -> None:
    read = PARSERS["verdict_and_score_or_no"]
    assert read("{'pred': 'yes', 'score': 4.8}") == ParsedReply("yes", True, 4.8)
    assert read("{'pred': 'Yes', 'score': 4}") == ParsedReply("Yes", False, 4.0)
    assert read("I say yes") == ParsedReply("no", False, 0.0, unreadable=True)
    assert read("{'score': 3}") == ParsedReply("no", False, 3.0)
    assert read("{'pred': 'yes', 'score': 'nan'}") == ParsedReply("yes", True, None)


def test_scores_of_dictionaries() -> None:
    assert PARSERS["score_of_first_value"]("{'x': 3, 'score': 5}").score == 3
    assert PARSERS["score_of_first_value"]("{}").score == 0
    assert PARSERS["score_by_key"]("{'x': 3, 'score': 5}").score == 5
    assert PARSERS["score_by_key"]("{}").unreadable
    assert PARSERS["score_or_zero"]("nothing") == ParsedReply(score=0.0, unreadable=True)


@pytest.mark.parametrize(
    ("reply", "score"),
    [("1.0", 1.0), (" 0.3 of it", 0.3), ("0", 0.0), ("1.01", None), ("-0.1", None), ("nan", None)],
)
def test_a_grade_lies_between_0_and_1(reply: str, score: float | None) -> None:
    """MM-Vet's reference asks for ever where it does not."""
    assert PARSERS["grade_or_zero"](reply) == ParsedReply(score=score, unreadable=score is None)


def test_an_empty_reply_is_right_and_counted_as_unreadable() -> None:
    assert PARSERS["begins_with_a"](" \n") == ParsedReply(is_right=True, unreadable=True)
