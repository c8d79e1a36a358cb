"""Reasoning in front of an answer is told from the answer."""

from __future__ import annotations

import pytest

from llava_eval.config.compose import compose_config
from llava_eval.config.schema import ReplyConfig
from llava_eval.errors import ConfigError
from llava_eval.scoring.choice import FirstLetter
from llava_eval.scoring.evaluation import Evaluation
from llava_eval.scoring.reply import cleaned, holds_reasoning, lmms_eval_text, without_reasoning
from llava_eval.scoring.text import ExactMatch
from llava_eval.types import Generation, Sample, SampleResult
from tests.conftest import slow


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
        ("<longcat_think>no</longcat_think>cat", "cat"),
        ("<think>no</think><rethink>or</rethink>cat", "cat"),
        ("<|channel|>analysis<|message|>no<|end|><|channel|>final<|message|>cat", "cat"),
        ("<|channel>thought\nno<channel|>cat", "cat"),
        ("<|channel>thought\n<channel|>cat", "cat"),
        ("no<channel|>cat", "cat"),
        ("<unused94>thought\nno\n<unused95>cat", "cat"),
        (
            "<|START_THINKING|>no<|END_THINKING|><|START_RESPONSE|>cat<|END_RESPONSE|>",
            "<|START_RESPONSE|>cat<|END_RESPONSE|>",
        ),
        ("<|channel>thought\nno", None),
        ("<unused94>thought\nno", None),
        ("<|START_THINKING|>no", None),
        ("<think>no", None),
        ("cat <think>or", None),
        ("<think>a</think>cat<think>b", None),
    ],
)
def test_reasoning_is_left_out(text: str, left: str | None) -> None:
    assert (without_reasoning(text), holds_reasoning(text)) == (left, True)


@pytest.mark.parametrize("text", ["cat", "I think so", "a < b > c", "<b>cat</b>", "thinking", ""])
def test_other_texts_hold_none(text: str) -> None:
    assert (without_reasoning(text), holds_reasoning(text)) == (text, False)


def test_exact_match_reads_what_follows_reasoning() -> None:
    sample = Sample("q", 0, "v", ("?",), ("cat",))
    assert ExactMatch().score("<think>A dog?</think>\nCat.", sample).value == 1.0
    unended = ExactMatch().score("<think>A dog? No, a cat", sample)
    assert (unended.value, unended.unreadable) == (0.0, True)
    assert unended.explanation == "no answer: its reasoning does not end; wrong"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("<think>A</think>B", "B"),
        ("<analysis>A</analysis>\nB\n", "B"),
        ("A</think>C</think> B", "B"),
        ("<think>A</think>B<think>C</think>", "B"),
        ("<th<think>A</think>ink>A</think>B", "B"),
        ("A</think>B<think>C", "A</think>B<think>C"),
        ("<think>A", "<think>A"),  # a block without an end stays
        ("<Think>A</Think>B", "<Think>A</Think>B"),  # case counts
        ("<thinking>A</thinking>B", "<thinking>A</thinking>B"),
    ],
)
def test_reasoning_as_lmms_eval_cuts_it_out(text: str, left: str) -> None:
    assert lmms_eval_text(text) == left
    assert cleaned(text, ReplyConfig(strip=True, reasoning="lmms_eval")) == left
    assert cleaned(text, ReplyConfig(strip=True)) == text.strip()


@pytest.mark.parametrize(
    ("name", "strip", "reasoning"),
    [
        slow("pope/llava", True, "kept"),
        slow("gqa/llava", True, "kept"),
        slow("scienceqa_img/llava", True, "kept"),
        slow("activitynet_qa/llava_next", True, "kept"),
        slow("video_chatgpt/video_chatgpt", True, "kept"),
        slow("tgif_qa/video_chatgpt", True, "kept"),
        ("videomme/lmms_eval", True, "lmms_eval"),
        slow("videomme/lmms_eval_v0_2", True, "kept"),
        ("videomme/official", False, "kept"),
    ],
)
def test_what_a_reference_does_to_replies_stands_in_its_protocol(
    name: str, strip: bool, reasoning: str
) -> None:
    reply = compose_config([f"benchmark={name}"]).config.benchmark.reply
    assert (reply.strip, reply.reasoning) == (strip, reasoning)


@pytest.mark.slow
def test_the_former_key_is_answered_with_the_present_one() -> None:
    with pytest.raises(ConfigError, match=r"strip_replies is called benchmark\.reply\.strip now"):
        compose_config(["benchmark.strip_replies=true"])


@pytest.mark.parametrize(("reasoning", "answer"), [("kept", "A"), ("lmms_eval", "B")])
def test_texts_with_reasoning_are_marked_whatever_is_done_to_them(
    reasoning: str, answer: str
) -> None:
    sample = Sample("q", 0, "v", ("?",), ("B",), choices=("x", "y"))
    evaluation = Evaluation([sample], FirstLetter([]), reply=ReplyConfig(reasoning=reasoning))
    for text, details in (("<think>A</think>B", {"has_reasoning": True}), (answer, {})):
        result = evaluation.scored(SampleResult.of(sample, Generation(text)))
        assert (result.score.answer, result.score.details) == (answer, details)
