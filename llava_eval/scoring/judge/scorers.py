"""Scorers that ask a language model, and the prompts they ask with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from llava_eval.scoring.judge.reading import READINGS, Reading, ReadingName
from llava_eval.types import Sample, Score

Messages = tuple[Mapping[str, str], ...]

_FIELD = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's raw reply to one prompt, or why there is none.

    Attributes:
        reply: the raw text; None exactly when there is an error.
        error: what went wrong, in one line.
    """

    reply: str | None
    error: str | None = None


@runtime_checkable
class JudgedScorer(Protocol):
    """A rule that puts prompts to a judge, and reads the replies.

    Both methods see the same texts; ``texts[i]`` answers ``samples[i]``.
    """

    def prompts(self, texts: Sequence[str], samples: Sequence[Sample]) -> list[Messages]:
        """Return every prompt that the judge has to answer."""
        ...

    def score_judged(
        self, texts: Sequence[str], samples: Sequence[Sample], verdicts: Sequence[Verdict]
    ) -> list[Score]:
        """Return one score per text; ``verdicts[j]`` answers ``prompts(texts, samples)[j]``."""
        ...


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
class JudgedText:
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
        self, texts: Sequence[str], samples: Sequence[Sample], verdicts: Sequence[Verdict]
    ) -> list[Score]:
        """Return one score per text."""
        waiting = iter(verdicts)
        return [
            self._score(next(waiting))
            if len(text) >= self.min_characters
            else Score(value=0.0, answer=None, details={"judge_score": 0.0, "too_short": True})
            for text in texts
        ]

    def _score(self, verdict: Verdict) -> Score:
        if verdict.reply is None:
            return not_judged(verdict)
        reading = READINGS[self.reading](verdict.reply)
        value = reading.score if reading.is_right is None else float(reading.is_right)
        if reading.verdict is not None and reading.is_right is None:
            value = None  # neither yes nor no: out of the accuracy, inside the mean score
        return Score(
            value=value,
            answer=None if reading.unreadable else _answer(reading),
            unreadable=reading.unreadable,
            details={"judge_score": reading.score},
        )


def _answer(reading: Reading) -> str | None:
    if reading.verdict is not None:
        return reading.verdict
    return None if reading.score is None else f"{reading.score:g}"


def not_judged(verdict: Verdict) -> Score:
    """Return the score of a sample whose judge did not answer: nothing was scored."""
    return Score(value=None, answer=None, details={"judge_error": verdict.error})
