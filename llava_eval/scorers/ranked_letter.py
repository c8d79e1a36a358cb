"""The rule of lmms-eval's shared extractor: the letter in the most telling place wins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llava_eval.scorers.letters import read_letter, unread
from llava_eval.types import Sample, Score

#: Phrases that announce an answer, in lower case.
_PHRASES = (
    "the answer is",
    "answer is",
    "the correct answer is",
    "correct answer is",
    "the best answer is",
    "best answer is",
    "the correct option is",
    "correct option is",
    "the best option is",
    "best option is",
    "the choice is",
    "choice is",
    "the correct choice is",
    "correct choice is",
    "i choose",
    "i select",
    "i pick",
    "my answer is",
    "my choice is",
    "옵션",
    "정답은",
    "답은",
    "답:",
    "答案是",
    "答案为",
    "选",
    "答えは",
)


def ranked_letter(text: str, letters: str) -> str | None:
    """Return the letter that stands in the most telling place, or None.

    Places in this order: alone at the start, alone at the end, after a phrase such as "the answer
    is", then "(A)", "A.", "A:", "A)", "A " and last anywhere. Within one kind of place the letter
    that stands furthest to the right wins. After a phrase every letter counts with its first
    occurrence, so "The answer is D because A is wrong" gives A; there are no word boundaries.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/_task_utils/mcq_extract.py, extract_mcq_answer.
    """
    bare = text.strip()
    for mark in ",.!?;:'\"":
        bare = bare.strip(mark)
    padded = f" {bare} "
    alone = padded.strip()
    for letter in letters:
        if alone.startswith(letter) and not alone[1:2].isalpha():
            return letter
    for letter in letters:
        if alone.endswith(letter) and not alone[-2:-1].isalpha():
            return letter
    by_phrase = _after_phrases(padded, letters)
    if by_phrase is not None:
        return by_phrase
    written: tuple[Callable[[str], str], ...] = (
        lambda letter: f"({letter})",
        lambda letter: f"{letter}.",
        lambda letter: f"{letter}:",
        lambda letter: f"{letter})",
        lambda letter: f"{letter} ",
        lambda letter: letter,
    )
    for form in written:
        places = {letter: padded.rfind(form(letter)) for letter in letters}
        furthest = max(letters, key=places.__getitem__)
        if places[furthest] >= 0:
            return furthest
    return None


def _after_phrases(text: str, letters: str) -> str | None:
    lowered = text.lower()
    places: dict[int, str] = {}
    for phrase in _PHRASES:
        start = lowered.find(phrase)
        if start < 0:
            continue
        for letter in letters:
            places[text.find(letter, start + len(phrase))] = letter
    places.pop(-1, None)
    return places[max(places)] if places else None


@dataclass(frozen=True)
class RankedLetter:
    """lmms-eval's shared extractor: :func:`ranked_letter`; an unread reply is wrong.

    Attributes:
        letters: what is looked for, whatever the number of options.
    """

    letters: str = "ABCD"

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        letter = ranked_letter(text, self.letters)
        return unread(sample, "wrong") if letter is None else read_letter(letter, sample)
