"""TempCompass's rules, and what is made of its judge's replies: values worked out by hand."""

from __future__ import annotations

import pytest

from llava_eval.benchmarks.adapters.tempcompass import TASKS
from llava_eval.errors import ConfigError
from llava_eval.scoring.tempcompass_rules import TempCompassJudged, TempCompassRules
from llava_eval.types import Sample

QUESTIONS = {
    "multi-choice": ("Where?\nA. up\nB. down", "A. up"),
    "yes_no": ("Up?", "no"),
    "caption_matching": (
        "Which?\nCaption A: it rises\nCaption B: it falls",
        "Caption A: it rises",
    ),
    "captioning": ("Where?\nA. up\nB. down", "A. up"),
}
JUDGED = TempCompassJudged(
    ["</s>"],
    "judge",
    {task: f"{task} {{{{question}}}} {{{{answer}}}} {{{{prediction}}}}" for task in TASKS},
)


def sample(task: str) -> Sample:
    question, answer = QUESTIONS.get(task, ("q", "a"))
    return Sample("1", 0, "v", ("q",), (answer,), question=question, facets={"task": task})


@pytest.mark.parametrize(
    ("task", "reply", "answer", "value"),
    [
        ("multi-choice", "A. up", "A", 1.0),
        ("multi-choice", " A</s>", "A", 1.0),
        ("multi-choice", "A) down", "A", 1.0),
        ("multi-choice", "B. up", "B", 0.0),
        ("multi-choice", "A: up", None, 0.0),
        ("multi-choice", "E.", None, 0.0),
        ("multi-choice", "", None, 0.0),
        ("yes_no", "Not really", "no", 1.0),
        ("yes_no", "YES, no", "yes", 0.0),
        ("yes_no", "It is not", None, 0.0),
        ("caption_matching", "Caption A: it rises", "Caption A: it rises", 1.0),
        ("caption_matching", "it rises", "it rises", 1.0),
        ("caption_matching", "1) it rises", "it rises", 1.0),
        ("caption_matching", "Caption A.", "Caption A", 1.0),
        ("caption_matching", "A", "A", 1.0),
        ("caption_matching", "B", "B", 0.0),
        ("caption_matching", "it falls", "it falls", 0.0),
        ("caption_matching", "it", None, 0.0),
    ],
)
def test_what_the_rules_read(task: str, reply: str, answer: str | None, value: float) -> None:
    score = TempCompassRules(["</s>"]).score(reply, sample(task))
    assert (score.answer, score.value, score.unreadable) == (answer, value, answer is None)
    assert score.details == {"rule_matched": float(answer is not None)}
    by_rules = JUDGED.by_rules(reply, sample(task))
    assert by_rules == (None if answer is None else score)


def test_captions_and_unknown_tasks() -> None:
    score = TempCompassRules([]).score("It rises.", sample("captioning"))
    assert (score.value, score.details) == (None, {"rule_matched": 0.0})
    with pytest.raises(ConfigError, match="sample 1: TempCompass needs its facet 'task', got 'x'"):
        TempCompassRules([]).score("A", sample("x"))
    with pytest.raises(ConfigError, match=r"needs multi-choice, yes_no.*, got yes_no$"):
        TempCompassJudged([], "judge", {"yes_no": "x"})


def test_the_judge_is_shown_the_reply_without_marks() -> None:
    system, user = JUDGED.prompt("perhaps</s> ", sample("yes_no"))
    assert (system["content"], user["content"]) == ("judge", "yes_no Up? no perhaps")


@pytest.mark.parametrize(
    ("task", "reply", "answer", "value"),
    [
        ("yes_no", "Correct", "Correct", 1.0),
        ("yes_no", "Incorrect", "Incorrect", 0.0),
        ("yes_no", "Correct, not Incorrect", "Correct", 1.0),
        ("yes_no", "It is Incorrect, not Correct", "Incorrect", 0.0),
        ("yes_no", "So it is Correct", "Correct", 1.0),
        ("yes_no", "who knows", None, 0.0),
        ("captioning", "Answer: A. up", "A. up", 1.0),
        ("captioning", "Answer: B. down\nThe Answer: A. rises", "The  A. rises", 0.0),
        ("captioning", "Reasoning: x\nAnswer: B. down", "B. down", 0.0),
        ("captioning", "A. down", "A. down", 1.0),
        ("captioning", "A. up or B. down", "A. up or B. down", 0.0),
        ("captioning", " ", None, 0.0),
    ],
)
def test_what_the_judge_says(task: str, reply: str, answer: str | None, value: float) -> None:
    score = JUDGED.by_judge(reply, "x", sample(task))
    assert (score.answer, score.value, score.unreadable) == (answer, value, answer is None)
    assert score.details == {"rule_matched": 0.0}
