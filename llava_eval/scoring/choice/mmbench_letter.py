"""MMBench's rules in two harnesses and HR-Bench's, as far as they need no language model."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping

from llava_eval.scoring.choice.letter import LetterRule
from llava_eval.scoring.choice.option_text import only_option_in
from llava_eval.scoring.choice.ranked_letter import ranked_letter
from llava_eval.scoring.scorer import ReplyScorer, read
from llava_eval.scoring.text import through_spreadsheet
from llava_eval.types import Sample, Score

_LMMS_EVAL_LETTERS = "ABCDE"
#: What may stand around a letter as a word of its own, in the order in which forms are tried.
_LMMS_EVAL_FORMS = (
    *("{}", "{}.", "{},", "{}:", "{})", "{}).", "({})", "({})."),
    *(":{}", ":{},", ":{}.", ":{})", ":{})."),
)
_NO_ANSWER_FROM_API = "Failed to obtain answer via API"
_VLMEVALKIT_SPACES = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_VLMEVALKIT_PHRASE = re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")
_VLMEVALKIT_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_LAST_WORDS = 4


class MmBenchLmmsEval(ReplyScorer):
    """MMBench in lmms-eval, as far as it needs no language model.

    A letter that is a word of its own (of five, whatever the number of options), a letter with a
    mark, or the text of exactly one option somewhere in the reply; in this order. What none of
    these reads is wrong and unreadable; there the original asks GPT. ``static`` among the details
    is the value with its own way without GPT: the letter in the most telling position.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mmbench/mmbench_evals.py, can_infer and
    eval_sub_data.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        options = _options(sample)
        letter = _lmms_eval_letter(reply) or only_option_in(reply, options)
        static = letter or ranked_letter(reply, "".join(options))
        details = {"static": float(static in sample.targets)} if sample.targets else {}
        how = "one letter as a word or with a mark, or the text of one option"
        return read(sample, letter, letter in sample.targets, how, details)


class MmBenchVlmEvalKit(LetterRule):
    """MMBench in VLMEvalKit with exact matching, after its spreadsheet.

    An option's letter that is the only one in the reply and stands among the last four words, a
    phrase ("answer is a cat" gives A), or the text of exactly one option in a reply of at most
    twice the options' length. A refusal is no answer.

    Source: open-compass/VLMEvalKit, vlmeval/utils/matching_util.py, can_infer.
    """

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        text = through_spreadsheet(reply)
        # An option that pandas reads as a missing value is no option here either.
        options = {letter: option for letter, option in _options(sample).items() if option}
        letter = _vlmevalkit_letter(text, options)
        if letter is None and len(text.lower()) <= 2 * sum(map(len, options.values())):
            letter = only_option_in(text, options)
        how = "the only letter, near the end or in a phrase, or the text of one option"
        return letter or None, how


class HrBenchLmmsEval(LetterRule):
    """HR-Bench in lmms-eval: VLMEvalKit's rules for MMBench without phrases and limits of length.

    An option's letter that is the only one in the reply, wherever it stands, or the text of exactly
    one option. A refusal is no answer. What none of these reads is wrong and unreadable; there the
    original asks GPT.

    Source: EvolvingLMMs-Lab/lmms-eval 0.7.3, tasks/hrbench/hrbench_evals.py, can_infer.
    """

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        options = _options(sample)
        letter = _vlmevalkit_letter(reply, options, anywhere=True)
        if letter is None:
            letter = only_option_in(reply, options)
        return letter or None, "the only letter, or the text of one option"


def _options(sample: Sample) -> dict[str, str]:
    return dict(zip(string.ascii_uppercase, sample.choices, strict=False))


def _lmms_eval_letter(reply: str) -> str | None:
    if _NO_ANSWER_FROM_API in reply:
        return None
    words = reply.split()
    for form in _LMMS_EVAL_FORMS:
        fitting = [letter for letter in _LMMS_EVAL_LETTERS if form.format(letter) in words]
        is_article = form == "{}" and fitting == ["A"] and len(words) > 3
        if len(fitting) == 1 and not is_article:
            return fitting[0]
    return None


def _vlmevalkit_letter(
    reply: str, options: Mapping[str, str], *, anywhere: bool = False
) -> str | None:
    """Return the letter; "" for a refusal, which ends the search, and None where none is read.

    Args:
        reply: the model's text.
        options: by letter.
        anywhere: the only letter counts wherever it stands, and phrases do not.
    """
    if _NO_ANSWER_FROM_API in reply:
        return None
    if any(refusal in reply for refusal in _VLMEVALKIT_REFUSALS):
        return ""
    words = reply.translate(_VLMEVALKIT_SPACES).split()
    fitting = [letter for letter in options if letter in words]
    if len(fitting) == 1 and (anywhere or words.index(fitting[0]) >= len(words) - _LAST_WORDS):
        return fitting[0]
    if not fitting and "Z" in words:
        return ""
    if anywhere:
        return None
    phrase = _VLMEVALKIT_PHRASE.search(reply)
    letter = phrase.group(1).upper() if phrase is not None else ""
    return letter if letter in options else None
