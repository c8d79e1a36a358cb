"""What the rules here do with what they read."""

from __future__ import annotations

from collections.abc import Mapping

from llava_eval.types import Sample, Score


def read(
    value: float, answer: str | None, sample: Sample, details: Mapping[str, object] | None = None
) -> Score:
    """Return the score of one reply.

    Args:
        value: what the rule makes of it; dropped where the sample has no target (hidden answers).
        answer: what was read; nothing at all, or an empty text, is unreadable, whatever it scores.
        sample: the question.
        details: further facts to keep.
    """
    return Score(
        value=float(value) if sample.targets else None,
        answer=answer or None,
        unreadable=not answer,
        details=details or {},
    )
