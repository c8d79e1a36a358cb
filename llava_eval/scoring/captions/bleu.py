"""BLEU-1 to BLEU-4 (Papineni et al. 2002, https://aclanthology.org/P02-1040).

As in pycocoevalcap (`bleu/bleu_scorer.py`, option "closest"): counts clipped by the largest count
in any reference, the reference length closest to the hypothesis (the shorter on a tie), and tiny
constants in place of smoothing, so that no matches give a value near 0, not 0.
"""

from __future__ import annotations

import numpy as np

from llava_eval.scoring.captions.ngrams import (
    MAX_ORDER,
    Captions,
    FloatArray,
    IntArray,
    NgramCounts,
)

_SMALL = 1e-9  # added to denominators
_TINY = 1e-15  # added to numerators: an empty hypothesis still scores about 0


def sample_counts(captions: Captions) -> IntArray:
    """(num_samples, 6) what each sample adds to BLEU of any set it is in.

    Its correct n-grams of each order, its length, and the closest length of a reference.
    """
    columns = [_correct(captions, counts) for counts in captions.counts]
    columns += [captions.num_words[: captions.num_samples], _closest_length(captions)]
    return np.stack(columns, axis=1)


def expand_counts(counts: IntArray) -> IntArray:
    """(num_samples, K) the rows of `sample_counts` with the number of all n-grams of each order.

    ``bleu_of_parts(parts[rows].sum(axis=0, keepdims=True))`` is the corpus BLEU of these rows.
    """
    correct, length = counts[:, :MAX_ORDER], counts[:, MAX_ORDER]
    guessed = np.maximum(length[:, None] - np.arange(MAX_ORDER), 0)
    return np.concatenate([correct, guessed, counts[:, MAX_ORDER:]], axis=1)


def bleu_of_parts(parts: IntArray | FloatArray) -> FloatArray:
    """(rows, MAX_ORDER) BLEU of each order from (rows, K) counts or sums of them."""
    correct, guessed = parts[:, :MAX_ORDER], parts[:, MAX_ORDER : 2 * MAX_ORDER]
    length, closest = parts[:, -2], parts[:, -1]
    precision = np.cumprod((correct + _TINY) / (guessed + _SMALL), axis=1)
    mean = precision ** (1.0 / np.arange(1, MAX_ORDER + 1))
    ratio = (length + _TINY) / (closest + _SMALL)
    with np.errstate(over="ignore"):  # an empty hypothesis: 1 / ratio is huge, exp of it is 0
        brevity = np.exp(np.minimum(1 - 1 / ratio, 0))
    return mean * brevity[:, None]


def _correct(captions: Captions, counts: NgramCounts) -> IntArray:
    """(num_samples,) n-grams of the hypothesis that occur in a reference, each clipped."""
    allowed = np.zeros(len(counts.hypothesis_count), np.int64)
    np.maximum.at(
        allowed, counts.shared_hypothesis, counts.reference_count[counts.shared_reference]
    )
    clipped = np.minimum(allowed, counts.hypothesis_count)
    return np.bincount(counts.hypothesis_sample, clipped, captions.num_samples).astype(np.int64)


def _closest_length(captions: Captions) -> IntArray:
    """(num_samples,) words of the reference closest in length, the shorter on a tie."""
    length = captions.num_words[captions.num_samples :]
    distance = np.abs(length - captions.num_words[captions.reference_sample])
    base = int(length.max()) + 1
    first = np.cumsum(captions.num_references) - captions.num_references
    closest: IntArray = np.minimum.reduceat(distance * base + length, first) % base
    return closest
