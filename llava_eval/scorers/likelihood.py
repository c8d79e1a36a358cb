"""Answers by likelihood."""

from __future__ import annotations

import math
import string
from dataclasses import dataclass

from llava_eval.scorers.letters import read_letter, unread
from llava_eval.types import Generation, Sample, Score


@dataclass(frozen=True)
class LowestLoss:
    """The option with the lowest mean loss is the answer, of equal ones the first.

    Losses that are not a number never win; if none is, there is no answer, which is wrong.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/egoschema/utils.py, egoschema_process_results.
    """

    def score_generation(self, generation: Generation, sample: Sample) -> Score:
        """Return 1.0 when the likeliest option is the right one, else 0.0.

        Raises:
            ValueError: there are no losses, or not one for each option.
        """
        losses = generation.option_losses
        if losses is None or len(losses) != len(sample.options):
            raise ValueError(
                f"sample {sample.id}: answers by likelihood need {len(sample.options)} option "
                f"losses, got {'none' if losses is None else len(losses)}"
            )
        best: int | None = None
        for number, loss in enumerate(losses):
            if loss < (math.inf if best is None else losses[best]):
                best = number
        if best is None:
            return unread(sample, "wrong")
        return read_letter(string.ascii_uppercase[best], sample)
