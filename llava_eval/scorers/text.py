"""Rules for free answers."""

from __future__ import annotations

from dataclasses import dataclass

from llava_eval.types import Sample, Score


@dataclass(frozen=True)
class ExactMatch:
    """The whole reply equals an accepted answer.

    Case, outer white space and a final full stop do not count. An empty reply is unreadable, and
    wrong.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 when the reply equals one of the targets, else 0.0."""
        answer = _normalised(text)
        if not answer:
            return Score(value=0.0, answer=None, unreadable=True)
        accepted = {_normalised(target) for target in sample.targets}
        return Score(value=float(answer in accepted), answer=answer)


def _normalised(text: str) -> str:
    return " ".join(text.strip().removesuffix(".").casefold().split())
