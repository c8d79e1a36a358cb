"""Parsers of a judge's reply, each as one reference reads it.

Each function takes the raw reply and reproduces one reference to the letter, with the result that
the reference's own table would count. Where a reference has no result (it asks again for ever, or
its aggregation crashes), the reply is unreadable and counts nowhere.
"""

from __future__ import annotations

import ast
import json
import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Literal, cast

from llava_eval.borders.json_text import parse_json

ParserName = Literal[
    "verdict_and_score_whole",
    "verdict_and_score_first_braces",
    "verdict_and_score_or_no",
    "score_by_key",
    "score_of_first_value",
    "score_or_zero",
    "extracted_and_correct",
    "begins_with_a",
    "grade_or_zero",
    "conflict",
]


@dataclass(frozen=True, slots=True)
class ParsedReply:
    """What one reply says.

    Attributes:
        verdict: the judge's own word, or the word that the reference turns it into; None if there
            is none.
        is_right: whether the reference counts the answer as right; None if it counts it neither as
            right nor as wrong.
        score: the number that goes into the mean; None if none does.
        unreadable: the reply could not be read, whatever the reference makes of that.
    """

    verdict: str | None = None
    is_right: bool | None = None
    score: float | None = None
    unreadable: bool = False


UNREADABLE = ParsedReply(unreadable=True)

# What reading a reply can raise: invalid literals, missing keys, values of the wrong type, nesting
# that is too deep, numbers that are too large.
_FAULTS = (
    ValueError,
    SyntaxError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    MemoryError,
    RecursionError,
    OverflowError,
)


#: A larger number is a mistake of the judge on any scale, and would drown all others in a mean.
_HIGHEST = 1e6

Parser = Callable[[str], ParsedReply]

#: By name, what reads a reply.
PARSERS: dict[ParserName, Parser] = {}


def _parser(otherwise: ParsedReply = UNREADABLE) -> Callable[[Parser], Parser]:
    """Name a parser after its function; a reply that raises in it is read as ``otherwise``."""

    def named(read: Parser) -> Parser:
        @wraps(read)
        def parse(reply: str) -> ParsedReply:
            try:
                return read(reply)
            except _FAULTS:
                return otherwise

        PARSERS[cast("ParserName", read.__name__)] = parse
        return parse

    return named


@_parser()
def verdict_and_score_whole(reply: str) -> ParsedReply:
    """Read ``{'pred': 'yes', 'score': 4}``, the reply as a whole.

    The reply must be a Python literal that JSON can hold; ``int(score)`` truncates. The verdict is
    "yes" if the lower-cased ``pred`` contains it, else "no" if it contains that. A reply with
    neither is left out of the accuracy, but its score counts in the mean.

    Source: mbzuai-oryx/Video-ChatGPT, quantitative_evaluation/evaluate_activitynet_qa.py;
    LLaVA-VL/LLaVA-NeXT, llava/eval/eval_activitynet_qa.py.
    """
    return _verdict_and_score(_through_json(_literal(reply)))


@_parser()
def verdict_and_score_first_braces(reply: str) -> ParsedReply:
    """Read the first ``{...}`` of a reply, without any braces inside it.

    ``int(score)`` truncates; the verdict as in :func:`verdict_and_score_whole`.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/activitynetqa/utils.py, parse_score.
    """
    inside = reply.strip().split("{")[1].split("}")[0]
    return _verdict_and_score(_literal("{" + inside + "}"))


@_parser(ParsedReply("no", is_right=False, score=0.0, unreadable=True))
def verdict_and_score_or_no(reply: str) -> ParsedReply:
    """Read the stripped reply as a whole; whatever cannot be read is "no" with score 0.

    The score keeps its fraction; a missing score is 0 and a missing verdict is "no". Only exactly
    "yes" is right.

    Source: lmms-eval v0.2.0, tasks/activitynetqa/utils.py, parse_score. There a score of "nan" or
    "inf" makes the mean score of the whole set nan or inf; here it stays out of that mean.
    """
    content = _literal(reply.strip())
    verdict = content.get("pred", "no")
    score = float(content.get("score", 0))
    return ParsedReply(str(verdict), verdict == "yes", score if math.isfinite(score) else None)


@_parser()
def score_by_key(reply: str) -> ParsedReply:
    """Read ``{'score': 4}``, the reply as a whole; ``int(score)`` truncates.

    Source: Video-ChatGPT, quantitative_evaluation/evaluate_benchmark_1_correctness.py and its
    four siblings.
    """
    return ParsedReply(score=float(int(_through_json(_literal(reply))["score"])))


@_parser()
def score_of_first_value(reply: str) -> ParsedReply:
    """Read the first value of a dictionary, whatever its key; ``int()`` truncates.

    An empty dictionary adds nothing to the sum and one to the count: it scores 0.

    Source: LLaVA-NeXT, llava/eval/evaluate_benchmark_1_correctness.py and its siblings, and
    evaluate_benchmark_video_detail_description.py.
    """
    for value in _through_json(_literal(reply)).values():
        return ParsedReply(score=float(int(value)))
    return ParsedReply(score=0.0)


@_parser(ParsedReply(score=0.0, unreadable=True))
def score_or_zero(reply: str) -> ParsedReply:
    """Read ``{'score': 4}``, the stripped reply as a whole; whatever cannot be read scores 0.

    A dictionary without a score scores 0 as well.

    Source: lmms-eval, tasks/video_detail_description/utils.py, parse_score.
    """
    score = int(_literal(reply.strip()).get("score", 0))
    return ParsedReply(score=float(score)) if abs(score) <= sys.float_info.max else UNREADABLE


_TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE = frozenset({"false", "f", "no", "n", "off", "0"})


@_parser(ParsedReply(is_right=False, unreadable=True))
def extracted_and_correct(reply: str) -> ParsedReply:
    """Read ``{"extracted_answer": "B", "correct": true}``; whatever cannot be read is wrong.

    The original has the endpoint enforce this form. For endpoints that do not, the words read as
    true and false are those that pydantic accepts.

    Source: yale-nlp/MMVU 4d54223, utils/eval_utils.py, EvaluationOutput and get_acc_async.
    """
    content = parse_json(reply, dict)
    answer, correct = content["extracted_answer"], content["correct"]
    word = correct.lower() if isinstance(correct, str) else str(int(correct))
    is_whole = not isinstance(correct, float) or correct.is_integer()
    if isinstance(answer, str) and is_whole and word in _TRUE | _FALSE:
        return ParsedReply(answer, word in _TRUE)
    raise ValueError("another form")


@_parser()
def begins_with_a(reply: str) -> ParsedReply:
    """Read "A" for correct, as the first character; an empty reply is right.

    The original raises an exception for an empty reply and, after ten attempts, stores a dictionary
    with the error, which is truthy where right answers are counted.

    Source: TIGER-AI-Lab/VideoEval-Pro 4220bd4, tools/gpt4o_judge.py.
    """
    text = reply.strip()
    if not text:
        return ParsedReply(is_right=True, unreadable=True)
    return ParsedReply(text[0].upper(), text[0].upper() == "A")


@_parser(ParsedReply(score=0.0, unreadable=True))
def grade_or_zero(reply: str) -> ParsedReply:
    """Read a grade from 0 to 1 before the first space; what is no number is 0.

    The original asks for ever where the number lies outside.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/mmvet/utils.py, mmvet_process_results.
    """
    grade = float(reply.strip().split(" ")[0].strip())
    return ParsedReply(score=grade) if 0.0 <= grade <= 1.0 else UNREADABLE


@_parser()
def conflict(reply: str) -> ParsedReply:
    """Read "incorrect", else "correct", anywhere and in any case; anything else is unclear.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/hallusion_bench/utils.py,
    evaluate_by_chatgpt.
    """
    lowered = reply.lower()
    word = next((word for word in ("incorrect", "correct") if word in lowered), "unclear")
    return ParsedReply(word, word == "correct")


def parse_reply(name: ParserName, reply: str) -> ParsedReply:
    """Read a judge's reply as one reference does, but drop a score too large for any scale.

    Args:
        name: of the parser.
        reply: the judge's raw reply.
    """
    parsed = PARSERS[name](reply)
    if parsed.score is None or abs(parsed.score) <= _HIGHEST:
        return parsed
    return replace(parsed, score=None, unreadable=parsed.is_right is None)


def _literal(text: str) -> Any:
    with warnings.catch_warnings():
        # A reply such as "'\d'" is a literal that Python warns about.
        warnings.simplefilter("ignore")
        return ast.literal_eval(text)


def _through_json(value: Any) -> Any:
    """Return the value as it comes back from JSON: the references store every reply in a file."""
    return json.loads(json.dumps(value))


def _verdict_and_score(content: Any) -> ParsedReply:
    score = float(int(content["score"]))
    verdict = content["pred"]
    lowered = verdict.lower()
    is_right = None
    if "yes" in lowered or "no" in lowered:
        is_right = "yes" in lowered
    return ParsedReply(verdict, is_right, score)
