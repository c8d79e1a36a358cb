"""Caption metrics that are no means over samples."""

from __future__ import annotations

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
    kept = [result for result in results if result.generation.text is not None]
    if not kept:
        return MetricValue(None, None, None, None, 0, "points")
    captions = [str(result.generation.text) for result in kept]
    score = score_captions(captions, [result.target for result in kept])[f"bleu_{order}"]
    return MetricValue(100 * score.corpus, None, None, None, len(kept), "points")
