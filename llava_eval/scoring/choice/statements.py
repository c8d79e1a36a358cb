"""Finds the option letters that a reply states, and those that it rules out.

This is one pass over all mentions of options, and over copied lists of options. The answer is
decided later, in :mod:`llava_eval.scoring.choice.strict`.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Sequence

from llava_eval.scoring.choice.mention import REACH, Mention
from llava_eval.scoring.choice.tokens import Lexer, Token
from llava_eval.scoring.choice.words import Kind
from llava_eval.scoring.plain_text import plain_text, same_text

_LABELS = (Kind.LABEL, Kind.WEAK_LABEL)
#: A reply with more single letters comes from a model that repeats itself.
_MOST_LETTERS = 1000

#: A reply that was cut off after "answer:", where the letter may begin a word.
_CUT_OFF = re.compile("answer: *[a-z]")

_GROUP = re.compile(r"[Ll](?:(?:,*(?:\(?j{1,3}[mfs]*|[mf]*)o?|-|(?<![xT]L)>)L)*")
_SENTENCE_BREAK = re.compile("[.?;N]")
#: Letters named together, which may stand within a phrase: "of A, B and C".
_SEVERAL = re.compile("L(?:[,j-]*L)+")
_GAP_TO_TEXT = re.compile(r"[-.,;:)(Nj>]*[iv]?[ok]?\(?")
_GAP_FROM_TEXT = re.compile(r"[-(,:.]*[fok]*$")
#: A letter alone on its line, followed by a line with text: "Option A", then remarks on it.
_HEADS_A_PART = re.compile(r"[.:]?(?:$|N+(?!k?o?[Ll][.:]?(?:N|$))[^N])")
#: Words that keep several letters as candidates: "which leaves us with A and B".
_LEFT = re.compile(r"(?i)\b(?:left|leav\w+|down)(?: \w+){0,3} $")
#: Also for candidates: "it is either A or B".
_OR = re.compile(r"(?i)\b(?:or|oder|ou)\b|或|还是|または|또는")
#: Context that a quote shows around a letter, in whole words.
_EDGE = r"(?!(?<=[\w'])[\w'])"
_WORDS_BEFORE = re.compile(rf"{_EDGE}.{{0,24}}$|$", re.DOTALL)
_WORDS_AFTER = re.compile(rf".{{0,12}}{_EDGE}|", re.DOTALL)


def find_statements(reply: str, choices: Sequence[str]) -> tuple[dict[str, str], set[str]]:
    """Return the letters that a reply states, each with a quote, and those that it rejects.

    Args:
        reply: the model's text, without reasoning.
        choices: the option texts without letters.
    """
    plain = plain_text(reply)
    for letter, text in zip(string.ascii_uppercase, map(same_text, choices), strict=False):
        if text in tuple(string.ascii_lowercase):  # "A. F", where F is a label in the picture
            own = rf"(?m)(\b{letter}[.)]+) ?(?i:{text})(?=[.,](?!\w)| ?$)"
            plain = re.sub(own, r"\1", plain)
    # All letters, each on its own line, are a copied list of options if more than a letter follows:
    # a single letter may be the start of the list again.
    lines = r"[.:)]* ?\n\(?".join(string.ascii_uppercase[: max(3, len(choices))])
    plain = re.sub(rf"\A\(?{lines}[.:)]* ?\n(?=\n|.*\w.*\w)", "", plain)
    lexer = Lexer(plain, choices)
    if len(lexer.single_letters) > _MOST_LETTERS or _CUT_OFF.fullmatch(plain):
        return {}, set()
    return _Reply(plain, list(lexer.tokens())).statements()


class _Reply:
    """A reply as tokens, and the tokens' kinds joined to one string."""

    def __init__(self, plain: str, tokens: Sequence[Token]) -> None:
        self.plain = plain
        self.tokens = tokens
        self.kinds = "".join(token.kind for token in tokens)
        # "A: C", "A: the answer is C" and "Q: ... A: ...", where "A" abbreviates "answer".
        label = re.search("(?:^|N)L(?=:(?:L[.]?(?:N|$)|fr*a))|^L:[^N?]*[N?]+L(?=:)", self.kinds)
        if label is not None and tokens[label.end() - 1].letter == "A":
            self.kinds = f"{self.kinds[: label.end() - 1]}a{self.kinds[label.end() :]}"
        # "Yes" between two letters belongs to the first ("A yes B no"), or means "and" ("A ja B").
        self.kinds = re.sub("(?<=L)(?<!nL)Y(?=L)", Kind.WORD, self.kinds)
        begins = re.search("d|O[^.N]{0,4}:|O[iv]", self.kinds)
        self.discussion = len(tokens) if begins is None else begins.end()
        self.mentions = [
            self._mention(at) for match in _GROUP.finditer(self.kinds) for at in self._split(match)
        ]
        self.listed = self._listed()

    def _split(self, group: re.Match[str]) -> list[list[int]]:
        """Return the letters of one mention, or of two if the last letter has its own verb.

        "Unlike A, B is correct", "(A) B is wrong", "B — A and C are wrong" and "I choose B, A
        wrong" are two mentions, "A and B are correct" is one.
        """
        at = [number for number in range(*group.span()) if self.kinds[number] in _LABELS]
        following = self.kinds[group.end() : group.end() + 1]
        if following.isalpha():
            for number, (left, right) in enumerate(itertools.pairwise(at), start=1):
                if "—" in self.plain[self.tokens[left].end : self.tokens[right].start]:
                    return [at[:number], at[number:]]
        if len(at) > 2 and self.kinds[at[-1] - 1] != Kind.ARROW:
            *others, last = (self.tokens[number].letter for number in at)
            if last in others:
                return [at[:-1], at[-1:]]  # "between A and B, A"
        if len(at) > 1 and following in (Kind.IS, Kind.VERB) and self._are_apart(*at[-2:]):
            is_none_of = re.search("n[of]*$", self.kinds[: group.start()])  # "none of A, B is"
            if not is_none_of:
                return [at[:-1], at[-1:]]
        if len(at) == 2 and re.match("o?w", self.kinds[group.end() :]):
            first = self._mention(at[:1])
            if (
                self.kinds[at[0] + 1 : at[1]] == ","
                and first.is_given()
                and not first.begins_sentence
            ):
                return [at[:1], at[1:]]  # without a verb, as in Chinese
        return [at]

    def _are_apart(self, left: int, right: int) -> bool:
        """Return whether two letters are separated by a comma, or by a bracket before a rejection.

        A comma between the subjects of one verb does not count: "A, B are wrong", "A, B is wrong".
        """
        first, second = self._mention([left]), self._mention([right])
        is_bracketed = first.is_bracketed and not second.is_bracketed
        if right == left + 1:
            return is_bracketed and second.is_rejected(is_listed=False)
        is_plural = self.plain[self.tokens[right].end :].startswith((" are ", " were "))
        is_apart = is_bracketed or not first.begins_sentence
        return self.kinds[left + 1 : right] == "," and is_apart and not is_plural

    def _mention(self, at: Sequence[int]) -> Mention:
        start, end = at[0], at[-1] + 1
        letters = tuple(self.tokens[number].letter for number in at)
        text_letter, text_end = self._text_after(end)
        gap = _GAP_FROM_TEXT.search(self.kinds[max(0, start - 8) : start])
        text = self.tokens[start - 1 - (0 if gap is None else len(gap.group()))]
        is_text = text.kind not in _LABELS or text.letter == letters[0]
        verdict = text_end if text_letter == letters[-1] else end
        if self.kinds[verdict - 2 : verdict + 1] == "(T)":
            verdict += 1
        return Mention(
            letters=letters,
            start=start,
            end=end,
            before=_SEVERAL.sub("x", _SENTENCE_BREAK.split(self.kinds[:start][-REACH:])[-1]),
            earlier=self.kinds[:start],
            after=self.kinds[end:],
            verdict=self.kinds[verdict:],
            is_text=self.kinds[start] == Kind.TEXT,
            is_weak=self.kinds[start] == Kind.WEAK_LABEL,
            is_bracketed=self.plain[self.tokens[end - 1].end - 1] == ")",
            has_own_text=text_letter == letters[-1],
            text_before=text.letter if is_text and text.end <= self.tokens[start].start else "",
            is_early=start < self.discussion,
        )

    def _text_after(self, start: int) -> tuple[str, int]:
        """Return the letter of an option text that follows punctuation, or "", and its end."""
        gap = _GAP_TO_TEXT.match(self.kinds, start)
        at = start if gap is None else gap.end()
        if at == len(self.tokens) or self.kinds[at] in _LABELS:
            return "", start
        if self.kinds[at] != Kind.TEXT and re.search("[iv]", self.kinds[start:at]):
            return "", start  # "D is right", where an option is "right"
        return self.tokens[at].letter, at + 1

    def _quote(self, start: int, end: int) -> str:
        """Return tokens with the words around them, for the explanation."""
        first, last = self.tokens[start].start, self.tokens[end - 1].end
        before = next(_WORDS_BEFORE.finditer(self.plain, max(0, first - 24), first))[0]
        after = next(_WORDS_AFTER.finditer(self.plain, last))[0]
        return " ".join(f"{before}{self.plain[first:last]}{after}".split())

    def _is_open(self, pair: Mention) -> bool:
        first, last = self.tokens[pair.start].start, self.tokens[pair.end - 1].end
        return bool(_LEFT.search(self.plain[:first]) or _OR.search(self.plain, first, last))

    def statements(self) -> tuple[dict[str, str], set[str]]:
        """Return the stated letters with their quotes, and the rejected letters."""
        stated: dict[str, str] = {}
        rejected: set[str] = set()
        open_mentions: list[Mention] = []
        right_texts: dict[str, str] = {}
        open_pair: dict[str, str] = {}  # two candidates, until one of them is stated
        for number, mention in enumerate(self.mentions):
            quote = self._quote(mention.start, mention.end)
            if mention.is_rejected(is_listed=number in self.listed):
                rejected.update(mention.letters)
            elif number in self.listed:
                if mention.is_marked_right:
                    stated[mention.letters[0]] = quote
                elif mention.has_right_text:
                    right_texts[mention.letters[0]] = quote
            elif len(set(mention.letters)) > 2:
                continue  # options that are copied or discussed in turn: "A, B, C, or D"
            elif mention.is_stated():
                group = dict.fromkeys(mention.letters, quote)
                if len(group) > 1 and self._is_open(mention):
                    open_pair = group
                    continue
                open_pair = {} if open_pair.keys() & group.keys() else open_pair
                stated.update(group)
                other = self._other_text(mention)
                if other and other not in mention.letters:
                    stated[other] = quote  # another option's text: "A. a pretty girl"
            elif stated and mention.is_added:
                stated[mention.letters[0]] = quote
            elif not mention.is_unsaid():
                open_mentions.append(mention)
        stated.update(open_pair)
        if rejected:  # otherwise "right" may mean the direction
            stated.update(right_texts)
        stated.update(self._stated_texts(by_any_phrase=not stated))
        is_silent = not stated and not self.listed
        is_one_letter = len({mention.letters for mention in open_mentions}) == 1
        if is_silent and is_one_letter and all(item.is_only_answer() for item in open_mentions):
            mention = open_mentions[-1]
            stated[mention.letters[0]] = self._quote(mention.start, mention.end)
        return stated, rejected

    def _other_text(self, mention: Mention) -> str:
        """Return the letter of the option whose text is next to a mention, or ""."""
        return mention.text_before if mention.is_contradicted else self._text_after(mention.end)[0]

    def _stated_texts(self, *, by_any_phrase: bool) -> dict[str, str]:
        """Return the letters whose option text is stated as the answer, word for word."""
        own = {self._text_after(item.end)[1] - 1 for item in self.mentions if item.has_own_text}
        texts = {
            number: self._mention([number])
            for number, token in enumerate(self.tokens)
            if token.letter and token.kind not in _LABELS and number not in own
        }
        rejected = {n for n, text in texts.items() if text.is_rejected(is_listed=False)}
        named = {token.letter for n, token in enumerate(self.tokens) if n not in rejected} - {""}
        is_sole = by_any_phrase and len(named) == 1
        stated = {}
        for number, text in texts.items():
            if number in rejected or text.is_unsaid():
                continue
            token = self.tokens[number]
            words = self.plain[token.start : token.end]
            if text.is_given_text(words, is_sole=is_sole):
                stated[token.letter] = self._quote(number, number + 1)
        return stated

    def _listed(self) -> set[int]:
        """Return the numbers of mentions that are entries of lists of options.

        A list is two or more single letters in alphabetical order, in the same style, each followed
        by something ("A. a kite B. a girl"): options that are copied or discussed in turn.
        """
        listed: set[int] = set()
        run: list[int] = []
        entries = [
            number
            for number, mention in enumerate(self.mentions)
            if len(mention.letters) == 1 and self._is_entry(number)
        ]
        for number in [*entries, -1]:
            is_next = (
                bool(run)
                and number >= 0
                and self.mentions[number].letters > self.mentions[run[-1]].letters
                and self._style(number) == self._style(run[-1])
            )
            if not is_next:
                run = [*self._asked_before(run), *run]
                listed.update(run if len(run) > 1 else ())
                run = []
            run.append(number)
        return listed

    def _asked_before(self, run: Sequence[int]) -> list[int]:
        """Return the entry before a list at the end of a question: "A. a kite or B. a girl?"."""
        if not run or run[0] == 0 or not self.mentions[run[-1]].verdict.startswith("?"):
            return []
        first, second = self.mentions[run[0] - 1], self.mentions[run[0]]
        between = self.kinds[self._text_after(first.end)[1] : second.start]
        is_before = first.has_own_text and first.letters < second.letters
        is_alike = self._style(run[0] - 1) == self._style(run[0])
        goes_on = re.fullmatch("[,;]?j?", between) is not None
        return [run[0] - 1] if is_before and is_alike and goes_on else []

    def _style(self, number: int) -> str:
        """Return the style of an entry: "(A)", "A)", "A.", "A:", or "A" alone."""
        token = self.tokens[self.mentions[number].start]
        following = self.plain[token.end : token.end + 1]
        brackets = re.sub(r"\w|\s", "", self.plain[token.start : token.end])
        return brackets + (following if following in ".:、=-" else "")

    def _is_entry(self, number: int) -> bool:
        """Return whether a letter introduces something at a place where a list entry may be."""
        mention = self.mentions[number]
        previous = self.mentions[number - 1] if number else None
        if _HEADS_A_PART.match(mention.after) and not mention.before.strip("ok"):
            return True
        if not mention.after.partition("N")[0].strip(".:"):
            between = "N" if previous is None else self.kinds[previous.end : mention.start]
            return not between.strip(".,:;-(/")  # the last of a sequence such as "A. B. C. D."
        text = self.plain[self.tokens[mention.start].end :]
        if re.match(r"\s*[:=(]\s*[\d.]", text):
            return True  # probabilities
        if not (mention.is_bracketed or mention.has_own_text or mention.after[0] in ".:->"):
            return False
        if mention.is_bracketed and mention.after[0] in "iv":
            return False  # the subject of a sentence: "(C) is not shown"
        return (
            mention.is_bracketed
            or mention.begins_sentence
            or re.search("Oi?:?$", mention.before) is not None
            or mention.earlier[-1] in ",;(:j"
            or (previous is not None and self._text_after(previous.end)[1] == mention.start)
        )
