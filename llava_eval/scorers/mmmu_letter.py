"""Two descendants of MMMU's parser of multiple-choice replies, both with a guess at the end."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llava_eval.scorers.letters import read_letter, unread
from llava_eval.types import Sample, Score

#: Stripped from both ends of a reply, one kind after the other.
_EDGE_MARKS = (",", ".", "!", "?", ";", ":", "'")

#: A reply of at most so many words is never compared with the texts of the options.
_MOST_WORDS_WITHOUT_CONTENT = 5


@dataclass(frozen=True)
class NextQaLetter:
    """NExT-QA's rule in lmms-eval.

    The first of these that finds a letter decides: "(A)", "A " (the end of any word counts, as in
    "BBC "), "A.", and in replies of more than five words the text of an option. Of several letters
    the one that comes last in the reply wins, where letters of the second and third form are
    looked for as " A ". If nothing is found the original draws a letter: here with a seed of the
    sample's own.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/nextqa/utils.py, parse_multi_choice_response.

    Attributes:
        seed: of the draw.
    """

    seed: int = 0

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, read or drawn, else 0.0."""
        return _score(text, sample, last_letter, self.seed)


@dataclass(frozen=True)
class EgoSchemaLetter:
    """EgoSchema's rule in lmms-eval.

    "(A)", "A " and "A." are looked for together, and the one whose last occurrence comes first
    wins. Only where there is none, and in replies of more than five words, the texts of the options
    (which here begin with their letters) are compared, the first one winning. If nothing is found
    the original draws a letter: here with a seed of the sample's own.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/egoschema/utils.py, parse_multi_choice_response.

    Attributes:
        seed: of the draw.
    """

    seed: int = 0

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, read or drawn, else 0.0."""
        return _score(text, sample, _first_letter, self.seed)


def _score(
    text: str,
    sample: Sample,
    read: Callable[[str, str, Sequence[str]], str | None],
    seed: int,
) -> Score:
    letters = string.ascii_uppercase[: len(sample.choices)]
    letter = read(text, letters, [choice.strip() for choice in sample.choices])
    if letter is None:
        return unread(sample, "random", letters=letters, seed=seed)
    return read_letter(letter, sample)


def _padded(text: str) -> str:
    for mark in _EDGE_MARKS:
        text = text.strip(mark)
    return f" {text} "


def last_letter(reply: str, letters: str, choices: Sequence[str]) -> str | None:
    """Return the letter that MMMU's parser reads, or None where it would draw one.

    Args:
        reply: the model's text.
        letters: of the options.
        choices: the options' texts, which are looked for as they are but for their case.
    """
    text = _padded(reply)
    in_brackets = [letter for letter in letters if f"({letter})" in text]
    if in_brackets:
        return _argmax(in_brackets, [text.rfind(f"({letter})") for letter in in_brackets])
    for form in ("{} ", "{}."):
        found = [letter for letter in letters if form.format(letter) in text]
        if found:
            return _argmax(found, [text.rfind(f" {letter} ") for letter in found])
    places = _content_places(text, letters, choices)
    return _argmax(list(places), list(places.values())) if places else None


def _first_letter(reply: str, letters: str, choices: Sequence[str]) -> str | None:
    text = _padded(reply)
    forms = [(letter, form.format(letter)) for form in ("({})", "{} ", "{}.") for letter in letters]
    places = [(text.rfind(written), letter) for letter, written in forms if written in text]
    if not places:
        content = _content_places(text, letters, choices)
        places = [(place, letter) for letter, place in content.items()]
    # Of equal places the first in the list, as numpy's argmin takes it.
    return min(places, key=lambda found: found[0])[1] if places else None


def _content_places(text: str, letters: str, choices: Sequence[str]) -> dict[str, int]:
    """Return by letter where the texts of the options stand last in a long enough reply."""
    if len(text.split()) <= _MOST_WORDS_WITHOUT_CONTENT:
        return {}
    lowered = text.lower()
    options = [choice.lower() for choice in choices]
    return {
        letter: lowered.rfind(option)
        for letter, option in zip(letters, options, strict=True)
        if option in lowered
    }


def _argmax(letters: Sequence[str], places: Sequence[int]) -> str:
    """Return the letter with the furthest place, of equal ones the first."""
    return letters[places.index(max(places))]
