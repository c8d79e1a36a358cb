"""Sends many prompts to a judge concurrently, with retries and limits, and records all replies."""

from __future__ import annotations

import logging
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tqdm import tqdm

from llava_eval.borders.address import read_key
from llava_eval.borders.http_client import RequestError
from llava_eval.config.schema import JudgeConfig
from llava_eval.models.chat_client import (
    ChatClient,
    MalformedError,
    RejectedError,
    WithheldError,
    ends_all,
    hints,
)
from llava_eval.models.request_pool import (
    MAX_FAILURES_IN_A_ROW,
    FailureStreak,
    ask_all,
    with_retries,
)
from llava_eval.scoring.judge.budget import (
    Budget,
    LimitReachedError,
    counted_tokens,
    estimated_tokens,
)
from llava_eval.scoring.judge.replies import FILE_NAME, KeptReply, ReplyStore, key_of
from llava_eval.scoring.judge.report import JudgeReport, Judging, report_of
from llava_eval.scoring.reply import without_reasoning
from llava_eval.scoring.scorer import JudgeReply, Messages

log = logging.getLogger(__name__)


def read_judge_key(config: JudgeConfig) -> str:
    """Return the judge's key from the environment.

    Args:
        config: configuration of the judge.

    Raises:
        ConfigError: the endpoint needs a key, and there is none.
    """
    return read_key(config.api_key_env, config.base_url, part="judge", name=str(config.model))


class RecordedJudge:
    """A judge that records every reply in a run directory, and reports on its work.

    Args:
        config: configuration of the judge.
        directory: the run directory, in whose ``judge.jsonl`` every reply is recorded.
        others: other run directories whose recorded replies may be reused.

    Attributes:
        judging: results of the prompts so far.
    """

    def __init__(self, config: JudgeConfig, directory: Path, others: Iterable[Path] = ()) -> None:
        self.judging = Judging()
        self._config = config
        self._path = directory / FILE_NAME
        self._others = [other / FILE_NAME for other in others]
        self._budget = Budget(config)
        self._streak = FailureStreak()
        self._stop = threading.Event()
        self._malformed: list[MalformedError] = []

    def ask(self, prompts: Sequence[Messages]) -> list[JudgeReply]:
        """Return a reply for every prompt, as far as limits and the endpoint allow.

        Equal prompts are sent once. If the judge fails, nothing is raised; replies without a text
        have the reason in ``error``.

        Args:
            prompts: the prompts, in any order.

        Raises:
            ConfigError: a prompt must be sent, but there is no API key.
            RunDirectoryError: a file of replies is damaged.
            StorageError: a reply cannot be recorded.
        """
        keys = [key_of(self._config, prompt) for prompt in prompts]
        unique = dict(zip(keys, prompts, strict=True))
        judging = self.judging
        with ReplyStore(self._path, self._others) as store:
            replies: dict[str, JudgeReply] = {
                key: kept for key in unique if (kept := store.get(key)) is not None
            }
            pending = {key: prompt for key, prompt in unique.items() if key not in replies}
            judging.num_reused += len(replies)
            if pending:
                self._announce(len(unique), pending)
                for key, reply in self._ask_pending(pending, store):
                    replies[key] = reply
        missing = JudgeReply(None, judging.stopped or "not asked")
        judging.num_requests = self._budget.num_requests
        judging.num_malformed = len(self._malformed)
        judging.tokens = self._budget.tokens
        judging.cost = self._config.cost(judging.tokens.num_input, judging.tokens.num_output)
        answers = [replies.get(key, missing) for key in keys]
        judging.replies += answers
        return answers

    @property
    def report(self) -> JudgeReport:
        """The report on the judge for tables and the manifest."""
        return report_of(self._config, self.judging)

    def _announce(self, num_all: int, pending: Mapping[str, Messages]) -> None:
        """Log the number of prompts and their estimated cost before anything is sent."""
        judging = self.judging
        for prompt in pending.values():
            judging.estimate += estimated_tokens(self._config, prompt)
        estimate = judging.estimate
        cost = self._config.cost(estimate.num_input, estimate.num_output)
        log.info(
            "judge %s: %d prompts, %d answered already, %d to ask; about %d input and %d output "
            "tokens%s",
            self._config.model,
            num_all,
            num_all - len(pending),
            len(pending),
            estimate.num_input,
            estimate.num_output,
            "" if cost is None else f", cost about {cost:.2f}",
        )

    def _ask_pending(
        self, pending: Mapping[str, Messages], store: ReplyStore
    ) -> Generator[tuple[str, JudgeReply], None, None]:
        """Yield a reply for every prompt that was sent; replies with a text are already recorded.

        After a stop, only running requests still yield.
        """
        config, judging = self._config, self.judging
        client = ChatClient(config.base_url, read_judge_key(config), config.timeout_seconds)
        bar = tqdm(total=len(pending), unit=" prompts", desc="judge", dynamic_ncols=True)
        with closing(client), bar:
            for keys in self._rounds(list(pending)):
                answers = ask_all(
                    keys,
                    lambda key: self._ask_one(key, pending[key], client, store),
                    concurrency=config.concurrency,
                    stop=self._stop,
                )
                with closing(answers):
                    for key, result in answers:
                        if isinstance(result, KeptReply):
                            judging.num_asked += 1
                            yield key, result
                        elif not isinstance(result, LimitReachedError):
                            log.warning("judge: a prompt failed: %s", result)
                            yield key, JudgeReply(None, str(result))
                        bar.update(1)

    def _rounds(self, keys: list[str]) -> Iterator[list[str]]:
        """Yield prompts to send concurrently: single ones until the cost can be estimated.

        There are then as many known costs as there may be concurrent requests.
        """
        num_known = 0 if self._config.max_cost is None else self._config.concurrency
        while keys and self._budget.num_settled < num_known:
            yield [keys.pop(0)]
        if keys:
            yield keys

    def _count(self, error: Exception | None) -> None:
        """Count the outcome of a prompt, and stop if no further prompt can succeed.

        It is called in the thread of the request, so that the thread starts no further prompt.
        """
        if isinstance(error, WithheldError):
            return  # a filter refused this prompt, which says nothing about others
        message = str(error)
        if isinstance(error, RequestError):
            message += hints(error, self._config.base_url)
        has_answered = self._budget.num_settled > 0
        if isinstance(error, LimitReachedError) or ends_all(error, has_answered=has_answered):
            reason = message
        elif self._streak.add(error) == MAX_FAILURES_IN_A_ROW:
            reason = f"{MAX_FAILURES_IN_A_ROW} prompts in a row failed, last: {message}"
        else:
            return
        self.judging.stopped = self.judging.stopped or reason
        self._stop.set()

    def _ask_one(
        self, key: str, prompt: Messages, client: ChatClient, store: ReplyStore
    ) -> KeptReply | Exception:
        """Send one prompt, with retries, in a thread.

        The returned reply is already recorded, because after a Ctrl-C nobody may receive it.
        """
        try:
            reply = with_retries(
                lambda: self._attempt(key, prompt, client, store),
                self._config,
                stop=self._stop,
                streak=self._streak,
            )
        except (RequestError, LimitReachedError, UnicodeError) as error:
            self._count(error)
            return error
        self._count(None)
        return reply

    def _attempt(
        self, key: str, prompt: Messages, client: ChatClient, store: ReplyStore
    ) -> KeptReply:
        """Send one prompt once, within the limits, and record the reply.

        Raises:
            LimitReachedError: the prompt must not be sent.
            RequestError: there is no usable reply.
            StorageError: the reply cannot be recorded.
        """
        config = self._config
        estimate = estimated_tokens(config, prompt)
        number = self._budget.reserve(estimate)
        counted = None
        try:
            completion = client.chat(str(config.model), prompt, _fields(config))
            counted = counted_tokens(estimate, completion)  # withheld replies cost the same
            completion.check_end()
            text = without_reasoning(completion.text)
            if text is None or (completion.finish_reason == "length" and not text.strip()):
                raise RejectedError(
                    "the judge's tokens ran out before it replied, as where it reasons first: "
                    f"judge.max_tokens={config.max_tokens} takes more, or null"
                )
            if completion.has_reasoning and not text.strip():
                raise RejectedError(
                    "the judge's endpoint returned reasoning and no reply, as vLLM does where its "
                    "--reasoning-parser is of another model or the model was told not to reason"
                )
            return store.add(key, config, prompt, completion, text)
        except MalformedError as error:
            self._malformed.append(error)
            store.add_malformed(key, config, error)
            raise
        finally:
            self._budget.settle(number, estimate, counted)


def _fields(config: JudgeConfig) -> dict[str, Any]:
    """Return the fields of a request that are set; the endpoint's own defaults hold otherwise."""
    fields = {
        "temperature": config.temperature,
        "max_tokens": config.max_tokens,
        "response_format": config.response_format,
    }
    return {name: value for name, value in fields.items() if value not in (None, {})}
