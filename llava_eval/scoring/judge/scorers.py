"""Scorers that ask a language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from llava_eval.scoring.judge.parsers import PARSERS, ParsedReply, ParserName
from llava_eval.scoring.judge.prompts import chat
from llava_eval.scoring.scorer import JudgedScorer, JudgeReply, Messages
from llava_eval.types import Sample, Score


@dataclass(frozen=True)
class JudgedText(JudgedScorer):
    """One prompt per text.

    Attributes:
        system, user: the prompt, without a system text where that is null; ``user`` may hold
            ``{{question}}``, ``{{options}}`` (one a line, "A: ..."), ``{{answer}}`` (the first
            target) and ``{{prediction}}`` (the model's text).
        choice_system, choice_user: the prompt for samples with options, where it is another one.
        answer_replacements: texts that are replaced in ``{{answer}}``, in their order.
        reading: how the reference reads the reply, see :mod:`.parsers`.
        min_characters: a shorter text scores 0 and is not put to the judge.

    The score's value is 1 or 0 where the reply says yes or no, otherwise the judge's number;
    the number is also the detail ``judge_score``.
    """

    system: str | None
    user: str
    reading: ParserName
    min_characters: int = 0
    choice_system: str | None = None
    choice_user: str | None = None
    answer_replacements: dict[str, str] = field(default_factory=dict)

    def prompts(self, texts: Sequence[str], samples: Sequence[Sample]) -> list[Messages]:
        """Return a prompt for every text that is long enough."""
        return [
            chat(
                (self.choice_system if sample.choices else None) or self.system,
                (self.choice_user if sample.choices else None) or self.user,
                {
                    "question": sample.question,
                    "answer": self._answer(sample.targets[0]),
                    "prediction": text,
                    "options": "\n".join(
                        f"{letter}: {choice}"
                        for letter, choice in zip(ascii_uppercase, sample.choices, strict=False)
                    ),
                },
            )
            for text, sample in zip(texts, samples, strict=True)
            if len(text) >= self.min_characters
        ]

    def _answer(self, target: str) -> str:
        for old, new in self.answer_replacements.items():
            target = target.replace(old, new)
        return target

    def score_judged(
        self, texts: Sequence[str], samples: Sequence[Sample], replies: Sequence[JudgeReply]
    ) -> list[Score]:
        """Return one score per text."""
        remaining = iter(replies)
        return [
            self._score(next(remaining))
            if len(text) >= self.min_characters
            else Score(
                value=0.0,
                answer=None,
                explanation=f"worth 0, not judged: under {self.min_characters} characters",
                details={"judge_score": 0.0, "too_short": True},
            )
            for text in texts
        ]

    def _score(self, reply: JudgeReply) -> Score:
        if reply.text is None:
            return not_judged(reply)
        parsed = PARSERS[self.reading](reply.text)
        value = parsed.score if parsed.is_right is None else float(parsed.is_right)
        if parsed.verdict is not None and parsed.is_right is None:
            value = None  # neither yes nor no: out of the accuracy, inside the mean score
        answer = None if parsed.unreadable else _answer(parsed)
        said = "the judge's reply cannot be read" if answer is None else f"the judge says {answer}"
        return Score(
            value=value,
            answer=answer,
            unreadable=parsed.unreadable,
            explanation=said if value is not None else f"{said}; not scored",
            details={"judge_score": parsed.score},
        )


def _answer(parsed: ParsedReply) -> str | None:
    if parsed.verdict is not None:
        return parsed.verdict
    return None if parsed.score is None else f"{parsed.score:g}"


def not_judged(reply: JudgeReply) -> Score:
    """Return the score of a sample whose judge did not answer: nothing was scored.

    Args:
        reply: without a text.
    """
    explanation = f"not scored: the judge did not answer ({reply.error})"
    return Score(None, None, explanation=explanation, details={"judge_error": reply.error})
