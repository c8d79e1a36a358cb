"""Multiple-choice rules on replies as models write them."""

from __future__ import annotations

import pytest

from llava_eval.scoring.choice import StrictChoice, read_choice
from llava_eval.types import Sample

CHOICES = ("a red circle", "A blue square", "both of them", "none")


def sample(target: str = "B") -> Sample:
    return Sample(id="1", row=0, group="v", content=("q",), targets=(target,), choices=CHOICES)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("B", "B"),
        (" b \n", "B"),
        ("(B)", "B"),
        ("B.", "B"),
        ("**B**", "B"),
        ("[b].", "B"),
        ("B. A blue square", "B"),
        ("B) a blue square.", "B"),
        ("(B) A blue square", "B"),
        ("a blue square", "B"),
        ("A blue square.", "B"),
        ("A red circle", "A"),
        ("The answer is B", "B"),
        ("The answer is (B) because the square is blue.", "B"),
        ("Answer: B", "B"),
        ("the best answer is: **B**", "B"),
        ("Option B", "B"),
        ("The correct option is option B.", "B"),
        ("B. The square moves last. The answer is B.", "B"),
        ("B: because it is blue", "B"),
        # Names none, or more than one: never a guess.
        ("", None),
        ("E", None),
        ("A or B", None),
        ("Both A and B", None),
        ("A man walks by", None),
        ("I cannot tell.", None),
        ("Certainly! It is blue.", None),
        ("The answer is A. No, the answer is B.", None),
        ("A. The answer is B.", None),
        ("A\nB\nC\nD", None),
        ("The answer is E", None),
        ("Based on the video, it is unclear", None),
        ("answer", None),
        ("The answer is a blue car", None),
        ("The answer is A blue car", None),
        ("answer: b", None),
        ("The answer is B because A is wrong", "B"),
        ("the Answer is: B, as the square is blue", "B"),
    ],
)
def test_our_own_rule(reply: str, answer: str | None) -> None:
    assert read_choice(reply, CHOICES) == answer


def test_letters_beyond_the_options_are_not_read() -> None:
    assert read_choice("C", ("x", "y")) is None
    assert read_choice("C", ("x", "y", "z")) == "C"


def test_equal_option_texts_are_not_told_apart() -> None:
    assert read_choice("x", ("x", "x")) is None
    assert read_choice("B. x", ("x", "x")) == "B"


def test_strict_choice_counts_the_unreadable_as_wrong() -> None:
    assert StrictChoice().score("B", sample()).value == 1.0
    assert StrictChoice().score("(A)", sample()).value == 0.0
    unread = StrictChoice().score("who knows", sample())
    assert (unread.value, unread.answer, unread.unreadable) == (0.0, None, True)
