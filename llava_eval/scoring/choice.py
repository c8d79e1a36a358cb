"""Rules for multiple choice: every way to read a letter from a reply.

Our own rule stands first, then those of the references, each under the name of the benchmark or
the function that it is from.
"""

from __future__ import annotations

import math
import random
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from llava_eval.scoring.plain_text import same_text
from llava_eval.scoring.reply import without_reasoning
from llava_eval.scoring.scorer import (
    CHOSEN_AT_RANDOM,
    NOT_SCORED_BECAUSE,
    ReplyScorer,
    SampleScorer,
    read,
)
from llava_eval.scoring.statements import find_statements
from llava_eval.scoring.text import is_empty_cell, through_spreadsheet
from llava_eval.scoring.vqa import on_one_line, without_punctuation
from llava_eval.types import Generation, Sample, Score

#: What an unread reply is worth: no part of the denominator, wrong, or a letter drawn at random.
WhenUnread = Literal["left_out", "wrong", "random"]


def letters_of(sample: Sample) -> str:
    """Return the letters of a sample's options, "ABCD" for four."""
    return string.ascii_uppercase[: len(sample.choices)]


def read_letter(letter: str, sample: Sample, how: str = "a letter") -> Score:
    """Return the score of a letter; without a target (hidden answers) only the answer is kept.

    Args:
        letter: what was read.
        sample: the question.
        how: see :func:`llava_eval.scoring.scorer.read`.
    """
    return read(sample, letter, letter in sample.targets, how)


def unread(
    sample: Sample,
    when: WhenUnread,
    why: str = "no letter was found",
    *,
    letters: Sequence[str] = (),
    seed: int = 0,
) -> Score:
    """Return the score of a reply in which no letter was read.

    Args:
        sample: the question.
        when: see :data:`WhenUnread`. A letter at random is drawn anew for every sample, from its id
            and the seed, so that a run can be repeated; ``chosen_at_random`` among the details says
            so, and the tables count it.
        why: why nothing was read, in words.
        letters: what is drawn from.
        seed: of the draw.
    """
    if when == "random":
        letter = random.Random(f"{seed}/{sample.id}").choice(list(letters))
        how = f"which was drawn at random: {why}"
        return read(sample, letter, letter in sample.targets, how, {CHOSEN_AT_RANDOM: True})
    if when == "left_out":
        explanation = f"no answer: {why}; {NOT_SCORED_BECAUSE}unread replies are left out"
        return Score(value=None, answer=None, unreadable=True, explanation=explanation)
    return read(sample, None, 0.0, why)


def read_choice(reply: str, choices: Sequence[str]) -> str | None:
    """Return the one letter that a reply gives as its answer, or None.

    Our own rule, made so that no reply is ever guessed at. All letters that the reply states and
    all that it rules out are found first (see :mod:`llava_eval.scoring.statements`); there is an
    answer where exactly one letter is stated, which is an option's and not ruled out as well.
    Reasoning is not read, and a reply that is the text of one option is that option's letter.

    Args:
        reply: the model's reply.
        choices: the option texts without letters; letters beyond them are not read.
    """
    return _explained_choice(reply, choices)[0]


def _explained_choice(reply: str, choices: Sequence[str]) -> tuple[str | None, str]:
    """Return what :func:`read_choice` does, and why."""
    text = without_reasoning(reply).text
    if text is None:
        return None, "its reasoning does not end"
    letters = string.ascii_uppercase[: len(choices)]
    whole = same_text(text)
    by_text = [
        letter
        for letter, choice in zip(letters, choices, strict=True)
        if whole and same_text(choice) == whole
    ]
    if by_text and whole.upper() not in letters:
        if len(by_text) > 1:
            return None, "the reply is the text of several options"
        return by_text[0], "whose text is the whole reply"
    found = find_statements(text, choices)
    if len(found.stated) != 1:
        named = ", ".join(sorted(found.stated))
        return None, f"the reply states {named}" if named else "the reply states no option"
    ((letter, quote),) = found.stated.items()
    if letter in found.rejected:
        return None, f"the reply states {letter} and rules it out"
    if letter not in letters:
        return None, f"the reply states {letter}, which is no option"
    return letter, f"stated in {quote!r}"


@dataclass(frozen=True)
class StrictChoice(ReplyScorer):
    """An answer counts where it can be read in one way only; an unreadable reply is wrong.

    Our own rule, see :func:`read_choice`; unreadable replies are counted.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        letter, why = _explained_choice(reply, sample.choices)
        if letter is None:
            return unread(sample, "wrong", why)
        return read_letter(letter, sample, why)


def first_letter(text: str, letters: str, prefixes: Sequence[str]) -> str | None:
    """Return the first of ``letters`` after every prefix was deleted wherever it stands, or None.

    Prefixes are deleted in their order and case-sensitively. There are no word boundaries:
    "Cannot tell" gives C, and "Based on the video, C" gives B. The originals also give up on more
    than ten words without any of the letters, which the search for a letter covers.
    """
    remaining = text.strip()
    for prefix in prefixes:
        remaining = remaining.replace(prefix, "")
    return next((character for character in remaining if character in letters), None)


@dataclass(frozen=True)
class FirstLetter(ReplyScorer):
    """Video-MME's rule and its relatives: :func:`first_letter`.

    Sources, all called ``extract_characters_regex`` or ``parse_multi_choice_response``:
    thanku-all/parse_answer eval_your_results.py; EvolvingLMMs-Lab/lmms-eval v0.2.0
    tasks/videomme/utils.py and tasks/longvideobench/utils.py; open-compass/VLMEvalKit
    dataset/utils/videomme.py.

    Attributes:
        prefixes: what is deleted; two that a missing comma joined in an original stand as one.
        letters: what is looked for, whatever the number of options.
        when_unread: what a reply without a letter is worth; "random" draws among the options.
        spreadsheet: replies go through a spreadsheet first; see
            :func:`llava_eval.scoring.text.through_spreadsheet`.
        empty_cells: replies that a table takes for empty cells ("N/A") hold no letter.
        seed: of the draw.
    """

    prefixes: list[str]
    letters: str = "ABCD"
    when_unread: WhenUnread = "wrong"
    spreadsheet: bool = False
    empty_cells: bool = False
    seed: int = 0

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 or 0.0, or what an unread reply is worth."""
        text = through_spreadsheet(reply) if self.spreadsheet else reply
        letter = first_letter(text, self.letters, self.prefixes)
        if letter is not None and not (self.empty_cells and is_empty_cell(reply)):
            how = f"the first of {self.letters} once the set phrases are deleted"
            return read_letter(letter, sample, how)
        why = f"none of {self.letters} is left once the set phrases are deleted"
        return unread(sample, self.when_unread, why, letters=letters_of(sample), seed=self.seed)


@dataclass(frozen=True)
class StandaloneLetter(ReplyScorer):
    r"""PerceptionTest's rule in lmms-eval: the first match of ``\b[A-D]\b``; none is wrong.

    The article "A" is a match, word boundaries are Unicode's, and D is looked for although the
    questions have three options.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/perceptiontest/val/utils.py,
    perceptiontest_val_process_results_mc.

    Attributes:
        letters: what is looked for, whatever the number of options.
    """

    letters: str = "ABCD"

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        match = re.search(rf"\b[{re.escape(self.letters)}]\b", reply)
        if match is None:
            return unread(sample, "wrong", f"none of {self.letters} is a word of its own")
        return read_letter(match.group(), sample, f"the first of {self.letters} as a word")


@dataclass(frozen=True)
class MlvuOfficial(ReplyScorer):
    """MLVU's official rule.

    The assistant's turn began with "Best Option: (", so the character before the first ")" is the
    answer; without any ")" the whole reply, spaces and all, must be the letter ("A." is wrong).

    Source: JUNJIE99/MLVU, evaluation/multiple_choice_evaluation/choice_bench.py, check_ans.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        before, bracket, _ = reply.partition(")")
        answer = before[-1:] if bracket else reply
        where = 'before the first ")"' if bracket else "the whole reply"
        if len(answer) == 1 and answer in letters_of(sample):
            return read_letter(answer, sample, where)
        return unread(sample, "wrong", f"{where} is no option's letter")


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
        """Return 1.0 for the right letter, read or drawn, else 0.0."""
        return _read_or_drawn(reply, sample, last_letter, self.seed)


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
        """Return 1.0 for the right letter, read or drawn, else 0.0."""
        return _read_or_drawn(reply, sample, _first_letter, self.seed)


def _read_or_drawn(
    reply: str,
    sample: Sample,
    rule: Callable[[str, str, Sequence[str]], str | None],
    seed: int,
) -> Score:
    letters = letters_of(sample)
    letter = rule(reply, letters, [choice.strip() for choice in sample.choices])
    if letter is None:
        why = "no letter with a mark and no option's text was found"
        return unread(sample, "random", why, letters=letters, seed=seed)
    return read_letter(letter, sample, "a letter with a mark, or the text of an option")


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
    in_brackets = [letter for letter in letters if f"({letter})" in text]
    if in_brackets:
        return argmax(in_brackets, [text.rfind(f"({letter})") for letter in in_brackets])
    for form in ("{} ", "{}."):
        fitting = [letter for letter in letters if form.format(letter) in text]
        if fitting:
            return argmax(fitting, [text.rfind(f" {letter} ") for letter in fitting])
    positions = content_positions(text, letters, choices)
    return argmax(list(positions), list(positions.values())) if positions else None


def _first_letter(reply: str, letters: str, choices: Sequence[str]) -> str | None:
    text = padded(reply)
    forms = [(letter, form.format(letter)) for form in ("({})", "{} ", "{}.") for letter in letters]
    positions = [(text.rfind(written), letter) for letter, written in forms if written in text]
    if not positions:
        content = content_positions(text, letters, choices)
        positions = [(position, letter) for letter, position in content.items()]
    # Of equal positions the first in the list, as numpy's argmin takes it.
    return min(positions, key=lambda item: item[0])[1] if positions else None


def content_positions(text: str, letters: str, choices: Sequence[str]) -> dict[str, int]:
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


def argmax(letters: Sequence[str], positions: Sequence[int]) -> str:
    """Return the letter with the furthest position, of equal ones the first."""
    return letters[positions.index(max(positions))]


#: Phrases that announce an answer, in lower case.
_PHRASES = (
    "the answer is",
    "answer is",
    "the correct answer is",
    "correct answer is",
    "the best answer is",
    "best answer is",
    "the correct option is",
    "correct option is",
    "the best option is",
    "best option is",
    "the choice is",
    "choice is",
    "the correct choice is",
    "correct choice is",
    "i choose",
    "i select",
    "i pick",
    "my answer is",
    "my choice is",
    "옵션",
    "정답은",
    "답은",
    "답:",
    "答案是",
    "答案为",
    "选",
    "答えは",
)


def ranked_letter(text: str, letters: str) -> str | None:
    """Return the letter that stands in the most telling position, or None.

    Positions in this order: alone at the start, alone at the end, after a phrase such as "the
    answer is", then "(A)", "A.", "A:", "A)", "A " and last anywhere. Within one kind of position
    the letter that stands furthest to the right wins. After a phrase every letter counts with its
    first occurrence, so "The answer is D because A is wrong" gives A; there are no word boundaries.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/_task_utils/mcq_extract.py, extract_mcq_answer.
    """
    bare = text.strip()
    for mark in ",.!?;:'\"":
        bare = bare.strip(mark)
    padded = f" {bare} "
    alone = padded.strip()
    for letter in letters:
        if alone.startswith(letter) and not alone[1:2].isalpha():
            return letter
    for letter in letters:
        if alone.endswith(letter) and not alone[-2:-1].isalpha():
            return letter
    by_phrase = _after_phrases(padded, letters)
    if by_phrase is not None:
        return by_phrase
    written: tuple[Callable[[str], str], ...] = (
        lambda letter: f"({letter})",
        lambda letter: f"{letter}.",
        lambda letter: f"{letter}:",
        lambda letter: f"{letter})",
        lambda letter: f"{letter} ",
        lambda letter: letter,
    )
    for form in written:
        positions = {letter: padded.rfind(form(letter)) for letter in letters}
        furthest = max(letters, key=positions.__getitem__)
        if positions[furthest] >= 0:
            return furthest
    return None


def _after_phrases(text: str, letters: str) -> str | None:
    lowered = text.lower()
    positions: dict[int, str] = {}
    for phrase in _PHRASES:
        start = lowered.find(phrase)
        if start < 0:
            continue
        for letter in letters:
            positions[text.find(letter, start + len(phrase))] = letter
    positions.pop(-1, None)
    return positions[max(positions)] if positions else None


@dataclass(frozen=True)
class RankedLetter(ReplyScorer):
    """lmms-eval's shared extractor: :func:`ranked_letter`; an unread reply is wrong.

    Attributes:
        letters: what is looked for, whatever the number of options.
        upper_targets: the rows' right letters are stripped and put in upper case first, as
            tasks/mmstar/utils.py, exact_match, does.
    """

    letters: str = "ABCD"
    upper_targets: bool = False

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        letter = ranked_letter(reply, self.letters)
        if letter is None:
            return unread(sample, "wrong", f"none of {self.letters} occurs")
        targets = sample.targets
        if self.upper_targets:
            targets = tuple(target.strip().upper() for target in targets)
        return read(sample, letter, letter in targets, "the letter in the most telling position")


_OPTION = re.compile(r"([A-E])\.\s*(.+)", re.IGNORECASE)
_LETTER = re.compile(r"\b[A-E]\b", re.IGNORECASE)


@dataclass(frozen=True)
class MvBenchOfficial(ReplyScorer):
    """MVBench's official rule.

    The assistant's turn began with "Best option:(", so "(" is put in front of the first line of the
    reply; its first word (split at spaces, lower case) must be part of "(a)", dots removed, or hold
    "(a)". An empty reply is "(", which is part of every option, and so always right: it is counted
    as unreadable. So is a reply that fits several options, whatever it scores.

    Source: OpenGVLab/Ask-Anything, video_chat2/mvbench.ipynb, infer_mvbench and check_ans.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 or 0.0, and the letter where the reply fits exactly one option."""
        first_word = f"({reply.strip().split(chr(10))[0]}".lower().split(" ")[0]
        fitting = [
            letter for letter in letters_of(sample) if _fits(first_word, f"({letter.lower()})")
        ]
        right = any(letter in sample.targets for letter in fitting)
        how = f"the first word, {first_word!r}, fits {', '.join(fitting) or 'no option'}"
        return read(sample, fitting[0] if len(fitting) == 1 else None, right, how)


def _fits(word: str, option: str) -> bool:
    return word.replace(".", "") in option or option in word


@dataclass(frozen=True)
class MvBenchLmmsEval(ReplyScorer):
    """lmms-eval's rule for MVBench; empty replies leave the denominator.

    "A. text" on one line is its letter; otherwise punctuation is cleaned up as VQA's evaluation
    does and the first of A to E that stands alone, in either case, is taken: the article "a" too.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mvbench/utils.py, mcq_acc and
    mvbench_aggregate_results.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none, no score for an empty reply."""
        if not reply:
            return unread(sample, "left_out", "the reply is empty")
        letter = mvbench_letter(reply)
        if letter is None:
            return unread(sample, "wrong", "none of A to E stands alone")
        return read_letter(letter, sample, "the first of A to E that stands alone")


def mvbench_letter(text: str) -> str | None:
    """Return the letter that lmms-eval's rule reads, whatever the number of options, or None."""
    option = _OPTION.fullmatch(text.strip())
    if option is not None:
        return option.group(1).upper()
    flat = without_punctuation(on_one_line(text))
    for edge in "'\")(":
        flat = flat.strip(edge)
    letter = _LETTER.search(flat.strip().lower())
    return None if letter is None else letter.group().upper()


_TVBENCH_START = re.compile(r"\s*[(\[]?([A-Z])")


@dataclass(frozen=True)
class TvBenchLmmsEval(ReplyScorer):
    """TVBench in lmms-eval: a letter as a word, a letter at the start, or one candidate's text.

    The reply is looked at in capitals. Only its first letter that is a word counts (the article
    "a" too), and where that is no option's ("I think B") the letter that the reply begins with,
    also inside a word: "Both" gives B. Otherwise exactly one candidate's text must stand in it.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/tvbench/utils.py, _extract_choice_letter.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        text = reply.strip()
        letters = letters_of(sample)
        for match in (re.search(r"\b([A-Z])\b", text.upper()), _TVBENCH_START.match(text.upper())):
            if match is not None and match.group(1) in letters:
                return read_letter(match.group(1), sample, "as a word or at the start")
        lowered = _words(text)
        fitting = [
            letter
            for letter, choice in zip(letters, sample.choices, strict=True)
            if _words(choice) and _words(choice) in lowered
        ]
        if len(fitting) != 1:
            return unread(sample, "wrong", "no letter as a word or at the start, no one candidate")
        return read_letter(fitting[0], sample, "whose text stands in the reply")


def _words(text: str) -> str:
    return " ".join(text.lower().split())


@dataclass(frozen=True)
class RealWorldQaLmmsEval(ReplyScorer):
    """RealWorldQA in lmms-eval: its shared extractor where A to D is right, else the whole reply.

    Another answer is compared in lower case, full stops at the end removed.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/realworldqa/utils.py,
    realworldqa_process_results.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right answer, 0.0 for another."""
        wanted = [target.strip() for target in sample.targets]
        if any(target.upper() in tuple("ABCD") for target in wanted):
            letter = ranked_letter(reply, "ABCD")
            right = letter is not None and any(letter == target.upper() for target in wanted)
            return read(sample, letter, right, "the letter in the most telling position")
        answer = reply.lower().strip().rstrip(".")
        right = any(answer == target.lower() for target in wanted)
        return read(sample, answer, right, "the whole reply")


@dataclass(frozen=True)
class OnlyTheLetter(ReplyScorer):
    """The whole reply is the right answer, to the letter: MMMU-Pro's vision part in lmms-eval.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/mmmu_pro/utils.py, mmmu_pro_process_results.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for an equal text, else 0.0."""
        return read(sample, reply, reply in sample.targets, "the whole reply")


@dataclass(frozen=True)
class SeedBenchLmmsEval(ReplyScorer):
    """SEED-Bench in lmms-eval: the first character of the reply, in either case.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/seedbench/utils.py, seed_process_result.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        letter = reply.strip()[:1]
        right = any(letter.lower() == target.lower().strip() for target in sample.targets)
        known = letter.upper() in tuple(letters_of(sample))
        return read(sample, letter.upper() if known else None, right, "the first character")


_BLINK_START = re.compile(r"[\(\s]*([A-Z])", re.IGNORECASE)


@dataclass(frozen=True)
class BlinkLmmsEval(ReplyScorer):
    """BLINK in lmms-eval: the letter that the reply begins with, also that of a word.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/blink/utils.py, _extract_answer_letter.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        match = _BLINK_START.match(reply.strip())
        if match is None:
            return unread(sample, "wrong", "the reply begins with no letter")
        return read_letter(match.group(1).upper(), sample, "the letter at the start")


_MOTIONBENCH_PHRASES = (
    "THE BEST ANSWER IS",
    "THE CORRECT ANSWER IS",
    "THE ANSWER IS",
    "BEST ANSWER:",
    "ANSWER:",
)


@dataclass(frozen=True)
class MotionBenchLmmsEval(ReplyScorer):
    """MotionBench in lmms-eval: the first of A to F, in capitals, after the last "</think>".

    A letter that is a word counts first (the article "a" too), then one before ".", ")" or ":",
    then any. ``answered`` among the details is 1 where there is one.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/motionbench/utils.py, _extract_choice_letter.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        text = reply.split("</think>")[-1].strip().upper()
        for phrase in _MOTIONBENCH_PHRASES:
            text = text.replace(phrase, "")
        patterns = (r"\b([A-F])\b", r"([A-F])[.):]", r"([A-F])")
        matches = (re.search(pattern, text) for pattern in patterns)
        letter = next((match.group(1) for match in matches if match is not None), None)
        how = "the first of A to F, best as a word" if letter else "none of A to F occurs"
        details = {"answered": float(letter is not None)}
        return read(sample, letter, letter in sample.targets, how, details)


_HOLMES_ANSWER = re.compile(r"<answer>\s*(.*?)\s*</answer>", re.DOTALL)


@dataclass(frozen=True)
class VideoHolmesOfficial(ReplyScorer):
    """Video-Holmes's own rule: the first letter from A to F that occurs in the last answer tag.

    Letters before a space, before ":" or behind "[" come first, then any; in both cases in the
    order of the alphabet, so that "D. A book" is A. A reply without the tag is read as a whole.

    Source: TencentARC/Video-Holmes 52ef8da, evaluate.py, evaluate.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        tagged = _HOLMES_ANSWER.findall(reply)
        text = tagged[-1].strip() if tagged else reply
        marked = (x for x in "ABCDEF" if f"{x} " in text or f"{x}:" in text or f"[{x}" in text)
        letter = next(marked, None) or next((x for x in "ABCDEF" if x in text), None)
        if letter is None:
            return unread(sample, "wrong", "none of A to F occurs")
        return read_letter(letter, sample, "the first of A to F in the answer")


@dataclass(frozen=True)
class TomatoLmmsEval(ReplyScorer):
    """TOMATO in lmms-eval: the first option's letter that occurs as a capital anywhere, else A.

    Of several letters the one that stands last in brackets; without brackets the first of the
    alphabet. Without any, the text of an option in a reply of more than five words.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/tomato/utils.py, parse_multi_choice_response.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another; A where none is read."""
        text, letters = padded(reply), letters_of(sample)
        found = [letter for letter in letters if letter in text]
        if found:
            letter = argmax(found, [text.rfind(f"({letter})") for letter in found])
            return read_letter(letter, sample, "a capital anywhere in the reply")
        positions = content_positions(text, letters, sample.choices)
        if positions:
            letter = argmax(list(positions), list(positions.values()))
            return read_letter(letter, sample, "whose text stands in the reply")
        return read(sample, None, "A" in sample.targets, "counted as A")


@dataclass(frozen=True)
class FirstAlphabetic(ReplyScorer):
    """VideoEval-Pro's rule for options: the first character of the alphabet, in either case.

    What stands before the last "the answer is", or else "answer:" or "the option is", goes first.

    Source: TIGER-AI-Lab/VideoEval-Pro 4220bd4, tools/gpt4o_judge.py, option_judge.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        text = reply.lower()
        for phrase in ("the answer is", "answer:", "the option is"):
            if phrase in text:
                text = text.split(phrase)[-1].strip()
                break
        letter = next((character for character in text if character.isalpha()), None)
        if letter is None or letter.upper() not in tuple(string.ascii_uppercase):
            return unread(sample, "wrong", "there is no letter")
        return read_letter(letter.upper(), sample, "the first character of the alphabet")


@dataclass(frozen=True)
class FirstCharacter(ReplyScorer):
    """Vinoground's rule: the first character of the reply, in either case.

    Sources: Vinoground/Vinoground 1543a2a, get_score_all.py; EvolvingLMMs-Lab/lmms-eval 75571cf,
    tasks/vinoground/utils.py.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or an empty reply."""
        if not reply:
            return unread(sample, "wrong", "the reply is empty")
        right = any(reply[0].lower() == target.lower() for target in sample.targets)
        known = reply[0].upper() in tuple(letters_of(sample))
        return read(sample, reply[0].upper() if known else None, right, "the first character")


@dataclass(frozen=True)
class LvBenchOfficial(ReplyScorer):
    """LVBench's own way to read a reply: the first character behind "(" and before ")".

    "The answer is B" gives T. Source: THUDM/LVBench f998d95, lvbench/utils/answer_util.py,
    polish_answer, which their own scripts call nowhere; lvbench/metrics/compute_accuracy.py wants
    the letter alone.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        text = reply.strip().split(")")[0].strip()
        if "(" in text:
            text = text.split("(")[1].strip()
        letter = text.split(" ")[0][:1]
        if letter not in tuple(letters_of(sample)):
            return unread(sample, "wrong", f"the first character, {letter!r}, is no letter")
        return read_letter(letter, sample, "the first character before any bracket")


@dataclass(frozen=True)
class LowestLoss(SampleScorer):
    """The option with the lowest mean loss is the answer, of equal ones the first.

    Losses that are not a number never win; if none is, there is no answer, which is wrong.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/egoschema/utils.py, egoschema_process_results.
    """

    def score_generation(self, generation: Generation, sample: Sample) -> Score:
        """Return 1.0 when the likeliest option is the right one, else 0.0.

        Raises:
            ValueError: there are no losses, or not one for each option.
        """
        losses = generation.option_losses
        if losses is None or len(losses) != len(sample.options):
            raise ValueError(
                f"sample {sample.id}: answers by likelihood need {len(sample.options)} option "
                f"losses, got {'none' if losses is None else len(losses)}"
            )
        best: int | None = None
        for number, loss in enumerate(losses):
            if loss < (math.inf if best is None else losses[best]):
                best = number
        if best is None:
            return unread(sample, "wrong", "no loss is a number")
        return read_letter(string.ascii_uppercase[best], sample, "the option with the lowest loss")


_LLAVA_LETTERS = "ABCDE"
#: The dot stands for any character but a newline, as in the original.
_LLAVA_PHRASE = re.compile(r"The answer is ([A-Z]).")


@dataclass(frozen=True)
class ScienceQaLmmsEval(ReplyScorer):
    """ScienceQA in lmms-eval: a letter in either case, or a capital and a full stop.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/scienceqa/utils.py, sqa_process_results.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        text = reply.strip()
        letter = text[0] if text[:1].isupper() and text[1:2] == "." else text
        right = any(letter.lower() == target.lower() for target in sample.targets)
        known = letter.upper() in list(letters_of(sample))
        how = 'a letter alone, or a capital and "." at the start'
        return read(sample, letter.upper() if known else None, right, how)


@dataclass(frozen=True)
class ScienceQaLlava(ReplyScorer):
    """ScienceQA in LLaVA: a letter, "A. " and more, or "The answer is A." exactly once.

    Nothing is stripped; a letter beyond the choices, and one beyond E, is wrong.

    Source: haotian-liu/LLaVA, llava/eval/eval_science_qa.py.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        letter = _llava_letter(reply)
        known = letter is not None and letter in letters_of(sample)[: len(_LLAVA_LETTERS)]
        how = 'a letter alone, "A. " at the start, or one "The answer is A."'
        return read(sample, letter if known else None, known and letter in sample.targets, how)


def _llava_letter(text: str) -> str | None:
    if len(text) == 1 and text in _LLAVA_LETTERS:
        return text
    if len(text) >= 3 and text[0] in _LLAVA_LETTERS and text[1:3] == ". ":
        return text[0]
    fitting = _LLAVA_PHRASE.findall(text)
    return str(fitting[0]) if len(fitting) == 1 else None


_LMMS_EVAL_LETTERS = "ABCDE"
#: What may stand around a letter as a word of its own, in the order in which forms are tried.
_LMMS_EVAL_FORMS = (
    *("{}.", "{},", "{}:", "{})", "{}).", "({})", "({})."),
    *(":{}", ":{},", ":{}.", ":{})", ":{})."),
)
_NO_ANSWER_FROM_API = "Failed to obtain answer via API"

_VLMEVALKIT_SPACES = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_VLMEVALKIT_PHRASE = re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")
_VLMEVALKIT_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_LAST_WORDS = 4


@dataclass(frozen=True)
class MmBenchLmmsEval(ReplyScorer):
    """MMBench in lmms-eval, as far as it needs no language model.

    A letter that is a word of its own (of five, whatever the number of options), a letter with a
    mark, or the text of exactly one option somewhere in the reply; in this order. What none of
    these reads is wrong and unreadable; there the original asks GPT. ``static`` among the details
    is the value with its own way without GPT: the letter in the most telling position.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/mmbench/mmbench_evals.py, can_infer and
    eval_sub_data.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        options = _options(sample)
        letter = _lmms_eval_letter(reply) or _by_text(reply, options)
        static = letter or ranked_letter(reply, "".join(options))
        details = {"static": float(static in sample.targets)} if sample.targets else {}
        how = "one letter as a word or with a mark, or the text of one option"
        return read(sample, letter, letter in sample.targets, how, details)


@dataclass(frozen=True)
class MmBenchVlmEvalKit(ReplyScorer):
    """MMBench in VLMEvalKit with exact matching, after its spreadsheet.

    An option's letter that is the only one in the reply and stands among the last four words, a
    phrase ("answer is a cat" gives A), or the text of exactly one option in a reply of at most
    twice the options' length. A refusal is no answer.

    Source: open-compass/VLMEvalKit, vlmeval/utils/matching_util.py, can_infer.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for the right letter, 0.0 for another or none."""
        text = through_spreadsheet(reply)
        # Options that are no texts for pandas are none here.
        options = {letter: option for letter, option in _options(sample).items() if option}
        letter = _vlmevalkit_letter(text, options)
        if letter is None and len(text.lower()) <= 2 * sum(map(len, options.values())):
            letter = _by_text(text, options)
        how = "the only letter, near the end or in a phrase, or the text of one option"
        return read(sample, letter, letter in sample.targets, how)


def _options(sample: Sample) -> dict[str, str]:
    return dict(zip(string.ascii_uppercase, sample.choices, strict=False))


def _by_text(reply: str, options: Mapping[str, str]) -> str | None:
    lowered = reply.lower()
    fitting = [letter for letter, option in options.items() if option.lower() in lowered]
    return fitting[0] if len(fitting) == 1 else None


def _lmms_eval_letter(reply: str) -> str | None:
    if _NO_ANSWER_FROM_API in reply:
        return None
    words = reply.split()
    alone = [letter for letter in _LMMS_EVAL_LETTERS if letter in words]
    is_article = alone == ["A"] and len(words) > 3
    if len(alone) == 1 and not is_article:
        return alone[0]
    for form in _LMMS_EVAL_FORMS:
        fitting = [letter for letter in _LMMS_EVAL_LETTERS if form.format(letter) in words]
        if len(fitting) == 1:
            return fitting[0]
    return None


def _vlmevalkit_letter(reply: str, options: Mapping[str, str]) -> str | None:
    """Return the letter; "" for a refusal, which ends the search, and None where none is read."""
    if _NO_ANSWER_FROM_API in reply:
        return None
    if any(refusal in reply for refusal in _VLMEVALKIT_REFUSALS):
        return ""
    words = reply.translate(_VLMEVALKIT_SPACES).split()
    fitting = [letter for letter in options if letter in words]
    if len(fitting) == 1 and words.index(fitting[0]) >= len(words) - _LAST_WORDS:
        return fitting[0]
    if not fitting and "Z" in words:
        return ""
    phrase = _VLMEVALKIT_PHRASE.search(reply)
    letter = phrase.group(1).upper() if phrase is not None else ""
    return letter if letter in options else None
