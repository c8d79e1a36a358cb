"""ANLS: how near a text is to one of the answers, letter by letter."""

from __future__ import annotations

from dataclasses import dataclass

from llava_eval.scorers.image.reading import read
from llava_eval.types import Sample, Score

THRESHOLD = 0.5


def edit_distance(first: str, second: str) -> int:
    """Return the fewest insertions, deletions and replacements from one text to the other."""
    row = list(range(len(first) + 1))
    for place, character in enumerate(second, start=1):
        diagonal, row[0] = row[0], place
        for column, other in enumerate(first, start=1):
            replaced = diagonal + (character != other)
            diagonal = row[column]
            row[column] = min(replaced, row[column] + 1, row[column - 1] + 1)
    return row[-1]


def normalised_distance(reply: str, answer: str) -> float:
    """Return the edit distance over the longer length, as lmms-eval has it.

    The distance is of lower-cased texts with single spaces, the lengths are of the upper-cased
    texts as they are: with spaces, and with "ß" as two letters.
    """
    length = max(len(answer.upper()), len(reply.upper()))
    if not length:
        return 0.0
    return edit_distance(_flat(answer), _flat(reply)) / length


def _flat(text: str) -> str:
    return " ".join(text.strip().lower().split())


@dataclass(frozen=True)
class Anls:
    """Average normalised Levenshtein similarity (arXiv 1907.00490); below a half it is 0.

    Source: EvolvingLMMs-Lab/lmms-eval, api/metrics.py, anls.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return the similarity to the nearest answer in [0, 1]."""
        if not sample.targets:
            return read(0.0, text, sample)
        similarity = 1 - min(normalised_distance(text, answer) for answer in sample.targets)
        return read(similarity if similarity >= THRESHOLD else 0.0, text, sample)
