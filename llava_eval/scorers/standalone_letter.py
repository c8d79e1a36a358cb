"""The rule that takes the first capital letter that stands as a word of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llava_eval.scorers.letters import read_letter, unread
from llava_eval.types import Sample, Score


@dataclass(frozen=True)
class StandaloneLetter:
    r"""PerceptionTest's rule in lmms-eval: the first match of ``\b[A-D]\b``; none is wrong.

    The article "A" is a match, word boundaries are Unicode's, and D is looked for although the
    questions have three options.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/perceptiontest/val/utils.py,
    perceptiontest_val_process_results_mc.

    Attributes:
        letters: what is looked for, whatever the number of options.
    """

    letters: str = "ABCD"

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        match = re.search(rf"\b[{re.escape(self.letters)}]\b", text)
        return unread(sample, "wrong") if match is None else read_letter(match.group(), sample)
