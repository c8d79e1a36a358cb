# ruff: noqa: RUF001
"""Which option letters a reply states, and which it rules out.

A reply is made plain first, then every letter that may be an option's is marked, and each mark is
looked at with what stands before and after it: a phrase that gives an answer, a word that rejects
one, the option's own text, a list of options. Nothing is decided here:
:func:`llava_eval.scoring.choice.read_choice` does that once all is known.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llava_eval.scoring.choice_words import (
    AND,
    ANSWER,
    CHOOSE,
    FILL,
    GOES_ON,
    IS,
    NOT,
    OPTION,
    RIGHT,
    SO,
    UNLIKE,
    UNSAID,
    WRONG,
)
from llava_eval.scoring.plain_text import plain_text, same_text

_STRONG, _WEAK = 0xE000, 0xE100  # private characters: a letter's mark has its place in the text
_LETTERS = string.ascii_uppercase
#: A reply of more single letters is a model that repeats itself.
_MOST_LETTERS = 1000
#: So many characters before and after a letter are looked at.
_REACH = 240
_S = f"[{chr(_STRONG)}-{chr(_STRONG + 25)}]"
_M = f"[{chr(_STRONG)}-{chr(_STRONG + 25)}{chr(_WEAK)}-{chr(_WEAK + 25)}]"

_SINGLE_LETTER = re.compile(
    r"(?<![0-9A-Za-zÀ-ɏḀ-ỿ°&@/\\])(?<!\b[MD]r\.\s)(?<!\b[MD]rs\.\s)"
    r"(?<![A-Za-zÀ-ɏḀ-ỿ]['’.-])([A-Za-z])"
    r"(?![0-9A-Za-zÀ-ɏḀ-ỿ+#°@]|['’](?![dt][ıiuü]r)[A-Za-z]|\.[A-Za-z]\.|\.\d|/\d)"
)
_LETTER_IN_PAIR = re.compile(r"(?<=[A-Z]/)([A-Z])(?![0-9A-Za-z])")
_HYPHENATED = re.compile(r"-(?=[A-Za-z])")
_ARTICLE = re.compile(r"[ \t]+[A-Za-zÀ-ɏ]")
_CONNECTED = re.compile(
    r"\s+(?:because|since|as|for|due|given|based|where|which|that|while|whereas|rather|instead|but|with"
    r"|and|or|is|isn't|are|was|wasn't|would|can|can't|cannot|could|does|doesn't|did|didn't|has|seems"
    r"|must|should|fits|matches|best|weil|ist|und|oder|est|et|ou|car|parce|porque|es|y|e|perché|è|é"
    r"|omdat|jest|je)\b|\s+(?i:\w{1,5})\s+\(?[A-Z](?!\w)",
    re.IGNORECASE,
)
_DEGREES = re.compile(r"\d\s[CF]$")
_NOUN_BEFORE = re.compile(rf"(?:{OPTION}|{ANSWER})[-\s]*$", re.IGNORECASE)


@dataclass(frozen=True)
class Mention:
    """One option letter, or several joined by commas and "and", where the reply names it.

    Attributes:
        letters: the letters in their order.
        start, end: of the mention in the plain text.
        is_weak: nothing but a phrase makes a letter of it ("the answer is b").
    """

    letters: tuple[str, ...]
    start: int
    end: int
    is_weak: bool


class _Marked:
    """A plain text with a mark for each single letter that may be an option's.

    Attributes:
        plain: the text.
        text: the same with marks, each in the place of its letter.
        option_texts: letter, start and end of each option's text in it.
        discussion: where options begin to be gone through; the end where they are not.
    """

    def __init__(self, plain: str, choices: Sequence[str]) -> None:
        self.plain = plain
        self._choices = [same_text(choice) for choice in choices]
        folded = plain.casefold()
        self._lowered = folded if len(folded) == len(plain) else plain.lower()
        self.option_texts = [
            (letter, *found.span())
            for letter, choice in zip(_LETTERS, self._choices, strict=False)
            if len(choice) > 1 or choice.isdigit()
            for found in re.finditer(rf"(?<!\w){re.escape(choice)}(?!\w|[.:,]\d)", self._lowered)
        ]
        marked = list(plain)
        for found in _single_letters(plain):
            index, letter = found.start(1), found.group(1)
            is_in_text = any(start <= index < end for _, start, end in self.option_texts)
            if is_in_text and self.text_at(index + 1) != letter.upper():
                continue  # a word of an option's text: "Vitamin C", "A blue square"
            strength = self._strength(letter, index)
            if strength is not None:
                marked[index] = chr(strength + _LETTERS.index(letter.upper()))
                for bracket in _brackets_around(plain, index):
                    marked[bracket] = " "
        self.text = "".join(marked)
        begins = _DISCUSSION.search(plain)
        self.discussion = len(plain) if begins is None else begins.end()

    def choice(self, letter: str) -> str:
        """Return an option's text as texts are compared; empty for a letter that has none."""
        number = _LETTERS.index(letter)
        return self._choices[number] if number < len(self._choices) else ""

    def _strength(self, letter: str, index: int) -> int | None:
        """Return which kind of mark a letter gets; None for a letter that is a word or a name."""
        before = self.plain[max(0, index - _REACH) : index]
        after = self.plain[index + 1 : index + 1 + _REACH]
        has_own_text = self.text_at(index + 1) == letter.upper()
        if _DEGREES.search(before + letter) and after.lstrip()[:1] not in ("=", ":", ")"):
            return None
        if _HYPHENATED.match(after) and not has_own_text:
            return None
        if _brackets_around(self.plain, index):
            return _STRONG
        is_word = letter in "AIaeiouy" and _ARTICLE.match(after) is not None and not has_own_text
        if letter.islower():
            return None if is_word else _WEAK
        if is_word and _NOUN_BEFORE.search(before[-40:]) is None:
            return _STRONG if letter == "A" and _CONNECTED.match(after) else None
        return _STRONG

    def text_at(self, index: int) -> str | None:
        """Return the letter whose option's text follows at a position, after marks; or None."""
        return self.letter_and_end(index)[0]

    def letter_and_end(self, index: int) -> tuple[str | None, int]:
        """Return what :meth:`text_at` does, and where the text ends (or the position itself).

        Of several texts the longest counts; of two options with one text none does.
        """
        gap = _GAP.match(self._lowered, index)
        start = gap.end() if gap is not None else index
        # Without a mark between, words that go on make another text: "A red car" is not "red".
        ends = r"(?!\w)" if self._lowered[index:start].strip() else _TEXT_ENDS
        fitting = [
            (len(choice), letter)
            for letter, choice in zip(_LETTERS, self._choices, strict=False)
            if choice
            and self._lowered.startswith(choice, start)
            and re.compile(ends).match(self._lowered, start + len(choice))
        ]
        longest = max(fitting, default=None)
        if longest is None or sum(length == longest[0] for length, _ in fitting) > 1:
            return None, index
        return longest[1], start + longest[0]


#: What may stand between a letter and its own text, and after the text where nothing does.
_GAP = re.compile(r"\s*[-.,;:)(/、–—=>→是は为]*\s*(?:is |option |choice )?\(?\s*")
_TEXT_ENDS = r"\s*(?:$|[^\w\s]|\n|(?:because|since|as|is|are|was)\b)"


def _single_letters(plain: str) -> Iterator[re.Match[str]]:
    yield from _SINGLE_LETTER.finditer(plain)
    for found in _LETTER_IN_PAIR.finditer(plain):
        if plain[found.start() - 2 : found.start()] != "N/":  # N/A is no answer
            yield found


def _brackets_around(plain: str, index: int) -> list[int]:
    """Return where brackets stand that hold one letter, or close after it as in "B)"."""
    closing = re.compile(r"\s?\)").match(plain, index + 1)
    opening = re.compile(r".*\(\s?", re.DOTALL).match(plain, max(0, index - 2), index)
    if closing is None:
        return []
    if opening is not None and opening.end() == index:
        return [plain.rindex("(", 0, index), closing.end() - 1]
    # "B)" without "(": an enumerator, unless the bracket closes one that was opened before.
    begin = max(0, index - _REACH)
    if plain.count("(", begin, index) > plain.count(")", begin, index):
        return []
    return [closing.end() - 1]


# ------------------------------------------------------------------------------ statements

_FLAGS = re.IGNORECASE
_JOINT = (
    rf"(?:\s*(?:[,/&+、،]\s*(?:{AND})?|{AND})\s*(?:(?:possibly|maybe|perhaps|even|also|the)\s+)?"
    rf"(?:{OPTION}\s*)?|\s*(?:[-–—~]|\.\.+|to|through|thru)\s*|[ ]+)"
)
_GROUP = re.compile(rf"{_M}(?:{_JOINT}{_S})*", _FLAGS)
_ONE_MARK = re.compile(_M)
_COLON = r"(?:[:=→⇒]|-{1,2}>|=>|[-–—]{1,3})"
_BETWEEN = rf"(?:\s*(?:{FILL}|{OPTION}|{ANSWER}|[:,()]))*\s*$"
_NO_MARK = rf"[^.!?;\n{_M[1:-1]}]"

#: "Answer:", "The correct answer is", "The answer to the question would be option", ...
_LABEL = re.compile(
    rf"{ANSWER}(?:\s*(?:{FILL}|{OPTION}|{IS}))*(?:\s+(?!choices|options)[\w']+){{0,3}}"
    rf"\s*{_COLON}{_BETWEEN}"
    rf"|{RIGHT}(?:\s*(?:{OPTION}|{ANSWER}))*\s*{_COLON}{_BETWEEN}",
    _FLAGS,
)
_ANSWER_IS = re.compile(
    rf"(?:{ANSWER}|{RIGHT}|{OPTION})(?P<mid>{_NO_MARK}{{0,80}}?)\s*{IS}{_BETWEEN}", _FLAGS
)
_ANSWER_ONLY = re.compile(rf"{ANSWER}{_BETWEEN}", _FLAGS)
_OPTION_ONLY = re.compile(rf"^\W*(?:{FILL}\s*)*{OPTION}\s*(?:number|no\.?|[:.])?\s*$", _FLAGS)
_CHOICE_OF = re.compile(
    rf"{CHOOSE}(?:\s*(?:{FILL}|{OPTION}|{ANSWER}|{IS}|it|it's|that|this|to|[:,(]))*\s*$",
    _FLAGS,
)
_FOLLOWS = re.compile(
    rf"(?:^|[.!?:;,(–—]|\s)\s*{SO}"
    rf"(?:\s*(?:{FILL}|{OPTION}|{ANSWER}|{IS}|it|it's|that|[:,!]))*\s*$",
    _FLAGS,
)
_ARROW = re.compile(r"(?:→|⇒|=>|->|∴)\s*$")
#: Any clause, where nothing but the letter follows it in its sentence.
_AFTER_CLAUSE = re.compile(rf"^{_NO_MARK}{{0,120}}(?:,|\s[-–—])\s*$", _FLAGS)
_GIVING = (_ANSWER_ONLY, _CHOICE_OF, _ARROW, _FOLLOWS)

_SO_IS = re.compile(r"\bso\s+(?:is|are|was|does|do|did)\s*$", _FLAGS)
_IF_FORCED = re.compile(r"\bif\s+(?:i|we)\s+(?:had|have|must|were)\b|\bif\s+forced\b", _FLAGS)
_NOT_CHOSEN = re.compile(rf"{NOT}\s+(?:\w+\s+)?{CHOOSE}[^,.;:!?]*$", _FLAGS)
_NOT_BEFORE = re.compile(
    rf"{NOT}(?!\s*only)(?:\s*(?:{IS}|{FILL}|{OPTION}|{ANSWER}|{RIGHT}|[:(]))*\s*$", _FLAGS
)
_UNLIKE_BEFORE = re.compile(rf"{UNLIKE}(?:\s*(?:{FILL}|{OPTION}|{ANSWER}|[:(]))*\s*$", _FLAGS)
_WRONG_BEFORE = re.compile(
    rf"{WRONG}(?:\s*(?:{OPTION}|{ANSWER}|{FILL}|{IS}))*\s*[:=]?\s*(?:{OPTION}\s*)?$", _FLAGS
)
_SUBJECT = rf"(?:\s*,(?=\s+(?:is|was)\b))?\s*(?:{OPTION}\s*)?"
_RIGHT_AFTER = re.compile(
    rf"{_SUBJECT}(?P<mid>(?:\s*(?:{IS}|{FILL}|{OPTION}|{ANSWER}|seems?|looks?|must|the|also|to"
    rf"|fits?|matches|describes|makes|be|as|a|[-–—]|的|つ))*)\s*{RIGHT}"
    rf"(?P<tail>(?:(?!\b(?:and|but|while|because|since|as|whereas|or|so)\b|{_M})[^.!?,;:(。\n]){{0,30}})",
    _FLAGS,
)
_WRONG_AFTER = re.compile(
    rf"{_SUBJECT}(?:\s*(?:{IS}|{FILL}|{OPTION}|seems?|looks?|all|both|also|can|could|be|been|as|does|do|did|has|have|had|will|would"
    r"|[-–—:]|的|可以|被|因此|について))*"
    rf"\s*(?:{WRONG}|{NOT}(?!\s*(?:(?:{FILL}|{OPTION}|{IS})\s*)*{_M}))",
    _FLAGS,
)
_CHOSEN_AFTER = re.compile(
    r"\s*(?:を(?:選|答)|だと(?:思|考)|です|でしょう|になります|입니다|이다|이에요|예요|를\s*선택|을\s*선택)"
    r"|\s*it\s+is\b|,?\s+(?:i\s+(?:think|guess|believe)|for\s+sure)\b|['’][dt][ıiuü]r\b",
    _FLAGS,
)
_CLAUSE_ENDS = re.compile(rf"\s*(?:$|[.,;:!)\n–—…(=-]|(?=[^\x00-\u024f])|(?={_M}))")
_SENTENCE_ENDS = re.compile(r"\s*(?:$|[.!。！)\n])")
_GOES_ON_AFTER = re.compile(rf"\s+(?:{GOES_ON}|{OPTION})", _FLAGS)
_IS_QUESTION = re.compile(r"[^.!\n]{0,40}\?")
_SINGULAR = re.compile(
    r"\s+(?:is|isn't|was|seems|fits|matches|describes|would|must|should|has|does|doesn't|best|gets|wins"
    r"|applies|happens|ist|est|es|é|è)\b",
    _FLAGS,
)
_SENTENCE_BREAK = re.compile(r"(?<!\s\d)(?<!^\d)[.!?;。！？；]|\n")
_ENUMERATED = re.compile(r"\s*(?:[.:、](?=\s|[^\x00-\u024f])|[:、=]|\s-\s|\s[–—]\s)")
_NUMBERED = re.compile(r"\s*[:=]\s*[\d.]")
#: Begin a discussion of the options one after the other.
_DISCUSSION = re.compile(
    r"\b(?:let'?s|let\s+me|analy[sz]\w*|evaluat\w+|consider\w*|examin\w+|go\s+through|step\s+by"
    r"\s+step|each\s+(?:option|choice)|(?:options|choices)\b[^.\n]{0,20}(?::|are|were))",
    _FLAGS,
)
_EDGES = " .,:;!?()<>-–—/\\。、！？\n"


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
    if sum(1 for _ in _single_letters(plain)) > _MOST_LETTERS:
        return Statements({}, frozenset())
    marked = _Marked(plain, choices)
    mentions = [mention for found in _GROUP.finditer(marked.text) for mention in _split(found)]
    listed = _lists(marked, mentions)
    stated: dict[str, str] = {}
    rejected: set[str] = set()
    open_mentions = []
    for number, mention in enumerate(mentions):
        context = _Context(marked, mention, is_listed=number in listed, is_alone=len(mentions) == 1)
        if _SO_IS.search(context.before):  # "A is out, so is B"
            if number and set(mentions[number - 1].letters) & rejected:
                rejected.update(mention.letters)
            elif stated:
                stated.update(dict.fromkeys(mention.letters, context.quote()))
        elif context.is_rejected():
            rejected.update(mention.letters)
        elif context.is_listed and context.is_marked_right():
            stated[mention.letters[0]] = context.quote()
        elif context.is_listed or len(set(mention.letters)) > 2:
            continue  # options that are copied, gone through or enumerated: "A, B, C, or D"
        elif context.is_stated():
            stated.update(dict.fromkeys(mention.letters, context.quote()))
            other = marked.text_at(mention.end)
            if other is not None and other not in mention.letters:
                stated[other] = context.quote()
        else:
            open_mentions.append(context)
    stated.update(_stated_texts(marked))
    if not stated and not listed and len(open_mentions) == 1 and open_mentions[0].is_only_answer():
        mention = open_mentions[0].mention
        stated.update(dict.fromkeys(mention.letters, open_mentions[0].quote()))
    return Statements(stated, frozenset(rejected))


def _split(group: re.Match[str]) -> list[Mention]:
    """Return one mention of a group, or two where its last letter has a verb of its own.

    "Unlike A, B is correct" speaks of two letters, "A and B are correct" of one group.
    """
    marks = list(_ONE_MARK.finditer(group.string, group.start(), group.end()))
    if len(marks) > 1 and _SINGULAR.match(group.string, group.end()):
        joint = group.string[marks[-2].end() : marks[-1].start()]
        if joint.strip() == ",":
            return [_mention(marks[:-1]), _mention(marks[-1:])]
    return [_mention(marks)]


def _mention(marks: Sequence[re.Match[str]]) -> Mention:
    codes = [ord(mark.group()) for mark in marks]
    letters = tuple(_LETTERS[code & 0xFF] for code in codes)
    return Mention(letters, marks[0].start(), marks[-1].end(), is_weak=codes[0] >= _WEAK)


def _sentence_before(text: str, start: int) -> str:
    """Return the part of a mention's sentence that stands before it."""
    begin = max(0, start - _REACH)
    breaks = [found.end() for found in _SENTENCE_BREAK.finditer(text, begin, start)]
    return text[breaks[-1] if breaks else begin : start]


class _Context:
    """A mention with what stands before and after it."""

    def __init__(
        self, marked: _Marked, mention: Mention, *, is_listed: bool, is_alone: bool
    ) -> None:
        self.marked = marked
        self.mention = mention
        self.is_listed = is_listed
        self.before = _sentence_before(marked.text, mention.start)
        self.earlier = marked.text[max(0, mention.start - _REACH // 2) : mention.start]
        self.after = marked.text[mention.end : mention.end + _REACH]
        text_letter, text_end = marked.letter_and_end(mention.end)
        self.has_own_text = text_letter == mention.letters[-1]
        #: What is said of the letter, after its own text where that follows.
        self.verdict = marked.text[text_end : text_end + _REACH]
        self.is_whole_reply = is_alone and not (
            marked.text[: mention.start].strip(_EDGES) or marked.text[mention.end :].strip(_EDGES)
        )
        self.begins_sentence = not self.before.strip(" (,:-–—") or bool(
            _OPTION_ONLY.match(self.before)
        )

    def quote(self) -> str:
        """Return the words around the mention, for people."""
        start, end = max(0, self.mention.start - 24), self.mention.end + 12
        return " ".join(self.marked.plain[start:end].split())

    def is_rejected(self) -> bool:
        """Return whether the reply rules these letters out."""
        if not self.is_listed:
            if any(
                pattern.search(self.before)
                for pattern in (_NOT_BEFORE, _UNLIKE_BEFORE, _NOT_CHOSEN)
            ):
                return True
            if _WRONG_BEFORE.search(self.before) and not _RIGHT_AFTER.match(self.verdict):
                return True
        right = _RIGHT_AFTER.match(self.verdict)
        if right is not None and re.search(rf"{NOT}|{WRONG}", right["tail"], _FLAGS):
            return True
        return _WRONG_AFTER.match(self.verdict) is not None

    def is_marked_right(self) -> bool:
        """Return whether an entry of a list says no more than that it is right."""
        return (
            re.match(rf"\s*(?:[.:)]|[-–—])?\s*{RIGHT}\s*(?:[.,;!]|$|\n)", self.after, _FLAGS)
            is not None
        )

    def is_stated(self) -> bool:
        """Return whether the reply gives these letters as its answer."""
        if self.is_whole_reply:
            return True
        if self.is_unsaid():
            return False
        if self.mention.is_weak:
            return self._is_weakly_stated()
        if self._is_alone():
            return True
        if _IS_QUESTION.match(self.after):
            return False
        if self._is_followed_by_verdict():
            return True
        goes_on = _CLAUSE_ENDS.match(self.after) or _GOES_ON_AFTER.match(self.after)
        if (goes_on or self.marked.text_at(self.mention.end) is not None) and self._is_given():
            return True
        if len(self.mention.letters) > 1:
            return False
        if self.begins_sentence and self._begins_an_answer():
            return self.mention.start < self.marked.discussion
        return self.has_own_text or self._follows_own_text()

    def is_only_answer(self) -> bool:
        """Return whether a letter, the only one of a reply, answers without one of the phrases.

        It is the subject of a sentence ("B is what happens"), the value of a label ("Pick: B"), or
        stands in brackets or after "option" at the end of the reply.
        """
        if len(self.mention.letters) != 1 or self.mention.is_weak or self.is_unsaid():
            return False
        if "?" in self.after:
            return False
        if self.begins_sentence and _SINGULAR.match(self.after):
            return re.match(r"\s+is\s+(?:for|in|at|on|named|called)\b", self.after, _FLAGS) is None
        ends = _SENTENCE_ENDS.match(self.after) is not None or self.after.startswith(",")
        if ends and re.search(r"(?:^|[\n({,])\s*\w+(?: \w+){0,2}\s*[:=]\s*\(?\s*$", self.before):
            return True
        return not self.marked.text[self.mention.end :].strip(_EDGES) and (
            self.marked.plain[self.mention.end : self.mention.end + 1] == ")"
            or re.search(rf"{OPTION}\s*$", self.before, _FLAGS) is not None
        )

    def is_unsaid(self) -> bool:
        """Return whether the sentence only supposes what it says."""
        clause = re.split(r"\b(?:but|however|yet)\b", self.before, flags=_FLAGS)[-1]
        if re.search(r"\b(?:might|may|could)\s+think\b|^\W*(?:suppose|assum\w+)", clause, _FLAGS):
            return True
        found = re.search(UNSAID, clause, _FLAGS)
        is_given = _IF_FORCED.search(clause) or _LABEL.search(self.earlier)
        return found is not None and not is_given

    def _is_given(self) -> bool:
        """Return whether a phrase before the letters gives them as the answer."""
        if _LABEL.search(self.earlier) or self._is_subject_of_is():
            return True
        if any(pattern.search(self.before) for pattern in _GIVING):
            return True
        if _OPTION_ONLY.match(self.before) and _CLAUSE_ENDS.match(self.after):
            return True
        return bool(_AFTER_CLAUSE.match(self.before) and _SENTENCE_ENDS.match(self.after))

    def _is_subject_of_is(self) -> bool:
        found = _ANSWER_IS.search(self.before)
        return found is not None and not re.search(NOT, found["mid"], _FLAGS)

    def _is_alone(self) -> bool:
        """Return whether the letters are a sentence or a line of their own."""
        is_line = re.match(r"\s*[.!。！]?\s*(?:$|\n)", self.after) is not None
        return not self.before.strip(" (,:-–—") and is_line

    def _is_followed_by_verdict(self) -> bool:
        if _CHOSEN_AFTER.match(self.after):
            return True
        found = _RIGHT_AFTER.match(self.verdict)
        if found is not None:
            return not re.search(NOT, found["mid"], _FLAGS)
        ends = re.match(rf"\s*(?:{OPTION}|is|does|fits)\s*[.!。]?\s*(?:$|\n)", self.after, _FLAGS)
        return self.begins_sentence and ends is not None

    def _begins_an_answer(self) -> bool:
        """Return whether a sentence goes on after its first letter as an answer does."""
        return (
            self.marked.plain[self.mention.end : self.mention.end + 1] == ")"
            or re.match(r"\s*(?:[.:,;!、。(]|[–—]|-\s|=)", self.after) is not None
            or re.match(
                r"\s+(?:because|since|as|due\s+to|based\s+on|given|(?:and\s+)?(?:\w+ly\s+)?not|rather\s+than"
                r"|instead\s+of)\b",
                self.after,
                _FLAGS,
            )
            is not None
        )

    def _follows_own_text(self) -> bool:
        """Return whether the letter's own option stands right before it, as in "a girl (B)"."""
        text = self.marked.choice(self.mention.letters[0])
        noun = rf"(?:{OPTION})\s*$"
        before = self.marked.plain[: self.mention.start][-2 * len(text) - 40 :].rstrip(" (,")
        before = same_text(re.sub(noun, "", before, flags=_FLAGS))
        return bool(text) and (before == text or before.endswith(f" {text}"))

    def _is_weakly_stated(self) -> bool:
        """Return whether a lower-case letter without brackets is an answer.

        It is where it introduces its own text, or ends a clause after a phrase that gives an
        answer. After "answer:" alone nothing in lower case is read, and an "a" only before a full
        stop: the reply may have been cut off after an article.
        """
        if len(self.mention.letters) > 1:
            return False
        if self.has_own_text and self.begins_sentence:
            return True
        if self.mention.letters[0] not in "AI" and _RIGHT_AFTER.match(self.after):
            return self.begins_sentence
        is_closed = re.match(r"\s*[.!。)](?:\s|$)", self.after) is not None
        is_open = re.match(r"\s*(?:$|\n|[,;]|because\b|since\b)", self.after) is not None
        if not (is_closed or self.has_own_text or (is_open and self.mention.letters[0] != "A")):
            return False
        if re.fullmatch(r"answer\s*:\s*", self.earlier):
            return False
        return (
            _LABEL.search(self.earlier) is not None
            or self._is_subject_of_is()
            or any(pattern.search(self.before) for pattern in (_CHOICE_OF, _FOLLOWS, _NOUN_BEFORE))
        )


def _lists(marked: _Marked, mentions: Sequence[Mention]) -> set[int]:
    """Return the numbers of mentions that are entries of lists of options.

    A list is two or more single letters in alphabetical order, written alike, each introducing
    something ("A. a kite B. a girl"): options that were copied, or are gone through.
    """
    entries = [
        number
        for number, mention in enumerate(mentions)
        if len(mention.letters) == 1 and _is_entry(marked, mentions[:number], mention)
    ]
    listed: set[int] = set()
    run: list[int] = []
    for number in [*entries, -1]:
        is_next = (
            bool(run)
            and number >= 0
            and mentions[number].letters > mentions[run[-1]].letters
            and _style(marked, mentions[number]) == _style(marked, mentions[run[-1]])
        )
        if not is_next:
            listed.update(run if len(run) > 1 else ())
            run = []
        run.append(number)
    return listed


def _style(marked: _Marked, mention: Mention) -> str:
    """Return how an entry is written: "(A)", "A)", "A.", "A:", or "A" alone."""
    opening = "(" if marked.plain[mention.start - 1 : mention.start] == "(" else ""
    closing = marked.plain[mention.end : mention.end + 1]
    return opening + (closing if closing in ").:、=-" else "")


def _is_entry(marked: _Marked, earlier: Sequence[Mention], mention: Mention) -> bool:
    """Return whether a letter introduces something, where an entry of a list may stand."""
    bracket = marked.plain[mention.end : mention.end + 1] == ")"
    line = marked.plain[mention.end : mention.end + _REACH].partition("\n")[0]
    has_mark = bracket or _ENUMERATED.match(marked.text, mention.end) is not None
    if not line.strip(" .:)"):
        return _ends_entry(marked, earlier, mention)
    if not has_mark and marked.text_at(mention.end) != mention.letters[0]:
        return False
    if bracket and _SINGULAR.match(marked.text, mention.end):
        return False  # the subject of a sentence: "(C) is not shown"
    before = marked.text[max(0, mention.start - _REACH) : mention.start].rstrip(" ")
    return (
        bracket
        or _NUMBERED.match(marked.text, mention.end) is not None
        or not _sentence_before(marked.text, mention.start).strip(" (,:-–—")
        or _OPTION_ONLY.match(_sentence_before(marked.text, mention.start)) is not None
        or before.endswith((",", ";", "(", ":", "/"))
        or _follows_entry(marked, earlier, mention)
    )


def _ends_entry(marked: _Marked, earlier: Sequence[Mention], mention: Mention) -> bool:
    """Return whether a letter is the last of a row such as "A. B. C. D."."""
    if not earlier:
        return False
    between = marked.plain[earlier[-1].end : mention.start]
    return "\n" not in between and not between.strip(_EDGES)


def _follows_entry(marked: _Marked, earlier: Sequence[Mention], mention: Mention) -> bool:
    """Return whether nothing but the previous option's text stands before a mention."""
    if not earlier or len(earlier[-1].letters) != 1:
        return False
    if mention.start - earlier[-1].end > 2 * len(marked.choice(earlier[-1].letters[0])) + 8:
        return False
    between = same_text(marked.plain[earlier[-1].end : mention.start].replace("(", " "))
    return bool(between) and between == marked.choice(earlier[-1].letters[0])


def _stated_texts(marked: _Marked) -> dict[str, str]:
    """Return the letters whose option's text a phrase gives as the answer, word for word."""
    stated: dict[str, str] = {}
    for letter, start, end in marked.option_texts:
        before = _sentence_before(marked.text, start)
        earlier = marked.text[max(0, start - 120) : start]
        answer = _ANSWER_IS.search(before)
        is_given = answer is not None and not re.search(NOT, answer["mid"], _FLAGS)
        if (
            (is_given or _LABEL.search(earlier))
            and marked.text_at(start) == letter
            and re.match(r"\s*(?:$|[.,;!)。！\n])", marked.text[end : end + _REACH])
            and not _NOT_BEFORE.search(before)
            and not _UNLIKE_BEFORE.search(before)
            and not re.search(UNSAID, before, _FLAGS)
        ):
            stated[letter] = " ".join(marked.plain[max(0, start - 24) : end].split())
    return stated
