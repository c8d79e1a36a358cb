"""What a judge did: counted while it is asked, and reported beside every number."""

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
    """What came of the prompts of one command.

    Attributes:
        replies: one per prompt, in their order.
        stopped: why asking ended early; None when everything was asked.
        num_reused: distinct prompts whose reply was known.
        num_asked: distinct prompts that were answered now.
        num_requests: HTTP requests sent now, retries included.
        num_malformed: responses that were no reply at all.
        estimate: tokens expected before anything was sent.
        tokens: tokens counted for what was sent.
        cost: of those tokens; None where a price is unknown.
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
    """What a judge did for one table.

    Attributes:
        content: everything, as it stands in manifest.json and metrics.json.
        label: what stands beside the benchmark's name in every table, by name.
    """

    content: Mapping[str, Any]
    label: Mapping[str, Any]


def report_of(config: JudgeConfig, judging: Judging) -> JudgeReport:
    """Return what stands beside the numbers.

    Args:
        config: of the judge.
        judging: what came of its prompts.
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
