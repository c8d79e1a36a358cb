"""TOMATO's own way to read a reply: three exact forms, and a language model for all others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llava_eval.scoring.choice import letters_of, read_letter, unread
from llava_eval.scoring.judge.prompts import filled
from llava_eval.scoring.judge.scorers import not_judged
from llava_eval.scoring.scorer import JudgedScorer, JudgeReply, Messages
from llava_eval.types import Sample, Score

_FORM = re.compile(r"Answer is:?[\(]?([A-Fa-f])[\)]?$")


@dataclass(frozen=True)
class TomatoOfficial(JudgedScorer):
    """A letter, "A: " with the option's text where that has no small letters, or "Answer is(A)".

    Any other reply is put to a language model, which must answer with an option's letter alone; the
    original asks five times, at temperature 0, and then draws a letter: here with a seed of the
    sample's own.

    Source: yale-nlp/TOMATO fe2025f, src/parse_result.py, pre_parser, gpt_parser and parse_result.

    Attributes:
        user: the prompt, with ``{{prediction}}``, ``{{letters}}`` (the Python list of them) and
            ``{{options}}`` (the Python dictionary of the options by letter).
        seed: of the draw.
    """

    user: str
    seed: int = 0

    def prompts(self, texts: Sequence[str], samples: Sequence[Sample]) -> list[Messages]:
        """Return a prompt for every reply that has none of the forms."""
        return [
            ({"role": "user", "content": self._prompt(text, sample)},)
            for text, sample in zip(texts, samples, strict=True)
            if plain_letter(text, sample) is None
        ]

    def _prompt(self, text: str, sample: Sample) -> str:
        letters = list(letters_of(sample))
        fields = {
            "prediction": text,
            "letters": repr(letters),
            "options": repr(dict(zip(letters, sample.choices, strict=True))),
        }
        return filled(self.user, fields)

    def score_judged(
        self, texts: Sequence[str], samples: Sequence[Sample], replies: Sequence[JudgeReply]
    ) -> list[Score]:
        """Return one score per text."""
        remaining = iter(replies)
        return [
            read_letter(letter, sample, "alone, or in one of the set forms")
            if (letter := plain_letter(text, sample)) is not None
            else self._judged(next(remaining), sample)
            for text, sample in zip(texts, samples, strict=True)
        ]

    def _judged(self, reply: JudgeReply, sample: Sample) -> Score:
        letters = letters_of(sample)
        if reply.text is None:
            return not_judged(reply)
        if reply.text in tuple(letters):
            return read_letter(reply.text, sample, "by the language model")
        why = f"the language model says {reply.text!r:.60}, which is no option's letter"
        return unread(sample, "random", why, letters=letters, seed=self.seed)


def plain_letter(reply: str, sample: Sample) -> str | None:
    """Return the letter of a reply that has one of the forms, or None.

    Args:
        reply: the model's text.
        sample: the question.
    """
    text, letters = reply.strip(), tuple(letters_of(sample))
    listed = [f"{letter}: {choice}" for letter, choice in zip(letters, sample.choices, strict=True)]
    form = _FORM.match(text)
    letter = ""
    if (len(text) == 1 and text.upper() in letters) or text.upper() in listed:
        letter = text[0].upper()
    elif form is not None:
        letter = form[1].upper()
    return letter if letter in letters else None
