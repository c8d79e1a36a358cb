"""Reasoning in front of an answer is told from the answer."""

from __future__ import annotations

import pytest

from llava_eval.scoring.reply import without_reasoning
from llava_eval.scoring.text import ExactMatch
from llava_eval.types import Sample


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>no</think>cat", "cat"),
        ("<THINK>no</Think>cat", "cat"),
        ("<think>no</think> <think>nor</think>cat", " cat"),
        ("it is no dog</think>\n\ncat", "\n\ncat"),
        ("a</think>b</think>cat", "cat"),
        ("<think>a<think>b</think>c</think>cat", "cat"),
        ("<thinking>no</thinking>cat", "cat"),
        ("<analysis>no</analysis>cat", "cat"),
        ("<reasoning>no</reasoning><answer>cat</answer>", "<answer>cat</answer>"),
        ("◁think▷no◁/think▷cat", "cat"),
        ("[THINK]no[/THINK]cat", "cat"),
        ("<|channel|>analysis<|message|>no<|end|><|channel|>final<|message|>cat", "cat"),
        ("<think>no", None),
        ("cat <think>or", None),
        ("<think>a</think>cat<think>b", None),
    ],
)
def test_reasoning_is_left_out(text: str, left: str | None) -> None:
    assert without_reasoning(text) == (left, True)


@pytest.mark.parametrize("text", ["cat", "I think so", "a < b > c", "<b>cat</b>", "thinking", ""])
def test_other_texts_hold_none(text: str) -> None:
    assert without_reasoning(text) == (text, False)


def test_exact_match_reads_what_follows_reasoning() -> None:
    sample = Sample("q", 0, "v", ("?",), ("cat",))
    assert ExactMatch().score("<think>A dog?</think>\nCat.", sample).value == 1.0
    unended = ExactMatch().score("<think>A dog? No, a cat", sample)
    assert (unended.value, unended.unreadable) == (0.0, True)
    assert unended.explanation == "no answer: its reasoning does not end; wrong"
