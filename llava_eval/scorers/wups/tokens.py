"""Words as pywsd 1.2 takes a sentence apart, and as NLTK does."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_Rule = tuple[re.Pattern[str], str]


def _rules(*pairs: tuple[str, str]) -> tuple[_Rule, ...]:
    return tuple((re.compile(pattern), replacement) for pattern, replacement in pairs)


#: Penn Treebank tokenization as pywsd's tokenizer has it, in the order of application. It lags
#: behind NLTK's: there "*" and ".." are marks of their own, and a quote before a word is split off.
_BEFORE_PADDING = _rules(
    (r"([«“\u2018„]|[`]+)", r" \1 "),
    (r"^\"", r"``"),
    ("(``)", r" \1 "),
    (r"([ \(\[{<])(\"|'{2})", r"\1 `` "),
    (r"([^\.])(\.)([\]\)}>\"'»”\u2019 ]*)\s*$", r"\1 \2 \3 "),
    (r"([:,])([^\d])", r" \1 \2"),
    (r"([:,])$", r" \1 "),
    (r"\.\.\.", r" ... "),
    (r"[;@#$%&]", r" \g<0> "),
    (r"([^\.])(\.)([\]\)}>\"']*)\s*$", r"\1 \2\3 "),
    (r"[?!]", r" \g<0> "),
    (r"([^'])' ", r"\1 ' "),
    (r"[\]\[\(\)\{\}\<\>]", r" \g<0> "),
    (r"--", r" -- "),
)
_AFTER_PADDING = _rules(
    (r"([»”\u2019]+)", r" \1 "),
    ('"', " '' "),
    (r"(\S)('')", r"\1 \2 "),
    (r"([^' ])('[sS]|'[mM]|'[dD]|') ", r"\1 \2 "),
    (r"([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", r"\1 \2 "),
    *(
        (rf"(?i)\b({first})({second})\b", r" \1 \2 ")
        for first, second in (
            ("can", "not"),
            ("d", "'ye"),
            ("gim", "me"),
            ("gon", "na"),
            ("got", "ta"),
            ("lem", "me"),
            ("mor", "'n"),
        )
    ),
    (r"(?i)\b(wan)(na)\s", r" \1 \2 "),
    (r"(?i) ('t)(is)\b", r" \1 \2 "),
    (r"(?i) ('t)(was)\b", r" \1 \2 "),
)


def pywsd_words(text: str, sentences: Callable[[str], Sequence[str]]) -> list[str]:
    """Return the tokens of a text.

    Args:
        text: any text.
        sentences: splits it into sentences.
    """
    return [word for sentence in sentences(text) for word in _sentence_words(sentence)]


def _sentence_words(sentence: str) -> list[str]:
    for pattern, replacement in _BEFORE_PADDING:
        sentence = pattern.sub(replacement, sentence)
    sentence = f" {sentence} "
    for pattern, replacement in _AFTER_PADDING:
        sentence = pattern.sub(replacement, sentence)
    return sentence.split()
