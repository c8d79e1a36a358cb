"""How VQA's evaluation, and the server EvalAI, make texts comparable."""

from __future__ import annotations

import re

from llava_eval.scorers.image.contractions import CONTRACTIONS

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_OFFICIAL_NUMBER = re.compile(r"\d,\d")
_EVALAI_NUMBER = re.compile(r"(?<=\d),+(?=\d)")
_PERIOD = re.compile(r"\.(?!\d)")
#: The originals hand re.UNICODE to ``sub`` as the number of replacements.
_MOST_PERIODS = int(re.UNICODE)
_NUMBERS = "none=0 zero=0 one=1 two=2 three=3 four=4 five=5 six=6 seven=7 eight=8 nine=9 ten=10"
_DIGITS = dict(pair.split("=") for pair in _NUMBERS.split())
_ARTICLES = frozenset({"a", "an", "the"})


def on_one_line(text: str) -> str:
    """Return a text with spaces for newlines and tabs, stripped."""
    return text.replace("\n", " ").replace("\t", " ").strip()


def official_text(text: str) -> str:
    """Return a text as VQA's own evaluation compares it; it must be on one line already.

    Source: GT-Vision-Lab/VQA, vqaEval.py, processPunctuation and processDigitArticle.
    """
    return _plain_words(without_punctuation(text))


def lmms_eval_text(text: str) -> str:
    """Return a text as lmms-eval compares it for VQAv2: EvalAI's rule without its first step.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/vqav2/utils.py.
    """
    return _plain_words(without_punctuation(on_one_line(text), _EVALAI_NUMBER))


def evalai_text(text: str) -> str:
    """Return a text as EvalAI compares it, and as LLaVA hands answers in.

    Commas and question marks go first, and "'s" becomes a word of its own.

    Source: facebookresearch/mmf, EvalAIAnswerProcessor.
    """
    lowered = text.lower().replace(",", "").replace("?", "").replace("'s", " 's")
    return lmms_eval_text(lowered.strip())


def without_punctuation(text: str, number: re.Pattern[str] = _OFFICIAL_NUMBER) -> str:
    """Delete a mark that touches a space anywhere in the text; elsewhere it becomes a space.

    In a text that holds a number with a comma, every mark is deleted.
    """
    cleaned = text
    has_number = number.search(text) is not None
    for mark in _PUNCTUATION:
        touches_space = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if touches_space or has_number else " ")
    return _PERIOD.sub("", cleaned, count=_MOST_PERIODS)


def _plain_words(text: str) -> str:
    words = [_DIGITS.get(word, word) for word in text.lower().split()]
    return " ".join(CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)
