"""MMVU in lmms-eval: rules first, and a judge for open answers that they do not accept."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from llava_eval.scoring.choice import letters_of
from llava_eval.scoring.judge.prompts import filled
from llava_eval.scoring.judge.scorers import not_judged
from llava_eval.scoring.scorer import JudgedScorer, JudgeReply, Messages, read
from llava_eval.types import Sample, Score

_POWERS = str.maketrans({power: f"^{digit}" for digit, power in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")})
_NUMBER = re.compile(r"\d+\.?\d*")
_ORDER = re.compile(r"o\s*\([^)]+\)")
_LETTER = re.compile(r"\b([A-E])\b", re.IGNORECASE)
_SHORT_ANSWER = range(2, 6)
_MAX_DIFFERENCE = 0.01


@dataclass(frozen=True)
class MmvuLmmsEval(JudgedScorer):
    """lmms-eval's two steps for MMVU.

    Multiple choice is never judged: it is right where the letter stands anywhere as a word, in
    either case, or the right option's text, or the letter anywhere and one of its words. An open
    answer is right where it holds the target or is part of it (an empty one always is), where
    their first numbers are equal, where it holds every word of a short target, or the same O(...).

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/mmvu/utils.py, evaluate_with_rule_based and
    evaluate_with_llm_judge; verifiers/base.py, parse_binary_response, for which every reply with a
    1 in it is yes.

    Attributes:
        user: the judge's prompt, with ``{{question}}``, ``{{answer}}`` and ``{{prediction}}``.
    """

    user: str

    def prompts(self, texts: Sequence[str], samples: Sequence[Sample]) -> list[Messages]:
        """Return a prompt for every open answer that the rules do not accept."""
        return [
            (
                {
                    "role": "user",
                    "content": filled(
                        self.user,
                        {
                            "question": f"Question: {sample.question}",
                            "answer": sample.targets[0],
                            "prediction": text,
                        },
                    ),
                },
            )
            for text, sample in zip(texts, samples, strict=True)
            if _is_judged(text, sample)
        ]

    def score_judged(
        self, texts: Sequence[str], samples: Sequence[Sample], replies: Sequence[JudgeReply]
    ) -> list[Score]:
        """Return one score per text."""
        remaining = iter(replies)
        scores = []
        for text, sample in zip(texts, samples, strict=True):
            if _is_judged(text, sample):
                reply = next(remaining)
                scores.append(
                    not_judged(reply)
                    if reply.text is None
                    else read(sample, text.strip(), _says_yes(reply.text), "by the judge")
                )
            elif sample.choices:
                letter = _LETTER.search(text)
                answer = letter.group(1).upper() if letter else None
                scores.append(read(sample, answer, is_right_choice(text, sample), "by rules"))
            else:
                scores.append(read(sample, text.strip(), 1.0, "by rules"))
        return scores


def _is_judged(text: str, sample: Sample) -> bool:
    return not sample.choices and not is_right_text(text, sample.targets[0])


def is_right_choice(text: str, sample: Sample) -> bool:
    """Return whether the rules accept a reply to a question with options.

    Args:
        text: the reply.
        sample: with the right letter as its target.
    """
    letter = sample.targets[0].strip()
    reply = text.strip()
    if re.search(rf"\b{re.escape(letter)}\b", reply, re.IGNORECASE):
        return True
    if letter not in tuple(letters_of(sample)):
        return False
    option = sample.choices[letters_of(sample).index(letter)].strip().lower()
    if option in reply.lower():
        return True
    words = [word.strip(string.punctuation) for word in option.split()]
    has_word = any(len(word) > 2 and word in reply.lower() for word in words)
    return has_word and letter.upper() in reply.upper()


def is_right_text(text: str, target: str) -> bool:
    """Return whether the rules accept a free answer.

    Args:
        text: the reply.
        target: the right answer.
    """
    # No rule compares line breaks or runs of spaces but the one for numbers, whose first is the
    # same with and without them.
    reply, answer = _flat(text), _flat(target)
    if answer in reply or reply in answer:
        return True
    numbers = [_NUMBER.findall(side) for side in (answer, reply)]
    if all(numbers) and abs(float(numbers[0][0]) - float(numbers[1][0])) < _MAX_DIFFERENCE:
        return True
    wanted, said = _words(answer), _words(reply)
    if len(wanted) in _SHORT_ANSWER and all(word in said for word in wanted if len(word) > 2):
        return True
    orders = [_ORDER.search(side) for side in (reply, answer)]
    return all(orders) and orders[0][0] == orders[1][0]  # type: ignore[index]


def _flat(text: str) -> str:
    return " ".join(text.strip().lower().translate(_POWERS).split())


def _words(text: str) -> list[str]:
    return [bare for word in text.split() if (bare := word.strip(string.punctuation))]


def _says_yes(reply: str) -> bool:
    upper = reply.strip().upper()
    if "INCORRECT" in upper or "NOT_ATTEMPTED" in upper:
        return False
    return any(word in upper for word in ("CORRECT", "YES", "TRUE", "1"))
