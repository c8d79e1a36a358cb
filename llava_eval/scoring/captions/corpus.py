"""Caption scores, which depend on the whole set, and the BLEU of a set, which is no mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from llava_eval.scoring.captions.bleu import bleu_of_parts, expand_counts, sample_counts
from llava_eval.scoring.captions.cider import cider
from llava_eval.scoring.captions.ngrams import MAX_ORDER, Captions, FloatArray, IntArray
from llava_eval.scoring.captions.ptb_tokenizer import tokenize_set
from llava_eval.scoring.captions.rouge_l import rouge_l
from llava_eval.scoring.scorer import NOT_SCORED_BECAUSE, read
from llava_eval.types import Generation, MetricValue, Sample, SampleResult, Score

#: Name among a caption score's details: six counts, see
#: :func:`llava_eval.scoring.captions.bleu.sample_counts`.
BLEU_COUNTS = "bleu_counts"

_ONE_CAPTION = (
    f"{NOT_SCORED_BECAUSE}CIDEr weighs words by how few of the captioned items have them, so that "
    "of a single one it is 0 whatever the caption, as where all have the same references"
)


def caption_values(captions: Captions) -> dict[str, FloatArray]:
    """Return (N,) "bleu_1" to "bleu_4" and "rouge_l", from 0 to 1, and "cider", from 0 to 10."""
    bleu = bleu_of_parts(expand_counts(sample_counts(captions)))
    values = {f"bleu_{order}": bleu[:, order - 1] for order in range(1, MAX_ORDER + 1)}
    values["rouge_l"] = rouge_l(captions.hypotheses, captions.references)
    values["cider"] = cider(captions)
    return values


class CaptionScorer:
    """CIDEr, ROUGE-L and BLEU of each caption, as pycocoevalcap computes them.

    A caption's CIDEr depends on the references of the whole evaluated set (its document
    frequencies), so nothing is scored before all texts are known, and values of a subset cannot be
    compared with those of the full set.

    The score's value is CIDEr in the reference's own unit, 0 to 10. The details hold the other
    metrics, 0 to 1, and the counts from which BLEU of the whole set is computed.
    """

    def score_all(
        self, generations: Sequence[Generation], samples: Sequence[Sample]
    ) -> list[Score]:
        """Return one score per caption; see :class:`llava_eval.scoring.scorer.Scorer`."""
        pairs = list(zip([str(item.text) for item in generations], samples, strict=True))
        known = [(text, sample.targets) for text, sample in pairs if sample.targets]
        scores = iter(self._scores(known))
        return [
            next(scores)
            if sample.targets
            else read(sample, " ".join(text.split()), 0.0, "as it is")
            for text, sample in pairs
        ]

    def _scores(self, pairs: Sequence[tuple[str, Sequence[str]]]) -> list[Score]:
        """Return the scores of captions with their references."""
        if not pairs:
            return []
        texts, targets = zip(*pairs, strict=True)
        captions = Captions.of(*tokenize_set(texts, targets))
        details = {name: values.tolist() for name, values in caption_values(captions).items()}
        details[BLEU_COUNTS] = sample_counts(captions).tolist()
        if len(set(map(frozenset, captions.references))) == 1:
            details["cider"] = [None] * len(pairs)
        scores = []
        for row, (text, references) in enumerate(pairs):
            value, explanation = details["cider"][row], _ONE_CAPTION
            if value is not None:
                explanation = (
                    f"CIDEr {value:.4g} of 10 against {len(references)} references, weighed by the "
                    "whole set"
                )
            own = {name: values[row] for name, values in details.items()}
            scores.append(
                Score(value, " ".join(text.split()), explanation=explanation, details=own)
            )
        return scores


def corpus_bleu(results: Sequence[SampleResult], *, order: Literal[1, 2, 3, 4] = 4) -> MetricValue:
    """Return the BLEU of a whole set times 100, as papers print it.

    Counts of matching n-grams are added up over the set before precision is computed, so it is not
    the mean of the samples' values, and it has no standard error here.

    Args:
        results: results of the set or of one level of a facet; failed ones are left out.
        order: longest n-gram.
    """
    kept = [item for item in results if item.generation.text is not None and item.target]
    if not kept:
        return MetricValue.none(0, "points")
    counts = bleu_counts_of(kept)
    bleu = float(bleu_of_parts(counts.sum(axis=0, keepdims=True))[0, order - 1])
    return MetricValue(100 * bleu, None, None, None, len(kept), "points")


def bleu_counts_of(results: Sequence[SampleResult]) -> IntArray:
    """Return (N, K) what each sample adds to the sums from which BLEU is computed.

    The scorer keeps them among the details; captions without them are tokenized and counted again.

    Args:
        results: all with a text and references, in the order of the set.
    """
    stored = [result.score.details.get(BLEU_COUNTS) for result in results]
    if all(isinstance(row, list) for row in stored):
        return expand_counts(np.array(stored, np.int64))
    texts = [str(result.generation.text) for result in results]
    captions = Captions.of(*tokenize_set(texts, [result.target for result in results]))
    return expand_counts(sample_counts(captions))
