"""Rules for multiple choice."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from llava_eval.types import Sample, Score

UNREADABLE_IS_WRONG = Score(value=0.0, answer=None, unreadable=True)

# "B", "(b)", "**B**", "B)": a letter and nothing else.
_LETTER_ALONE = re.compile(r"\W*([A-Za-z])\W*")
# "B. the red one", "(B) the red one", "B: the red one": a letter that introduces an option.
_LETTER_FIRST = re.compile(r"[\s\"'*(\[]*([A-Z])(?:[.:)\]]|\*\*)+\s+(.+)", re.DOTALL)
# "answer is (B)", "Answer: B", "option B": a capital in a phrase that gives an answer, at the end
# of a clause: in "The answer is A blue car" it is an article.
_LETTER_IN_PHRASE = re.compile(
    r"\b(?i:answer|option|choice)(?:\s+(?:is|would\s+be|should\s+be))?[\s:*]*"
    r"(?:(?i:option|choice)\s+)?[\"'*(\[]*([A-Z])\s*(?:$|[.,:;!)\]*\"'\n]|because\b|since\b|as\b)"
)


def read_choice(text: str, choices: tuple[str, ...]) -> str | None:
    """Return the one letter that a reply names, or None when it names none or several.

    Our own rule, made so that no reply is ever guessed at. In this order:

    1. the reply is a letter and nothing else but punctuation ("b", "(B).", "**B**");
    2. it is an option's text, or a letter and that option's text ("B. The red one");
    3. it gives an answer in a phrase ("The answer is (B) because ..."), always the same letter;
    4. it begins with a letter as an option does ("B) because ...") and no phrase names another.

    Args:
        text: the model's reply.
        choices: the option texts without letters; letters beyond them are not read.
    """
    letters = string.ascii_uppercase[: len(choices)]
    alone = _LETTER_ALONE.fullmatch(text)
    if alone is not None:
        letter = alone.group(1).upper()
        return letter if letter in letters else None
    by_text = [letters[i] for i, choice in enumerate(choices) if _plain(choice) == _plain(text)]
    if by_text:
        return by_text[0] if len(by_text) == 1 else None
    first = _LETTER_FIRST.match(text)
    introduced = first.group(1) if first is not None and first.group(1) in letters else None
    if first is not None and introduced is not None:
        own_text = choices[letters.index(introduced)]
        if _plain(first.group(2)) == _plain(own_text):
            return introduced
    named = set(_LETTER_IN_PHRASE.findall(text)) & set(letters)
    if introduced is not None:
        named.add(introduced)
    return named.pop() if len(named) == 1 else None


def _plain(text: str) -> str:
    return text.strip().rstrip(".").casefold()


@dataclass(frozen=True)
class StrictChoice:
    """Our own rule: :func:`read_choice`; an unreadable reply is wrong, and counted."""

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        answer = read_choice(text, sample.choices)
        if answer is None:
            return UNREADABLE_IS_WRONG
        return Score(value=float(answer in sample.targets), answer=answer)
