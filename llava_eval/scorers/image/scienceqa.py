"""ScienceQA: a letter, or a reply that begins with one."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from llava_eval.scorers.image.reading import read
from llava_eval.types import Sample, Score

_LLAVA_LETTERS = "ABCDE"
#: The dot stands for any character but a newline, as in the original.
_LLAVA_PHRASE = re.compile(r"The answer is ([A-Z]).")


@dataclass(frozen=True)
class ScienceQaLmmsEval:
    """ScienceQA in lmms-eval: a letter in either case, or a capital and a full stop.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/scienceqa/utils.py, sqa_process_results.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        reply = text.strip()
        letter = reply[0] if reply[:1].isupper() and reply[1:2] == "." else reply
        right = any(letter.lower() == target.lower() for target in sample.targets)
        known = letter.upper() in _letters(sample)
        return read(right, letter.upper() if known else None, sample)


@dataclass(frozen=True)
class ScienceQaLlava:
    """ScienceQA in LLaVA: a letter, "A. " and more, or "The answer is A." exactly once.

    Nothing is stripped; a letter beyond the choices, and one beyond E, is wrong.

    Source: haotian-liu/LLaVA, llava/eval/eval_science_qa.py.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        letter = _llava_letter(text)
        known = letter is not None and letter in _letters(sample)[: len(_LLAVA_LETTERS)]
        return read(known and letter in sample.targets, letter if known else None, sample)


def _llava_letter(text: str) -> str | None:
    if len(text) == 1 and text in _LLAVA_LETTERS:
        return text
    if len(text) >= 3 and text[0] in _LLAVA_LETTERS and text[1:3] == ". ":
        return text[0]
    found = _LLAVA_PHRASE.findall(text)
    return str(found[0]) if len(found) == 1 else None


def _letters(sample: Sample) -> tuple[str, ...]:
    return tuple(string.ascii_uppercase[: len(sample.choices)])
