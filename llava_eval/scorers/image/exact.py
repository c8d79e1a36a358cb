"""Rules that want the whole answer."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass

from llava_eval.scorers.image.reading import read
from llava_eval.types import Sample, Score

_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)
_LETTER_FIRST = re.compile(r"\s*([A-Z])\.")


def lmms_eval_exact(text: str) -> str:
    """Return a text as lmms-eval's exact_match compares it, case and punctuation ignored.

    Its arrays keep a text's length when they lower it (which "İ" outgrows) and drop zero bytes at
    the end.

    Source: EvolvingLMMs-Lab/lmms-eval, api/metrics.py, exact_match_hf_evaluate.
    """
    lowered = text.rstrip("\0").lower()[: len(text)]
    return lowered.translate(_DELETE_PUNCTUATION).rstrip("\0")


@dataclass(frozen=True)
class LmmsEvalExactMatch:
    """lmms-eval's exact_match: punctuation is deleted, not replaced; articles and spaces stay.

    Sources: EvolvingLMMs-Lab/lmms-eval, tasks/gqa/gqa.yaml; tasks/ai2d/utils.py,
    MultiChoiceRegexFilter.

    Attributes:
        cut_to_letter: a reply that begins with a capital letter and a full stop is that letter
            (AI2D), also where there is no such option.
    """

    cut_to_letter: bool = False

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for an equal text, else 0.0."""
        letter = _LETTER_FIRST.match(text) if self.cut_to_letter else None
        reply = lmms_eval_exact(text if letter is None else letter.group(1))
        right = any(lmms_eval_exact(target) == reply for target in sample.targets)
        return read(right, reply, sample)


@dataclass(frozen=True)
class GqaLlava:
    """GQA as LLaVA hands it to GQA's own script: full stops at the end go, and case.

    Nothing else goes, white space neither; the script compares with the answer as it is.

    Sources: haotian-liu/LLaVA, scripts/convert_gqa_for_eval.py; GQA's eval.py.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for an equal text, else 0.0."""
        reply = text.rstrip(".").lower()
        return read(reply in sample.targets, reply, sample)
