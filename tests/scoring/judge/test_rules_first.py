"""Rules before a judge, and what is made of its reply: values worked out by hand."""

from __future__ import annotations

import pytest

from llava_eval.scoring.judge.rules_first import (
    CgBenchOpen,
    MathVistaLmmsEval,
    MmvuLmmsEval,
    RulesFirst,
    TomatoOfficial,
)
from llava_eval.scoring.judge.scorers import JudgedText
from llava_eval.types import Sample


def sample(target: str, *choices: str, **facets: str) -> Sample:
    return Sample(
        id="1",
        row=0,
        group="v",
        content=("q",),
        targets=(target,),
        choices=choices,
        question="why?",
        facets=facets,
    )


def asked(rule: RulesFirst, text: str, of: Sample) -> str:
    (message,) = rule.prompt(text, of)
    return message["content"]


MATHVISTA = MathVistaLmmsEval("{{question}} {{prediction}}")
MMVU = MmvuLmmsEval("{{question}} {{answer}} {{prediction}}")
TOMATO = TomatoOfficial("{{letters}} {{options}} {{prediction}}")
CGBENCH = CgBenchOpen("{{question}} {{answer}} {{prediction}}")


@pytest.mark.parametrize(
    ("answer_type", "reply", "answer", "value"),
    [
        ("integer", "14", "14", 1.0),
        ("integer", "15", "15", 0.0),
        ("integer", "", None, 0.0),
        ("float", "14", "14.0", 0.0),  # as Python writes it
        ("float", "14.004", "14.0", 0.0),
    ],
)
def test_mathvista_reads_a_number_at_once(
    answer_type: str, reply: str, answer: str | None, value: float
) -> None:
    of = sample("14", question_type="free_form", answer_type=answer_type, precision="2")
    score = MATHVISTA.by_rules(f" {reply}\n", of)
    assert score is not None
    assert (score.answer, score.value, score.unreadable) == (answer, value, answer is None)


@pytest.mark.parametrize("reply", ["14.0", "fourteen", "14 dogs"])
def test_mathvista_asks_for_what_is_no_number(reply: str) -> None:
    of = sample("14", question_type="free_form", answer_type="integer", precision="1")
    assert MATHVISTA.by_rules(reply, of) is None
    assert asked(MATHVISTA, f" {reply} ", of) == f"why? {reply}"


@pytest.mark.parametrize(
    ("answer_type", "found", "target", "answer", "value"),
    [
        ("integer", "14.7", "14", "14", 1.0),
        ("integer", "many", "14", None, 0.0),
        ("integer", "inf", "14", None, 0.0),
        ("float", "1.4567", "1.46", "1.46", 1.0),
        ("float", "1.5", "1.50", "1.5", 0.0),
        ("text", " cat ", "cat", "cat", 1.0),
    ],
)
def test_mathvista_compares_what_was_found(
    answer_type: str, found: str, target: str, answer: str | None, value: float
) -> None:
    of = sample(target, question_type="free_form", answer_type=answer_type, precision="2")
    score = MATHVISTA.by_judge(found, "x", of)
    assert (score.answer, score.value) == (answer, value)


@pytest.mark.parametrize(
    ("found", "answer"), [("(b)", "blue"), ("B", "blue"), ("A", "red"), ("bleu", "blue")]
)
def test_mathvista_takes_the_nearest_option(found: str, answer: str) -> None:
    of = sample("blue", "red", "blue", question_type="multi_choice", answer_type="text")
    assert MATHVISTA.by_rules(found, of) is None
    score = MATHVISTA.by_judge(found, "x", of)
    assert (score.answer, score.value) == (answer, float(answer == "blue"))
    at_once = MATHVISTA.by_rules("blue", of)
    assert at_once is not None and at_once.value == 1.0  # noqa: PT018
    # Of "red" and "blue" the shorter is nearer to nothing at all.
    of_red = sample("red", "red", "blue", question_type="multi_choice", answer_type="text")
    empty = MATHVISTA.by_rules("", of_red)
    assert empty is not None and (empty.value, empty.unreadable) == (1.0, True)  # noqa: PT018


@pytest.mark.parametrize(
    ("reply", "answer", "value"),
    [
        ("b", "B", 1.0),
        ("it is (B)", "B", 1.0),
        ("C", "C", 0.0),
        ("the blue car it is", None, 1.0),
        ("car B2", None, 1.0),
        ("car", None, 0.0),
        ("by it", None, 0.0),
    ],
)
def test_mmvu_never_asks_about_options(reply: str, answer: str | None, value: float) -> None:
    score = MMVU.by_rules(reply, sample("B", "one ball", "the blue car", "two dogs"))
    assert score is not None
    assert (score.answer, score.value) == (answer, value)


@pytest.mark.parametrize(
    ("reply", "target", "is_right"),
    [
        ("Red  car", "a red car", True),
        ("It was a red car.", "a red car", True),
        ("about 5.0 m", "5 metres", True),
        ("about 5.02 m", "5 metres", False),
        ("a car, red", "red car", True),
        ("a car", "red car", False),
        ("dog", "cat", False),
        ("cat dog", "cow dog cat", False),
        ("x²", "x^2", True),
        ("O(n)!", "so o(n) is the order of growth", True),
        ("O(m)!", "so o(n) is the order of growth", False),
        ("six small red dogs", "red dogs, small, six", True),
    ],
)
def test_mmvu_accepts_some_open_answers(reply: str, target: str, is_right: bool) -> None:
    score = MMVU.by_rules(reply, sample(target))
    assert (score is not None) == is_right
    assert score is None or score.value == 1.0
    assert asked(MMVU, reply, sample(target)) == f"Question: why? {target} {reply}"


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("Yes.", 1.0),
        ("true", 1.0),
        ("1", 1.0),
        ("Correct", 1.0),
        ("Incorrect", 0.0),
        ("no", 0.0),
        ("NOT_ATTEMPTED, 1", 0.0),
    ],
)
def test_mmvu_takes_yes_and_no(reply: str, value: float) -> None:
    score = MMVU.by_judge(reply, " a car ", sample("red car"))
    assert (score.answer, score.value) == ("a car", value)


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("b", "B"),
        (" C ", "C"),
        ("D", None),
        ("B: DOWN", "B"),
        ("b: down", "B"),
        ("A: up", None),  # in capitals it is no option's text
        ("Answer is:(B)", "B"),
        ("Answer is(c)", "C"),
        ("Answer is:F", None),
        ("Answer is(B).", None),
        ("", None),
    ],
)
def test_tomato_reads_set_forms(reply: str, letter: str | None) -> None:
    score = TOMATO.by_rules(reply, sample("B", "up", "DOWN", "left"))
    assert (None if score is None else score.answer) == letter
    assert score is None or score.value == float(letter == "B")


def test_tomato_shows_the_options_and_takes_a_letter() -> None:
    of = sample("B", "up", "DOWN")
    assert asked(TOMATO, "x", of) == "['A', 'B'] {'A': 'up', 'B': 'DOWN'} x"
    score = TOMATO.by_judge("B", "x", of)
    assert (score.answer, score.value) == ("B", 1.0)
    assert "chosen_at_random" not in score.details
    drawn = TOMATO.by_judge("b", "x", of)
    assert drawn.details["chosen_at_random"] is True
    assert drawn.answer in ("A", "B")


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("the answer is 1, not 0", 1.0),
        ("0", 0.0),
        ("2", None),
        ("9", None),
        ("", None),
        ('```json\n{"result": null}\n``` 1', 1.0),
    ],
)
def test_cgbench_takes_0_and_1(reply: str, value: float | None) -> None:
    score = CGBENCH.by_judge(reply, "a car", sample("red car"))
    assert score.value == value
    assert score.unreadable == (value is None)
    assert score.details == ({"needs_frames": True} if reply == "2" else {})


def test_cgbench_shows_the_result_alone() -> None:
    text = 'so ```json\n{"result": "a car"}\n```'
    assert asked(CGBENCH, text, sample("red car")) == "why? red car a car"
    assert CGBENCH.by_rules(text, sample("red car")) is None
    empty = CGBENCH.by_rules("", sample("red car"))
    assert empty is not None and empty.value is None  # noqa: PT018


def test_one_prompt_a_text() -> None:
    rule = JudgedText(
        system="judge",
        user="{{answer}} {{prediction}}",
        reading="verdict_and_score_whole",
        min_characters=2,
        choice_user="{{options}}",
        answer_replacements={"a": "b", "bb": "c"},
    )
    assert rule.prompt("x", sample("ab"))[1]["content"] == "c x"
    system, user = rule.prompt("x", sample("A", "up", "down"))
    assert (system["content"], user["content"]) == ("judge", "A: up\nB: down")
    assert rule.by_rules("xy", sample("a")) is None
    short = rule.by_rules("x", sample("a"))
    assert short is not None
    assert (short.value, short.answer, short.unreadable) == (0.0, None, False)
    assert short.details == {"judge_score": 0.0, "too_short": True}


@pytest.mark.parametrize(
    ("reply", "value", "answer", "explanation"),
    [
        ("{'pred': 'Yes', 'score': 4}", 1.0, "Yes", "the judge says Yes"),
        ("{'pred': 'no', 'score': 2}", 0.0, "no", "the judge says no"),
        ("{'pred': 'maybe', 'score': 2}", None, "maybe", "the judge says maybe; not scored"),
        ("hello", None, None, "the judge's reply cannot be read; not scored"),
    ],
)
def test_what_the_judge_says(
    reply: str, value: float | None, answer: str | None, explanation: str
) -> None:
    rule = JudgedText(system=None, user="", reading="verdict_and_score_whole")
    score = rule.by_judge(reply, "x", sample("a"))
    assert (score.value, score.answer, score.explanation) == (value, answer, explanation)
    assert score.unreadable == (answer is None)
