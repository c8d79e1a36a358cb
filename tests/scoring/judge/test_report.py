"""What is reported of a judge's work."""

from __future__ import annotations

import pytest

from llava_eval.config.schema import JudgeConfig
from llava_eval.scoring.judge.budget import Tokens
from llava_eval.scoring.judge.replies import KeptReply
from llava_eval.scoring.judge.report import Judging, report_of
from llava_eval.scoring.scorer import JudgeReply


def test_a_judges_work_is_counted() -> None:
    config = JudgeConfig(
        model="j",
        temperature=0.0,
        max_tokens=9,
        price_per_million_input_tokens=2.0,
        price_per_million_output_tokens=10.0,
    )
    judging = Judging(
        replies=[
            KeptReply("yes", snapshot="j-2", num_input_tokens=100, num_output_tokens=5),
            KeptReply(" \n", snapshot="j-1", num_input_tokens=50, num_output_tokens=None),
            JudgeReply(None, error="HTTP 500"),
            KeptReply("no", snapshot="j-2", num_input_tokens=None, num_output_tokens=1),
        ],
        stopped="too dear",
        num_reused=1,
        num_asked=2,
        num_requests=7,
        num_malformed=3,
        estimate=Tokens(300, 30),
        tokens=Tokens(150, 6),
        cost=0.5,
    )
    report = report_of(config, judging)
    content = dict(report.content)
    assert content.pop("cost") == pytest.approx(150 * 2e-6 + 6 * 10e-6)
    assert content == {
        "model": "j",
        "snapshots": {"j-2": 2, "j-1": 1},
        "base_url": "https://api.openai.com/v1",
        "temperature": 0.0,
        "max_tokens": 9,
        "num_prompts": 4,
        "num_judged": 3,
        "num_empty_replies": 1,
        "num_input_tokens": 150,
        "num_output_tokens": 6,
        "stopped": "too dear",
        "this_command": {
            "num_reused": 1,
            "num_asked": 2,
            "num_requests": 7,
            "num_malformed_responses": 3,
            "num_failed": 1,
            "estimated_input_tokens": 300,
            "estimated_output_tokens": 30,
            "num_input_tokens": 150,
            "num_output_tokens": 6,
            "cost": 0.5,
        },
    }
    assert report.label == {"judge": "j", "judge_snapshot": "j-1+j-2", "judged": "3 of 4"}


def test_a_whole_judging_says_no_share() -> None:
    config = JudgeConfig(model="j")
    assert report_of(config, Judging()).label == {"judge": "j", "judge_snapshot": "none"}
    whole = report_of(config, Judging(replies=[KeptReply("yes")]))
    assert whole.label == {"judge": "j", "judge_snapshot": "unnamed"}
    assert whole.content["cost"] is None
    priced = JudgeConfig(
        model="j", price_per_million_input_tokens=1.0, price_per_million_output_tokens=1.0
    )
    assert report_of(priced, Judging(replies=[KeptReply("yes")])).content["cost"] is None
