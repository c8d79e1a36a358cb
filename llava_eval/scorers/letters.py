"""What every rule for multiple choice does with the letter that it read, or did not read."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal

from llava_eval.types import Sample, Score

#: What an unread reply is worth: no part of the denominator, wrong, or a letter drawn at random.
WhenUnread = Literal["left_out", "wrong", "random"]


def read_letter(letter: str, sample: Sample) -> Score:
    """Return the score of a letter; without a target (hidden answers) only the answer is kept."""
    return Score(value=_value(letter, sample), answer=letter)


def unread(
    sample: Sample, when: WhenUnread, *, letters: Sequence[str] = (), seed: int = 0
) -> Score:
    """Return the score of a reply in which no letter was read.

    Args:
        sample: the question.
        when: see :data:`WhenUnread`. A letter at random is drawn anew for every sample, from its id
            and the seed, so that a run can be repeated; ``chosen_at_random`` among the details says
            so, and the tables count it.
        letters: what is drawn from.
        seed: of the draw.
    """
    if when == "random":
        letter = random.Random(f"{seed}/{sample.id}").choice(list(letters))
        return Score(
            value=_value(letter, sample), answer=letter, details={"chosen_at_random": True}
        )
    scored = when == "wrong" and bool(sample.targets)
    return Score(value=0.0 if scored else None, answer=None, unreadable=True)


def _value(letter: str, sample: Sample) -> float | None:
    return float(letter in sample.targets) if sample.targets else None
