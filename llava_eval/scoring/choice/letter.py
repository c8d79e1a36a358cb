"""The score of an option letter, and of a reply without one."""

from __future__ import annotations

import math
import random
import string
from abc import abstractmethod
from typing import Literal

from llava_eval.errors import ConfigError, ScoreError
from llava_eval.scoring.scorer import (
    CHOSEN_AT_RANDOM,
    NOT_SCORED_BECAUSE,
    ReplyScorer,
    SampleScorer,
    read,
)
from llava_eval.types import Generation, Sample, Score

#: Treatment of a reply without a readable letter: left out of the denominator, wrong, or a letter
#: drawn at random.
WhenUnread = Literal["left_out", "wrong", "random"]


def letters_of(sample: Sample) -> str:
    """Return the letters of a sample's options, "ABCD" for four."""
    return string.ascii_uppercase[: len(sample.choices)]


def check_options(sample: Sample, rule: str) -> None:
    """Raise ConfigError for a question without options.

    Args:
        sample: the question.
        rule: name of the rule that needs options, for the message.
    """
    if not sample.choices:
        raise ConfigError(
            f"sample {sample.id} has no options, whose letters {rule} reads; "
            "scorer=exact_match compares texts"
        )


def read_letter(letter: str, sample: Sample, how: str = "a letter") -> Score:
    """Return the score of a letter; without a target (hidden answers) only the answer is kept.

    Args:
        letter: the letter that was read.
        sample: the question.
        how: see :func:`llava_eval.scoring.scorer.read`.

    Raises:
        ConfigError: the right answer is a text, which no letter can equal.
    """
    if sample.targets and not any(len(target) == 1 for target in sample.targets):
        raise ConfigError(
            f"sample {sample.id}: the right answer {sample.targets[0]!r:.60} is no letter, and "
            "this scorer reads letters; scorer=exact_match compares texts"
        )
    return read(sample, letter, letter in sample.targets, how)


def unread(
    sample: Sample,
    when: WhenUnread,
    why: str = "no letter was found",
    *,
    seed: int = 0,
) -> Score:
    """Return the score of a reply in which no letter was found.

    Args:
        sample: the question.
        when: see :data:`WhenUnread`. A random letter is drawn for each sample from its id and the
            seed, so that a run can be repeated; the detail ``chosen_at_random`` records it, and
            tables count it.
        why: why no letter was found, in words.
        seed: seed of the draw.

    Raises:
        ConfigError: there are no options to draw from.
    """
    if when == "random":
        if not sample.choices:
            raise ConfigError(
                f"sample {sample.id} has no options, and this scorer draws one if it reads none; "
                "scorer=... is for questions with options"
            )
        letter = random.Random(f"{seed}/{sample.id}").choice(letters_of(sample))
        how = f"which was drawn at random: {why}"
        return read(sample, letter, letter in sample.targets, how, {CHOSEN_AT_RANDOM: True})
    if when == "left_out":
        explanation = f"no answer: {why}; {NOT_SCORED_BECAUSE}unread replies are left out"
        return Score(value=None, answer=None, unreadable=True, explanation=explanation)
    return read(sample, None, 0.0, why)


def marked_or_drawn(letter: str | None, sample: Sample, seed: int) -> Score:
    """Return the score of a letter found by a mark or an option's text, else of a random letter.

    Args:
        letter: the letter that was found, or None.
        sample: the question.
        seed: seed of the draw.
    """
    if letter is None:
        why = "no letter with a mark and no option's text was found"
        return unread(sample, "random", why, seed=seed)
    return read_letter(letter, sample, "a letter with a mark, or the text of an option")


class LetterRule(ReplyScorer):
    """Base class of a rule that finds one letter in a reply; a reply without one is wrong."""

    @abstractmethod
    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        """Return the letter and how it was found, or None and why there is none."""

    def score(self, reply: str, sample: Sample) -> Score:
        letter, how = self._find(reply, sample)
        return unread(sample, "wrong", how) if letter is None else read_letter(letter, sample, how)


class LowestLoss(SampleScorer):
    """The answer is the option with the lowest mean loss; among equal ones the first.

    Losses that are not finite never win; if none is finite, there is no answer, which is wrong.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/egoschema/utils.py, egoschema_process_results.
    """

    def score_generation(self, generation: Generation, sample: Sample) -> Score:
        """Return 1.0 if the most likely option is the right one, else 0.0.

        Raises:
            ScoreError: there is not exactly one loss for each option.
        """
        losses = generation.option_losses
        if losses is None or len(losses) != len(sample.options):
            raise ScoreError(
                f"sample {sample.id}: answers by likelihood need {len(sample.options)} option "
                f"losses, got {'none' if losses is None else len(losses)}"
            )
        ranked = zip(losses, string.ascii_uppercase, strict=False)
        best = min((pair for pair in ranked if pair[0] < math.inf), default=None)
        if best is None:
            return unread(sample, "wrong", "no loss is a number")
        return read_letter(best[1], sample, "the option with the lowest loss")
