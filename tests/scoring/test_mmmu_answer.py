"""MMMU's and Video-MMMU's rules: values worked out by hand from their descriptions."""

from __future__ import annotations

import pytest

from llava_eval.scoring.mmmu_answer import MmmuOfficial, VideoMmmu, comparable
from llava_eval.types import Sample


def sample(target: str, *choices: str, kind: str = "open") -> Sample:
    return Sample(
        id="1",
        row=0,
        group="v",
        content=("q",),
        targets=(target,),
        choices=choices,
        facets={"question_type": "multiple-choice" if choices else kind},
    )


@pytest.mark.parametrize(
    ("reply", "target", "value"),
    [
        ("So the result is 3.14159.", "3.14", 1.0),
        ("So the result is 3.15", "3.14", 0.0),
        ("The answer is a cat.", "Cat", 1.0),
        ("The answer is ab", "b", 0.0),  # a single letter needs a space beside it
        ("The answer is a b c", "b", 1.0),
        ("there were 1,000 of them", "1000", 1.0),
        ("about 2e3 metres", "2000", 1.0),
        ("-7 degrees", "-7", 1.0),
        ("red is blue", "red", 0.0),  # only what follows "is" counts
        ("red\nx = blue", "red", 0.0),
        ("red = blue\nit is so", "blue", 0.0),  # "=" counts in the last line alone
        ("the final answer so far", "far", 1.0),
        ("plain red", "red", 1.0),
        ("12", "1", 0.0),  # a number is compared as one
    ],
)
def test_open_answers(reply: str, target: str, value: float) -> None:
    assert MmmuOfficial().score(reply, sample(target)).value == value


def test_an_endless_number_is_read_in_no_time() -> None:
    """The square of this length would take some ten seconds."""
    assert MmmuOfficial().score(f"{'1' * 40_000}x", sample("1")).value == 0.0
    assert MmmuOfficial().score("x1.5.3e1", sample("53")).value == 1.0


def test_video_mmmu_knows_more_phrases() -> None:
    assert MmmuOfficial().score("red things equals blue", sample("red")).value == 1.0
    assert VideoMmmu().score("red things equals blue", sample("red")).value == 0.0
    assert VideoMmmu().score("red things equals blue", sample("blue")).value == 1.0


@pytest.mark.parametrize(
    ("text", "forms"),
    [("1,234.567", [1234.57]), (" Cat ", ["cat"]), ("B", [" b", "b "]), ("7", [7.0])],
)
def test_what_is_compared(text: str, forms: list[str | float]) -> None:
    assert comparable(text) == forms


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("B. x", "B"),
        ("A: or B. x", "B"),  # "A." stands nowhere
        ("C: x", "C"),
        ("A: x C: y", "C"),
        ("A. x B. y", "B"),
        ("so (C) x (A) y", "A"),
        ("x B y A z", "A"),
        ("I think that it is two dogs", "C"),
        ("two dogs", None),
    ],
)
def test_letters_of_video_mmmu(reply: str, letter: str | None) -> None:
    asked = sample("B", "a ball", "a car", "two dogs")
    score = VideoMmmu().score(reply, asked)
    assert (score.answer, score.unreadable) == (letter, letter is None)
    assert score.value == float(letter == "B")


def test_empty_replies_and_perception() -> None:
    choice = sample("B", "x", "y")
    assert VideoMmmu().score("", choice).value is None
    assert VideoMmmu(ranked=True).score("", choice).value == 0.0
    assert VideoMmmu(ranked=True).score("", sample("red")).value is None
    assert VideoMmmu(ranked=True).score("(B)", choice).value == 1.0
    never = VideoMmmu().score("red", sample("red", kind="perception"))
    assert (never.value, never.answer) == (0.0, "red")


def test_a_letter_is_drawn_where_none_is_read() -> None:
    choice = sample("B", "x", "y")
    assert "chosen_at_random" not in MmmuOfficial().score("(B)", choice).details
    assert MmmuOfficial().score("?", choice).details["chosen_at_random"] is True
