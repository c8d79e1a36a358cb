"""CIDEr: consensus-based image description evaluation (Vedantam et al. 2015, arXiv 1411.5726).

As in pycocoevalcap (`cider/cider_scorer.py`), where it is the paper's CIDEr-D under the shorter
name: n-grams of 1 to 4 words weighted by tf-idf, no stemming, clipped, with a Gaussian penalty
(sigma 6) on the difference in length. Two of its habits matter:

* Document frequencies come from the references of the evaluated set itself, counted once for each
  sample. The score of a subset is not comparable with that of the set, and a set of one sample
  scores 0 whatever its captions.
* The "length" is the number of bigrams, so captions of no word and of one word are equally long.
"""

from __future__ import annotations

import numpy as np

from llava_eval.scoring.captions.ngrams import MAX_ORDER, Captions, FloatArray, NgramCounts

_SIGMA = 6.0


def cider(captions: Captions) -> FloatArray:
    """(num_samples,) CIDEr of tokenized captions, 0 to 10; that of the set is their mean."""
    sample = captions.reference_sample
    num_bigrams = np.maximum(captions.num_words - 1, 0)
    difference = (num_bigrams[sample] - num_bigrams[captions.num_samples :]).astype(np.float64)
    penalty = np.exp(-(difference**2) / (2 * _SIGMA**2))
    similarity = np.zeros(len(sample))
    for counts in captions.counts:
        similarity += _cosine(captions, counts) * penalty
    total = np.bincount(sample, similarity, captions.num_samples)
    return 10.0 * (total / MAX_ORDER / captions.num_references)


def _cosine(captions: Captions, counts: NgramCounts) -> FloatArray:
    """(num_references,) clipped cosine similarity of each reference and its hypothesis."""
    sample = captions.reference_sample
    idf = _inverse_document_frequency(captions, counts)
    hypothesis = counts.hypothesis_count * idf[counts.hypothesis_ngram]
    reference = counts.reference_count * idf[counts.reference_ngram]
    squares = np.bincount(counts.hypothesis_sample, hypothesis**2, captions.num_samples)
    norm = np.sqrt(squares)[sample]
    norm *= np.sqrt(np.bincount(counts.reference_caption, reference**2, len(sample)))
    shared = reference[counts.shared_reference]
    product = np.bincount(
        counts.reference_caption[counts.shared_reference],
        np.minimum(hypothesis[counts.shared_hypothesis], shared) * shared,
        len(sample),
    )
    similarity: FloatArray = product / np.where(norm != 0, norm, 1.0)
    return similarity


def _inverse_document_frequency(captions: Captions, counts: NgramCounts) -> FloatArray:
    """(num_ngrams,) log of the number of samples over that of samples whose references have it.

    An n-gram that no reference has counts as if one had it.
    """
    sample = captions.reference_sample[counts.reference_caption]
    occurrence = np.sort(sample * counts.num_ngrams + counts.reference_ngram)
    # once for each sample, however many of its references have it
    document = occurrence[np.diff(occurrence, prepend=-1) > 0]
    frequency = np.bincount(document % max(counts.num_ngrams, 1), minlength=counts.num_ngrams)
    idf: FloatArray = np.log(float(captions.num_samples)) - np.log(np.maximum(frequency, 1.0))
    return idf
