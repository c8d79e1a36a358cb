"""Decides whether a sentence states an option's letter, rules it out, or only mentions it.

This module defines all forms of sentences that state or reject a letter, as regular expressions
over the kinds of tokens before and after it. :class:`llava_eval.scoring.choice.words.Kind` names
the kinds, one character each: "aio" is "answer is option". A letter in a sentence of no such form
is only mentioned.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Number of tokens before and after a letter that are examined.
REACH = 60

_EDGES = "(,:-"
#: Tokens allowed between the words that announce an answer and the letter.
_BETWEEN = "[ftoaikr(,:]*"

# Before a letter, in its sentence (a label also in the one before it).
#: "Answer:", "The correct answer is:", "The answer to the question would be option:", ...
_LABEL = re.compile(rf"(?:a[fosi]*[xvgj]{{0,3}}|r[oa]*|k)[-:)>][-:N]*{_BETWEEN}$")
#: "the answer to the question is", "the best option is", but not "the option with a typo is"
_ANSWER_IS = re.compile(
    r"(?:(?<!1)[ar](?P<between>[^.?;NLl]{0,20}?)"
    r"|(?:^|[^fraxwmun1oOkh])[fra]*[ok]"
    r"(?:[ft]*|[^.?;NLlnwmu]{0,12}[raFcW][^.?;NLlnwmu]{0,8}?))"
    rf"i{_BETWEEN}$"
)
_GIVEN = re.compile(
    rf"(?<!1)a{_BETWEEN}$"  # "my answer B"
    r"|[cq][ftoOakis(:,]*$"  # "I choose option B"
    r"|[sSbY][ftoakisSY:,bjr.]*$"  # "so it's B", "but B"
    r"|>$|(?:^|,)[fsS]*i[ftoak:]*$"  # "-> B", "is B"
    r"|if+$"  # "sì, è la B"
)
_AFTER_CLAUSE = re.compile(r"^[^.?;NLl]{1,40}(?:,|(?<!O)(?<!Oi)[:-])$")
_NOUN_ONLY = re.compile(r"^[f(,-]*[ok][x.:-]?$")
_ADDED = re.compile(r"j[ftoak:]*$")  # "..., or D"
_DENIED = re.compile(
    r"n[iftoOakrsS:(v]*$|n[xvfsWF]{0,3}[cq][^.,:;?]*$"  # "not B", "I do not think that it is B"
    r"|[eu][foOaksi(:]*$"  # "rather than B"
)
_EXCEPT = re.compile("(?P<denied>n[^.,]*)?e[foOak]*$")
_WRONG_BEFORE = re.compile(r"w[oakfi]*:?o?$")
_BY_OTHERS = re.compile("[34L]x?Z|(?:3|4v?)[ac]f*o?$")  # "the teacher says", "she picks"
_GRANTED = re.compile(r"y[^,]*$")  # "although B"
#: "this matches option C", "which means C", "she is doing C"
_FITS_BEFORE = re.compile(
    r"^[^nwum]*F[fpI]*[ok]?$|^[gsSW]?[fx34]{0,2}i?p$|W[^nwumoOa]{0,6}i$"
    r"|^[^nwumoFOaxk1]*[iv]o?$|^[fgs]*WWf*o?$|^f*ro$|^[rWfs]+F?[fW]*io?$"
)
#: "he runs from the rain (C)", "... - option C", "not B: C"
_ADDED_AT_END = re.compile(r"^(?!f*kx)[^nwumoOa]*(?:[-:>]d?o?|\(d?o?)$|^f*1?o\($|^[fjx]*nx?L?:$")

# After a letter, or after its own text.
_RIGHT_AFTER = re.compile(
    r"^(?:,(?=i))?o?(?P<between>[iftovFgjmsS-]*)[raV](?P<tail>[^.?,:;(NLlbgj]{0,8})"
)
_WRONG_AFTER = re.compile(
    r"^(?:,(?=i)|\.(?=-))?o?[iftovmsS:-]*(?:[wX]|n(?![foi]*L))"  # "is not right", ". - Wrong"
    r"|^\.?\(f*w|^,n(?:[.N]|$)"  # "B (wrong)", "B, no"
    r"|^[^.?;NLl]*b[sSf]*i?f*(?:w|n[fi]*r)"  # "is tempting, but wrong"
)
_ALSO_AFTER = re.compile("^[ifov]*(?:s[fv]*m|m[fv]*s)")  # "is also possible"
#: "is possible", "would be right if"
_POSSIBLE_AFTER = re.compile("^(?:[-,:(]?[ifovgx]{0,4}m|[ifovra]*h)")
_CHOSEN_AFTER = re.compile(r"^(?:o?z|s?i(?:$|[.,N])|,?q(?:$|[.,N]))")  # "B it is", "B, I think"
#: "let us look at each option:", followed by the first one
_GOES_THROUGH = re.compile(r"(?:d[^.N]*|O[iv]?:?)N*$")
_MARKED_RIGHT = re.compile(r"^(?:[.:)-]*r(?:[.,;)]|$|N)|[^N]*(?:V|\(r\))\.?(?:$|N))")
_TEXT_IS_RIGHT = re.compile(r"^[.:)(-]+(?:s?if*)?r(?:[.,;)]|$|N)")
#: "C is what happens", "C matches the video best", "C is chosen"
_FITS_AFTER = re.compile(
    "^o?(?:[fivpIs]*(?:o(?:si?)?)?[FW][fvrpI]*(?:$|[-.,;:)N(zgW])"
    "|i[fvs]*(?:o(?:si?)?)?[FW][^nmw.?N]*(?:$|[.N])"
    "|i[fs]{1,2}(?:$|[.N])|if*c)|^if*ra"
)
_ASKED = re.compile(r"^[^.N]{0,12}\?")
_BEGINS_ANSWER = re.compile(r"^(?:[-.:,;(guy4>]|j?f?n|f+[,.N](?!.*L))")
_LINE_ENDS = re.compile(r"^\.*(?:$|N)")
_SENTENCE_ENDS = re.compile("^(?:$|[.)N])")
_CLAUSE_ENDS = re.compile("^(?:$|[-.,;:)N(Lz4])")
_GOES_ON = re.compile("^(?:$|[-.,;:)N(LzgnbjsSfiuocFmy4]|[xa]:)")
#: What may end the clause of a text of several words, and of one word.
_TEXT_ENDS = (re.compile("$|[-.;:)(NgV]|,g"), re.compile("$|[-.,;:)(NgV]"))
#: The subject of a sentence that contains one option's text: "she is" reading a book, "the chef"
#: stirs the soup.
_SUBJECT = re.compile("^q?[fstx34]{1,4}[ivpI][ft]*$|^f?(?P<bare>[x34]{1,2})$")


@dataclass(frozen=True)
class Mention:
    """A place in the reply that names one option letter, or several joined by commas and "and".

    Attributes:
        letters: the letters in their order.
        start, end: range of its tokens.
        before: kinds of the tokens before it in its sentence.
        earlier: kinds of all tokens before it.
        after: kinds of all tokens after it.
        verdict: kinds of the tokens after it, and after its own option's text if that follows.
        is_text: it is an option's text instead of a letter, and not a word of another kind.
        is_weak: it counts as a letter only after a phrase ("the answer is b").
        is_bracketed: it is written as "(B)" or "B)".
        has_own_text: its own option's text follows it.
        text_before: letter of the option whose text is right before it, as in "a girl (B)", or "".
        is_early: no discussion of the options has begun before it.
    """

    letters: tuple[str, ...]
    start: int
    end: int
    before: str
    earlier: str
    after: str
    verdict: str
    is_text: bool
    is_weak: bool
    is_bracketed: bool
    has_own_text: bool
    text_before: str
    is_early: bool

    @property
    def begins_sentence(self) -> bool:
        """Whether only punctuation, filler words or its noun precede it in its sentence."""
        return _begins(self.before)

    @property
    def is_added(self) -> bool:
        """Whether it is added to an earlier statement: "..., or D", "D is also possible"."""
        return bool(_ADDED.search(self.before) or _ALSO_AFTER.match(self.verdict))

    @property
    def is_marked_right(self) -> bool:
        """Whether this list entry is marked as the right one."""
        return _MARKED_RIGHT.match(self.after) is not None

    @property
    def has_right_text(self) -> bool:
        """Whether its own text and then "correct" follow: right, if others are called wrong."""
        return self.has_own_text and _TEXT_IS_RIGHT.match(self.verdict) is not None

    @property
    def is_contradicted(self) -> bool:
        """Whether only another option's text precedes it: "a boy (B)"."""
        is_other = self.text_before not in ("", *self.letters)
        return is_other and len(self.before.strip(_EDGES)) == 1

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
        """Return whether all others are ruled out: "all but B are wrong", "nothing except B"."""
        match = _EXCEPT.search(self.before)
        return match is not None and bool(match["denied"] or _WRONG_AFTER.match(self.verdict))

    def is_unsaid(self) -> bool:
        """Return whether its sentence is only a supposition, concession or possibility."""
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
        """Return whether the reply states these letters as its answer."""
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
        if not self.has_own_text and self.text_before != self.letters[0]:
            is_first = self.is_bracketed or _BEGINS_ANSWER.match(self.after)
            return self.begins_sentence and bool(is_first) and self.is_early
        # As in "no run (A), no sit (C)" and "the second option is C".
        is_denied = re.search("n[^b;]*$|1o[^b;]*$", self.before) is not None
        is_last = self.is_early or (
            _LINE_ENDS.match(self.verdict) and not _GOES_THROUGH.search(self.earlier)
        )
        return bool(is_last) and not is_denied

    def is_said_right(self) -> bool:
        """Return whether the following words call the letters right or chosen."""
        right = _RIGHT_AFTER.match(self.verdict)
        return bool((right and "m" not in right["tail"]) or _CHOSEN_AFTER.match(self.after))

    def is_given(self) -> bool:
        """Return whether a phrase before the letters announces them as the answer."""
        if _gives(self.before, self.earlier) or _GIVEN.search(self.before):
            return True
        if _NOUN_ONLY.match(self.before) and _CLAUSE_ENDS.match(self.after):
            return True
        return bool(_AFTER_CLAUSE.match(self.before) and _SENTENCE_ENDS.match(self.after))

    def _is_weakly_stated(self) -> bool:
        """Return whether a lower-case letter without brackets is an answer.

        It is if it introduces its own text, or ends a clause after a phrase that announces an
        answer. An "a" must precede a full stop: the reply may have been cut off after an article.
        """
        is_word = self.letters[0] in "AI"
        if self.begins_sentence and self.has_own_text:
            return True
        if self.begins_sentence and not is_word:
            is_alone = not self.after.strip(".")
            if is_alone or re.match(",?g", self.after) or self.is_said_right():
                return True
        may_end = not is_word or re.search("[fr]a[fi]*:f*$", self.earlier)
        ends = re.match("$|[.)N,;gz]" if may_end else "[.)z]", self.after)
        if ends is None and not self.has_own_text:
            return False
        is_given = re.search("(?:[cqsSoka>]|^i)[foakisS:,]*$", self.before)
        return is_given is not None or _gives(self.before, self.earlier)

    def is_only_answer(self) -> bool:
        """Return whether the only letter of a reply is its answer without an announcing phrase.

        Its sentence must imply it: "C matches", "which means C", "he runs from the rain (C)".
        """
        clause = self.before.split(",")[-1]
        if len(self.letters) > 1 or self.is_weak or "?" in self.after or re.match("[^(]*d", clause):
            return False
        if self.is_contradicted:
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

    def is_given_text(self, words: str, *, is_sole: bool) -> bool:
        """Return whether an option's text, word for word, is stated as the answer.

        Args:
            words: the text.
            is_sole: no other option is named. Then every phrase that states a letter also states a
                text, and so does a clause of its own; otherwise only "answer:" and the like do.
        """
        if is_sole:
            several = " " in words
            subject = _SUBJECT.match(self.earlier)
            is_alone = not self.before.strip("f,(") or (
                subject is not None
                and (several or subject["bare"] is None)
                and not self.after.strip(".")
            )
            if is_alone and _TEXT_ENDS[not several].match(self.after):
                return True
            if self.is_text and self.is_said_right():
                return True
        is_given = _gives(self.before, self.earlier) or (
            is_sole and self.is_text and self.is_given() and self.before[-1:] != "j"
        )
        return is_given and re.match("$|[.,;)N]", self.after) is not None


def _begins(before: str) -> bool:
    return not before.strip(_EDGES + "frzV") or _NOUN_ONLY.match(before) is not None


def _gives(before: str, earlier: str) -> bool:
    """Return whether a label or "the answer is" precedes."""
    answer = _ANSWER_IS.search(before)
    is_given = answer is not None and "n" not in (answer["between"] or "")
    return is_given or _LABEL.search(earlier[-REACH:]) is not None
