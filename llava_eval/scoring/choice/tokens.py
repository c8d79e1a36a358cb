# ruff: noqa: RUF001
"""Splits a reply into tokens: letters, texts of options, words by what they do, punctuation."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llava_eval.scoring.choice.words import KINDS, Kind
from llava_eval.scoring.plain_text import same_text

_SINGLE_LETTER = re.compile(
    r"(?<![0-9A-Za-zÀ-ɏḀ-ỿ°&@/\\])(?<!\b[MD]r\.\s)(?<!\b[MD]rs\.\s)"
    r"(?<![A-Za-zÀ-ɏḀ-ỿ]['’.-])([A-Za-z])"
    r"(?![0-9A-Za-zÀ-ɏḀ-ỿ+#°@]|['’](?![dt][ıiuü]r)[A-Za-z]|\.[A-Za-z]\.|\.\d|/\d)"
    r"|(?<=[A-Z]/)(?<!N/)([A-Z])(?![0-9A-Za-z])"
)
#: Scripts without spaces between words.
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u1049\u1780-\u17d3\u1100-\u11ff\u2e80-\u2fff\u3040-\ud7ff\uf900-\ufaff]"
)
_WORD = re.compile(
    r"\d+ ?%|'\w{1,3}\b"
    r"|(?:\w|[\u0900-\u0963\u0966-\u0dff\u064b-\u065f])+(?:'(?:t|s|d|ll|re|ve|m)\b|'(?=\w\w))?"
)
_ARROW = re.compile("-{1,2}>|=>|[→⇒∴]")
_ENUMERATOR = re.compile(r"\d{1,2}\.(?=\s)")
_TEXT_ENDS = re.compile(r"(?!\w|[.:,]\d)|(?<=[\u2e80-\uffff])")
_MOST_WORDS = max(len(phrase.split()) for phrase in KINDS)
_MOST_CHARACTERS = 8
_MARKS_BY_KIND = {
    ".": ".!。…।။។።",
    ";": ";；",
    "?": "?？؟",
    ",": ",、،",
    ":": ":=៖፦",
    "-": "-–—~",
    "(": "(",
    ")": ")",
    Kind.AND: "/&+",
    Kind.TICK: "✅✔☑✓√",
    Kind.CROSS: "❌✗✘✖🚫×",
    Kind.NEW_LINE: "\n",
}
_MARKS = {mark: kind for kind, marks in _MARKS_BY_KIND.items() for mark in marks}
#: What follows an "A" that is an option's letter and no article: "A is", "A not", "A because".
_AFTER_THE_LETTER_A = (
    *(Kind.IS, Kind.VERB, Kind.FITS, Kind.NOT, Kind.BECAUSE, Kind.BUT, Kind.AND, Kind.IF, Kind.IT),
    *(Kind.THINK, Kind.CHOSEN, Kind.SO, Kind.POSSIBLE, Kind.UNLIKE, Kind.ALTHOUGH, Kind.PRONOUN),
)


@dataclass(frozen=True, slots=True)
class Token:
    """A letter, an option's text, a word or a mark.

    Attributes:
        kind: what it is or does; for punctuation, the mark itself or its common equivalent.
        start, end: position in the plain text, including brackets around a letter.
        letter: the option's letter, or the letter of the option whose text it is; empty for other
            tokens, and for a text that several options share.
    """

    kind: str
    start: int
    end: int
    letter: str = ""


class Lexer:
    """Splits a plain text into tokens.

    Attributes:
        single_letters: each letter that is a word of its own, by position; small letters only if
            an option has them.
    """

    def __init__(self, plain: str, choices: Sequence[str]) -> None:
        self.plain = plain
        # Of the same length as the text: "İ" and "ß", which would become two characters, stay.
        lowered = (character.casefold() for character in plain)
        pairs = zip(lowered, plain, strict=True)
        self._lowered = "".join(low if len(low) == 1 else character for low, character in pairs)
        texts: dict[str, str] = {}
        for letter, choice in zip(string.ascii_uppercase, map(same_text, choices), strict=False):
            if len(choice) > 1 or choice.isdigit() or _UNSPACED.match(choice):
                texts[choice] = "" if choice in texts else letter
        self._texts = sorted(texts.items(), key=lambda item: -len(item[0]))
        small = string.ascii_lowercase[: len(choices)]
        self.single_letters = {
            match.start(): match.group()
            for match in _SINGLE_LETTER.finditer(plain)
            if match.group().isupper() or match.group() in small
        }

    def tokens(self) -> Iterator[Token]:
        """Yield the tokens in their order."""
        position, previous = 0, Token(Kind.NOTHING, 0, 0)
        while position < len(self.plain):
            if self.plain[position] == " ":
                position += 1
                continue
            token = (
                self._enumerator(position, previous)
                or self._letter(position)
                or self._text(position)
                or self._phrase(position)
                or self._mark(position)
            )
            position = token.end
            if token.kind is not Kind.NOTHING:
                previous = token
                yield token

    def _enumerator(self, position: int, previous: Token) -> Token | None:
        """Return the number of the next list entry, as in "1. A 2. B", unless it is B's text."""
        match = _ENUMERATOR.match(self.plain, position) if previous.kind is Kind.LABEL else None
        if match is None:
            return None
        text = self._text(position)
        if text is not None and text.letter == previous.letter:
            return None
        return Token(Kind.WORD, *match.span())

    def _mark(self, position: int) -> Token:
        """Return the token of a punctuation mark; its kind is NOTHING if it has no meaning."""
        arrow = _ARROW.match(self.plain, position)
        if arrow is not None:
            return Token(Kind.ARROW, *arrow.span())
        return Token(_MARKS.get(self.plain[position], Kind.NOTHING), position, position + 1)

    def _letter(self, position: int) -> Token | None:
        opening = re.compile(r"\(\s?|").match(self.plain, position)
        start = position if opening is None else opening.end()
        letter = self.single_letters.get(start)
        if letter is None:
            return None
        closing = re.compile(r"\s?\)").match(self.plain, start + 1)
        if closing is not None and (start > position or not self._in_brackets(position)):
            # "(B)", and "B)" unless its bracket was opened before.
            return Token(Kind.LABEL, position, closing.end(), letter.upper())
        kind = None if start > position else self._kind_of(letter, start)
        return None if kind is None else Token(kind, start, start + 1, letter.upper())

    def _in_brackets(self, position: int) -> bool:
        before = self.plain[max(0, position - 240) : position]
        return before.count("(") > before.count(")")

    def _kind_of(self, letter: str, index: int) -> str | None:
        """Return the kind of a letter without brackets; None for a word or a name."""
        before, after = self.plain[max(0, index - 40) : index], self.plain[index + 1 : index + 80]
        if self._own_text_follows(letter.upper(), index + 1):
            return Kind.LABEL if letter.isupper() else Kind.WEAK_LABEL
        if re.match(r"-[A-Za-z]", after) or self._text(index) is not None:
            return None  # a compound, or a word of an option's text: "A blue square"
        is_word = letter in "AIaeiouy" and re.match(r"[ \t]+[A-Za-zÀ-ɏ]", after) is not None
        if letter.islower():
            return None if is_word else Kind.WEAK_LABEL
        previous = re.search(r"([^\W\d_]+)[-\s]*$", before)
        noun = None if previous is None else KINDS.get(previous.group(1).lower())
        has_noun = noun in (Kind.OPTION, Kind.LETTER, Kind.ANSWER)
        if not is_word or (has_noun and letter != "I"):
            return Kind.LABEL
        if letter != "A":
            return None
        following = self._phrase(index + 1 + len(after) - len(after.lstrip()))
        kind = None if following is None else following.kind
        if following is not None and kind is Kind.FILL:
            ends_clause = re.match(r"\s*(?:$|[.,!;\n])", self.plain[following.end :])
            kind = Kind.CHOSEN if ends_clause else kind  # "A obviously"
        # "A and B", "A ist", but not the Portuguese "A opção B".
        is_joined = kind is not Kind.OPTION and re.match(r"\s+(?:\w{1,5}\s+)?\(?[A-Z](?!\w)", after)
        # "A Explanation: ...", "A Answer: B", "A The answer is B", where no article stands.
        goes_on = re.match(r"\s+(?:[A-Z]\w+(?: \w+)?:|[Aa]nswer\b|The\b)", after)
        return Kind.LABEL if kind in _AFTER_THE_LETTER_A or is_joined or goes_on else None

    def _own_text_follows(self, letter: str, index: int) -> bool:
        """Return whether the letter's own option text, and nothing longer, follows directly.

        In a copied list the next letter comes after it: "A a kite B a girl".
        """
        gap = re.compile(r"[\s.:)-]*").match(self.plain, index)
        token = self._text(index if gap is None else gap.end())
        return (
            token is not None
            and token.letter == letter
            and re.compile(r"\s*(?:$|[^\w\s]|\n|[A-Z]\b)").match(self.plain, token.end) is not None
        )

    def _text(self, position: int) -> Token | None:
        """Return the longest option text at a position.

        If that is a known word ("No", "right"), the token keeps the word's kind.
        """
        here = self.plain[position : position + 1]
        is_in_word = here.isascii() and position > 0 and self.plain[position - 1].isalnum()
        if not here or is_in_word:
            return None
        for text, letter in self._texts:
            end = position + len(text)
            if self._lowered.startswith(text, position) and _TEXT_ENDS.match(self.plain, end):
                phrase = self._phrase(position)
                kind = Kind.WORD if phrase is None or phrase.end != end else phrase.kind
                return Token(Kind.TEXT if kind is Kind.WORD else kind, position, end, letter)
        return None

    def _phrase(self, position: int) -> Token | None:
        """Return the longest known phrase at a position, or a word of no kind; None for a mark."""
        if _UNSPACED.match(self.plain, position):
            for end in range(position + _MOST_CHARACTERS, position, -1):
                kind = KINDS.get(self._lowered[position:end])
                if kind is not None:
                    return Token(kind, position, end)
            return Token(Kind.WORD, position, position + 1)
        token: Token | None = None
        start = position
        for _ in range(_MOST_WORDS):
            word = _WORD.match(self._lowered, start)
            if word is None:
                break
            phrase = self._lowered[position : word.end()]
            if self.plain[position : word.end()] == "I":
                phrase = "I"  # not the "i" that is "and" in Polish
            if phrase in KINDS:
                token = Token(KINDS[phrase], position, word.end())
            elif token is None and start == position:
                base = phrase.removesuffix("'s")
                kind = KINDS.get(base) or _kind_by_ending(base)
                token = Token(kind, position, position + len(base))
            start = word.end()
            if self.plain[start : start + 1] == " ":
                start += 1
            elif not phrase.endswith("'"):
                break
        return token


def _kind_by_ending(word: str) -> Kind:
    if word.endswith("n't"):
        return Kind.NOT
    is_adverb = word.endswith("ly") and len(word) > 6
    is_share = word.endswith("%")  # how sure somebody is
    return Kind.FILL if is_adverb or is_share else Kind.WORD
