"""ROUGE-L: the longest common subsequence of a caption and its references.

Lin 2004 (https://aclanthology.org/W04-1013) as in pycocoevalcap (`rouge/rouge.py`): beta is 1.2;
precision and recall are each the maximum over the references, which may be two different ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from llava_eval.scoring.captions.ngrams import FloatArray

_BETA_SQUARED = 1.2**2


def rouge_l(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> FloatArray:
    """(num_samples,) ROUGE-L of tokenized captions, 0 to 1; that of the set is their mean.

    Captions are split at single spaces, as in the reference: a token with a no-break space is one
    word, and an empty caption has one empty word, which another empty caption matches.

    Args:
        hypotheses: one tokenized caption a sample (see `tokenize`).
        references: the tokenized references of each sample.
    """
    values = [
        _f_measure(hypothesis.split(" "), [caption.split(" ") for caption in captions])
        for hypothesis, captions in zip(hypotheses, references, strict=True)
    ]
    return np.array(values)


def _f_measure(hypothesis: list[str], references: list[list[str]]) -> float:
    """Weighted harmonic mean of the best precision and the best recall."""
    positions = _positions(hypothesis)
    common = [_common_length(positions, len(hypothesis), words) for words in references]
    precision = max(common) / len(hypothesis)
    recall = max(length / len(words) for length, words in zip(common, references, strict=True))
    if precision == 0 or recall == 0:
        return 0.0
    return (1 + _BETA_SQUARED) * precision * recall / (recall + _BETA_SQUARED * precision)


def _positions(words: list[str]) -> dict[str, int]:
    """For each word the set of its positions, as bits of an integer."""
    positions: dict[str, int] = defaultdict(int)
    for position, word in enumerate(words):
        positions[word] |= 1 << position
    return positions


def _common_length(positions: dict[str, int], num_words: int, other: list[str]) -> int:
    """Length of the longest common subsequence.

    Bit-parallel: one row of the usual table is one integer, whose zero bits mark where the length
    grows (Hyyro 2004, "Bit-parallel LCS-length computation revisited").
    """
    row = full = (1 << num_words) - 1
    for word in other:
        matches = row & positions.get(word, 0)
        row = (row + matches) | (row - matches)
    return num_words - (row & full).bit_count()
