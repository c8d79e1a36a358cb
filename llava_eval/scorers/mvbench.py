"""MVBench's own rule, and lmms-eval's."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from llava_eval.scorers.image.vqa_text import on_one_line, without_punctuation
from llava_eval.scorers.letters import read_letter, unread
from llava_eval.types import Sample, Score

_OPTION = re.compile(r"([A-E])\.\s*(.+)", re.IGNORECASE)
_LETTER = re.compile(r"\b[A-E]\b", re.IGNORECASE)


@dataclass(frozen=True)
class MvBenchOfficial:
    """MVBench's official rule.

    The assistant's turn began with "Best option:(", so "(" is put in front of the first line of the
    reply; its first word (split at spaces, lower case) must be part of "(a)", dots removed, or hold
    "(a)". An empty reply is "(", which is part of every option, and so always right: it is counted
    as unreadable. So is a reply that fits several options, whatever it scores.

    Source: OpenGVLab/Ask-Anything, video_chat2/mvbench.ipynb, infer_mvbench and check_ans.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 or 0.0, and the letter where the reply fits exactly one option."""
        first_word = f"({text.strip().split(chr(10))[0]}".lower().split(" ")[0]
        letters = string.ascii_uppercase[: len(sample.choices)]
        fitting = [letter for letter in letters if _fits(first_word, f"({letter.lower()})")]
        right = any(letter in sample.targets for letter in fitting)
        answer = fitting[0] if len(fitting) == 1 else None
        return Score(value=float(right), answer=answer, unreadable=answer is None)


def _fits(word: str, option: str) -> bool:
    return word.replace(".", "") in option or option in word


@dataclass(frozen=True)
class MvBenchLmmsEval:
    """lmms-eval's rule for MVBench; empty replies leave the denominator.

    "A. text" on one line is its letter; otherwise punctuation is cleaned up as VQA's evaluation
    does and the first of A to E that stands alone, in either case, is taken: the article "a" too.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mvbench/utils.py, mcq_acc and
    mvbench_aggregate_results.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none, no score for an empty reply."""
        if not text:
            return unread(sample, "left_out")
        letter = mvbench_letter(text)
        return unread(sample, "wrong") if letter is None else read_letter(letter, sample)


def mvbench_letter(text: str) -> str | None:
    """Return the letter that lmms-eval's rule reads, whatever the number of options, or None."""
    option = _OPTION.fullmatch(text.strip())
    if option is not None:
        return option.group(1).upper()
    flat = without_punctuation(on_one_line(text))
    for edge in "'\")(":
        flat = flat.strip(edge)
    letter = _LETTER.search(flat.strip().lower())
    return None if letter is None else letter.group().upper()
