"""Rules for questions about when something happens: times read from a reply, and their overlap."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from llava_eval.errors import ConfigError
from llava_eval.scoring.scorer import ReplyScorer, read
from llava_eval.types import Sample, Score

#: A start and an end in seconds, as they were written.
Span = tuple[float, float]
Rule = Literal["charades_lmms_eval", "timelens_lmms_eval", "timelens_official"]

_THRESHOLDS = {"R1@0.3": 0.3, "R1@0.5": 0.5, "R1@0.7": 0.7}


def overlap(first: Span, second: Span) -> float:
    """Return the intersection of two spans over what both cover, from 0 to 1.

    A span whose end comes before its start has no intersection.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/charades_sta/utils.py, iou.
    """
    covered = max(first[1], second[1]) - min(first[0], second[0])
    shared = min(first[1], second[1]) - max(first[0], second[0])
    return 0.0 if covered <= 0 else max(shared, 0) / covered


@dataclass(frozen=True)
class SpanOverlap(ReplyScorer):
    """The overlap of the first span that a reply names with the right one.

    ``R1@0.3``, ``R1@0.5`` and ``R1@0.7`` among the details are 1 where it is at least as much. A
    reply without two times is worth 0.

    Attributes:
        rule: whose way to read times; see :func:`charades_spans`, :func:`timelens_spans`. The
            authors of TimeLens round them to whole seconds.
    """

    rule: Rule

    def score(self, reply: str, sample: Sample) -> Score:
        found = _RULES[self.rule](reply)
        value, details = 0.0, {}
        if sample.targets:
            start, end = _right_span(sample)
            value = overlap(found[0], (start, end)) if found else 0.0
            details = {name: float(value >= least) for name, least in _THRESHOLDS.items()}
        if not found:
            return read(sample, None, 0.0, "there are no two times", details)
        start, end = found[0]
        return read(sample, f"{start:g} to {end:g} s", value, "the first span", details)


def _right_span(sample: Sample) -> Span:
    try:
        start, end = map(float, sample.targets[0].split())
    except ValueError:
        raise ConfigError(
            f"sample {sample.id}: the right answer {sample.targets[0]!r:.60} should be two times "
            'in seconds ("3.5 8"), as this scorer compares spans'
        ) from None
    return start, end


_KEYWORDS = ("start", "end", "happen")
_EXAMPLE = "a specific example is : 20.8 - 30.0 seconds"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?"
_CLOCK_SPAN = re.compile(rf"\b({_CLOCK})\s*[–-]\s*({_CLOCK})\b")  # noqa: RUF001
_NUMBER_SPAN = re.compile(r"(?<!\d)(\d++(?:\.\d+)?)\s*[–-]\s*(\d+(?:\.\d+)?)")  # noqa: RUF001
_UNIT_SPAN = re.compile(r"(?<!\d)(\d++(?:\.\d+)?)\s*s?\s*[–-]\s*(\d+(?:\.\d+)?)\s*s?")  # noqa: RUF001
_ONE_CLOCK = re.compile(rf"\b({_CLOCK})\b")
_ONE_NUMBER = re.compile(r"\b(\d+(?:\.\d+)?)\b")


def charades_spans(reply: str) -> list[Span]:
    """Return the first span of a reply, earlier time first, or nothing.

    Only sentences with a word such as "start" are looked at, or all where there is none; sentences
    end at "!", "?" and line breaks, and every "to" is a dash. The first of these decides: two clock
    times with a dash, two numbers with a dash, clock times, the first number of two sentences.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/charades_sta/utils.py, extract_time.

    Args:
        reply: the model's text.
    """
    text = reply.lower().replace(_EXAMPLE, "").replace("to", "-")
    sentences = re.split(r"[!?\n]", text)
    named = [sentence for sentence in sentences if any(word in sentence for word in _KEYWORDS)]
    named = named or sentences
    for pattern, seconds in ((_CLOCK_SPAN, _clock_seconds), (_NUMBER_SPAN, float)):
        for sentence in named:
            if match := pattern.search(sentence):
                return [_in_order(seconds(match[1]), seconds(match[2]))]
    times = [_clock_seconds(time) for sentence in named for time in _ONE_CLOCK.findall(sentence)]
    if len(times) < 2:
        first = (_ONE_NUMBER.search(sentence) for sentence in named)
        times = [float(match[1]) for match in first if match is not None]
    if len(times) >= 2:
        return [_in_order(times[0], times[1])]
    match = next((match for sentence in named if (match := _UNIT_SPAN.search(sentence))), None)
    return [] if match is None else [_in_order(float(match[1]), float(match[2]))]


def _in_order(first: float, second: float) -> Span:
    return (first, second) if second > first else (second, first)


def _clock_seconds(time: str) -> float:
    seconds = 0.0
    for part in time.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


_TIMELENS_CLOCK = re.compile(r"\b(\d{1,2}:\d{2}:\d{2}(?:\.\d+)?|\d{1,2}:\d{2}(?:\.\d+)?)\b")
#: The first number is matched possessively and from its first digit only. That changes no match,
#: but a reply of one very long number would otherwise take time in the cube of its length.
_TIMELENS_SPANS = (
    re.compile(r"(?<!\d)(\d++\.?+\d*+)\s*-\s*(\d+\.?\d*)"),
    re.compile(r"(?<!\d)(\d++\.?+\d*+)\s+to\s+(\d+\.?\d*)"),
)
_TIMELENS_NUMBERS = {
    "timelens_official": re.compile(r"\b(?:\d+\.\d+|\d+)\b"),
    "timelens_lmms_eval": re.compile(r"\b\d+(?:\.\d*)?\b"),
}


def timelens_spans(reply: str, rule: str) -> list[Span]:
    """Return the spans of a reply in their order, each as it is written.

    The first of these decides: clock times two by two, numbers with a dash, numbers with "to",
    numbers two by two.

    Source: TencentARC/TimeLens 5d90c06, timelens/utils.py, extract_time, which lmms-eval follows
    but for its numbers ("12." is one there).

    Args:
        reply: the model's text.
        rule: "timelens_official" or "timelens_lmms_eval".
    """
    text = reply.lower()
    clocks = _TIMELENS_CLOCK.findall(text)
    if len(clocks) >= 2:
        return _pairs([_clock_seconds(time) for time in clocks])
    for pattern in _TIMELENS_SPANS:
        if found := pattern.findall(text):
            return [(float(start), float(end)) for start, end in found]
    return _pairs([float(number) for number in _TIMELENS_NUMBERS[rule].findall(text)])


def _pairs(times: Sequence[float]) -> list[Span]:
    return list(zip(times[::2], times[1::2], strict=False))


def _whole(seconds: float) -> float:
    # Hundreds of digits become infinity, which cannot be rounded; the overlap is 0 either way.
    return float(round(seconds)) if math.isfinite(seconds) else seconds


_RULES: dict[Rule, Callable[[str], list[Span]]] = {
    "charades_lmms_eval": charades_spans,
    "timelens_lmms_eval": lambda reply: timelens_spans(reply, "timelens_lmms_eval"),
    "timelens_official": lambda reply: [
        (_whole(start), _whole(end)) for start, end in timelens_spans(reply, "timelens_official")
    ],
}
