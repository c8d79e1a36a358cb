"""Rules for short free answers: exact match and its relatives, ANLS, numbers, yes or no."""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llava_eval.benchmarks.adapters.options import flat
from llava_eval.benchmarks.rows import EMPTY_CELLS
from llava_eval.errors import ConfigError
from llava_eval.scoring.reply import without_reasoning
from llava_eval.scoring.scorer import ReplyScorer, read
from llava_eval.types import Sample, Score


class ExactMatch(ReplyScorer):
    """The whole reply equals an accepted answer.

    Case, outer white space and a final full stop do not count; reasoning is not read. An empty
    reply, and one whose reasoning does not end, is unreadable, and wrong.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        text = without_reasoning(reply)
        if text is None:
            return read(sample, None, 0.0, "its reasoning does not end")
        answer = _normalised(text)
        if not answer:
            return read(sample, None, 0.0, "the reply is empty")
        accepted = {_normalised(target) for target in sample.targets}
        return read(sample, answer, answer in accepted, "the whole reply, case ignored")


def _normalised(text: str) -> str:
    # "é" may be written as one character or as two, which look the same.
    bare = unicodedata.normalize("NFC", text).strip()
    if bare.endswith((".", "。", "।")):
        bare = bare[:-1]
    return " ".join(bare.casefold().split())


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
#: Characters that a cell holds; pandas cuts the rest off.
_MOST_CHARACTERS = 32_767


def through_spreadsheet(text: str) -> str:
    r"""Return a text as it is after writing it with XlsxWriter and reading it with pandas.

    "N/A" and its like come back as "nan", and control characters as their codes: "\r" as
    ``_x000D_``, which holds a capital D. Very long texts are cut.
    """
    if text in EMPTY_CELLS:
        return "nan"
    kept = text[:_MOST_CHARACTERS]
    return _CONTROL.sub(lambda match: f"_x{ord(match.group()):04X}_", kept)


_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)
_LETTER_FIRST = re.compile(r"\s*([A-Z])\.")


def lmms_eval_exact(text: str) -> str:
    """Return a text as lmms-eval's exact_match compares it, case and punctuation ignored.

    Its numpy arrays keep a text's length when they lower-case it (the lower case of "İ" is longer)
    and drop zero bytes at the end.

    Source: EvolvingLMMs-Lab/lmms-eval, api/metrics.py, exact_match_hf_evaluate.
    """
    lowered = text.rstrip("\0").lower()[: len(text)]
    return lowered.translate(_DELETE_PUNCTUATION).rstrip("\0")


@dataclass(frozen=True)
class LmmsEvalExactMatch(ReplyScorer):
    """lmms-eval's exact_match: punctuation is deleted, not replaced; articles and spaces stay.

    Sources: EvolvingLMMs-Lab/lmms-eval, tasks/gqa/gqa.yaml; tasks/ai2d/utils.py,
    MultiChoiceRegexFilter.

    Attributes:
        cut_to_letter: a reply that begins with a capital letter and a full stop is that letter
            (AI2D), also where there is no such option.
    """

    cut_to_letter: bool = False

    def score(self, reply: str, sample: Sample) -> Score:
        letter = _LETTER_FIRST.match(reply) if self.cut_to_letter else None
        answer = lmms_eval_exact(reply if letter is None else letter.group(1))
        right = any(lmms_eval_exact(target) == answer for target in sample.targets)
        how = "the whole reply" if letter is None else 'the capital before "."'
        return read(sample, answer, right, f"{how}, case and punctuation ignored")


class GqaLlava(ReplyScorer):
    """GQA as LLaVA gives it to GQA's own script: lower case, without full stops at the end.

    Nothing else is removed, not even white space; the script compares with the answer as it is.

    Sources: haotian-liu/LLaVA, scripts/convert_gqa_for_eval.py; GQA's eval.py.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        answer = reply.rstrip(".").lower()
        how = "the whole reply in lower case, full stops at the end removed"
        return read(sample, answer, answer in sample.targets, how)


_THRESHOLD = 0.5


def edit_distance(first: str, second: str) -> int:
    """Return the fewest insertions, deletions and replacements from one text to the other."""
    row = list(range(len(first) + 1))
    for index, character in enumerate(second, start=1):
        diagonal, row[0] = row[0], index
        for column, old in enumerate(first, start=1):
            replaced = diagonal + (character != old)
            diagonal = row[column]
            row[column] = min(replaced, row[column] + 1, row[column - 1] + 1)
    return row[-1]


class Anls(ReplyScorer):
    """Average normalised Levenshtein similarity (arXiv 1907.00490); below a half it is 0.

    The distance is of lower-cased texts with single spaces, over the longer length of the
    upper-cased texts as they are: with spaces, and with "ß" as two letters.

    Source: EvolvingLMMs-Lab/lmms-eval, api/metrics.py, anls.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        distances = [
            edit_distance(flat(answer), flat(reply))
            / max(len(answer.upper()), len(reply.upper()), 1)
            for answer in sample.targets
        ]
        similarity = 1 - min(distances, default=1.0)
        value = similarity if similarity >= _THRESHOLD else 0.0
        return read(sample, reply, value, "the whole reply")


_MAX_RELATIVE_CHANGE = 0.05


class RelaxedAccuracy(ReplyScorer):
    """ChartQA's relaxed accuracy (arXiv 2203.10244, section 5.1).

    A percent sign divides its own side by 100, so "57" is wrong for "57%". A target of 0 is
    compared as text. A number is whatever Python's float() accepts, so a text with commas is none.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/chartqa/utils.py, relaxed_correctness (of Qwen-VL).
    """

    def score(self, reply: str, sample: Sample) -> Score:
        right = any(_is_near(reply, target) for target in sample.targets)
        return read(sample, reply, right, "the whole reply, numbers up to 5 % off")


def _is_near(reply: str, target: str) -> bool:
    number, wanted = _share(reply), _share(target)
    if number is None or not wanted:
        return reply.lower() == target.lower()
    return abs(number - wanted) / abs(wanted) <= _MAX_RELATIVE_CHANGE


def _share(text: str) -> float | None:
    number = _as_number(text.rstrip("%"))
    return number / 100.0 if number is not None and text.endswith("%") else number


class PopeLmmsEval(ReplyScorer):
    """POPE in lmms-eval: the reply is "yes" or "no" and nothing else, "Yes." is neither.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/pope/utils.py, pope_process_results.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        text = reply.lower().strip()
        answer = text if text in ("yes", "no") else None
        how = "the whole reply" if answer else "the reply is neither yes nor no and nothing else"
        return read(sample, answer, answer in sample.targets, how)


class PopeLlava(ReplyScorer):
    """POPE in LLaVA: "No", "no" or "not" among the words of the first sentence is no.

    Everything else is yes, also an empty reply, which is counted as unreadable. ``counted_as``
    among the details is what a reply counts as, readable or not.

    Source: haotian-liu/LLaVA, llava/eval/eval_pope.py.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        words = reply.partition(".")[0].replace(",", "").split(" ")
        answer = "no" if any(word in words for word in ("No", "not", "no")) else "yes"
        shown = answer if reply.strip() else None
        how = "by the words of the first sentence" if shown else "an empty reply counts as yes"
        return read(sample, shown, answer in sample.targets, how, {"counted_as": answer})


class MmeLmmsEval(ReplyScorer):
    """MME in lmms-eval: yes or no among the first four characters, full stops removed.

    "y" and "n" alone count too; "know" begins with no as well as "not", "none" and "now".

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mme/utils.py, parse_pred_ans.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        text = reply.lower().strip().replace(".", "")
        found = (word for word in ("yes", "no") if word in text[:4])
        answer = {"y": "yes", "n": "no"}.get(text) or next(found, None)
        where = "among the first four characters"
        how = where if answer else f"neither yes nor no {where}"
        return read(sample, answer, answer in sample.targets, how)


#: VSI-Bench's 0.5, 0.55, ... 0.95, in the reference's floating-point arithmetic.
_CONFIDENCES = tuple(float(level) for level in np.linspace(0.5, 0.95, 10))


_SMALL_NUMBERS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_NUMBER_WORDS = {
    **{word: number for number, word in enumerate(_SMALL_NUMBERS.split())},
    **{word: 10 * number for number, word in enumerate(_TENS.split(), start=2)},
    "hundred": 100,
    "thousand": 1000,
}
_DIGITS = re.compile(r"-?\d+(?:\.\d+)?")


@dataclass(frozen=True)
class VsiBench(ReplyScorer):
    """VSI-Bench: options by the first word, numbers by their mean relative accuracy.

    The first word ends at the first space; full stops at its end are removed. It is the option's
    letter in either case, or a number that ``float()`` accepts. A number scores the share of ten
    limits that its relative error does not exceed: 1 - c for c = 0.5, 0.55, ... 0.95.

    Source: vision-x-nyu/thinking-in-space 51e089c, lmms_eval/tasks/vsibench/utils.py,
    vsibench_process_results; EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/vsibench/utils.py,
    extract_number.

    Attributes:
        number_words: numbers are looked for anywhere, in digits or in English words, whichever
            come first, as lmms-eval does now.
    """

    number_words: bool = False

    def score(self, reply: str, sample: Sample) -> Score:
        word = reply.split(" ")[0].rstrip(".").strip()
        if sample.choices:
            right = any(word.lower() == target.lower() for target in sample.targets)
            known = len(word) == 1 and word.upper() in string.ascii_uppercase[: len(sample.choices)]
            return read(sample, word.upper() if known else None, right, "the first word")
        number = _first_number(reply) if self.number_words else _as_number(word)
        if number is None or not sample.targets:
            return read(sample, None, 0.0, "there is no number")
        target = _as_number(sample.targets[0])
        if not target or not math.isfinite(target):
            raise ConfigError(
                f"sample {sample.id}: the right answer {sample.targets[0]!r:.60} should be a "
                "number other than 0, as this scorer takes relative errors"
            )
        error = abs(number - target) / target
        accuracy = sum(error <= 1 - level for level in _CONFIDENCES) / len(_CONFIDENCES)
        return read(sample, f"{number:g}", accuracy, "as a number")


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _first_number(text: str) -> float | None:
    """Return the first number of a text, in digits or English words."""
    lowered = text.strip().lower()
    digits = _DIGITS.search(lowered)
    words: list[str] = []
    start = len(lowered)
    for match in re.finditer(r"[a-z]+", lowered):
        if match.group() in _NUMBER_WORDS:
            start = start if words else match.start()
            words.append(match.group())
        elif words and match.group() != "and":
            break
    if digits is not None and digits.start() < start:
        return float(digits.group())
    return _spelled_number(words) if words else None


def _spelled_number(words: Sequence[str]) -> float:
    """Return "three hundred twenty one" as a number; words in another order are added up, too."""
    total = current = 0
    for word in words:
        value = _NUMBER_WORDS[word]
        if word == "hundred":
            current = max(current, 1) * 100
        elif word == "thousand":
            total, current = total + max(current, 1) * 1000, 0
        else:
            current += value
    return float(total + current)


#: Full-width forms of ASCII and the ideographic space.
_FULL_WIDTH = {0xFEE0 + code: code for code in range(0x21, 0x7F)} | {0x3000: 0x20}
#: The parts of OCRBench with formulas, in which case counts and spaces do not.
_FORMULAS = ("HME100k", "Handwritten Mathematical Expression Recognition")


class OcrBenchLmmsEval(ReplyScorer):
    """OCRBench in lmms-eval: an accepted answer stands somewhere in the reply.

    Case is ignored, full-width characters become ASCII and line breaks become spaces. In formulas,
    spaces are removed and case counts. An empty answer stands in every reply.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/ocrbench/utils.py, ocrbench_process_results.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        comparable = _formula if sample.facets["dataset"] in _FORMULAS else _half_width
        text = comparable(reply.strip())
        right = any(comparable(target) in text for target in sample.targets)
        return read(sample, reply.strip(), right, "an accepted answer stands anywhere in it")


def _formula(text: str) -> str:
    return text.strip().replace("\n", " ").replace(" ", "")


def _half_width(text: str) -> str:
    return text.translate(_FULL_WIDTH).lower().strip().replace("\n", " ")
