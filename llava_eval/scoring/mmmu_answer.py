"""MMMU's own parser and its two ways to compare, and Video-MMMU's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from llava_eval.scoring.choice import letters_of, marked_or_drawn, read_letter, unread
from llava_eval.scoring.choice.option_text import furthest, last_letter, padded
from llava_eval.scoring.choice.ranked_letter import ranked_letter
from llava_eval.scoring.scorer import ReplyScorer, read
from llava_eval.types import Sample, Score

# fmt: off
#: What a short answer follows; of several, the shortest rest of the line counts.
_BEFORE_ANSWER = (
    "could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ",
)
#: What Video-MMMU looks for beside these.
_VIDEO_BEFORE_ANSWER = (
    "are ", "in total ", "total ", "identify ", "recognize ", "calculated as ", "counted as ",
    "measured as ", "observed as ", "concluded as ", "found to be ", "equals ",
    "determined to be ", "number of ", "value is ", "adds up to ", "have ", "has ",
)
# fmt: on
_TRIVIAL = frozenset(":,.!?;'")
#: A number never begins inside another one. The originals' patterns try that too, and practically
#: never finish on a very long number.
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?(?<!\d)\d++(?:\.\d++)?[eE][+-]?\d+"),
    re.compile(r"-?(?:(?<!\d)\d+\.\d+|\.\d+|(?<!\d)\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)

Comparable = str | float


@dataclass(frozen=True)
class MmmuOfficial(ReplyScorer):
    """MMMU's rule as lmms-eval v0.2.0 and 0.7.3 have it.

    Multiple choice: a letter is read as :func:`llava_eval.scoring.choice.last_letter` does;
    where there is none the original draws one, here with a seed of the sample's own. Open answers:
    the reply's key parts and numbers are candidates; one is right if a text answer stands in it
    anywhere, or if its number is the answer's to two decimals.

    Source: MMMU-Benchmark/MMMU, eval/eval_utils.py; EvolvingLMMs-Lab/lmms-eval v0.2.0 and 0.7.3,
    tasks/mmmu/utils.py. Versions between them, up to 75571cf, keep one open candidate of an
    unordered set, and compare its characters one by one.

    Attributes:
        seed: of the draw.
    """

    seed: int = 0

    def score(self, reply: str, sample: Sample) -> Score:
        if not sample.choices:
            return _open(reply, sample, _BEFORE_ANSWER)
        letter = last_letter(reply, letters_of(sample), sample.choices)
        return marked_or_drawn(letter, sample, self.seed)


@dataclass(frozen=True)
class VideoMmmu(ReplyScorer):
    """Video-MMMU's rules, its authors' and those of later versions of lmms-eval.

    Multiple choice: "A." and "A:" anywhere, else "(A)", else "A ", else the text of an option in a
    reply of more than five words; of several letters the one that comes last, where those after
    "A:" count only where nothing stands before ".". Open answers are MMMU's with more phrases. A
    question of the type perception is wrong whatever the reply: a list is compared with a text.

    Sources: EvolvingLMMs-Lab/VideoMMMU 88b4ac3 and EvolvingLMMs-Lab/lmms-eval 75571cf,
    tasks/videommmu/utils.py, parse_multi_choice_response, parse_open_response, eval_open.

    Attributes:
        ranked: letters are read as :func:`llava_eval.scoring.choice.ranked_letter` does, as
            lmms-eval has it now; there an empty reply to multiple choice is wrong, else it leaves
            the denominator.
    """

    ranked: bool = False

    def score(self, reply: str, sample: Sample) -> Score:
        kind = sample.facets["question_type"]
        is_choice = kind == "multiple-choice"
        if not reply and not (self.ranked and is_choice):
            return unread(sample, "left_out", "the reply is empty")
        if kind == "perception":
            how = "a question of the type perception is never right in the reference"
            return read(sample, reply.strip(), 0.0, how)
        if not is_choice:
            return _open(reply, sample, (*_BEFORE_ANSWER, *_VIDEO_BEFORE_ANSWER))
        letters = letters_of(sample)
        letter = ranked_letter(reply, letters) if self.ranked else _video_letter(reply, sample)
        if letter is None:
            return unread(sample, "wrong")
        return read_letter(letter, sample)


def _video_letter(reply: str, sample: Sample) -> str | None:
    text, letters = padded(reply), letters_of(sample)
    marks = [(letter, mark) for mark in ".:" for letter in letters if f"{letter}{mark}" in text]
    if not marks:
        return last_letter(reply, letters, sample.choices)
    # Where any letter stands before ".", those before ":" are looked for before "." too.
    mark = marks[0][1]
    return furthest({letter: text.rfind(f"{letter}{mark}") for letter, _ in marks})


def _open(reply: str, sample: Sample, phrases: tuple[str, ...]) -> Score:
    parts = _candidates(reply, phrases)
    candidates = [answer for part in parts for answer in comparable(part)]
    accepted = [answer for target in sample.targets for answer in comparable(target)]
    right = any(_matches(candidate, accepted) for candidate in candidates)
    return read(sample, reply.strip(), right, "by the key parts and numbers of the reply")


def comparable(text: str) -> list[Comparable]:
    """Return a number rounded to two decimals, or a lower-cased text.

    A single character gets a space on either side, one form each, against trivial matches.
    """
    stripped = text.strip()
    try:
        return [round(float(stripped.replace(",", "")), 2)]
    except ValueError:
        lowered = stripped.lower()
    return [f" {lowered}", f"{lowered} "] if len(lowered) == 1 else [lowered]


def _matches(candidate: Comparable, accepted: list[Comparable]) -> bool:
    if isinstance(candidate, str):
        return any(isinstance(text, str) and text in candidate for text in accepted)
    return candidate in accepted


def _candidates(text: str, phrases: tuple[str, ...]) -> Iterator[str]:
    reply = text.strip().strip(".").lower()
    # The original splits sentences before capitals too, after it has lower-cased all of them.
    *lines, last = reply.split("\n")
    found = [_key_part(line, phrases) for line in lines]
    found.append(_key_part(last, (*phrases, "=")))
    parts = [part for part in found if part and part not in _TRIVIAL] or [reply]
    yield from parts
    for part in parts:
        for pattern in _NUMBERS:
            yield from pattern.findall(part)


def _key_part(line: str, phrases: tuple[str, ...]) -> str:
    """Return the shortest rest of a line after one of the phrases; empty where it has none."""
    shortest = ""
    for phrase in phrases:
        rest = line.rpartition(phrase)[2].strip()
        if phrase in line and (not shortest or len(rest) < len(shortest)):
            shortest = rest
    return shortest
