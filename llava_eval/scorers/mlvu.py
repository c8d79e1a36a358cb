"""MLVU's own rule."""

from __future__ import annotations

import string
from dataclasses import dataclass

from llava_eval.scorers.letters import read_letter, unread
from llava_eval.types import Sample, Score


@dataclass(frozen=True)
class MlvuOfficial:
    """MLVU's official rule.

    The assistant's turn began with "Best Option: (", so the character before the first ")" is the
    answer; without any ")" the whole reply, spaces and all, must be the letter ("A." is wrong).

    Source: JUNJIE99/MLVU, evaluation/multiple_choice_evaluation/choice_bench.py, check_ans.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        before, bracket, _ = text.partition(")")
        answer = before[-1:] if bracket else text
        letters = string.ascii_uppercase[: len(sample.choices)]
        if len(answer) == 1 and answer in letters:
            return read_letter(answer, sample)
        return unread(sample, "wrong")
