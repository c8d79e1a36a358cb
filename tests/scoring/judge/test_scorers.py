"""Judged scorers: prompts, what is not put to a judge, and pairs of questions."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import pytest

from llava_eval.config.build import build_target
from llava_eval.config.compose import compose_config
from llava_eval.config.schema import RunConfig
from llava_eval.errors import ConfigError
from llava_eval.scoring.judge.dimensions import JudgedDimensions
from llava_eval.scoring.judge.scorers import JudgedText
from llava_eval.scoring.scorer import JudgedScorer, JudgeReply, chat
from llava_eval.types import Generation, Sample, SampleResult
from tests.conftest import slow
from tests.scoring.protocols import protocol as protocol_parts

PROTOCOLS = {
    "activitynet_qa": ("llava_next", "lmms_eval", "lmms_eval_v0_2"),
    "video_chatgpt": ("llava_next", "video_chatgpt"),
    "video_detail_description": ("llava_next", "lmms_eval"),
    "msvd_qa": ("video_chatgpt",),
    "msrvtt_qa": ("video_chatgpt",),
    "tgif_qa": ("video_chatgpt",),
}
NAMES = [f"{family}/{protocol}" for family, names in PROTOCOLS.items() for protocol in names]


@functools.cache
def config_of(benchmark: str) -> RunConfig:
    return compose_config([f"benchmark={benchmark}"]).config


def scorer_of(benchmark: str) -> Any:
    return build_target(config_of(benchmark).scorer, key="scorer")


def sample(question: str = "who is it", answer: str = "a man", **fields: Any) -> Sample:
    given = {"id": "s", "row": 0, "group": "v", "content": ("x",), **fields}
    return Sample(targets=(answer,), question=question, **given)


def pair(row_set: str, question: str, row: int, video: str = "v") -> Sample:
    return sample(
        question,
        id=f"{row_set}:{video}:{row}",
        row=row,
        group=video,
        facets={"row_set": row_set},
    )


@pytest.mark.parametrize("name", [*NAMES[:1], *map(slow, NAMES[1:])])
def test_every_protocol_has_a_judge_and_a_scorer_for_it(name: str) -> None:
    config = config_of(name)
    assert config.judge.model is not None
    assert config.benchmark.name == name
    assert isinstance(scorer_of(name), JudgedScorer)


# Written out by hand from the three repositories' sources, which agree to the letter.
ANSWER_SYSTEM = (
    "You are an intelligent chatbot designed for evaluating the correctness of generative outputs "
    "for question-answer pairs. Your task is to compare the predicted answer with the correct "
    "answer and determine if they match meaningfully. Here's how you can accomplish the task:"
    "------##INSTRUCTIONS: - Focus on the meaningful match between the predicted answer and the "
    "correct answer.\n- Consider synonyms or paraphrases as valid matches.\n- Evaluate the "
    "correctness of the prediction compared to the answer."
)
ANSWER_USER = (
    "Please evaluate the following video-based question-answer pair:\n\nQuestion: who is {it}\n"
    "Correct Answer: a {{man}}\nPredicted Answer: {}\n\nProvide your evaluation only as a yes/no "
    "and score where the score is an integer value between 0 and 5, with 5 indicating the highest "
    "meaningful match. Please generate the response in the form of a Python dictionary string with "
    "keys 'pred' and 'score', where value of 'pred' is  a string of 'yes' or 'no' and value of "
    "'score' is in INTEGER, not STRING.DO NOT PROVIDE ANY OTHER OUTPUT TEXT OR EXPLANATION. Only "
    "provide the Python dictionary string. For example, your response should look like this: "
    "{'pred': 'yes', 'score': 4.8}."
)


@pytest.mark.parametrize(
    ("benchmark", "strips"),
    [
        ("activitynet_qa/llava_next", True),
        ("activitynet_qa/lmms_eval", True),
        ("activitynet_qa/lmms_eval_v0_2", True),
        ("msvd_qa/video_chatgpt", True),
    ],
)
def test_the_prompt_to_the_letter(benchmark: str, strips: bool) -> None:
    asked = sample("who is {it}", "a {{man}}")
    [(system, user)] = scorer_of(benchmark).prompts([" a {{answer}} \n"], [asked])
    assert system == {"role": "system", "content": ANSWER_SYSTEM}
    assert user == {"role": "user", "content": ANSWER_USER.replace("{}", " a {{answer}} \n")}
    assert config_of(benchmark).benchmark.reply.strip == strips


@pytest.mark.slow
def test_the_two_prompts_for_detail_differ_by_two_quotes() -> None:
    texts, samples = ["a man sits"], [sample()]
    [ours] = scorer_of("video_detail_description/llava_next").prompts(texts, samples)
    [theirs] = scorer_of("video_detail_description/lmms_eval").prompts(texts, samples)
    assert ours[0] == theirs[0]
    assert ours[1]["content"].endswith("should look like this: {''score': 4.8}.")
    assert ours[1]["content"].replace("''score'", "'score'") == theirs[1]["content"]


def test_short_descriptions_are_not_put_to_the_judge() -> None:
    texts, samples = ["", "a", "ab"], [sample(), sample(), sample()]
    scorer: JudgedText = scorer_of("video_detail_description/llava_next")
    assert len(scorer.prompts(texts, samples)) == 1
    scores = scorer.score_judged(texts, samples, [JudgeReply("{'score': 4}")])
    assert [score.value for score in scores] == [0.0, 0.0, 4.0]
    assert len(scorer_of("video_detail_description/lmms_eval").prompts(texts, samples)) == 3


def test_a_reply_that_failed_scores_nothing() -> None:
    [score] = scorer_of("activitynet_qa/llava_next").score_judged(
        ["x"], [sample()], [JudgeReply(None, "HTTP 500")]
    )
    assert (score.value, score.answer, score.unreadable) == (None, None, False)
    assert score.details == {"judge_error": "HTTP 500"}


def test_neither_yes_nor_no_is_out_of_the_accuracy_and_in_the_score() -> None:
    [score] = scorer_of("activitynet_qa/llava_next").score_judged(
        ["x"], [sample()], [JudgeReply("{'pred': 'maybe', 'score': 3}")]
    )
    assert score.value is None
    assert score.answer == "maybe"
    assert score.explanation == "the judge says maybe; not scored"
    assert score.details["judge_score"] == 3.0


def test_fields_that_do_not_exist() -> None:
    with pytest.raises(ValueError, match=r"\{\{answr\}\}"):
        chat(None, "{{answr}}", {"answer": "x"})


def dimensions(name: str) -> JudgedDimensions:
    scorer: JudgedDimensions = scorer_of(f"video_chatgpt/{name}")
    return scorer


@pytest.mark.slow
def test_three_dimensions_for_generic_and_one_for_temporal() -> None:
    samples = [pair("generic", "q0", 0), pair("temporal", "q1", 1)]
    scorer = dimensions("video_chatgpt")
    prompts = scorer.prompts(["t0", "t1"], samples)
    roles = ["factual accuracy", "detail orientation", "contextual", "temporal understanding"]
    assert len(prompts) == 4
    for prompt, role in zip(prompts, roles, strict=True):
        assert f"evaluating the {role}" in prompt[0]["content"]
    scores = scorer.score_judged(
        ["t0", "t1"], samples, [JudgeReply(f"{{'score': {n}.9}}") for n in (1, 2, 3, 4)]
    )
    assert scores[0].details == {"correctness": 1, "detail": 2, "context": 3}
    assert scores[0].value == 2.0
    assert scores[1].details == {"temporal": 4}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "second"), [("llava_next", "who?"), ("video_chatgpt", "what?")])
@pytest.mark.parametrize("rows", [(0, 0), (0, 1)], ids=["one row", "two rows"])
def test_consistency_shows_both_answers(name: str, second: str, rows: tuple[int, int]) -> None:
    samples = [pair("consistency_1", "who?", rows[0]), pair("consistency_2", "what?", rows[1])]
    scorer = dimensions(name)
    [prompt] = scorer.prompts(["one text", "other text"], samples)
    assert (
        f"Question 1: who?\nQuestion 2: {second}\nCorrect Answer: a man\n"
        "Predicted Answer to Question 1: one text\nPredicted Answer to Question 2: other text\n\n"
    ) in prompt[1]["content"]
    scores = scorer.score_judged(["one text", "other text"], samples, [JudgeReply("{'score': 4}")])
    assert scores[0].details == {"consistency": 4}
    assert scores[1].details == {}
    assert scores[1].value is None
    assert [score.explanation for score in scores] == [
        "the judge says consistency 4",
        "not scored: nothing was put to the judge",
    ]


def test_only_the_first_text_of_a_pair_can_be_too_short() -> None:
    samples = [pair("consistency_1", "who?", 0), pair("consistency_2", "what?", 0)]
    assert dimensions("llava_next").prompts(["x", "long"], samples) == []
    assert len(dimensions("llava_next").prompts(["long", "x"], samples)) == 1
    assert len(dimensions("video_chatgpt").prompts(["", "x"], samples)) == 1
    [score, _] = dimensions("llava_next").score_judged(["x", "long"], samples, [])
    assert score.value == 0.0


def test_pairs_of_one_video_keep_together() -> None:
    samples = [
        pair("consistency_1", "a1", 0),
        pair("consistency_1", "b1", 1),
        pair("consistency_2", "b2", 1),
        pair("consistency_2", "a2", 0),
        pair("consistency_1", "c1", 5, "w"),  # its partner has no text
    ]
    prompts = dimensions("video_chatgpt").prompts(["t"] * 5, samples)
    asked = [prompt[1]["content"].split("\n")[2:4] for prompt in prompts]
    assert asked == [
        ["Question 1: a1", "Question 2: a2"],
        ["Question 1: b1", "Question 2: b2"],
    ]


def test_pairs_that_cannot_be_told_apart_are_left_out() -> None:
    samples = [
        pair("consistency_1", "a1", 0),
        pair("consistency_1", "b1", 2),
        pair("consistency_2", "b2", 3),
    ]
    assert dimensions("video_chatgpt").prompts(["t"] * 3, samples) == []


def test_an_unreadable_dimension_leaves_the_others() -> None:
    samples = [pair("generic", "q", 0)]
    replies = [JudgeReply("{'score': 5}"), JudgeReply("five"), JudgeReply(None, "HTTP 500")]
    [score] = dimensions("video_chatgpt").score_judged(["text"], samples, replies)
    assert score.unreadable
    assert score.answer is None
    assert score.value == 5.0
    assert score.details == {
        "correctness": 5.0,
        "detail": None,
        "context": None,
        "num_unreadable_replies": 1,
        "judge_error": "HTTP 500",
    }
    assert score.explanation == (
        "the judge says correctness 5; 1 of its replies cannot be read; "
        "it did not answer (HTTP 500)"
    )


def test_rows_of_another_benchmark_are_a_mistake_of_the_command() -> None:
    with pytest.raises(ConfigError, match=r"sample s: the facet row_set is None, expected generic"):
        dimensions("video_chatgpt").prompts(["t"], [sample()])


@pytest.mark.slow
def test_cgbench_counts_answers_that_need_its_second_step() -> None:
    scorer = protocol_parts("cgbench/official_open").scorer
    asked = Sample("q/open", 0, "v", ("?",), ("a red car",), question="What is it?")
    found = {
        reply: scorer.by_judge(f'```json\n{{"result": {reply}}}\n```', "a car", asked)
        for reply in ("0", "1", "2")
    }
    assert [score.value for score in found.values()] == [0.0, 1.0, None]
    results = [SampleResult.of(asked, Generation("a car")) for _ in found]
    scored = [
        dataclasses.replace(result, score=score)
        for result, score in zip(results, found.values(), strict=True)
    ]
    assert [result.flags for result in scored] == [(), (), ("needs_frames",)]
