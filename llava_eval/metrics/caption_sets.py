"""Caption metrics that are no means over samples."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal

from llava_eval.metrics.captions import score_captions
from llava_eval.metrics.value import MetricValue
from llava_eval.types import SampleResult


def corpus_bleu(results: Sequence[SampleResult], *, order: Literal[1, 2, 3, 4] = 4) -> MetricValue:
    """Return the BLEU of a whole set times 100, as papers print it.

    Counts of matching n-grams are added up over the set before precision is taken, so it is not the
    mean of the samples' values and has no standard error here.

    Args:
        results: results of the set or of one level of a facet; failed ones are left out.
        order: longest n-gram.
    """
    kept = [one for one in results if one.generation.text is not None and one.target]
    if not kept:
        return MetricValue(None, None, None, None, 0, "points")
    captions = tuple(str(result.generation.text) for result in kept)
    bleu = _corpus_bleus(captions, tuple(result.target for result in kept))[order - 1]
    return MetricValue(100 * bleu, None, None, None, len(kept), "points")


@functools.lru_cache(maxsize=4)
def _corpus_bleus(
    captions: tuple[str, ...], references: tuple[tuple[str, ...], ...]
) -> tuple[float, ...]:
    """Return BLEU-1 to BLEU-4: the tables ask for all four of the same set, one by one."""
    scores = score_captions(captions, references)
    return tuple(scores[f"bleu_{order}"].corpus for order in (1, 2, 3, 4))
