"""One protocol for every rule, hidden answers, and explanations that people can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from llava_eval.errors import ConfigError
from llava_eval.scoring.captions.corpus import CaptionScorer
from llava_eval.scoring.choice import FirstLetter, StrictChoice, unread
from llava_eval.scoring.judge.scorers import JudgedText
from llava_eval.scoring.scorer import (
    JudgeReply,
    Messages,
    SampleScorer,
    Scorer,
    checked_scorer,
    read,
)
from llava_eval.scoring.tempcompass_rules import TempCompassRules
from llava_eval.scoring.text import Anls, ExactMatch
from llava_eval.scoring.vqa import VqaOfficial
from llava_eval.types import Generation, Sample, Score


def sample(name: str = "q", targets: Sequence[str] = ("B",), **changes: object) -> Sample:
    made = Sample(name, 0, "v", ("Which?",), tuple(targets), choices=("red", "blue", "green"))
    return replace(made, **changes)  # type: ignore[arg-type]


def judged() -> JudgedText:
    return JudgedText("s", "{{question}} {{answer}} {{prediction}}", "score_or_zero")


@dataclass
class AlwaysFour:
    """A judge that says 4 and remembers what it was asked."""

    asked: list[Messages] = field(default_factory=list)

    def ask(self, prompts: Sequence[Messages]) -> list[JudgeReply]:
        self.asked += prompts
        return [JudgeReply("{'score': 4}") for _ in prompts]


@pytest.mark.parametrize(
    ("rule", "reply", "answer"),
    [
        (StrictChoice(), "B", "B"),
        (ExactMatch(), "Blue.", "blue"),
        (FirstLetter([]), "it is B", "B"),
        (Anls(), "blue", "blue"),
        (VqaOfficial(), "Two", "2"),
        (TempCompassRules([]), "B. up", "B"),
        (CaptionScorer(), "a cat", "a cat"),
        (judged(), "a cat ", "a cat"),
    ],
)
def test_a_hidden_answer_is_kept_and_not_scored(
    rule: Scorer | JudgedText, reply: str, answer: str
) -> None:
    hidden = sample(targets=(), facets={"task": "multi-choice"})
    if isinstance(rule, JudgedText):
        (score,) = rule.score_asking(AlwaysFour().ask, [Generation(reply)], [hidden])
    else:
        (score,) = rule.score_all([Generation(reply)], [hidden])
    assert (score.value, score.answer, score.unreadable) == (None, answer, False)
    assert "hidden" in score.explanation


@pytest.mark.parametrize("rule", [StrictChoice(), ExactMatch(), FirstLetter([])])
def test_an_unreadable_reply_is_wrong_unless_answers_are_hidden(rule: SampleScorer) -> None:
    values = {
        targets: rule.score_generation(Generation(" "), sample(targets=targets))
        for targets in ((), ("B",))
    }
    assert (values[()].value, values[()].unreadable) == (None, True)
    assert (values["B",].value, values["B",].unreadable) == (0.0, True)


def test_a_judge_is_not_asked_about_hidden_answers() -> None:
    judge = AlwaysFour()
    samples = [sample("a", ["x"]), sample("b", []), sample("c", ["y"])]
    texts = [Generation(text) for text in ("1", "2", "3")]
    scores = judged().score_asking(judge.ask, texts, samples)
    assert [score.value for score in scores] == [4.0, None, 4.0]
    assert [prompt[1]["content"] for prompt in judge.asked] == [" x 1", " y 3"]


class OneShort(JudgedText):
    def score_judged(
        self, texts: Sequence[str], samples: Sequence[Sample], replies: Sequence[JudgeReply]
    ) -> list[Score]:
        return super().score_judged(texts, samples, replies)[1:]


def test_a_judged_scorer_that_gives_too_few_is_told_so() -> None:
    generations, samples = [Generation("x"), Generation("y")], [sample("a"), sample("b")]
    short = OneShort("s", "{{question}}", "score_or_zero")
    with pytest.raises(ConfigError, match="scorer: OneShort gave 1 scores of 2 texts"):
        short.score_asking(AlwaysFour().ask, generations, samples)


class PlainPrompts(JudgedText):
    def prompts(self, texts: Sequence[str], samples: Sequence[Sample]) -> list[Any]:
        return [f"Is {text} right?" for text in texts]


def test_a_judged_scorer_whose_prompts_are_plain_texts_is_told_so() -> None:
    plain = PlainPrompts("s", "{{question}}", "score_or_zero")
    with pytest.raises(ConfigError, match=r"PlainPrompts made the prompt 'Is x right\?'; expected"):
        plain.score_asking(AlwaysFour().ask, [Generation("x")], [sample("a")])


def test_explanations_say_what_was_read_and_what_it_is_worth() -> None:
    assert StrictChoice().score("(B)", sample()).explanation.startswith("read 'B', ")
    assert StrictChoice().score("(B)", sample()).explanation.endswith("; right")
    assert StrictChoice().score("C", sample()).explanation.endswith("; wrong")
    assert read(sample(), "x", 0.3, "so").explanation == "read 'x', so; worth 0.3 of 1"
    assert unread(sample(), "left_out", "empty").explanation == (
        "no answer: empty; not scored: unread replies are left out"
    )
    drawn = unread(sample(), "random", "empty")
    assert "drawn at random: empty" in drawn.explanation


class Longest:
    """A rule of a user's own for whole sets, which inherits from nothing."""

    def score_all(
        self, generations: Sequence[Generation], samples: Sequence[Sample]
    ) -> list[Score]:
        longest = max(len(str(one.text)) for one in generations)
        return [Score(float(len(str(one.text)) == longest), str(one.text)) for one in generations]


class SaysYes:
    """A rule of a user's own for one reply, which inherits from nothing."""

    def score(self, reply: str, sample: Sample) -> Score:
        return Score(float("yes" in reply), reply)


def test_a_users_own_scorer_inherits_from_nothing() -> None:
    texts = [Generation("yes"), Generation("no, never")]
    by_set, by_reply = checked_scorer(Longest()), checked_scorer(SaysYes())
    assert isinstance(by_reply, SampleScorer)
    assert not isinstance(by_set, SampleScorer)
    for scorer, values in ((by_set, [0.0, 1.0]), (by_reply, [1.0, 0.0])):
        assert hasattr(scorer, "score_all")
        assert [one.value for one in scorer.score_all(texts, [sample()] * 2)] == values


def test_what_is_no_scorer_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"scorer: int is no scorer; it needs score\(reply"):
        checked_scorer(4)
