"""Which option letters a reply states, and which it rules out.

A reply is made plain and becomes a row of tokens, each with a kind of one character (see
:mod:`llava_eval.scoring.choice_tokens`). What is said of a letter is then read from the kinds
before and after it: a phrase that gives an answer, a word that rejects one, the option's own text,
a list of options. Nothing is decided here: :func:`llava_eval.scoring.choice.read_choice` does that
once all is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llava_eval.scoring.choice_tokens import Lexer, Token
from llava_eval.scoring.plain_text import plain_text

#: A reply of more single letters is a model that repeats itself.
_MOST_LETTERS = 1000
#: So many tokens before and after a letter are looked at.
_REACH = 60

#: The end of a prompt, where a word may begin.
_CUT_OFF = re.compile("answer: *[a-z]")

_GROUP = re.compile(r"[Ll](?:(?:,?(?:\(?j{1,3}[mfs]*|[mf]*)o?|-)L)*")
_SENTENCE_BREAK = re.compile("[.?;N]")
#: Letters that are named together, which a phrase may go over: "of A, B and C".
_SEVERAL = re.compile("L(?:[,j-]*L)+")
_EDGES = "(,:-"
#: What may stand between the words that give an answer and the letter.
_BETWEEN = "[ftoaikr(,:]*"

# Before a letter, in its sentence (a label also in the one before it).
#: "Answer:", "The correct answer is:", "The answer to the question would be option:", ...
_LABEL = re.compile(rf"(?:a[fosi]*[xvgj]{{0,3}}|r[oa]*|k)[-:)>][-:N]*{_BETWEEN}$")
#: "the answer to the question is", "the best option is", but not "the option with a typo is"
_ANSWER_IS = re.compile(
    r"(?:[ar](?P<between>[^.?;NLl]{0,20}?)"
    r"|(?:^|[^fraxwmun1oOkh])[fra]*[ok]"
    r"(?:[ft]*|[^.?;NLlnwmu]{0,12}[raFcW][^.?;NLlnwmu]{0,8}?))"
    rf"i{_BETWEEN}$"
)
_GIVEN = re.compile(
    rf"a{_BETWEEN}$"  # "my answer B"
    r"|[cq][ftoOakis(:,]*$"  # "I choose option B"
    r"|[sSbY][ftoakisSY:,bjr.]*$"  # "so it's B", "but B"
    r"|>$|(?:^|,)[fsS]*i[ftoak:]*$"  # "-> B", "is B"
    r"|if+$"  # "sì, è la B"
)
_ONLY_SENTENCE = re.compile("^q?[fstx3]{1,4}[ivpI][ft]*$")  # "she is" reading a book
_SUBJECT = re.compile("^q?[fstx3]{1,4}[ivpI][ft]*$|^f?[x3]{1,2}$")  # "the chef" stirs the soup
_AFTER_CLAUSE = re.compile(r"^[^.?;NLl]{1,40}[,:-]$")
_NOUN_ONLY = re.compile(r"^[f(,-]*[ok][x.:-]?$")
_ADDED = re.compile(r"j[ftoak:]*$")  # "..., or D"
_DENIED = re.compile(
    r"n[iftoOakrsS:(v]*$|n[xvfsWF]{0,3}[cq][^.,:;?]*$"  # "not B", "I do not think that it is B"
    r"|[eu][foOaks(:]*$"  # "rather than B"
)
_EXCEPT = re.compile("(?P<denied>n[^.,]*)?e[foOak]*$")
_WRONG_BEFORE = re.compile(r"w[oakfi]*:?o?$")
_BY_OTHERS = re.compile("[3L]x?Z|3v?[ac]f*o?$")  # "the teacher says", "she picks"
_GRANTED = re.compile(r"y[^,]*$")

# After a letter, or after its own text.
_RIGHT_AFTER = re.compile(
    r"^(?:,(?=i))?o?(?P<between>[iftovFgjmsS-]*)[raV](?P<tail>[^.?,:;(NLlbgj]{0,8})"
)
_WRONG_AFTER = re.compile(
    r"^(?:,(?=i))?o?[iftovmsS:-]*(?:[wX]|n(?![foi]*L))"  # "is not right"
    r"|^\(f*w|^,n(?:[.N]|$)"  # "B (wrong)", "B, no"
    r"|^[^.?;NLl]*b[sSf]*i?f*(?:w|n[fi]*r)"  # "is tempting, but wrong"
)
_ALSO_AFTER = re.compile("^[ifov]*(?:s[fv]*m|m[fv]*s)")  # "is also possible"
#: "is possible", "would be right if"
_POSSIBLE_AFTER = re.compile("^(?:[-,:(]?[ifovgx]{0,4}m|[ifovra]*h)")
_CHOSEN_AFTER = re.compile(r"^(?:o?z|s?i(?:$|[.N])|,?q(?:$|[.,N]))")  # "B it is", "B, I think"
_MARKED_RIGHT = re.compile(r"^(?:[.:)-]*r(?:[.,;)]|$|N)|[^N]*(?:V|\(r\))\.?(?:$|N))")
#: "C is what happens", "C matches the video best", "C is chosen"
_FITS_AFTER = re.compile(
    "^o?(?:[fivpI]*[FW][fvrpI]*(?:$|[-.,;:)N(zgW])|i[fv]*[FW][^nmw.?N]*(?:$|[.N])"
    "|i[fs]{1,2}(?:$|[.N])|if*c)|^if*ra"
)
#: "this matches option C", "which means C", "she is doing C"
_FITS_BEFORE = re.compile(
    r"^[^nwum]*F[fpI]*[ok]?$|^[gsSW]?[fx3]{0,2}i?p$|W[^nwumoFOa]{0,3}i$"
    r"|^[^nwumoFOax]*[iv]o?$|^f*ro$|^[rWf]+F?io?$"
)
#: "he runs from the rain (C)", "... - option C", "not B: C"
_ADDED_AT_END = re.compile(r"^(?!f*kx)[^nwumoOa]*(?:[-:>]d?o?|\(d?o?)$|^f*1?o\($|^[fjx]*nx?L?:$")
_ASKED = re.compile(r"^[^.N]{0,12}\?")
_BEGINS_ANSWER = re.compile(r"^(?:[-.:,;(guy>]|j?f?n|f+[,.N](?!.*L))")
_LINE_ENDS = re.compile(r"^\.*(?:$|N)")
_SENTENCE_ENDS = re.compile("^(?:$|[.)N])")
_CLAUSE_ENDS = re.compile("^(?:$|[-.,;:)N(L]|z)")
_GOES_ON = re.compile("^(?:$|[-.,;:)N(LzgnbjsSfiuocvFmy])")
_GAP_TO_TEXT = re.compile(r"[-.,;:)(Nj>]*[iv]?[ok]?\(?")
_GAP_FROM_TEXT = re.compile(r"[-(,:.]*[fok]*$")


@dataclass(frozen=True)
class Statements:
    """What a reply says of the options.

    Attributes:
        stated: letters that it gives as its answer, each with the words that do so.
        rejected: letters that it rules out.
    """

    stated: dict[str, str]
    rejected: frozenset[str]


def find_statements(reply: str, choices: Sequence[str]) -> Statements:
    """Return which letters a reply states and rejects.

    Args:
        reply: the model's text, without reasoning.
        choices: the option texts without letters.
    """
    plain = plain_text(reply)
    lexer = Lexer(plain, choices)
    if len(lexer.single_letters) > _MOST_LETTERS or _CUT_OFF.fullmatch(plain):
        return Statements({}, frozenset())
    return _Reply(plain, list(lexer.tokens())).statements()


@dataclass(frozen=True)
class _Mention:
    """One option letter, or several joined by commas and "and", where the reply names it.

    Attributes:
        letters: the letters in their order.
        start, end: of its tokens.
        before: the kinds of its sentence before it.
        earlier: all kinds before it.
        after: the kinds after it.
        verdict: the same, after its own option's text where that follows.
        is_weak: nothing but a phrase makes a letter of it ("the answer is b").
        is_bracketed: it is written as "(B)" or "B)".
        has_own_text: its own option's text follows it.
        follows_own_text: its own option's text stands right before it, as in "a girl (B)".
        is_early: no discussion of the options has begun before it.
    """

    letters: tuple[str, ...]
    start: int
    end: int
    before: str
    earlier: str
    after: str
    verdict: str
    is_weak: bool
    is_bracketed: bool
    has_own_text: bool
    follows_own_text: bool
    is_early: bool

    @property
    def begins_sentence(self) -> bool:
        """Whether nothing that tells stands before it in its sentence."""
        return _begins(self.before)

    def is_rejected(self, *, is_listed: bool) -> bool:
        """Return whether the reply rules these letters out."""
        if self.is_excepted():
            return False
        right = _RIGHT_AFTER.match(self.verdict)
        if not is_listed and (
            _DENIED.search(self.before) or (_WRONG_BEFORE.search(self.before) and right is None)
        ):
            return True
        if right is not None and re.search("[nw]", right["between"] + right["tail"]):
            return True
        return _WRONG_AFTER.match(self.verdict) is not None

    def is_excepted(self) -> bool:
        """Return whether the others are ruled out: "all but B are wrong", "nothing except B"."""
        match = _EXCEPT.search(self.before)
        return match is not None and bool(match["denied"] or _WRONG_AFTER.match(self.verdict))

    def is_unsaid(self) -> bool:
        """Return whether its sentence only supposes, grants or allows what it says."""
        conclusion = re.split("[bS]", self.before)[-1]
        supposed = "h" in conclusion and not _LABEL.search(self.earlier)
        return (
            supposed
            or self.after.startswith("Z")
            or _BY_OTHERS.search(conclusion) is not None
            or _GRANTED.search(self.before) is not None
            or _POSSIBLE_AFTER.match(self.verdict) is not None
        )

    def is_stated(self) -> bool:
        """Return whether the reply gives these letters as its answer."""
        if not (self.earlier + self.after).strip(".,:;?()-jfNV"):
            return True
        if self.is_unsaid():
            return False
        if self.is_excepted():
            return True
        if self.is_weak:
            return self._is_weakly_stated()
        if not self.before.strip(_EDGES + "frzV") and _LINE_ENDS.match(self.after):
            return True
        if _ASKED.match(self.after):
            return False
        if self.is_said_right():
            return True
        if self.begins_sentence and re.match(r"[ov]\.?(?:$|N)", self.after):
            return True
        if (_GOES_ON.match(self.after) or self.has_own_text) and self.is_given():
            return True
        if len(self.letters) > 1:
            return False
        if self.begins_sentence and (self.is_bracketed or _BEGINS_ANSWER.match(self.after)):
            return self.is_early
        # As in "no run (A), no sit (C)" and "the second option is C".
        is_denied = re.search("n[^b;]*$|1o[^b;]*$", self.before) is not None
        return not is_denied and (self.has_own_text or self.follows_own_text)

    def is_said_right(self) -> bool:
        """Return whether what follows says that the letters are right or chosen."""
        right = _RIGHT_AFTER.match(self.verdict)
        return bool((right and "m" not in right["tail"]) or _CHOSEN_AFTER.match(self.after))

    def is_given(self) -> bool:
        """Return whether a phrase before the letters gives them as the answer."""
        return (
            _gives(self.before, self.earlier)
            or _GIVEN.search(self.before) is not None
            or (_NOUN_ONLY.match(self.before) and _CLAUSE_ENDS.match(self.after)) is not None
            or (_AFTER_CLAUSE.match(self.before) and _SENTENCE_ENDS.match(self.after)) is not None
        )

    def _is_weakly_stated(self) -> bool:
        """Return whether a lower-case letter without brackets is an answer.

        It is where it introduces its own text, or ends a clause after a phrase that gives an
        answer; an "a" only before a full stop: the reply may have been cut off after an article.
        """
        is_word = self.letters[0] in "AI"
        if self.begins_sentence and self.has_own_text:
            return True
        if (
            not is_word
            and self.begins_sentence
            and (not self.after.strip(".") or re.match(",?g", self.after) or self.is_said_right())
        ):
            return True
        may_end = not is_word or re.search("[fr]a[fi]*:f*$", self.earlier)
        ends = re.match("[.)z]" if not may_end else "$|[.)N,;gz]", self.after)
        return (ends is not None or self.has_own_text) and (
            _gives(self.before, self.earlier)
            or re.search("(?:[cqsSoka>]|^i)[foakisS:,]*$", self.before) is not None
        )

    def is_only_answer(self) -> bool:
        """Return whether a letter, the only one of a reply, answers without one of the phrases.

        Its sentence must say so of it: "C matches", "which means C", "he runs from the rain (C)".
        """
        clause = self.before.split(",")[-1]
        if len(self.letters) > 1 or self.is_weak or "?" in self.after or re.match("[^(]*d", clause):
            return False
        ends = _SENTENCE_ENDS.match(self.after) is not None
        fits_before = _FITS_BEFORE.search(clause) is not None
        return (
            ((_begins(clause) or fits_before) and _FITS_AFTER.match(self.after) is not None)
            or (clause.endswith("W") and re.match("F(?:$|[.,N])", self.after) is not None)
            or (fits_before and _CLAUSE_ENDS.match(self.after) is not None)
            or (self.is_bracketed and clause.endswith(":"))
            or (ends and _ADDED_AT_END.search(clause + "(" * self.is_bracketed) is not None)
        )


def _begins(before: str) -> bool:
    return not before.strip(_EDGES + "frzV") or _NOUN_ONLY.match(before) is not None


def _gives(before: str, earlier: str) -> bool:
    """Return whether a label or "the answer is" stands before something."""
    answer = _ANSWER_IS.search(before)
    is_given = answer is not None and "n" not in (answer["between"] or "")
    return is_given or _LABEL.search(earlier[-_REACH:]) is not None


class _Reply:
    """A reply as tokens, and the kinds of all as one text."""

    def __init__(self, plain: str, tokens: Sequence[Token]) -> None:
        self.plain = plain
        self.tokens = tokens
        self.kinds = "".join(token.kind for token in tokens)
        # "A: C", "A: the answer is C" and "Q: ... A: ...", where "A" stands for "answer".
        label = re.search("(?:^|N)L(?=:(?:L[.]?(?:N|$)|fr*a))|^L:[^N?]*[N?]+L(?=:)", self.kinds)
        if label is not None and tokens[label.end() - 1].letter == "A":
            self.kinds = f"{self.kinds[: label.end() - 1]}a{self.kinds[label.end() :]}"
        begins = re.search("d|O[^.N]{0,4}:|O[iv]", self.kinds)
        self.discussion = len(tokens) if begins is None else begins.end()
        self.mentions = [
            self._mention(at) for match in _GROUP.finditer(self.kinds) for at in self._split(match)
        ]
        self.listed = self._listed()

    def _split(self, group: re.Match[str]) -> list[list[int]]:
        """Return the letters of one mention, or of two where the last has a verb of its own.

        "Unlike A, B is correct" speaks of two letters, "A and B are correct" of one group.
        """
        at = [number for number in range(*group.span()) if self.kinds[number] in "Ll"]
        if len(at) > 2 and self.tokens[at[-1]].letter in {self.tokens[n].letter for n in at[:-1]}:
            return [at[:-1], at[-1:]]  # "between A and B, A"
        if (
            len(at) > 1
            and self.kinds[at[-2] + 1 : at[-1]] == ","
            and self.kinds[group.end() : group.end() + 1] in ("i", "v")
            and not re.search("n[of]*$", self.kinds[: group.start()])  # "none of A, B is"
        ):
            return [at[:-1], at[-1:]]
        return [at]

    def _mention(self, at: Sequence[int]) -> _Mention:
        start, end = at[0], at[-1] + 1
        letters = tuple(self.tokens[number].letter for number in at)
        text_letter, text_end = self._text_after(end)
        gap = _GAP_FROM_TEXT.search(self.kinds[max(0, start - 8) : start])
        text = self.tokens[start - 1 - (0 if gap is None else len(gap.group()))]
        verdict = text_end if text_letter == letters[-1] else end
        return _Mention(
            letters=letters,
            start=start,
            end=end,
            before=self._sentence_before(start),
            earlier=self.kinds[:start],
            after=self.kinds[end:],
            verdict=self.kinds[verdict:],
            is_weak=self.kinds[start] == "l",
            is_bracketed=self.plain[self.tokens[end - 1].end - 1] == ")",
            has_own_text=text_letter == letters[-1],
            follows_own_text=text.end <= self.tokens[start].start and text.letter == letters[0],
            is_early=start < self.discussion,
        )

    def _text_after(self, start: int) -> tuple[str, int]:
        """Return the letter whose option's text follows after marks, or "", and where that ends."""
        gap = _GAP_TO_TEXT.match(self.kinds, start)
        at = start if gap is None else gap.end()
        if at == len(self.tokens) or self.kinds[at] in "Ll":
            return "", start
        if self.kinds[at] != "T" and re.search("[iv]", self.kinds[start:at]):
            return "", start  # "D is right", where an option is "right"
        return self.tokens[at].letter, at + 1

    def _sentence_before(self, start: int) -> str:
        before = _SENTENCE_BREAK.split(self.kinds[max(0, start - _REACH) : start])[-1]
        return _SEVERAL.sub("x", before)

    def _quote(self, start: int, end: int) -> str:
        """Return the words around tokens, for people."""
        first, last = self.tokens[start].start, self.tokens[end - 1].end
        return " ".join(self.plain[max(0, first - 24) : last + 12].split())

    def statements(self) -> Statements:
        """Return what is stated and rejected."""
        stated: dict[str, str] = {}
        rejected: set[str] = set()
        open_mentions: list[_Mention] = []
        for number, mention in enumerate(self.mentions):
            quote = self._quote(mention.start, mention.end)
            if mention.is_rejected(is_listed=number in self.listed):
                rejected.update(mention.letters)
            elif number in self.listed:
                if _MARKED_RIGHT.match(mention.after):
                    stated[mention.letters[0]] = quote
            elif len(set(mention.letters)) > 2:
                continue  # options that are copied or gone through: "A, B, C, or D"
            elif mention.is_stated():
                stated.update(dict.fromkeys(mention.letters, quote))
                other, _ = self._text_after(mention.end)
                if other and other not in mention.letters:
                    stated[other] = quote  # another option's text: "A. a pretty girl"
            elif stated and (_ADDED.search(mention.before) or _ALSO_AFTER.match(mention.verdict)):
                stated[mention.letters[0]] = quote
            elif not mention.is_unsaid():
                open_mentions.append(mention)
        stated.update(self._stated_texts(by_any_phrase=not stated))
        if (
            not stated
            and not self.listed
            and len({mention.letters for mention in open_mentions}) == 1
            and all(mention.is_only_answer() for mention in open_mentions)
        ):
            mention = open_mentions[-1]
            stated[mention.letters[0]] = self._quote(mention.start, mention.end)
        return Statements(stated, frozenset(rejected))

    def _stated_texts(self, *, by_any_phrase: bool) -> dict[str, str]:
        """Return the letters whose option's text is given as the answer, word for word.

        Args:
            by_any_phrase: where no other option is named at all, every phrase that states a letter
                states a text, and so does a clause of its own; else only "answer:" and the like.
        """
        stated: dict[str, str] = {}
        texts = {
            number: self._mention([number])
            for number, token in enumerate(self.tokens)
            if token.letter and token.kind not in "Ll"
        }
        rejected = {n for n, text in texts.items() if text.is_rejected(is_listed=False)}
        named = {token.letter for n, token in enumerate(self.tokens) if n not in rejected} - {""}
        for number, text in texts.items():
            token = self.tokens[number]
            if number in rejected or text.is_unsaid():
                continue
            is_given = _gives(text.before, text.earlier)
            if by_any_phrase and len(named) == 1:
                word = self.plain[token.start : token.end]
                sentence = _SUBJECT if " " in word else _ONLY_SENTENCE
                is_alone = not text.before.strip("f,(") or (
                    sentence.match(text.earlier) and not text.after.strip(".")
                )
                ends = "$|[-.;:)(NgV]|,g" if " " in word else "$|[-.,;:)(NgV]"
                if (is_alone and re.match(ends, text.after)) or (
                    token.kind == "T" and text.is_said_right()
                ):
                    stated[token.letter] = self._quote(number, number + 1)
                is_given |= token.kind == "T" and text.is_given() and text.before[-1:] != "j"
            if is_given and re.match("$|[.,;)N]", text.after):
                stated[token.letter] = self._quote(number, number + 1)
        return stated

    def _listed(self) -> set[int]:
        """Return the numbers of mentions that are entries of lists of options.

        A list is two or more single letters in alphabetical order, written alike, each introducing
        something ("A. a kite B. a girl"): options that were copied, or are gone through.
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
                listed.update(run if len(run) > 1 else ())
                run = []
            run.append(number)
        return listed

    def _style(self, number: int) -> str:
        """Return how an entry is written: "(A)", "A)", "A.", "A:", or "A" alone."""
        token = self.tokens[self.mentions[number].start]
        following = self.plain[token.end : token.end + 1]
        brackets = re.sub(r"\w|\s", "", self.plain[token.start : token.end])
        return brackets + (following if following in ".:、=-" else "")

    def _is_entry(self, number: int) -> bool:
        """Return whether a letter introduces something, where an entry of a list may stand."""
        mention = self.mentions[number]
        previous = self.mentions[number - 1] if number else None
        if not mention.after.partition("N")[0].strip(".:"):
            between = "N" if previous is None else self.kinds[previous.end : mention.start]
            return not between.strip(".,:;-(/")  # the last of a row such as "A. B. C. D."
        text = self.plain[self.tokens[mention.start].end :]
        if re.match(r"\s*[:=(]\s*[\d.]", text):
            return True  # probabilities
        if not (mention.is_bracketed or mention.has_own_text or mention.after[0] in ".:-"):
            return False
        if mention.is_bracketed and mention.after[0] in "iv":
            return False  # the subject of a sentence: "(C) is not shown"
        return (
            mention.is_bracketed
            or _NOUN_ONLY.match(mention.before) is not None
            or not mention.before.strip(_EDGES)
            or re.search("Oi?:?$", mention.before) is not None
            or mention.earlier[-1] in ",;(:j"
            or (previous is not None and self._text_after(previous.end)[1] == mention.start)
        )
