"""ChartQA: numbers may be 5 % off."""

from __future__ import annotations

from dataclasses import dataclass

from llava_eval.scorers.image.reading import read
from llava_eval.types import Sample, Score

MAX_RELATIVE_CHANGE = 0.05


def relaxed_match(reply: str, target: str) -> bool:
    """Is the reply right by ChartQA's relaxed accuracy (arXiv 2203.10244, section 5.1)?

    A percent sign divides by 100 on its own side, so "57" is wrong for "57%". A target of 0 is
    compared as text. Commas make a text no number; whatever Python's float() takes is one.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/chartqa/utils.py, relaxed_correctness (of Qwen-VL).
    """
    number, wanted = _number(reply), _number(target)
    if number is None or not wanted:
        return reply.lower() == target.lower()
    return abs(number - wanted) / abs(wanted) <= MAX_RELATIVE_CHANGE


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class RelaxedAccuracy:
    """ChartQA's relaxed accuracy: :func:`relaxed_match`."""

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for a match, else 0.0."""
        return read(any(relaxed_match(text, one) for one in sample.targets), text, sample)
