"""MathVista in lmms-eval: a language model reads the answer, rules compare it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llava_eval.scoring.choice import letters_of
from llava_eval.scoring.judge.prompts import filled
from llava_eval.scoring.judge.scorers import not_judged
from llava_eval.scoring.scorer import JudgedScorer, JudgeReply, Messages, read
from llava_eval.scoring.text import edit_distance
from llava_eval.types import Sample, Score

_BRACKETED = re.compile(r"\(([a-zA-Z])\)")


@dataclass(frozen=True)
class MathVistaLmmsEval(JudgedScorer):
    """An option's text or a number is read at once, anything else by a language model.

    What was read is then an option by its letter, or else the option with the nearest text (also
    where nothing was read); or a number, written as Python writes it. A precision that is no whole
    number in the rows (1.0) makes every number with decimals wrong, as ``round`` refuses it there.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/mathvista/mathvista_evals.py, extract_answer
    and normalize_extracted_answer; utils.py, mathvista_process_results.

    Attributes:
        user: the language model's prompt, with ``{{question}}`` and ``{{prediction}}``.
    """

    user: str

    def prompts(self, texts: Sequence[str], samples: Sequence[Sample]) -> list[Messages]:
        """Return a prompt for every reply that is not read at once."""
        return [
            (
                {
                    "role": "user",
                    "content": filled(
                        self.user, {"question": sample.question, "prediction": text.strip()}
                    ),
                },
            )
            for text, sample in zip(texts, samples, strict=True)
            if read_at_once(text.strip(), sample) is None
        ]

    def score_judged(
        self, texts: Sequence[str], samples: Sequence[Sample], replies: Sequence[JudgeReply]
    ) -> list[Score]:
        """Return one score per text."""
        remaining = iter(replies)
        scores = []
        for text, sample in zip(texts, samples, strict=True):
            found = read_at_once(text.strip(), sample)
            if found is None:
                reply = next(remaining)
                if reply.text is None:
                    scores.append(not_judged(reply))
                    continue
                found = reply.text.strip()
            answer = normalised(found, sample)
            right = answer is not None and answer.strip() == sample.targets[0].strip()
            shown = answer if found else None
            scores.append(read(sample, shown, right, "as an answer of its type"))
        return scores


def read_at_once(reply: str, sample: Sample) -> str | None:
    """Return the answer of a reply that needs no language model, "" for an empty one, or None.

    Args:
        reply: the model's text, stripped.
        sample: the question.
    """
    if not reply or (sample.facets["question_type"] == "multi_choice" and reply in sample.choices):
        return reply
    try:
        if sample.facets["answer_type"] == "integer":
            return str(int(reply))
        if sample.facets["answer_type"] == "float":
            return str(float(reply))
    except ValueError:
        pass
    return None


def normalised(answer: str, sample: Sample) -> str | None:
    """Return an answer as it is compared, or None where it is none of its type.

    Args:
        answer: what was read.
        sample: the question.
    """
    answer_type = sample.facets["answer_type"]
    if sample.facets["question_type"] == "multi_choice":
        bracketed = _BRACKETED.findall(answer.strip())
        letter = bracketed[0].upper() if bracketed else answer.strip()
        letters = letters_of(sample)
        if letter in tuple(letters):
            return sample.choices[letters.index(letter)]
        return min(sample.choices, key=lambda choice: edit_distance(letter, choice))
    try:
        if answer_type == "integer":
            return str(int(float(answer)))
        if answer_type == "float":
            return str(round(float(answer), int(sample.facets["precision"])))
    except (ValueError, OverflowError):
        return None
    return answer
