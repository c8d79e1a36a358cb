"""TempCompass with its language model, against the references' prompts and ratings."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest

from llava_eval.config.build import build_target
from llava_eval.config.compose import compose_config
from llava_eval.errors import ConfigError
from llava_eval.scoring.scorer import JudgedScorer, JudgeReply
from llava_eval.scoring.tempcompass_rules import TempCompassJudged
from llava_eval.types import Sample
from tests.scoring.protocols import Protocol

GOLDEN = Path(__file__).parent / "golden" / "tempcompass_judged.jsonl"


@functools.cache
def judged(name: str) -> Protocol:
    scorer = f"scorer={name.replace('/', '_')}_judged"
    composed = compose_config([f"benchmark={name}", scorer])
    assert composed.config.judge.model == "gpt-3.5-turbo-1106"
    benchmark = composed.config.benchmark
    return Protocol(
        build_target(benchmark.adapter, key="benchmark.adapter"),
        build_target(composed.config.scorer, key="scorer"),
        benchmark.reply,
    )


@pytest.mark.slow
def test_prompts_and_ratings_of_the_references() -> None:
    protocols = {name: judged(f"tempcompass/{name}") for name in ("official", "lmms_eval")}
    num_prompts = 0
    for line in GOLDEN.read_text(encoding="utf-8").strip().split("\n"):
        case = json.loads(line)
        parts = protocols[case["protocol"].partition("/")[2]]
        sample = parts.sample(case["row"])
        assert isinstance(parts.scorer, JudgedScorer)
        (messages,) = parts.scorer.prompts([case["text"]], [sample])
        assert messages[0]["content"] == "You are an AI assistant for question answering."
        if "prompt" in case:
            assert messages[1]["content"] == case["prompt"]
            num_prompts += 1
        (score,) = parts.scorer.score_judged([case["text"]], [sample], [JudgeReply(case["reply"])])
        assert score.value == case["value"], case
    assert num_prompts == 8


def caption(answer: str = "A. up") -> Sample:
    return Sample(
        "1",
        0,
        "v",
        ("q",),
        (answer,),
        question="Where?\nA. up\nB. down",
        facets={"task": "captioning"},
    )


def scorer() -> TempCompassJudged:
    built = judged("tempcompass/official").scorer
    assert isinstance(built, TempCompassJudged)
    return built


@pytest.mark.slow
def test_what_a_rule_reads_is_not_put_to_the_judge() -> None:
    parts = judged("tempcompass/official")
    row = {"video_id": "v", "question": "Up?", "answer": "yes", "dim": "direction"}
    sample = parts.sample(row)
    texts, samples = ["Yes.", "It goes up", "no</s>"], [sample] * 3
    assert len(scorer().prompts(texts, samples)) == 1
    scores = scorer().score_judged(texts, samples, [JudgeReply("Correct")])
    assert [score.value for score in scores] == [1.0, 1.0, 0.0]
    assert [score.details["rule_matched"] for score in scores] == [1.0, 0.0, 1.0]


@pytest.mark.slow
def test_a_reply_that_says_neither_is_counted() -> None:
    (score,) = scorer().score_judged(["It rises."], [caption()], [JudgeReply(" ")])
    assert (score.value, score.unreadable) == (0.0, True)


@pytest.mark.slow
def test_a_judge_that_failed_scores_nothing() -> None:
    (score,) = scorer().score_judged(["It rises."], [caption()], [JudgeReply(None, "timed out")])
    assert score.value is None
    assert score.details == {"judge_error": "timed out"}


def test_every_task_needs_a_prompt() -> None:
    with pytest.raises(ConfigError, match=r"prompts_by_task needs multi-choice.*got yes_no"):
        TempCompassJudged([], "system", {"yes_no": "{{question}}"})
