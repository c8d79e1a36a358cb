"""Rules that rank the positions of letters, or look for a few phrases."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llava_eval.scoring.choice.letter import LetterRule, letters_of, unread
from llava_eval.scoring.scorer import ReplyScorer, read
from llava_eval.types import Sample, Score

#: Phrases that announce an answer, in lower case.
# fmt: off
_PHRASES = (
    "the answer is", "answer is", "the correct answer is", "correct answer is",
    "the best answer is", "best answer is", "the correct option is", "correct option is",
    "the best option is", "best option is", "the choice is", "choice is",
    "the correct choice is", "correct choice is", "i choose", "i select", "i pick",
    "my answer is", "my choice is",
    "옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは",
)
# fmt: on
_DEFAULT_LETTERS = "ABCDEFGH"


def ranked_letter(text: str, letters: str) -> str | None:
    """Return the letter in the highest-ranked position, or None.

    Positions rank in this order: alone at the start, alone at the end, after a phrase such as "the
    answer is", then "(A)", "A.", "A:", "A)", "A " and last anywhere. Within one kind of position
    the rightmost letter wins. After a phrase every letter counts with its first occurrence, so "The
    answer is D because A is wrong" gives A; there are no word boundaries. If ``letters`` is empty,
    A to H are used.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/_task_utils/mcq_extract.py, extract_mcq_answer.
    """
    letters = letters or _DEFAULT_LETTERS
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
    for form in ("({})", "{}.", "{}:", "{})", "{} ", "{}"):
        positions = {letter: padded.rfind(form.format(letter)) for letter in letters}
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
        letters: the letters to look for, whatever the number of options.
        upper_targets: strip the rows' right letters and convert them to upper case first, as
            tasks/mmstar/utils.py, exact_match, does.
    """

    letters: str = "ABCD"
    upper_targets: bool = False

    def score(self, reply: str, sample: Sample) -> Score:
        letter = ranked_letter(reply, self.letters)
        if letter is None:
            return unread(sample, "wrong", f"none of {self.letters} occurs")
        targets = sample.targets
        if self.upper_targets:
            targets = tuple(target.strip().upper() for target in targets)
        return read(sample, letter, letter in targets, "the letter in the most telling position")


class RealWorldQaLmmsEval(ReplyScorer):
    """RealWorldQA in lmms-eval: its shared extractor if A to D is right, else the whole reply.

    The whole reply is compared in lower case, without full stops at its end.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/realworldqa/utils.py,
    realworldqa_process_results.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        wanted = [target.strip() for target in sample.targets]
        if any(target.upper() in tuple("ABCD") for target in wanted):
            letter = ranked_letter(reply, "ABCD")
            right = letter is not None and any(letter == target.upper() for target in wanted)
            return read(sample, letter, right, "the letter in the most telling position")
        answer = reply.lower().strip().rstrip(".")
        right = any(answer == target.lower() for target in wanted)
        return read(sample, answer, right, "the whole reply")


_LLAVA_LETTERS = "ABCDE"
_LLAVA_START = re.compile(rf"([{_LLAVA_LETTERS}])(?:\. .*)?", re.DOTALL)
#: The dot matches any character except a newline, as in the original.
_LLAVA_PHRASE = re.compile(r"The answer is ([A-Z]).")


class ScienceQaLmmsEval(ReplyScorer):
    """ScienceQA in lmms-eval: a letter in either case, or a capital and a full stop.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/scienceqa/utils.py, sqa_process_results.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        text = reply.strip()
        letter = text[0] if text[:1].isupper() and text[1:2] == "." else text
        right = any(letter.lower() == target.lower() for target in sample.targets)
        known = letter.upper() in list(letters_of(sample))
        how = 'a letter alone, or a capital and "." at the start'
        return read(sample, letter.upper() if known else None, right, how)


class ScienceQaLlava(LetterRule):
    """ScienceQA in LLaVA: a letter, "A. " with more text, or "The answer is A." exactly once.

    Nothing is stripped; a letter beyond the choices or beyond E is wrong.

    Source: haotian-liu/LLaVA, llava/eval/eval_science_qa.py.
    """

    def _find(self, reply: str, sample: Sample) -> tuple[str | None, str]:
        start = _LLAVA_START.fullmatch(reply)
        fitting = _LLAVA_PHRASE.findall(reply) if start is None else [start[1]]
        letter = str(fitting[0]) if len(fitting) == 1 else None
        known = letter is not None and letter in letters_of(sample)[: len(_LLAVA_LETTERS)]
        how = 'a letter alone, "A. " at the start, or one "The answer is A."'
        return letter if known else None, how
