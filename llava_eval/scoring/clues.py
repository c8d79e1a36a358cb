"""CG-Bench's rules: a result in a block of JSON, or else what stands anywhere in the reply."""

from __future__ import annotations

import json
import re
from typing import Any

from llava_eval.borders.json_text import parse_json
from llava_eval.scoring.choice import unread
from llava_eval.scoring.scorer import ReplyScorer, read
from llava_eval.types import Sample, Score

_BLOCK = "```json"
_BARE_WORD = re.compile(r"(?<=:\s)([A-Za-z_]\w*)")
_LETTER = re.compile(r"\b[A-H]\b")
_NUMBER = re.compile(r"-?\d+\.?\d*")
_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
#: What a result of an unexpected type can raise when it is treated as intervals.
_FAULTS = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


def fenced_result(reply: str, *, quote_words: bool = False) -> tuple[Any, ...]:
    r"""Return the ``result`` in a reply's first block of JSON as a tuple of one, or an empty tuple.

    Args:
        reply: the model's text, or a judge's.
        quote_words: bare words after a colon are quoted first, so that ``{"result": B}`` is read.

    Source: CG-Bench/CG-Bench f826608, run/utils.py, post_process.
    """
    start = reply.find(_BLOCK)
    end = reply.find("```", start + len(_BLOCK))
    content = reply[start + len(_BLOCK) : end].strip() if start >= 0 and end >= 0 else ""
    if quote_words:
        content = _BARE_WORD.sub(r'"\1"', content)
    try:
        return (parse_json(content)["result"],)
    except (ValueError, TypeError, LookupError):
        return ()


class CgBench(ReplyScorer):
    """CG-Bench: a letter, or the clue's intervals and their overlap with the right ones.

    The letter is the result; without one, the reply is right where the right letter stands anywhere
    as a word, among others too. Intervals are the result, or else all numbers of the reply in
    pairs; a reply without any number has an overlap of 0. What cannot be read is left out: the
    authors' scripts ask the model again.

    Source: CG-Bench/CG-Bench f826608, run/utils.py, post_process and calculate_intervals_iou;
    run/stat_with_key.py. ``rec@IoU`` among the details is the share of five thresholds that the
    overlap reaches.
    """

    def score(self, reply: str, sample: Sample) -> Score:
        if sample.facets["task"] == "miou":
            return self._of_intervals(reply, sample)
        found = fenced_result(reply, quote_words=True)
        letters = [str(found[0])] if found else _LETTER.findall(reply)
        if not letters:
            return unread(sample, "left_out", "there is no result and no letter of A to H")
        how = "the result" if found else "letters of A to H that stand alone"
        is_right = found == sample.targets if found else sample.targets[0] in letters
        return read(sample, ", ".join(letters) or "nothing", is_right, how)

    def _of_intervals(self, reply: str, sample: Sample) -> Score:
        right = json.loads(sample.targets[0])
        found = fenced_result(reply)
        value = _overlap_if_any(found[0], right) if found else None
        numbers = [float(number) for number in _NUMBER.findall(reply)]
        if value is None and reply and len(numbers) % 2 == 0:
            found = (list(zip(numbers[::2], numbers[1::2], strict=True)),)
            value = _overlap_if_any(found[0], right)
        if value is None:
            return unread(sample, "left_out", "there are no intervals")
        reached = sum(value >= least for least in _THRESHOLDS) / len(_THRESHOLDS)
        return read(sample, f"{found[0]}", value, "as intervals", {"rec@IoU": reached})


def intervals_overlap(first: Any, second: Any) -> float:
    """Return the intersection of two lists of intervals over their union, from 0 to 1.

    Args:
        first: a list of (start, end) in seconds. Overlapping intervals are merged, except that
            extending a tuple raises, as in the original.
        second: another such list.

    Raises:
        TypeError: or another exception, if they are not such lists.
    """
    left, right = _joined(first), _joined(second)
    shared = 0.0
    for start, end in left:
        for other_start, other_end in right:
            shared += max(0, min(end, other_end) - max(start, other_start))
    length, other_length = (sum(end - start for start, end in side) for side in (left, right))
    covered = length + other_length - shared
    return shared / covered if covered > 0 else 0.0


def _overlap_if_any(found: Any, right: Any) -> float | None:
    try:
        return intervals_overlap(found, right)
    except _FAULTS:  # the original, too, gives up on this question when such an error is raised
        return None


def _joined(intervals: Any) -> list[Any]:
    if not intervals:
        return []
    if not isinstance(intervals, list):
        raise TypeError(f"expected a list of intervals, got {type(intervals).__name__}")
    joined: list[Any] = []
    for interval in sorted(intervals, key=lambda item: item[0]):
        if joined and interval[0] <= joined[-1][1]:
            last = joined[-1]
            if isinstance(last, tuple):
                raise TypeError("a tuple cannot grow")
            joined[-1] = [last[0], max(last[1], interval[1]), *last[2:]]
        else:
            joined.append(interval)
    return joined
