"""The record of a judge's work, and its report for tables and the manifest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llava_eval.config.schema import JudgeConfig
from llava_eval.scoring.judge.budget import Tokens
from llava_eval.scoring.judge.replies import KeptReply
from llava_eval.scoring.scorer import JudgeReply


@dataclass
class Judging:
    """The results of one command's prompts.

    Attributes:
        replies: one reply per prompt, in their order.
        stopped: why the judge stopped early; None if every prompt was sent.
        num_reused: number of distinct prompts whose reply was already recorded.
        num_asked: number of distinct prompts that were answered now.
        num_requests: number of HTTP requests sent now, including retries.
        num_malformed: number of responses that were not replies.
        estimate: tokens estimated before anything was sent.
        tokens: tokens counted for the requests sent now.
        cost: cost of those tokens; None if a price is unknown.
    """

    replies: list[JudgeReply] = field(default_factory=list)
    stopped: str | None = None
    num_reused: int = 0
    num_asked: int = 0
    num_requests: int = 0
    num_malformed: int = 0
    estimate: Tokens = field(default_factory=Tokens)
    tokens: Tokens = field(default_factory=Tokens)
    cost: float | None = None


@dataclass(frozen=True)
class JudgeReport:
    """The report on a judge for one table.

    Attributes:
        content: the whole report, as in manifest.json and metrics.json.
        label: the entries shown next to the benchmark's name in every table.
    """

    content: Mapping[str, Any]
    label: Mapping[str, Any]


def report_of(config: JudgeConfig, judging: Judging) -> JudgeReport:
    """Return the report on a judge.

    Args:
        config: configuration of the judge.
        judging: results of its prompts.
    """
    replies = [reply for reply in judging.replies if isinstance(reply, KeptReply)]
    ingoing = sum(reply.num_input_tokens or 0 for reply in replies)
    outgoing = sum(reply.num_output_tokens or 0 for reply in replies)
    is_counted = not replies or any(reply.num_input_tokens is not None for reply in replies)
    snapshots = Counter(reply.snapshot for reply in replies)  # as the endpoint names them
    content = {
        "model": config.model,
        "snapshots": dict(snapshots),
        "base_url": config.base_url,
        "temperature": config.temperature,
        "max_tokens": config.max_tokens,
        "num_prompts": len(judging.replies),
        "num_judged": len(replies),
        "num_empty_replies": sum(not str(reply.text).strip() for reply in replies),
        "num_input_tokens": ingoing,
        "num_output_tokens": outgoing,
        "cost": config.cost(ingoing, outgoing) if is_counted else None,
        "stopped": judging.stopped,
        "this_command": {
            "num_reused": judging.num_reused,
            "num_asked": judging.num_asked,
            "num_requests": judging.num_requests,
            "num_malformed_responses": judging.num_malformed,
            "num_failed": len(judging.replies) - len(replies),
            "estimated_input_tokens": judging.estimate.num_input,
            "estimated_output_tokens": judging.estimate.num_output,
            "num_input_tokens": judging.tokens.num_input,
            "num_output_tokens": judging.tokens.num_output,
            "cost": judging.cost,
        },
    }
    snapshot = "+".join(sorted(snapshots)) or "none"
    label: dict[str, Any] = {"judge": config.model, "judge_snapshot": snapshot}
    if len(replies) < len(judging.replies):
        label["judged"] = f"{len(replies)} of {len(judging.replies)}"
    return JudgeReport(content, label)
