"""The rule that deletes set phrases and takes the first option letter that is left."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass

from llava_eval.scorers.letters import WhenUnread, read_letter, unread
from llava_eval.scorers.spreadsheet import through_spreadsheet
from llava_eval.types import Sample, Score


def first_letter(text: str, letters: str, prefixes: Sequence[str]) -> str | None:
    """Return the first of ``letters`` after every prefix was deleted wherever it stands, or None.

    Prefixes are deleted in their order and case-sensitively. There are no word boundaries:
    "Cannot tell" gives C, and "Based on the video, C" gives B. The originals also give up on more
    than ten words without any of the letters, which the search for a letter covers.
    """
    remaining = text.strip()
    for prefix in prefixes:
        remaining = remaining.replace(prefix, "")
    return next((character for character in remaining if character in letters), None)


@dataclass(frozen=True)
class FirstLetter:
    """Video-MME's rule and its relatives: :func:`first_letter`.

    Sources, all called ``extract_characters_regex`` or ``parse_multi_choice_response``:
    thanku-all/parse_answer eval_your_results.py; EvolvingLMMs-Lab/lmms-eval v0.2.0
    tasks/videomme/utils.py and tasks/longvideobench/utils.py; open-compass/VLMEvalKit
    dataset/utils/videomme.py.

    Attributes:
        prefixes: what is deleted; two that a missing comma joined in an original stand as one.
        letters: what is looked for, whatever the number of options.
        when_unread: what a reply without a letter is worth; "random" draws among the options.
        spreadsheet: replies go through a spreadsheet first; see
            :func:`llava_eval.scorers.spreadsheet.through_spreadsheet`.
        seed: of the draw.
    """

    prefixes: list[str]
    letters: str = "ABCD"
    when_unread: WhenUnread = "wrong"
    spreadsheet: bool = False
    seed: int = 0

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 or 0.0, or what an unread reply is worth."""
        reply = through_spreadsheet(text) if self.spreadsheet else text
        letter = first_letter(reply, self.letters, self.prefixes)
        if letter is not None:
            return read_letter(letter, sample)
        options = string.ascii_uppercase[: len(sample.choices)]
        return unread(sample, self.when_unread, letters=options, seed=self.seed)
