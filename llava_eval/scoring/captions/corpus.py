"""Captions, scored against references over the whole set, and BLEU, which is no mean of samples."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from llava_eval.scoring.captions.bleu import (
    bleu,
    bleu_of_parts,
    expand_counts,
    sample_counts,
)
from llava_eval.scoring.captions.cider import cider
from llava_eval.scoring.captions.ngrams import (
    Captions,
    CaptionScore,
    IntArray,
    check_captions,
)
from llava_eval.scoring.captions.ptb_tokenizer import tokenize
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


def _tokenized(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Captions:
    """Tokenize captions; see :func:`score_captions`."""
    check_captions(hypotheses, references)
    tokenized_references = iter(tokenize(list(itertools.chain.from_iterable(references))))
    grouped = [list(itertools.islice(tokenized_references, len(refs))) for refs in references]
    return Captions.of(tokenize(hypotheses), grouped)


def _scores(captions: Captions) -> dict[str, CaptionScore]:
    scores = {f"bleu_{order}": score for order, score in enumerate(bleu(captions), 1)}
    scores["rouge_l"] = rouge_l(captions.hypotheses, captions.references)
    scores["cider"] = cider(captions)
    return scores


def score_captions(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, CaptionScore]:
    """BLEU-1 to BLEU-4, ROUGE-L and CIDEr of untokenized captions, as pycocoevalcap scores them.

    References and hypotheses are tokenized as two files, in the order of the samples. The order
    can move a value in the fourth digit (see `tokenize`).

    Args:
        hypotheses: one caption a sample, as the model wrote it.
        references: the captions of each sample, as the data set has them.

    Returns:
        "bleu_1" to "bleu_4", "rouge_l", "cider": values from 0 to 1, for CIDEr to 10.

    Raises:
        ValueError: no sample, unequal lengths, or a sample without references.
        TypeError: a caption is not a string.
    """
    return _scores(_tokenized(hypotheses, references))


@dataclass(frozen=True)
class CaptionScorer:
    """CIDEr, ROUGE-L and BLEU of each caption, as pycocoevalcap computes them.

    A caption's CIDEr depends on the references of the whole evaluated set (its document
    frequencies), so nothing is scored before all texts are there, and values of a subset cannot be
    compared with those of the full set.

    The score's value is CIDEr in the reference's own unit, 0 to 10; the other metrics are details
    in theirs, 0 to 1, and so are the counts that BLEU of the whole set is made of.
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
        captions = _tokenized([text for text, _ in pairs], [refs for _, refs in pairs])
        details = {name: score.per_sample.tolist() for name, score in _scores(captions).items()}
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

    Counts of matching n-grams are added up over the set before precision is taken, so it is not the
    mean of the samples' values and has no standard error here.

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
    """Return (N, K) what each sample adds to the sums that BLEU is made of.

    The scorer left them among the details; captions scored without are tokenized and counted anew.

    Args:
        results: all with a text and references, in the order of the set.
    """
    stored = [result.score.details.get(BLEU_COUNTS) for result in results]
    if all(isinstance(row, list) for row in stored):
        return expand_counts(np.array(stored, np.int64))
    texts = [str(result.generation.text) for result in results]
    captions = _tokenized(texts, [result.target for result in results])
    return expand_counts(sample_counts(captions))
