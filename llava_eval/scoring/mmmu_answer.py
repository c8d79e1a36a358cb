"""MMMU's own parser and its two ways to compare."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from llava_eval.scoring.choice import last_letter, letters_of, read_letter, unread
from llava_eval.scoring.scorer import ReplyScorer, read
from llava_eval.types import Sample, Score

#: What a short answer stands after; the shortest rest counts.
_BEFORE_ANSWER = (
    "could be ",
    "so ",
    "is ",
    "thus ",
    "therefore ",
    "final ",
    "answer ",
    "result ",
)
_TRIVIAL = frozenset(":,.!?;'")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)

Comparable = str | float


@dataclass(frozen=True)
class MmmuOfficial(ReplyScorer):
    """MMMU's rule as lmms-eval v0.2.0 has it.

    Multiple choice: a letter is read as :func:`llava_eval.scoring.choice.last_letter` does;
    where there is none the original draws one, here with a seed of the sample's own. Open answers:
    the reply's key parts and numbers are candidates; one is right if a text answer stands in it
    anywhere, or if its number is the answer's to two decimals.

    Source: MMMU-Benchmark/MMMU, eval/eval_utils.py; EvolvingLMMs-Lab/lmms-eval v0.2.0,
    tasks/mmmu/utils.py. Later versions of lmms-eval keep one open candidate of an unordered set.

    Attributes:
        seed: of the draw.
    """

    seed: int = 0

    def score(self, reply: str, sample: Sample) -> Score:
        """Return 1.0 for a right answer, read or drawn, else 0.0."""
        if not sample.choices:
            return _open(reply, sample)
        letters = letters_of(sample)
        letter = last_letter(reply, letters, sample.choices)
        if letter is None:
            why = "no letter with a mark and no option's text was found"
            return unread(sample, "random", why, letters=letters, seed=self.seed)
        return read_letter(letter, sample, "a letter with a mark, or the text of an option")


def _open(reply: str, sample: Sample) -> Score:
    candidates = [answer for part in _candidates(reply) for answer in comparable(part)]
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


def _candidates(text: str) -> Iterator[str]:
    reply = text.strip().strip(".").lower()
    # The original splits sentences before capitals too, after it has lower-cased all of them.
    lines = reply.split("\n")
    parts = [_key_part(line, is_last=index == len(lines)) for index, line in enumerate(lines, 1)]
    parts = [part for part in parts if part and part not in _TRIVIAL] or [reply]
    yield from parts
    for part in parts:
        for pattern in _NUMBERS:
            yield from pattern.findall(part)


def _key_part(line: str, *, is_last: bool) -> str:
    """Return the shortest rest of a line after one of the phrases, or after "=" in the last."""
    phrases = (*_BEFORE_ANSWER, "=") if is_last else _BEFORE_ANSWER
    shortest = ""
    for phrase in phrases:
        rest = line.rpartition(phrase)[2].strip()
        if phrase in line and (not shortest or len(rest) < len(shortest)):
            shortest = rest
    return shortest
