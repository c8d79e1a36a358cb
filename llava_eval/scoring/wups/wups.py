"""WUPS as NExT-QA defines it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llava_eval.errors import ConfigError
from llava_eval.scoring.scorer import ReplyScorer, read
from llava_eval.scoring.wups.english import English, check_english
from llava_eval.types import Sample, Score

#: Threshold of WUPS@0.9; below it a similarity counts a tenth.
_THRESHOLD = 0.9
_BELOW_THRESHOLD = 0.1

#: Types of questions whose answers must be equal: yes or no, and counting.
_EXACT_TYPES = ("DB", "DC")
_TYPE_FACET = "type"

#: Words that are dropped before words are compared: NLTK's list without "no", "not" and others that
#: matter to answers.
_STOP_WORDS = frozenset(
    """
    i me my myself we our ours ourselves you you're you've you'll you'd your yours yourself
    yourselves he him his himself she she's her hers herself it it's its itself they them their
    theirs themselves what which who whom this that that'll these those am is are was were be
    been being have has had having do does did doing a an the and but if or because as until
    while to from of at for with about into through during again further then here there when
    where why how all any each most other some such only own so than too very s t can will just
    don don't should should've now d ll m o re ve y ain aren aren't couldn couldn't didn didn't
    doesn doesn't hadn hadn't hasn hasn't haven haven't isn isn't ma mightn mightn't mustn
    mustn't needn needn't shan shan't shouldn shouldn't wasn wasn't weren weren't won won't
    wouldn wouldn't
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Wups(ReplyScorer):
    """NExT-QA's rule: lemmas without stop words, compared word by word.

    Each word of one side scores its best Wu-Palmer similarity to a word of the other side (1 for
    equal words, 0 for words that WordNet does not know). A side's score is the product over its
    words, without those that score 0, or 0 if none is left. An answer's score is the lower one of
    its two sides, and with two references the higher one of both. Yes/no and counting answers
    (types DB and DC) must be equal. Punctuation counts: "No." is not "no".

    The value is WUPS@All, with threshold 0; ``wups_0_9`` among the details is WUPS@0.9.

    Sources: doc-doc/NExT-OE, metrics.py and eval_oe.py; EvolvingLMMs-Lab/lmms-eval,
    tasks/nextqa/utils.py, nextqa_process_results.

    Attributes:
        additional_threshold: threshold of WUPS@0.9 for the additional reference; lmms-eval has 0.
    """

    additional_threshold: float = _THRESHOLD

    def __post_init__(self) -> None:
        check_english()

    def score(self, reply: str, sample: Sample) -> Score:
        """Return WUPS@All, with WUPS@0.9 among the details.

        Raises:
            ConfigError: the sample's type is not among its facets.
        """
        kind = sample.facets.get(_TYPE_FACET)
        if kind is None:
            raise ConfigError(
                f"sample {sample.id}: WUPS needs the facet {_TYPE_FACET!r}; benchmark.facets has "
                "to name it"
            )
        words = content_words(reply)
        references = [content_words(target) for target in sample.targets]
        if kind in _EXACT_TYPES:
            at_all = at_0_9 = float(words in references)
            how = "its content words, which must equal the answer's"
        else:
            at_all = at_0_9 = 0.0
            for number, reference in enumerate(references):
                threshold = self.additional_threshold if number else _THRESHOLD
                at_all = max(at_all, wups(words, reference, 0.0))
                at_0_9 = max(at_0_9, wups(words, reference, threshold))
            how = "its content words, compared word by word"
        return read(sample, words, at_all, how, {"wups_0_9": at_0_9} if references else {})


@functools.cache
def english() -> English:
    """Return the language resources, loaded once."""
    return English()


@functools.lru_cache(maxsize=100_000)
def content_words(text: str) -> str:
    """Return the lemmas of a text without stop words, joined by spaces."""
    return " ".join(word for word in english().lemmas(text) if word not in _STOP_WORDS)


def wups(reply: str, reference: str, threshold: float) -> float:
    """Return the WUPS of two texts of content words."""
    words, others = english().words(reply), english().words(reference)

    def similarity(first: str, second: str) -> float:
        if first == second:
            return 1.0
        result: float = english().wordnet.similarity(first, second)
        return result if result >= threshold else _BELOW_THRESHOLD * result

    return min(_side(words, others, similarity), _side(others, words, similarity))


def _side(
    words: Sequence[str], others: Sequence[str], similarity: Callable[[str, str], float]
) -> float:
    product, any_known = 1.0, False
    for word in words:
        best = max((similarity(word, other) for other in others), default=0.0)
        if best > 0.0:
            product *= best
            any_known = True
    return product if any_known else 0.0
