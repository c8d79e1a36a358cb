"""Caption metrics that are no means over samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from llava_eval.metrics.captions.bleu import bleu_of_parts, expand_counts
from llava_eval.metrics.captions.ngrams import IntArray
from llava_eval.metrics.captions.whole_set import CountedCaptions
from llava_eval.metrics.value import MetricValue
from llava_eval.types import SampleResult

#: Name among a caption score's details: six counts, see
#: :func:`llava_eval.metrics.captions.bleu.compact_counts`.
BLEU_COUNTS = "bleu_counts"


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
    counts = bleu_counts_of(kept)
    bleu = float(bleu_of_parts(counts.sum(axis=0, keepdims=True))[0, order - 1])
    return MetricValue(100 * bleu, None, None, None, len(kept), "points")


def bleu_counts_of(results: Sequence[SampleResult]) -> IntArray:
    """Return (N, K) what each sample adds to the sums that BLEU is made of.

    The scorer left them among the details; captions scored without are tokenized and counted anew.

    Args:
        results: all with a text and references, in the order of the set.
    """
    stored = [result.score.details.get(BLEU_COUNTS) for result in results]
    if all(isinstance(row, list) for row in stored):
        return expand_counts(np.array(stored, np.int64))
    captions = [str(result.generation.text) for result in results]
    return expand_counts(
        CountedCaptions.of(captions, [result.target for result in results]).bleu_counts()
    )
