"""What is one token: the rules of the Penn Treebank tokenizer that caption metrics are defined on.

The rules describe the observable behaviour of `edu.stanford.nlp.process.PTBTokenizer` in
stanford-corenlp 3.4.1 (Manning et al. 2014, https://aclanthology.org/P14-5010), the version that
pycocoevalcap ships, with `-preserveLines -lowerCase`. They are written for this project and were
checked by putting several million lines to that program (`tests/scoring/captions/agreement.md`);
its lists of abbreviations and file extensions were found by trying every word of four letters, and
the words of large dictionaries. None of its code is copied.

Two ideas carry them:

* **Longest match.** At each place every rule is tried and the longest match wins, the first rule
  on a tie. A rule's `context` counts for the length but is left for the next token, so a longer
  context is how one reading beats another ("A. The" is a sentence's end, "A. Smith" is not).
* **Stand-ins.** The rules never see a non-ASCII character itself, only one character that stands
  for its class (`stand_ins`), so that they stay small and readable. The token's text is cut from
  the original.

Case: JFlex, which generated the original, folds case in literal words but not in `[...]` classes.
This is why "wash." is a word and a full stop while "Wash." and "WASH." are abbreviations.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from llava_eval.scoring.captions import ptb_characters


class Rule(NamedTuple):
    """One kind of token.

    Attributes:
        token: the pattern of the token, over stand-ins.
        context: what must follow the token, or "".
        rewrite: from the token's original text to what is printed, before lower-casing; None
            keeps the text. A result of "" prints nothing.
    """

    token: str
    context: str = ""
    rewrite: Callable[[str], str] | None = None


# ----------------------------------------------------------------------------- stand-ins

LETTER, MARK, DIGIT, SYMBOL, DROPPED = "\u00e4", "\u0301", "\u0661", "\u00a7", "\u0001"

# stand-in -> the characters that it stands for, where they have rules of their own
_SPECIAL = {
    "\u20ac": "\u0080\u00a2-\u00a5\u060b\u0e3f\u20a0\u20a4\u20ac\uffe0\uffe1\uffe5\uffe6",  # money
    "\u00bd": "\u00bc-\u00be\u2153-\u215e",  # fractions
    "\u00b2": "\u00b2\u00b3\u00b9\u2070\u2074-\u2079",  # superscript digits
    "\u2082": "\u2080-\u2089",  # subscript digits
    "\u207a": "\u207a\u207b\u208a\u208b",  # their signs
    "\u2013": "\u0096\u0097\u2013-\u2015",  # dashes
    "\u2010": "\u058a\u2010\u2011",  # hyphens inside a word, nothing elsewhere
    "\u2019": "\u0092\u2019",  # apostrophes
    "\u2018": "\u0091\u2018\u201b",  # quotes taken for an apostrophe inside some words
    "\u201c": "\u0093\u0094\u00ab\u00bb\u201a\u201c-\u201f\u2039\u203a",  # other quotes
    "\u2026": "\u2026",  # ellipsis
    "\u0085": "\u0085",  # an ellipsis too (cp1252), but white space as a context
    "\u066b": "\u066b\u066c",  # separators inside a number, nothing elsewhere
    "\u2003": "\u2000-\u200a\u3000",  # spaces
    "\u00a0": "\u00a0",
    "\u00ad": "\u00ad",
    "\u2044": "\u2044",  # fraction slash
    "\u3001": "\u3001",  # ideographic comma
    # Letters that are equal to i, s and k where case is ignored, here as in `re.IGNORECASE`.
    "\u0130": "\u0130",
    "\u0131": "\u0131",
    "\u017f": "\u017f",
    "\u212a": "\u212a",
}


def _expand(ranges: str) -> Iterator[int]:
    """Code points of "a-fx" (characters, as in a regular expression's class)."""
    for first, last in re.findall("(.)(?:-(.))?", ranges):
        yield from range(ord(first), ord(last or first) + 1)


def _expand_hex(ranges: str) -> Iterator[int]:
    """Code points of "1f-2a 3b" (hexadecimal, inclusive)."""
    for item in ranges.split():
        first, _, last = item.partition("-")
        yield from range(int(first, 16), int(last or first, 16) + 1)


@functools.cache
def stand_ins() -> dict[int, str]:
    """The table from code point to stand-in for `str.translate`; ASCII stays.

    One character for one, so offsets are kept.
    """
    table = defaultdict(lambda: DROPPED, ((code, chr(code)) for code in range(128)))
    for stand_in, ranges in (
        (LETTER, ptb_characters.LETTER),
        (MARK, ptb_characters.MARK),
        (DIGIT, ptb_characters.DIGIT),
        (SYMBOL, ptb_characters.SYMBOL),
    ):
        table.update(dict.fromkeys(_expand_hex(ranges), stand_in))
    for stand_in, characters in _SPECIAL.items():
        table.update(dict.fromkeys(_expand(characters), stand_in))
    return table


# --------------------------------------------------------------------- pieces of patterns


def _words(text: str) -> str:
    """An alternation of the given words in any case, the longest first."""
    words = sorted(text.split(), key=len, reverse=True)
    return f"(?i:{'|'.join(map(re.escape, words))})"


def _capitalised(text: str) -> str:
    """The given words with a capital first and any case after it ("The", "THE", not "the")."""
    words = sorted(text.split(), key=len, reverse=True)
    return "(?:" + "|".join(f"{w[0].upper()}(?i:{re.escape(w[1:])})" for w in words) + ")"


_SPACE = "[ \t\u00a0\u2003]"
_SPACE_OR_LINE = "[ \t\u00a0\u2003\u0085\n]"
_ALPHA = f"A-Za-z\u0130\u0131\u017f\u212a{LETTER}"
_NUMERAL = f"0-9{DIGIT}"
_ALNUM = f"[{_ALPHA}{_NUMERAL}]"
_LETTER_CLASS = f"{_ALPHA}{MARK}\u00ad"
_ENTITY_LETTER = "&[aeiouAEIOU](?i:acute|grave|uml);"
_LETTER = f"(?:[{_LETTER_CLASS}]|{_ENTITY_LETTER})"
_WORD_CLASS = f"[{_LETTER_CLASS}{_NUMERAL}]"
_WORD_REST = f"{_WORD_CLASS}*(?:{_ENTITY_LETTER}{_WORD_CLASS}*)*"
_WORD_PART = f"{_LETTER}{_WORD_REST}"
_WORD = f"{_WORD_PART}(?:[.!?]{_WORD_PART})*"
_ANY_WORD_PART = f"(?:{_WORD_CLASS}|{_ENTITY_LETTER}){_WORD_REST}"

_APOSTROPHE = "(?:['\u2019]|(?i:&apos;))"
_APOSTROPHE_OR_QUOTE = "(?:['\u2019`\u2018]|(?i:&apos;))"
_CLITIC = f"{_APOSTROPHE}(?:[msdMSD]|(?i:re|ve|ll))"
_NOT = f"[nN]{_APOSTROPHE_OR_QUOTE}[tT]"

_SEPARATOR = "[.:,\u00ad\u066b]"
_NUMBER = f"(?:[{_NUMERAL}]+(?:{_SEPARATOR}[{_NUMERAL}]+)*|(?:{_SEPARATOR}[{_NUMERAL}]+)+)"
_ACRONYM = r"[A-Za-z](?:\.[A-Za-z])+"
_COMPOUND_ACRONYM = r"(?i:(?:canada|sino|korean|eu|japan|non)-u\.s|u\.s\.-(?:u\.k|u\.s\.s\.r))"
# "1,000-foot", "U.S.-led", "x-U.S."
_HYPHENATED = rf"[A-Za-z0-9][A-Za-z0-9.,\u00ad]*(?:-(?:{_ACRONYM}\.|[A-Za-z0-9\u00ad]+))+"
# "half-eaten", "snake_case", "O'Brien", "jack-o'lantern"
_PREFIX = f"[dDoOlL]{_APOSTROPHE_OR_QUOTE}{_ALNUM}"
_COMPOUND = f"(?:{_PREFIX})?{_ALNUM}+(?:[-_\u2010](?:{_PREFIX})?{_ALNUM}+)*"

_JOINED_CAPITALS = "[A-Z]+(?:(?:[+&]|(?i:&amp;))[A-Z]+)+"  # "AT&T"

_NAME = r"[A-Za-z][A-Za-z0-9_:.-]*"
_VALUE = "(?:'[^'\n]*'|\"[^\"\n]*\")"
_TAG = rf"<(?:[!?][A-Za-z-][^>\n]*|{_NAME}(?: +{_NAME}(?: *= *{_VALUE})?)* */?|/{_NAME}) *>"
_PATH = '/[^ \t\n"<>|()]+[^ \t\n"<>|.!?(){},-]'
_PHONE = (
    "(?:"
    r"(?:\([0-9]{2,3}\)[ \u00a0]?|(?:\+\+?)?(?:[0-9]{2,4}[- \u00a0])?[0-9]{2,4}[- \u00a0])"
    r"[0-9]{3,4}[- \u00a0]?[0-9]{3,5}"
    r"|(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}"
    ")"
)

# Abbreviations that also end a sentence; their match takes two more characters as context.
_CLOSING_ABBREVIATION = (
    "(?:"
    + _words(
        "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri "
        "ala ariz calif colo conn ct dak fla ga ind kan kans ky md mich minn mo mont neb nev okla "
        "penn tenn va vt wis wisc wyo "
        "al assn bhd bldg blvd bros co corp cos esq est etc ext inc intl jr ltd plc rd rt seq sq "
        "sr sys tel univ ed.d ph.d"
    )
    + "|"
    + _capitalised("ark az del ill la mass miss ore pa tex wash")  # also words of their own
    + "|(?i:pp?t)[ey](?i:s?))"
)
_OPENING_ABBREVIATION = (
    "(?:"
    + _words(
        "adj adm adv alex assoc asst atty attys ave brig capt cf cie cmdr col comdr cpl dept det "
        "dr drs elec ens ft gen gov govs hon insp invt jos lieut lt maj messrs mlle mme mr mrs ms "
        "msgr mt natl pfc ph pres prof profs pvt rep reps rev sen sens sfc sgt spc st ste supt "
        "supts treas vs wm"
    )
    + "|[mM][ft][gG]|[A-Za-z])"
)
_NUMBERED_ABBREVIATION = _words("art ca fig figs no nos op pp prop")
# The last word of a text whose full stop may belong to it, in any case.
ABBREVIATION = (
    rf"(?<![A-Za-z])(?:{_CLOSING_ABBREVIATION}|{_OPENING_ABBREVIATION}|{_NUMBERED_ABBREVIATION})\Z"
)
# After "X." these words mean that the sentence has ended.
_SENTENCE_OPENER = _capitalised(
    "a about according additionally after an as at but earlier he her here however if in it last "
    "many more mr. ms. now once one other our she since so some such that the their then there "
    "these they this we what when while yet you"
)
_FILE_EXTENSION = _words(
    "bat bmp c cgi class cpp dll doc docx exe gif gz h htm html jar java jpeg jpg mov mp3 pdf php "
    "pl png ppt ps py sql tar txt wav x xml zip"
)

# --------------------------------------------------------------------------- rewriting

_CURRENCY = {"\u00a2": "cents", "\u00a3": "#", **dict.fromkeys("\u0080\u00a4\u20a0\u20ac", "$")}
_FRACTION = {
    "\u00bc": "1/4",
    "\u00bd": "1/2",
    "\u00be": "3/4",
    "\u2153": "1/3",
    "\u2154": "2/3",
}
_QUOTE = {
    **dict.fromkeys("\u0091\u2018\u201b\u2039", "`"),
    **dict.fromkeys("\u0092\u2019\u203a", "'"),
    **dict.fromkeys("\u0093\u201c\u00ab", "``"),
    **dict.fromkeys("\u0094\u201d\u00bb", "''"),
}
_BRACKET = {
    "(": "-lrb-",
    ")": "-rrb-",
    "[": "-lsb-",
    "]": "-rsb-",
    "{": "-lcb-",
    "}": "-rcb-",
}


def _rewriter(table: dict[str, str]) -> Callable[[str], str]:
    """A rewrite that replaces single characters, and keeps the others."""
    codes = str.maketrans(table)
    return lambda token: token.translate(codes)


_quote = _rewriter(_QUOTE)
_bracket = _rewriter(_BRACKET)
_keep_together = _rewriter({" ": "\u00a0"})  # a token with spaces is printed as one word
_smiley = _rewriter({"(": "-lrb-", ")": "-rrb-"})
_phone = _rewriter({" ": "\u00a0", "(": "-lrb-", ")": "-rrb-"})


def _constant(text: str) -> Callable[[str], str]:
    return lambda _token: text


def _drop_soft_hyphens(token: str) -> str:
    return token.replace("\u00ad", "") or "-"


def _plain_ampersand(token: str) -> str:
    return re.sub("(?i)&amp;", "&", token)


def _plain_apostrophe(token: str) -> str:
    """The clitic with an ASCII apostrophe, whatever stood there."""
    return "'" + re.sub("(?i)^(?:&apos;|.)", "", token)


def _plain_not(token: str) -> str:
    return "n`t" if token[1] in "`\u0091\u2018\u201b" else "n't"


def _angle(entity: str, sign: str) -> Callable[[str], str]:
    return lambda token: sign if token.lower() == entity else _bracket(token)


def _long_dash(token: str) -> str:
    """Runs of three or four hyphens are printed as two; longer ones as they are."""
    return "--" if 3 <= len(token) <= 4 else token


# ------------------------------------------------------------------------------- rules

_WITH_APOSTROPHE = _words("cont'd. cont'd nor'easter c'mon e'er s'mores ev'ry li'l nat'l")
_WWW = r"(?i:www)\.(?:[^ \t\n\"<>|.!?(){},]+\.)+[a-zA-Z]{2,4}"
# In the original's class ",-_" is a range: capitals, digits and most signs are excluded.
_DOMAIN = r"(?:[^ \t\n\"`'<>|.!?(){},-_$]+\.)+(?i:com|net|org|edu)"
_USER = r"(?:(?i:&lt;)|<)?[a-zA-Z0-9][^ \t\n\"<>|(){}\u00a0]*"
_HOST = r"(?:[^ \t\n\"<>|(){}.\u00a0]+\.)*[^ \t\n\"<>|(){}.\u00a0]+"
_OPENS_SENTENCE = f"{_SPACE_OR_LINE}+(?:{_SENTENCE_OPENER}|{_TAG}){_SPACE_OR_LINE}"

# All rules; on equal length the earlier one wins.
RULES = (
    # words, contractions, markup, addresses; "cannot" and friends are two tokens
    Rule("(?i:can)", "(?i:not)"),
    Rule("(?i:gon)", "(?i:na)"),
    Rule("(?i:got)", "(?i:ta)"),
    Rule("(?i:gim)", "(?i:me)"),
    Rule("(?i:lem)", "(?i:me)"),
    Rule("(?i:wan)", "(?i:na)"),
    Rule(_TAG, rewrite=_keep_together),
    Rule("(?i:&(?:md|mdash|ndash);)|\u2013", rewrite=_constant("--")),
    Rule("(?i:&amp;)", rewrite=_constant("&")),
    Rule("(?i:&nbsp;)", rewrite=_constant("")),
    Rule("(?i:&(?:ht|tl|ur|lr|qc|ql|qr|odq|cdq|#[0-9]+);)"),
    Rule(_WORD, _CLITIC, _drop_soft_hyphens),
    Rule(r"[A-Za-z\u00ad]*[A-MO-Za-mo-z]\u00ad*", _NOT, _drop_soft_hyphens),
    Rule(_WORD, rewrite=_drop_soft_hyphens),
    # words that keep an apostrophe inside, before or after them
    Rule(f"{_APOSTROPHE}(?:[nN]{_APOSTROPHE}?|(?i:em|cause|till?)|[2-9]0(?i:s))"),
    Rule(f"[lLdDjJ]{_APOSTROPHE}"),
    Rule(f"(?i:dunkin|somethin|ol){_APOSTROPHE}"),
    Rule(f"[A-HJ-XZn]{_APOSTROPHE_OR_QUOTE}[{_ALPHA}]{{2,}}"),
    Rule(f"[{_ALPHA}]+[aeiouyAEIOUY]{_APOSTROPHE_OR_QUOTE}[aeiouA-Z][{_ALPHA}]*"),
    Rule(_WITH_APOSTROPHE),
    Rule(f"[cC](?:(?i:ap){_APOSTROPHE}[nN]|{_APOSTROPHE}(?i:est))"),
    Rule(f"[oO]{_APOSTROPHE_OR_QUOTE}[oO]"),
    Rule("'[tT]", "(?i:is|was)"),
    Rule(f"[yY]{_APOSTROPHE}", f"[{_ALPHA}]"),
    Rule(r"(?i:https?)://[^ \t\n\"<>|(){}]+[^ \t\n\"<>|.!?(){},-]"),
    # addresses of the web without a scheme, and of mail
    Rule(_WWW),
    Rule(_WWW + _PATH),
    Rule(_DOMAIN),
    Rule(_DOMAIN + _PATH),
    Rule(f"{_USER}@{_HOST}>?"),
    Rule("@[a-zA-Z_][a-zA-Z_0-9]*"),
    Rule(f"#{_LETTER}+"),
    Rule(_CLITIC, "[^A-Za-z]", _plain_apostrophe),
    Rule(f"{_APOSTROPHE}[0-9][0-9]", _SPACE_OR_LINE),
    Rule(_NOT, rewrite=_plain_not),
    # numbers, dates, fractions, money and a few fixed spellings
    Rule(f"[{_NUMERAL}]{{1,2}}[-/][{_NUMERAL}]{{1,2}}[-/][{_NUMERAL}]{{2,4}}"),
    Rule(f"[-+]?{_NUMBER}", rewrite=_drop_soft_hyphens),
    Rule("\u207a?(?:\u00b2+|\u2082+)"),
    Rule(
        rf"(?:[{_NUMERAL}]{{1,4}}[- \u00a0])?[{_NUMERAL}]{{1,4}}(?:\\?/|\u2044)"
        rf"[{_NUMERAL}]{{1,4}}",
        rewrite=_keep_together,
    ),
    Rule("\u00bd", rewrite=lambda token: _FRACTION.get(token, token)),
    Rule("(?i:-[rl][rcs]b-)"),
    Rule(r"(?i:c\.d\.s)"),
    Rule("(?i:pro|anti)-"),
    Rule("(?i:s(?:&amp;|&)(?:p-500|ls))", rewrite=_plain_ampersand),
    Rule(r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}"),
    Rule(r"[A-Z]*\$|#"),
    Rule("\u20ac", rewrite=lambda token: _CURRENCY.get(token, token)),
    # full stops that belong to the word before them, file names, telephone numbers
    Rule("[A-Za-z]", rf"\.{_OPENS_SENTENCE}"),
    Rule(rf"{_CLOSING_ABBREVIATION}\.", r"[\s\S]{2}|[\s\S]?\Z"),
    Rule(rf"{_OPENING_ABBREVIATION}\."),
    Rule(rf"(?:{_ACRONYM}|{_COMPOUND_ACRONYM})\."),
    Rule(rf"{_NUMBERED_ABBREVIATION}\.", f"{_SPACE_OR_LINE}?[{_NUMERAL}]"),
    Rule(r"(?i:pte|pty)\.", f"{_SPACE}(?i:ltd|lim)"),
    Rule(
        rf"{_ANY_WORD_PART}(?:\.{_ANY_WORD_PART})*\.{_FILE_EXTENSION}",
        f"{_SPACE_OR_LINE}|[.?!,]",
    ),
    Rule(
        rf"(?:{_WORD}|{_HYPHENATED}|{_COMPOUND})\.",
        "[,;:\u3001]",
        _drop_soft_hyphens,
    ),
    Rule(rf"{_JOINED_CAPITALS}\.", "[,;:\u3001]", _plain_ampersand),
    Rule(_PHONE, rewrite=_phone),
    # quotes, brackets, dots, hyphenated words, smileys, symbols
    Rule('"|(?i:&quot;)', rewrite=_constant("")),
    Rule("<|(?i:&lt;)", rewrite=_angle("&lt;", "<")),
    Rule(">|(?i:&gt;)", rewrite=_angle("&gt;", ">")),
    Rule(r"[()\[\]{}]", rewrite=_bracket),
    Rule("-+", rewrite=_long_dash),
    Rule(r"\.{3,5}|(?:\.[ \u00a0]){2,4}\.|[\u2026\u0085]", rewrite=_constant("...")),
    Rule("@+|#+|_+"),
    Rule(r"\*+|(?:\\\*){1,3}"),
    Rule("[?!]+"),
    Rule(_HYPHENATED, rewrite=_drop_soft_hyphens),
    Rule(_COMPOUND),
    Rule(_JOINED_CAPITALS, rewrite=_plain_ampersand),
    Rule(r"[cC]\+\+|[cCfF]#"),
    Rule(_APOSTROPHE, rewrite=_constant("'")),
    Rule("'", "[A-Za-z][^ \t\n\u00a0]", _constant("`")),
    Rule(_CLITIC, rewrite=_plain_apostrophe),
    Rule("<<|>>"),
    Rule("''|[`\u2018\u2019\u201c]{1,2}", rewrite=_quote),
    Rule(r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]]", "[^A-Za-z0-9]", _smiley),
    Rule(
        r"[\^x=~<>]\.\[\^x=~<>\]|[-^x=~<>']_[-^x=~<>']"
        r"|\([-^x=~<>'][_.]?[-^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\)",
        rewrite=_smiley,
    ),
    Rule(f"[.,;:%+^~|\\\\&=/{SYMBOL}\u207a\u2044\u3001]"),
)
