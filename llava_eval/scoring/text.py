"""What the rules here do with what they read.

Rules for free answers.

What a reply becomes when a reference keeps it in an .xlsx file before it looks at it.

Rules that want the whole answer.

ANLS: how near a text is to one of the answers, letter by letter.

ChartQA: numbers may be 5 % off.

Yes or no: POPE and MME.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass

from llava_eval.types import Sample, Score


def read(
    value: float, answer: str | None, sample: Sample, details: Mapping[str, object] | None = None
) -> Score:
    """Return the score of one reply.

    Args:
        value: what the rule makes of it; dropped where the sample has no target (hidden answers).
        answer: what was read; nothing at all, or an empty text, is unreadable, whatever it scores.
        sample: the question.
        details: further facts to keep.
    """
    return Score(
        value=float(value) if sample.targets else None,
        answer=answer or None,
        unreadable=not answer,
        details=details or {},
    )


@dataclass(frozen=True)
class ExactMatch:
    """The whole reply equals an accepted answer.

    Case, outer white space and a final full stop do not count. An empty reply is unreadable, and
    wrong.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 when the reply equals one of the targets, else 0.0."""
        answer = _normalised(text)
        if not answer:
            return Score(value=0.0, answer=None, unreadable=True)
        accepted = {_normalised(target) for target in sample.targets}
        return Score(value=float(answer in accepted), answer=answer)


def _normalised(text: str) -> str:
    return " ".join(text.strip().removesuffix(".").casefold().split())


#: Texts that pandas reads as empty cells, which are written as "nan" then.
_EMPTY_CELL = re.compile(
    r"(?:#N/A|#N/A N/A|#NA|-?1\.#IND|-?1\.#QNAN|-?NaN|-?nan|<NA>|N/A|NA|NULL|None|n/a|null)?"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
#: Characters that a cell holds; pandas cuts the rest off.
_MOST_CHARACTERS = 32_767


def through_spreadsheet(text: str) -> str:
    r"""Return a text as it comes back from XlsxWriter and pandas.

    "N/A" and its like come back as "nan", and control characters as their codes: "\r" as
    ``_x000D_``, which holds a capital D. Very long texts are cut.
    """
    if _EMPTY_CELL.fullmatch(text):
        return "nan"
    kept = text[:_MOST_CHARACTERS]
    return _CONTROL.sub(lambda match: f"_x{ord(match.group()):04X}_", kept)


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


THRESHOLD = 0.5


def edit_distance(first: str, second: str) -> int:
    """Return the fewest insertions, deletions and replacements from one text to the other."""
    row = list(range(len(first) + 1))
    for place, character in enumerate(second, start=1):
        diagonal, row[0] = row[0], place
        for column, other in enumerate(first, start=1):
            replaced = diagonal + (character != other)
            diagonal = row[column]
            row[column] = min(replaced, row[column] + 1, row[column - 1] + 1)
    return row[-1]


def normalised_distance(reply: str, answer: str) -> float:
    """Return the edit distance over the longer length, as lmms-eval has it.

    The distance is of lower-cased texts with single spaces, the lengths are of the upper-cased
    texts as they are: with spaces, and with "ß" as two letters.
    """
    length = max(len(answer.upper()), len(reply.upper()))
    if not length:
        return 0.0
    return edit_distance(_flat(answer), _flat(reply)) / length


def _flat(text: str) -> str:
    return " ".join(text.strip().lower().split())


@dataclass(frozen=True)
class Anls:
    """Average normalised Levenshtein similarity (arXiv 1907.00490); below a half it is 0.

    Source: EvolvingLMMs-Lab/lmms-eval, api/metrics.py, anls.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return the similarity to the nearest answer in [0, 1]."""
        if not sample.targets:
            return read(0.0, text, sample)
        similarity = 1 - min(normalised_distance(text, answer) for answer in sample.targets)
        return read(similarity if similarity >= THRESHOLD else 0.0, text, sample)


MAX_RELATIVE_CHANGE = 0.05


def relaxed_match(reply: str, target: str) -> bool:
    """Is the reply right by ChartQA's relaxed accuracy (arXiv 2203.10244, section 5.1)?

    A percent sign divides by 100 on its own side, so "57" is wrong for "57%". A target of 0 is
    compared as text. Commas make a text no number; whatever Python's float() takes is one.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/chartqa/utils.py, relaxed_correctness (of Qwen-VL).
    """
    number, wanted = _number(reply), _number(target)
    if number is None or not wanted:
        return reply.lower() == target.lower()
    return abs(number - wanted) / abs(wanted) <= MAX_RELATIVE_CHANGE


def _number(text: str) -> float | None:
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None


@dataclass(frozen=True)
class RelaxedAccuracy:
    """ChartQA's relaxed accuracy: :func:`relaxed_match`."""

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for a match, else 0.0."""
        return read(any(relaxed_match(text, one) for one in sample.targets), text, sample)


@dataclass(frozen=True)
class PopeLmmsEval:
    """POPE in lmms-eval: the reply is "yes" or "no" and nothing else, "Yes." is neither.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/pope/utils.py, pope_process_results.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right word, 0.0 for the other or neither."""
        reply = text.lower().strip()
        answer = reply if reply in ("yes", "no") else None
        return read(answer is not None and answer in sample.targets, answer, sample)


@dataclass(frozen=True)
class PopeLlava:
    """POPE in LLaVA: "No", "no" or "not" among the words of the first sentence is no.

    Everything else is yes, also an empty reply, which is counted as unreadable.

    Source: haotian-liu/LLaVA, llava/eval/eval_pope.py.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right word, 0.0 for the other.

        ``counted_as`` among the details is what a reply counts as, readable or not.
        """
        words = text.partition(".")[0].replace(",", "").split(" ")
        answer = "no" if any(word in words for word in ("No", "not", "no")) else "yes"
        shown = answer if text.strip() else None
        return read(answer in sample.targets, shown, sample, {"counted_as": answer})


@dataclass(frozen=True)
class MmeLmmsEval:
    """MME in lmms-eval: yes or no among the first four characters, full stops removed.

    "y" and "n" alone count too; "know" begins with no as well as "not", "none" and "now".

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mme/utils.py, parse_pred_ans.
    """

    def score(self, text: str, sample: Sample) -> Score:
        """Return 1.0 for the right word, 0.0 for the other or neither."""
        answer = _mme_answer(text.lower().strip().replace(".", ""))
        return read(answer is not None and answer in sample.targets, answer, sample)


def _mme_answer(reply: str) -> str | None:
    if len(reply) == 1:
        return {"y": "yes", "n": "no"}.get(reply)
    return next((word for word in ("yes", "no") if word in reply[:4]), None)
