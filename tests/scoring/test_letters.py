"""Rules that read a letter: values worked out by hand, hidden answers, guesses."""

from __future__ import annotations

import pytest

from llava_eval.scoring.choice import read_letter, unread
from llava_eval.scoring.text import through_spreadsheet
from llava_eval.types import Sample
from tests.scoring.protocols import protocol

VIDEOMME_ROW = {
    "videoID": "v",
    "question_id": "1",
    "question": "q",
    "options": ["A. w", "B. x", "C. y", "D. z"],
    "answer": "B",
}


def sample(name: str = "1", targets: tuple[str, ...] = ("B",)) -> Sample:
    return Sample(
        id=name, row=0, group="v", content=("q",), targets=targets, choices=("w", "x", "y", "z")
    )


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        # Values worked out by hand from the published rule: prefixes deleted in order and
        # case-sensitively, then the first of A, B, C, D.
        ("C", "C"),
        ("C. Berries.", "C"),
        ("The best answer is: D", "D"),
        ("The best answer is D", "D"),
        ("Answer: D", "D"),
        ("Option: D", "D"),
        ("The correct option is D", "D"),
        # Two commas are missing in the original list, so these four are never deleted ...
        ("Best answer: C", "B"),
        ("Best option: C", "B"),
        ("The best option is D", "D"),
        # ... unless both stand together.
        ("Best answer:Best option: C", "C"),
        ("Based on the video, the answer is C", "B"),
        ("After watching, D", "A"),
        ("Cannot be determined", "C"),
        ("Certainly! The answer is B.", "C"),
        ("N/A", "A"),
        ("A man walks in", "A"),
        ("answer: d", None),
        ("c", None),
        ("", None),
        ("   ", None),
        ("one two three four five six seven eight nine ten eleven", None),
    ],
)
def test_the_official_videomme_rule(reply: str, letter: str | None) -> None:
    parts = protocol("videomme/official")
    score = parts.score(reply, parts.sample(VIDEOMME_ROW))
    assert (score.answer, score.unreadable) == (letter, letter is None)
    assert score.value == (None if letter is None else float(letter == "B"))


def test_only_some_references_strip_replies() -> None:
    row = {"question": "q", "candidates": ["x", "y"], "answer": "y", "video": "v"}
    official, lmms_eval = protocol("mlvu/official"), protocol("mvbench/lmms_eval")
    assert official.score(" B", official.sample({**row, "question_type": "ego"})).value == 0.0
    assert official.score("B", official.sample({**row, "question_type": "ego"})).value == 1.0
    assert lmms_eval.score(" \n", lmms_eval.sample(row)).value is None


def test_an_answer_to_a_hidden_target_is_kept_and_not_scored() -> None:
    hidden = sample(targets=())
    assert (read_letter("C", hidden).value, read_letter("C", hidden).answer) == (None, "C")
    assert unread(hidden, "wrong").value is None
    guess = unread(hidden, "random", letters="ABCD")
    assert guess.value is None
    assert guess.answer in {"A", "B", "C", "D"}


def test_guesses_are_drawn_anew_for_each_sample_and_can_be_repeated() -> None:
    def draws(seed: int) -> list[str | None]:
        return [
            unread(sample(str(n)), "random", letters="ABCD", seed=seed).answer for n in range(400)
        ]

    assert draws(0) == draws(0)
    assert draws(0) != draws(1)
    assert all(80 <= draws(0).count(letter) <= 120 for letter in "ABCD")
    guess = unread(sample(), "random", letters="ABCD")
    assert guess.details == {"chosen_at_random": True}
    assert not guess.unreadable


def test_a_guess_is_among_the_options_that_there_are() -> None:
    parts = protocol("longvideobench/lmms_eval")
    row = {
        "video_path": "v.mp4",
        "question": "q",
        "correct_choice": 0,
        **{f"option{n}": text for n, text in enumerate(["x", "y", "z", "N/A", "N/A"])},
    }
    answers = {
        parts.score("no idea", parts.sample({**row, "id": str(n)})).answer for n in range(100)
    }
    assert answers == {"A", "B", "C"}


def test_an_empty_reply_is_right_under_mvbench_and_counted_as_unreadable() -> None:
    parts = protocol("mvbench/official")
    asked = parts.sample({"video": "v", "question": "q", "candidates": ["x", "y"], "answer": "y"})
    empty = parts.score("", asked)
    assert (empty.value, empty.answer, empty.unreadable) == (1.0, None, True)
    assert parts.score("B) y", asked).answer == "B"


def test_a_spreadsheet_keeps_what_a_cell_holds() -> None:
    assert through_spreadsheet("x" * 32_767 + "A") == "x" * 32_767
    assert through_spreadsheet("N/A") == "nan"
