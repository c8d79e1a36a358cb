"""Rules that also know the options' texts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llava_eval.benchmarks.adapters.options import flat
from llava_eval.scoring.choice.letter import (
    LetterRule,
    letters_of,
    marked_or_drawn,
    read_letter,
    unread,
)
from llava_eval.scoring.scorer import ReplyScorer, read
from llava_eval.scoring.vqa import on_one_line, without_punctuation
from llava_eval.types import Sample, Score

#: Stripped from both ends of a reply, one kind after the other.
_EDGE_MARKS = (",", ".", "!", "?", ";", ":", "'")
#: A reply of at most so many words is never compared with the texts of the options.
_MOST_WORDS_WITHOUT_CONTENT = 5


@dataclass(frozen=True)
class NextQaLetter(ReplyScorer):
    """NExT-QA's rule in lmms-eval.

    The first of these that finds a letter decides: "(A)", "A " (the end of any word counts, as in
    "BBC "), "A.", and in replies of more than five words the text of an option. Of several letters
    the one that comes last in the reply wins, where letters of the second and third form are
    looked for as " A ". If nothing is found the original draws a letter: here with a seed of the
    sample's own.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/nextqa/utils.py, parse_multi_choice_response.

    Attributes:
        seed: of the draw.
    """

    seed: int = 0

    def score(self, reply: str, sample: Sample) -> Score:
        choices = [choice.strip() for choice in sample.choices]
        return marked_or_drawn(last_letter(reply, letters_of(sample), choices), sample, self.seed)


@dataclass(frozen=True)
class EgoSchemaLetter(ReplyScorer):
    """EgoSchema's rule in lmms-eval.

    "(A)", "A " and "A." are looked for together, and the one whose last occurrence comes first
    wins. Only where there is none, and in replies of more than five words, the texts of the options
    (which here begin with their letters) are compared, the first one winning. If nothing is found
    the original draws a letter: here with a seed of the sample's own.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/egoschema/utils.py, parse_multi_choice_response.

    Attributes:
        seed: of the draw.
    """

    seed: int = 0

    def score(self, reply: str, sample: Sample) -> Score:
        text, letters = padded(reply), letters_of(sample)
        forms = ("({})", "{} ", "{}.")
        written = [(letter, form.format(letter)) for form in forms for letter in letters]
        positions = [(text.rfind(form), letter) for letter, form in written if form in text]
        if not positions:
            choices = [choice.strip() for choice in sample.choices]
            content = _content_positions(text, letters, choices)
            positions = [(position, letter) for letter, position in content.items()]
        # Of equal positions the first in the list, as numpy's argmin takes it.
        first = min(positions, key=lambda item: item[0], default=(0, None))
        return marked_or_drawn(first[1], sample, self.seed)


def padded(text: str) -> str:
    """Return a reply without the marks at its ends, and with a space at both."""
    for mark in _EDGE_MARKS:
        text = text.strip(mark)
    return f" {text} "


def last_letter(reply: str, letters: str, choices: Sequence[str]) -> str | None:
    """Return the letter that MMMU's parser reads, or None where it would draw one.

    Args:
        reply: the model's text.
        letters: of the options.
        choices: the options' texts, which are looked for as they are but for their case.
    """
    text = padded(reply)
    for written, ranked in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        fitting = [letter for letter in letters if written.format(letter) in text]
        if fitting:
            return furthest({letter: text.rfind(ranked.format(letter)) for letter in fitting})
    return furthest(_content_positions(text, letters, choices))


def _content_positions(text: str, letters: str, choices: Sequence[str]) -> dict[str, int]:
    """Return by letter where the texts of the options stand last in a long enough reply."""
    if len(text.split()) <= _MOST_WORDS_WITHOUT_CONTENT:
        return {}
    lowered = text.lower()
    options = [choice.lower() for choice in choices]
    return {
        letter: lowered.rfind(option)
        for letter, option in zip(letters, options, strict=True)
        if option in lowered
    }


def furthest(positions: Mapping[str, int]) -> str | None:
    """Return the letter with the furthest position, of equal ones the first; None without any."""
    return max(positions, key=positions.__getitem__, default=None)


def only_option_in(reply: str, options: Mapping[str, str]) -> str | None:
    """Return the letter of the one option whose text stands in a reply, in either case.

    Args:
        reply: the model's text.
        options: texts by letter; an empty one stands in every reply.
    """
    lowered = reply.lower()
    fitting = [letter for letter, option in options.items() if option.lower() in lowered]
    return fitting[0] if len(fitting) == 1 else None


class TomatoLmmsEval(ReplyScorer):
    """TOMATO in lmms-eval: the first option's letter that occurs as a capital anywhere, else A.

    Of several letters the one that stands last in brackets; without brackets the first of the
    alphabet. Without any, the text of an option in a reply of more than five words.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/tomato/utils.py, parse_multi_choice_response.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        text, letters = padded(reply), letters_of(sample)
        letter = furthest({x: text.rfind(f"({x})") for x in letters if x in text})
        if letter is not None:
            return read_letter(letter, sample, "a capital anywhere in the reply")
        letter = furthest(_content_positions(text, letters, sample.choices))
        if letter is not None:
            return read_letter(letter, sample, "whose text stands in the reply")
        return read(sample, None, "A" in sample.targets, "counted as A")


_OPTION = re.compile(r"([A-E])\.\s*(.+)", re.IGNORECASE)
_LETTER = re.compile(r"\b([A-E])\b", re.IGNORECASE)


class MvBenchOfficial(ReplyScorer):
    """MVBench's official rule.

    The assistant's turn began with "Best option:(", so "(" is put in front of the first line of the
    reply; its first word (split at spaces, lower case) must be part of "(a)", dots removed, or hold
    "(a)". An empty reply is "(", which is part of every option, and so always right: it is counted
    as unreadable. So is a reply that fits several options, whatever it scores.

    Source: OpenGVLab/Ask-Anything, video_chat2/mvbench.ipynb, infer_mvbench and check_ans.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        first_word = f"({reply.strip().split(chr(10))[0]}".lower().split(" ")[0]

        def fits(letter: str) -> bool:
            option = f"({letter.lower()})"
            return first_word.replace(".", "") in option or option in first_word

        fitting = [letter for letter in letters_of(sample) if fits(letter)]
        right = any(fits(letter) for letter in sample.targets)
        how = f"the first word, {first_word!r}, fits {', '.join(fitting) or 'no option'}"
        return read(sample, fitting[0] if len(fitting) == 1 else None, right, how)


class MvBenchLmmsEval(ReplyScorer):
    """lmms-eval's rule for MVBench; empty replies leave the denominator.

    "A. text" on one line is its letter; otherwise punctuation is cleaned up as VQA's evaluation
    does and the first of A to E that stands alone, in either case, is taken: the article "a" too.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mvbench/utils.py, mcq_acc and
    mvbench_aggregate_results.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        if not reply:
            return unread(sample, "left_out", "the reply is empty")
        found = _OPTION.fullmatch(reply.strip())
        if found is None:
            bare = without_punctuation(on_one_line(reply))
            for edge in "'\")(":
                bare = bare.strip(edge)
            found = _LETTER.search(bare.strip().lower())
        if found is None:
            return unread(sample, "wrong", "none of A to E stands alone")
        return read_letter(found[1].upper(), sample, "the first of A to E that stands alone")


_TVBENCH_START = re.compile(r"\s*[(\[]?([A-Z])")


class TvBenchLmmsEval(LetterRule):
    """TVBench in lmms-eval: a letter as a word, a letter at the start, or one candidate's text.

    The reply is looked at in capitals. Only its first letter that is a word counts (the article
    "a" too), and where that is no option's ("I think B") the letter that the reply begins with,
    also inside a word: "Both" gives B. Otherwise exactly one candidate's text must stand in it.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/tvbench/utils.py, _extract_choice_letter.
    """

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        text = reply.strip()
        letters = letters_of(sample)
        for match in (re.search(r"\b([A-Z])\b", text.upper()), _TVBENCH_START.match(text.upper())):
            if match is not None and match.group(1) in letters:
                return match.group(1), "as a word or at the start"
        candidates = zip(letters, map(flat, sample.choices), strict=True)
        fitting = [letter for letter, choice in candidates if choice and choice in flat(text)]
        if len(fitting) != 1:
            return None, "no letter as a word or at the start, no one candidate"
        return fitting[0], "whose text stands in the reply"


_IS_ANSWER = r"\b(?:answer|option)(?:\s+(?:is|would\s+be)|\s*:)"


@dataclass(frozen=True)
class VideoMmeV2Letter(LetterRule):
    """Video-MME-v2 in lmms-eval 0.7.3: a letter that is given, else the text of one option.

    The first of these that finds a letter, in either case, decides: a last line that is one (bold,
    or with "." or ")"), one with "." or ")", or on a line of its own, at the start, the last behind
    a set phrase or "answer is", "option:" and the like, and the only one that begins bold words.
    "(G)" alone gives none.

    Source: lmms-eval 0.7.3 (PyPI), tasks/videomme_v2/utils.py, extract_characters_regex and
    extract_option.

    Attributes:
        prefixes: the set phrases.
        letters: what is looked for, whatever the number of options.
    """

    prefixes: list[str]
    letters: str = "ABCDEFGH"

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        text, letter = reply.strip(), f"([{re.escape(self.letters)}])"
        line = rf"[ \t]*(?:\*\*[ \t]*)?{letter}(?:[ \t]*\*\*)?[ \t]*"
        phrases = [*map(re.escape, self.prefixes), _IS_ANSWER]
        said = rf"(?:{'|'.join(phrases)})[\s:*]*{letter}\b"
        for pattern, how in (
            (rf"(?:\A|\n){line}[.)]?[ \t]*\Z", "the last line"),
            (rf"\A{line}(?:[.)]|\r?\n|\Z)", "at the start"),
            (said, "the last behind a phrase"),
        ):
            if found := re.findall(pattern, text, re.IGNORECASE):
                return str(found[-1]).upper(), how
        bold = re.findall(rf"\*\*\s*{letter}(?=\s*\*\*|[.)])", text, re.IGNORECASE)
        if len(marked := {found.upper() for found in bold}) == 1:
            return str(*marked), "the only one in bold"
        choices = (choice.strip(". \n") for choice in sample.choices)
        fitting = only_option_in(reply, dict(zip(self.letters, choices, strict=False)))
        return fitting, "whose text alone stands in the reply" if fitting else "none is given"
