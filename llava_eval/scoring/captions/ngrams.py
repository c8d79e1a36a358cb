"""Counts of the n-grams of a whole set of captions, as arrays.

BLEU and CIDEr are both defined on how often each n-gram occurs in a hypothesis and in each of its
references. They are fast because counting takes one sort per order instead of one dictionary per
caption.
"""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_ORDER = 4
"""Longest n-gram of BLEU-4 and of CIDEr."""

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class NgramCounts:
    """How often each n-gram of one order occurs in each caption.

    One row for each distinct n-gram of each caption; H rows of hypotheses, R rows of references.

    Attributes:
        num_ngrams: distinct n-grams of the set; they are numbered from 0.
        hypothesis_sample, hypothesis_ngram, hypothesis_count: (H,), sorted by sample, then n-gram.
        reference_caption, reference_ngram, reference_count: (R,), sorted likewise; the captions are
            numbered through the set.
        shared_hypothesis, shared_reference: (S,) row numbers of the pairs of rows that hold the
            same n-gram in a hypothesis and in one of its own references.
    """

    num_ngrams: int
    hypothesis_sample: IntArray
    hypothesis_ngram: IntArray
    hypothesis_count: IntArray
    reference_caption: IntArray
    reference_ngram: IntArray
    reference_count: IntArray
    shared_hypothesis: IntArray
    shared_reference: IntArray


@dataclass(frozen=True, eq=False)
class Captions:
    """A set of tokenized captions, their words numbered.

    Attributes:
        hypotheses: one per sample.
        references: those of each sample.
        words: (num_words,) the captions' words one after the other, hypotheses first, then all
            references of the first sample, and so on.
        num_words: (num_samples + num_references,) words of each caption.
        num_references: (num_samples,) references of each sample.
    """

    hypotheses: Sequence[str]
    references: Sequence[Sequence[str]]
    words: IntArray
    num_words: IntArray
    num_references: IntArray

    @classmethod
    def of(cls, hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> Captions:
        """Split tokenized captions at any white space, as the reference's `precook` does.

        This is where a token with a no-break space becomes two words.
        """
        captions = itertools.chain(hypotheses, itertools.chain.from_iterable(references))
        split = [caption.split() for caption in captions]
        numbers: defaultdict[str, int] = defaultdict(itertools.count().__next__)
        num_words = np.fromiter(map(len, split), np.int64, len(split))
        words = np.fromiter(
            map(numbers.__getitem__, itertools.chain.from_iterable(split)),
            np.int64,
            int(num_words.sum()),
        )
        num_references = np.array([len(refs) for refs in references], np.int64)
        return cls(hypotheses, references, words, num_words, num_references)

    @property
    def num_samples(self) -> int:
        """Number of hypotheses."""
        return len(self.num_references)

    @property
    def reference_sample(self) -> IntArray:
        """(num_references,) the sample that each reference belongs to."""
        return np.repeat(np.arange(self.num_samples), self.num_references)

    @functools.cached_property
    def counts(self) -> list[NgramCounts]:
        """Counts for the orders 1 to `MAX_ORDER`."""
        counts = []
        caption = np.repeat(np.arange(len(self.num_words)), self.num_words)
        starts = np.arange(len(self.words))  # positions where an n-gram of this order starts
        ngrams = self.words
        vocabulary = int(self.words.max(initial=0)) + 1
        for order in range(1, MAX_ORDER + 1):
            if order > 1:
                last = starts + order - 1
                inside = last < len(self.words)
                inside[inside] = caption[last[inside]] == caption[starts[inside]]
                starts, ngrams, last = starts[inside], ngrams[inside], last[inside]
                # the number of an n-gram: of its first n - 1 words, and its last word
                ngrams = ngrams * vocabulary + self.words[last]
            distinct, ngrams = np.unique(ngrams, return_inverse=True)
            counts.append(self._count(caption[starts], ngrams, len(distinct)))
        return counts

    def _count(self, caption: IntArray, ngram: IntArray, num_ngrams: int) -> NgramCounts:
        """Count the occurrences, given as (caption, n-gram) pairs, and join the two sides."""
        key, count = np.unique(caption * max(num_ngrams, 1) + ngram, return_counts=True)
        caption, ngram = np.divmod(key, max(num_ngrams, 1))
        num_hypothesis_rows = int(np.searchsorted(caption, self.num_samples))
        reference_caption = caption[num_hypothesis_rows:] - self.num_samples
        reference_ngram = ngram[num_hypothesis_rows:]
        # A hypothesis has its sample's number, so its keys are keys of (sample, n-gram).
        hypothesis_key = key[:num_hypothesis_rows]
        reference_key = self.reference_sample[reference_caption] * num_ngrams + reference_ngram
        row = np.searchsorted(hypothesis_key, reference_key)
        shared = np.zeros(len(row), bool)
        inside = row < num_hypothesis_rows
        shared[inside] = hypothesis_key[row[inside]] == reference_key[inside]
        return NgramCounts(
            num_ngrams=num_ngrams,
            hypothesis_sample=caption[:num_hypothesis_rows],
            hypothesis_ngram=ngram[:num_hypothesis_rows],
            hypothesis_count=count[:num_hypothesis_rows],
            reference_caption=reference_caption,
            reference_ngram=reference_ngram,
            reference_count=count[num_hypothesis_rows:],
            shared_hypothesis=row[shared],
            shared_reference=np.flatnonzero(shared),
        )
