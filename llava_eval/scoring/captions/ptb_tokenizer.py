"""The tokenizer of the caption metrics, without Java.

`tokenize` gives what `pycocoevalcap.tokenizer.ptbtokenizer.PTBTokenizer` gives: the Penn Treebank
tokenizer of stanford-corenlp 3.4.1 (rules in `ptb_rules`), lower case, punctuation removed, the
tokens joined by a space.

Worth knowing when reading its output:

* brackets become words, "-lrb-" and "-rrb-": the reference's list of punctuation spells them in
  capitals and is applied after lower-casing, so they stay;
* a pound sign becomes "#", a euro "$", one half "1/2"; emoji and unknown characters vanish;
* a token can hold a no-break space ("1 1/2" is one token). BLEU and CIDEr split there, ROUGE-L
  does not. The metrics here do the same, hence strings and not lists of tokens.

Differences from the reference, on purpose:

* Line breaks inside a caption (CR, VT, FF, U+2028, U+2029) are spaces here, as LF is in both. The
  reference would start a new line there and give every later image the wrong caption.
* A tag whose quoted value is not closed is no tag. In the reference it goes on to the next quote of
  the file, however many captions later.

Known and left: which capital sigmas Java takes for final ones in words that mix Greek with other
scripts, and a web address of one emoji, which Java counts as two characters.
Counts of agreement are in `tests/scoring/captions/agreement.md`.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Callable, Sequence

from llava_eval.scoring.captions import ptb_rules

# pycocoevalcap's list (tokenizer/ptbtokenizer.py). Its capital "-LRB-" and the like never occur
# after lower-casing, and are left out here.
_PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", ""])

_LINE_BREAK = re.compile("[\n\r\v\f\u2028\u2029]")

# Captions of plain words, by far the most: no rule looks beyond a word of them, but for the words
# below. Checked against the full rules in the tests.
_PLAIN = re.compile(r" *[A-Za-z]+(?:-[A-Za-z]+)*(?:,? +[A-Za-z]+(?:-[A-Za-z]+)*)*(?: *\.)? *")
_SPLIT_WORDS = frozenset(["cannot", "gonna", "gotta", "gimme", "lemme", "wanna"])
# A word of letters before a blank is a token whatever follows.
_PLAIN_WORD = re.compile("[A-Za-z]+(?=[ \n])")
_BLANKS = re.compile("[ \n]+")


@functools.cache
def _rules() -> list[tuple[re.Pattern[str], Callable[[str], str] | None]]:
    """All rules, compiled at the first use, not at import."""
    return [
        (re.compile(f"({rule.token})(?:{rule.context})"), rule.rewrite) for rule in ptb_rules.RULES
    ]


def _tokens(text: str, shape: str, begin: int, end: int) -> list[str]:
    """Lower-case tokens of `text[begin:end]`; contexts may look beyond `end`.

    Args:
        text: the original text.
        shape: the text with stand-ins for its non-ASCII characters; same length.
        begin: index of the first character that tokens are made of.
        end: index behind the last one.
    """
    tokens = []
    position = begin
    while position < end:
        if blanks := _BLANKS.match(shape, position):
            position = blanks.end()
            continue
        word = _PLAIN_WORD.match(shape, position)
        if word is not None and word[0].lower() not in _SPLIT_WORDS:
            tokens.append(word[0].lower())
            position = word.end()
            continue
        longest, rewrite, token_end = position, None, position + 1
        for pattern, rewritten in _rules():
            match = pattern.match(shape, position)
            if match is not None and match.end() > longest:
                longest, rewrite, token_end = match.end(), rewritten, match.end(1)
        if longest > position:  # otherwise no rule knows the character: it is dropped
            token = text[position:token_end]
            tokens.append(_lower(rewrite(token) if rewrite else token))
        position = token_end
    return tokens


def tokenize(captions: Sequence[str]) -> list[str]:
    """Tokenize the captions of a set as the reference does: as one file, one caption a line.

    A caption's last token can depend on the line after it: a final "at 20°C." keeps its full stop
    ("c.") unless the next caption starts with "The", "A" or the like. So values equal the
    reference's only for the same captions in the same order: all references of the first image,
    then those of the second, and so on.

    Args:
        captions: any texts, in any number; each is one line.

    Returns:
        For each caption its tokens joined by one space; "" where nothing is left.
    """
    lines = [_LINE_BREAK.sub(" ", caption) for caption in captions]
    text = "\n".join(lines)
    shape = text if text.isascii() else text.translate(ptb_rules.stand_ins())
    tokenized = []
    begin = 0
    for line in lines:
        end = begin + len(line)
        plain = _tokenize_plain(line)
        if plain is None:
            plain = _without_punctuation(_tokens(text, shape, begin, end))
        tokenized.append(plain)
        begin = end + 1
    return tokenized


def tokenize_set(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    """Tokenize captions and the references of each, as the reference does: as two files."""
    flat = iter(tokenize([*itertools.chain.from_iterable(references)]))
    return tokenize(hypotheses), [[*itertools.islice(flat, len(own))] for own in references]


def _tokenize_plain(line: str) -> str | None:
    """The result for a line of plain words, or None where the full rules are needed."""
    if _PLAIN.fullmatch(line) is None:
        return None
    line = line.lower()
    stop = line.find(".")
    if stop != -1:
        line = line[:stop]
        # Only the last run of letters can be such a word: looking elsewhere takes most of the time.
        last = max(line.rfind(" "), line.rfind("-")) + 1
        if re.compile(ptb_rules.ABBREVIATION, re.IGNORECASE).match(line, last):
            return None
    words = line.replace(",", " ").split()
    return " ".join(words) if _SPLIT_WORDS.isdisjoint(words) else None


def _without_punctuation(tokens: list[str]) -> str:
    # The reference strips the line and splits it again: white space inside a token counts.
    words = " ".join(tokens).rstrip().split(" ")
    return " ".join([word for word in words if word not in _PUNCTUATION])


# What Java's word iterator takes for one word, closely enough to find the end of a Greek word:
# letters and digits, some signs between two letters, some between two digits; not kana nor most
# ideographs.
_WORD_TO_LOWER = re.compile(
    r"(?:[^\W_\u3040-\u30ff\u4e00-\u9fa5\uf900-\ufa2d]|[\u0300-\u036f\u00ad]"
    r"|(?<=[^\W\d_])[-_.'\u2010\u2011](?=[^\W\d_])|(?<=\d)[.,'](?=\d))+"
)


#: Modifiers, combining marks and numerals that are cased, too.
_OTHERWISE_CASED = re.compile(
    "[\u02b0-\u02b8\u02c0\u02c1\u02e0-\u02e4\u0345\u037a\u1d2c-\u1d61\u2160-\u217f\u24b6-\u24e9]"
)


def _lower(token: str) -> str:
    """Java's lower case. It differs from Python's in which capital sigmas are final."""
    if "\u03a3" in token:
        token = _WORD_TO_LOWER.sub(lambda word: _lower_word(word[0]), token)
    return token.lower()


def _lower_word(word: str) -> str:
    """A sigma is final after a cased letter if no cased letter follows it in the word."""
    lowered = []
    for index, character in enumerate(word):
        if character == "\u03a3":
            final = any(map(_is_cased, word[:index])) and not any(map(_is_cased, word[index + 1 :]))
            lowered.append("\u03c2" if final else "\u03c3")
        else:
            lowered.append(character.lower())
    return "".join(lowered)


def _is_cased(character: str) -> bool:
    """`isCased` of java.lang.ConditionalSpecialCasing."""
    is_letter = unicodedata.category(character) in ("Lu", "Ll", "Lt")
    return is_letter or _OTHERWISE_CASED.match(character) is not None
