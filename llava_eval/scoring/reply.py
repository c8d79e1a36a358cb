"""Cleaning of a model's text before the rule scores it: reasoning and white space."""

from __future__ import annotations

import re
from typing import Final

from llava_eval.config.schema import ReplyConfig

#: Detail of a score: the reply has reasoning, in its text or separate from it.
HAS_REASONING: Final = "has_reasoning"

#: Names of tags around reasoning, or around stages before a conclusion; case does not matter.
_NAMES = (
    r"(?:\w{1,20}[:_])?(?:re)?think(?:ing)?|thoughts?|reasoning|reason|analysis|scratchpad|reflection|inner_thoughts"
    r"|chain[-_]of[-_]thought|cot|summary|caption|rationale"
)
_OPENS = (
    rf"<\s*(?:{_NAMES})(?:\s[^<>]*)?>",
    r"◁think▷",
    r"\[THINK\]",
    r"<\|(?:begin_of_thought|think|thinking)\|>",
    r"<\|channel\|>(?:analysis|commentary)(?:<\|message\|>)?",
    r"<\|channel>\s*thought",  # Gemma 4
    r"<unused94>(?:\s*thought)?",  # MedGemma
    r"<\|START_THINKING\|>",  # Command
)
_CLOSES = (
    rf"<\s*/\s*(?:{_NAMES})\s*>",
    r"◁/think▷",
    r"\[/THINK\]",
    r"<\|(?:end_of_thought|/think|/thinking)\|>",
    r"(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final(?:<\|message\|>)?",
    r"<channel\|>",
    r"<unused95>",
    r"<\|END_THINKING\|>",
)
_MARK = re.compile(f"(?P<opens>{'|'.join(_OPENS)})|{'|'.join(_CLOSES)}", re.IGNORECASE)


def holds_reasoning(text: str) -> bool:
    """Return whether a text contains marks of reasoning."""
    return _MARK.search(text) is not None


def without_reasoning(text: str) -> str | None:
    """Return a reply without blocks of reasoning, for our own rules.

    If a block has an end but no beginning (because the beginning was in the prompt), it starts with
    the text. If a block never ends, for instance because the tokens ran out, the result is None.

    Args:
        text: the model's text.
    """
    kept: list[str] = []
    position = depth = 0
    for mark in _MARK.finditer(text):
        if mark["opens"]:
            if depth == 0:
                kept.append(text[position : mark.start()])
            depth += 1
        elif depth == 0:
            kept = []
        else:
            depth -= 1
        position = mark.end()
    return None if depth else "".join([*kept, text[position:]])


#: Pairs of marks that lmms-eval treats as reasoning; case matters.
_LMMS_EVAL_MARKS = (("<think>", "</think>"), ("<analysis>", "</analysis>"))


def cleaned(text: str, reply: ReplyConfig) -> str:
    """Return a text, cleaned as the protocol requires.

    Args:
        text: the model's text.
        reply: the cleaning that the protocol's reference does.
    """
    if reply.reasoning == "lmms_eval":
        text = lmms_eval_text(text)
    return text.strip() if reply.strip else text


def lmms_eval_text(text: str) -> str:
    """Return a text without reasoning, as lmms-eval removes it.

    Case matters. A block without an end is kept; one without a beginning is everything up to the
    last end mark. White space at both ends is removed.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, lmms_eval/api/reasoning.py.
    """
    for opening, closing in _LMMS_EVAL_MARKS:
        start = text.find(opening)
        while start >= 0 and (end := text.find(closing, start)) >= 0:
            text = text[:start] + text[end + len(closing) :]
            start = text.find(opening, max(0, start - len(opening)))  # removal may form a new mark
        if opening not in text:
            text = text.rpartition(closing)[2]
    return text.strip()
