"""Scorers that ask a language model."""

from __future__ import annotations

from dataclasses import dataclass, field

from llava_eval.benchmarks.adapters.options import lettered
from llava_eval.scoring.judge.parsers import ParserName, parse_reply
from llava_eval.scoring.judge.rules_first import RulesFirst
from llava_eval.scoring.scorer import Messages, chat
from llava_eval.types import Sample, Score


@dataclass(frozen=True)
class JudgedText(RulesFirst):
    """Sends one prompt per text.

    Attributes:
        system, user: the prompt, without a system text if that is null; ``user`` may contain
            ``{{question}}``, ``{{options}}`` (one per line, "A: ..."), ``{{answer}}`` (the first
            target) and ``{{prediction}}`` (the model's text).
        choice_system, choice_user: the prompt for samples with options, if it differs.
        answer_replacements: texts to replace in ``{{answer}}``, in their order.
        reading: how the reference reads the reply, see :mod:`.parsers`.
        min_characters: a shorter text scores 0 without asking the judge.

    The score's value is 1 or 0 if the reply says yes or no, otherwise the judge's number; the
    number is also the detail ``judge_score``.
    """

    system: str | None
    user: str
    reading: ParserName
    min_characters: int = 0
    choice_system: str | None = None
    choice_user: str | None = None
    answer_replacements: dict[str, str] = field(default_factory=dict)

    def by_rules(self, text: str, sample: Sample) -> Score | None:
        """Return the score of a text that is too short to be judged."""
        if len(text) >= self.min_characters:
            return None
        return Score(
            value=0.0,
            answer=None,
            explanation=f"worth 0, not judged: under {self.min_characters} characters",
            details={"judge_score": 0.0, "too_short": True},
        )

    def prompt(self, text: str, sample: Sample) -> Messages:
        """Return the prompt with question, options, right answer and text."""
        answer = sample.targets[0]
        for old, new in self.answer_replacements.items():
            answer = answer.replace(old, new)
        return chat(
            (self.choice_system if sample.choices else None) or self.system,
            (self.choice_user if sample.choices else None) or self.user,
            {
                "question": sample.question,
                "answer": answer,
                "prediction": text,
                "options": "\n".join(lettered(sample.choices, "{letter}: {option}")),
            },
        )

    def by_judge(self, reply: str, text: str, sample: Sample) -> Score:
        """Read the judge's verdict or number."""
        parsed = parse_reply(self.reading, reply)
        value = parsed.score if parsed.is_right is None else float(parsed.is_right)
        if parsed.verdict is not None and parsed.is_right is None:
            value = None  # neither yes nor no: out of the accuracy, inside the mean score
        answer = parsed.verdict
        if answer is None and parsed.score is not None:
            answer = f"{parsed.score:g}"
        if parsed.unreadable:
            answer = None
        said = "the judge's reply cannot be read" if answer is None else f"the judge says {answer}"
        return Score(
            value=value,
            answer=answer,
            unreadable=parsed.unreadable,
            explanation=said if value is not None else f"{said}; not scored",
            details={"judge_score": parsed.score},
        )
