"""Our own rule: the single letter that a reply states."""

from __future__ import annotations

import string
from collections.abc import Sequence

from llava_eval.scoring.choice.letter import LetterRule, check_options
from llava_eval.scoring.choice.statements import find_statements
from llava_eval.scoring.plain_text import same_text
from llava_eval.scoring.reply import without_reasoning
from llava_eval.types import Sample


def read_choice(reply: str, choices: Sequence[str]) -> tuple[str | None, str]:
    """Return the single letter that a reply states as its answer, or None, and the reason.

    Our own rule, which never guesses: see :mod:`llava_eval.scoring.choice`.

    Args:
        reply: the model's reply.
        choices: the option texts without letters; letters beyond them are no answers.
    """
    text = without_reasoning(reply)
    if text is None:
        return None, "its reasoning does not end"
    letters = string.ascii_uppercase[: len(choices)]
    whole = same_text(text)
    by_text = [
        letter
        for letter, choice in zip(letters, choices, strict=True)
        if whole and same_text(choice) == whole
    ]
    if by_text and whole.upper() not in letters:
        if len(by_text) > 1:
            return None, "the reply is the text of several options"
        return by_text[0], "whose text is the whole reply"
    stated, rejected = find_statements(text, choices)
    if len(stated) != 1:
        named = ", ".join(sorted(stated))
        return None, f"the reply states {named}" if named else "the reply states no option"
    ((letter, quote),) = stated.items()
    if letter in rejected:
        return None, f"the reply states {letter} and rules it out"
    if letter not in letters:
        return None, f"the reply states {letter}, which is no option"
    return letter, f"stated in {quote!r}"


class StrictChoice(LetterRule):
    """An answer counts where it can be read in one way only; an unreadable reply is wrong.

    Our own rule, see :func:`read_choice`; unreadable replies are counted.
    """

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        check_options(sample, "strict_choice")
        return read_choice(reply, sample.choices)
