"""A judge whose replies are kept, and what is said of it beside the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from llava_eval.config.schema import JudgeConfig
from llava_eval.errors import ConfigError
from llava_eval.scoring.judge.judge import Endpoint, Judge, Judging
from llava_eval.scoring.judge.replies import FILE_NAME, ReplyStore
from llava_eval.scoring.judge.settings import JudgeSettings
from llava_eval.scoring.scorer import JudgeReply, Messages


@dataclass(frozen=True)
class JudgeReport:
    """What a judge did for one table.

    Attributes:
        content: everything, as it stands in manifest.json and metrics.json.
        label: what stands beside the benchmark's name in every table, by name.
        num_prompts, num_judged: prompts, and those with a reply.
        stopped: why the judge stopped early; None when it did not.
    """

    content: Mapping[str, Any]
    label: Mapping[str, Any]
    num_prompts: int
    num_judged: int
    stopped: str | None


def judge_settings(config: JudgeConfig, benchmark: str) -> JudgeSettings:
    """Return the judge's settings.

    Raises:
        ConfigError: no model, or an address or limit that makes no sense.
    """
    if not config.model:
        raise ConfigError(
            f"judge.model is not set, and {benchmark} is judged by a model; give judge.model=..."
        )
    return JudgeSettings(**asdict(config))


def check_judge(settings: JudgeSettings) -> None:
    """Raise before any work is done for what would stop the judge after it.

    Raises:
        ConfigError: the key or the ``openai`` package is missing.
    """
    Endpoint(settings).close()


class RecordedJudge:
    """A judge that keeps every reply in a run directory, and says what it did.

    Args:
        settings: the judge.
        directory: the run directory, whose ``judge.jsonl`` keeps every reply.
        others: run directories whose replies may be used as well.
    """

    def __init__(
        self, settings: JudgeSettings, directory: Path, others: Iterable[Path] = ()
    ) -> None:
        self._settings = settings
        self._path = directory / FILE_NAME
        self._others = [
            other / FILE_NAME for other in others if other.resolve() != directory.resolve()
        ]
        self._report: JudgeReport | None = None

    def ask(self, prompts: Sequence[Messages]) -> list[JudgeReply]:
        """Return a reply, or an error, for every prompt; only what is not known yet is asked.

        Args:
            prompts: any number of them.

        Raises:
            ConfigError: something must be asked, and the key or the ``openai`` package is missing.
            RunDirectoryError, StorageError: the file of replies is damaged or cannot be written.
        """
        with ReplyStore(self._path, self._others) as store:
            judging = Judge(self._settings, store).ask(prompts)
        self._report = _report(self._settings, judging)
        return [
            JudgeReply(reply.text)
            if reply is not None
            else JudgeReply(None, judging.failures[index])
            for index, reply in enumerate(judging.replies)
        ]

    @property
    def report(self) -> JudgeReport | None:
        """What the judge did; None before it was asked."""
        return self._report


def _report(settings: JudgeSettings, judging: Judging) -> JudgeReport:
    replies = [reply for reply in judging.replies if reply is not None]
    ingoing = _total(reply.num_input_tokens for reply in replies)
    outgoing = _total(reply.num_output_tokens for reply in replies)
    content = {
        "model": settings.model,
        "snapshots": dict(judging.snapshots),
        "base_url": settings.base_url,
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
        "num_prompts": len(judging.replies),
        "num_judged": len(replies),
        "num_empty_replies": sum(not reply.text.strip() for reply in replies),
        "num_input_tokens": ingoing,
        "num_output_tokens": outgoing,
        "cost": settings.cost(ingoing, outgoing),
        "stopped": judging.stopped,
        "this_command": {
            "num_reused": judging.num_reused,
            "num_asked": judging.num_asked,
            "num_requests": judging.num_requests,
            "num_malformed_responses": judging.num_malformed,
            "num_failed": len(judging.failures),
            "estimated_input_tokens": judging.estimate.num_input,
            "estimated_output_tokens": judging.estimate.num_output,
            "num_input_tokens": judging.tokens.num_input,
            "num_output_tokens": judging.tokens.num_output,
            "cost": judging.cost,
        },
    }
    label: dict[str, Any] = {"judge": settings.model}
    label["judge_snapshot"] = "+".join(sorted(judging.snapshots)) or "none"
    if len(replies) < len(judging.replies):
        label["judged"] = f"{len(replies)} of {len(judging.replies)}"
    return JudgeReport(content, label, len(judging.replies), len(replies), judging.stopped)


def _total(counts: Iterable[int | None]) -> int:
    return sum(count or 0 for count in counts)
