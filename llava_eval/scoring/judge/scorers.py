"""Scorers that ask a language model, and the prompts they ask with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llava_eval.scoring.judge.reading import READINGS, Reading, ReadingName
from llava_eval.scoring.scorer import JudgedScorer, JudgeReply, Messages
from llava_eval.types import Sample, Score

_FIELD = re.compile(r"\{\{(\w+)\}\}")


def filled(template: str, fields: Mapping[str, str]) -> str:
    """Fill ``{{name}}`` fields; braces in what is filled in, and single ones, stay as they are.

    Raises:
        ValueError: a field has no value.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in fields:
            raise ValueError(
                f"the judge's prompt has a field {match[0]}; there are {', '.join(fields)}"
            )
        return fields[match[1]]

    return _FIELD.sub(value, template)


def chat(system: str, user: str, fields: Mapping[str, str]) -> Messages:
    """Return the two messages that every prompt here has."""
    return (
        {"role": "system", "content": system},
        {"role": "user", "content": filled(user, fields)},
    )


@dataclass(frozen=True)
class JudgedText(JudgedScorer):
    """One prompt per text.

    Attributes:
        system, user: the prompt; ``user`` may hold ``{{question}}``, ``{{answer}}`` (the first
            target) and ``{{prediction}}`` (the model's text).
        reading: the reference's way to read the reply, see :mod:`.judged_readings`.
        min_characters: a shorter text scores 0 and is not put to the judge.

    The score's value is 1 or 0 where the reading has a verdict, otherwise the judge's number;
    the number is also the detail ``judge_score``.
    """

    system: str
    user: str
    reading: ReadingName
    min_characters: int = 0

    def prompts(self, texts: Sequence[str], samples: Sequence[Sample]) -> list[Messages]:
        """Return a prompt for every text that is long enough."""
        return [
            chat(
                self.system,
                self.user,
                {
                    "question": sample.question,
                    "answer": sample.targets[0],
                    "prediction": text,
                },
            )
            for text, sample in zip(texts, samples, strict=True)
            if len(text) >= self.min_characters
        ]

    def score_judged(
        self, texts: Sequence[str], samples: Sequence[Sample], replies: Sequence[JudgeReply]
    ) -> list[Score]:
        """Return one score per text."""
        waiting = iter(replies)
        return [
            self._score(next(waiting))
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
        reading = READINGS[self.reading](reply.text)
        value = reading.score if reading.is_right is None else float(reading.is_right)
        if reading.verdict is not None and reading.is_right is None:
            value = None  # neither yes nor no: out of the accuracy, inside the mean score
        answer = None if reading.unreadable else _answer(reading)
        said = "the judge's reply cannot be read" if answer is None else f"the judge says {answer}"
        return Score(
            value=value,
            answer=answer,
            unreadable=reading.unreadable,
            explanation=said if value is not None else f"{said}; not scored",
            details={"judge_score": reading.score},
        )


def _answer(reading: Reading) -> str | None:
    if reading.verdict is not None:
        return reading.verdict
    return None if reading.score is None else f"{reading.score:g}"


def not_judged(reply: JudgeReply) -> Score:
    """Return the score of a sample whose judge did not answer: nothing was scored."""
    explanation = f"not scored: the judge did not answer ({reply.error})"
    return Score(None, None, explanation=explanation, details={"judge_error": reply.error})
