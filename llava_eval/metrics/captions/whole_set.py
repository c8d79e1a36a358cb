"""All caption metrics of a set, from the texts themselves."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from llava_eval.metrics.captions.bleu import bleu_from_counts, compact_counts, sample_parts
from llava_eval.metrics.captions.cider import cider_from_counts
from llava_eval.metrics.captions.ngrams import CaptionWords, IntArray, NgramCounts
from llava_eval.metrics.captions.ptb_tokenizer import tokenize
from llava_eval.metrics.captions.rouge_l import rouge_l
from llava_eval.metrics.captions.score import CaptionScore, check_captions


@dataclass(frozen=True)
class CountedCaptions:
    """A set of captions, tokenized and counted once for all metrics.

    Attributes:
        hypotheses: tokenized, one a sample.
        references: tokenized, by sample.
        words: all of them as numbers.
        counts: of n-grams, by length.
    """

    hypotheses: Sequence[str]
    references: Sequence[Sequence[str]]
    words: CaptionWords
    counts: Sequence[NgramCounts]

    @classmethod
    def of(cls, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> CountedCaptions:
        """Tokenize and count; see :func:`score_captions`."""
        check_captions(hypotheses, references)
        tokenized_references = iter(tokenize(list(itertools.chain.from_iterable(references))))
        grouped = [list(itertools.islice(tokenized_references, len(refs))) for refs in references]
        tokenized_hypotheses = tokenize(hypotheses)
        words = CaptionWords.from_captions(tokenized_hypotheses, grouped)
        return cls(tokenized_hypotheses, grouped, words, list(words.ngram_counts()))

    def scores(self) -> dict[str, CaptionScore]:
        """Return BLEU-1 to BLEU-4, ROUGE-L and CIDEr; see :func:`score_captions`."""
        bleus = bleu_from_counts(self.words, self.counts)
        scores = {f"bleu_{order}": score for order, score in enumerate(bleus, 1)}
        scores["rouge_l"] = rouge_l(self.hypotheses, self.references)
        scores["cider"] = cider_from_counts(self.words, self.counts)
        return scores

    def bleu_counts(self) -> IntArray:
        """Return (num_samples, 6) what BLEU of any part of the set is made of.

        See :func:`llava_eval.metrics.captions.bleu.expand_counts`.
        """
        return compact_counts(sample_parts(self.words, self.counts))


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
    return CountedCaptions.of(hypotheses, references).scores()
