"""Asking a judge many prompts at once, with retries, limits, and every reply kept.

One request to the judge.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from llava_eval.models.http import Client, RequestError, pause_seconds, read_completion
from llava_eval.scoring.judge.budget import (
    Budget,
    LimitReached,
    Tokens,
    counted_tokens,
    estimated_tokens,
)
from llava_eval.scoring.judge.replies import Messages, Reply, ReplyStore, key_of
from llava_eval.scoring.judge.settings import JudgeSettings

log = logging.getLogger(__name__)

#: Prompts that fail one after another, retries and all, before the judge counts as gone.
MAX_FAILURES_IN_A_ROW = 10


@dataclass
class Judging:
    """What came of a set of prompts.

    Attributes:
        replies: one per prompt; None where there is none.
        failures: by place of the prompt, why it has no reply.
        stopped: why asking ended early; None when everything was asked.
        num_reused: distinct prompts whose reply was known.
        num_asked: distinct prompts that were answered now.
        num_requests: HTTP requests sent now, retries included.
        num_malformed: responses that were no reply at all.
        estimate: tokens expected before anything was sent.
        tokens: tokens counted for what was sent.
        cost: of those tokens; None where a price is unknown.
        snapshots: by the model that the endpoint says has answered, prompts.
    """

    replies: list[Reply | None]
    failures: dict[int, str] = field(default_factory=dict)
    stopped: str | None = None
    num_reused: int = 0
    num_asked: int = 0
    num_requests: int = 0
    num_malformed: int = 0
    estimate: Tokens = field(default_factory=Tokens)
    tokens: Tokens = field(default_factory=Tokens)
    cost: float | None = None
    snapshots: Counter[str] = field(default_factory=Counter)


class Judge:
    """A judge that remembers.

    Args:
        settings: the judge.
        store: where replies are kept and looked up.
    """

    def __init__(self, settings: JudgeSettings, store: ReplyStore) -> None:
        self._settings = settings
        self._store = store
        self._budget = Budget(settings)
        self._stop = threading.Event()
        self._endpoint: Endpoint | None = None

    def ask(self, prompts: Sequence[Messages]) -> Judging:
        """Return a reply for every prompt, as far as limits and the endpoint allow.

        Equal prompts are asked once. Nothing is raised for a judge that fails: what there is, is
        returned, with the reason why the rest is missing.

        Raises:
            ConfigError: there is something to ask, and no key or no ``openai`` package.
            StorageError: a reply cannot be kept.
        """
        keys = [key_of(self._settings, prompt) for prompt in prompts]
        unique = dict(zip(keys, prompts, strict=True))
        found = {key: self._store.get(key) for key in unique}
        pending = {key: prompt for key, prompt in unique.items() if found[key] is None}
        judging = Judging(replies=[], num_reused=len(unique) - len(pending))
        failures: dict[str, str] = {}
        if pending:
            self._announce(len(unique), pending, judging)
            self._ask_pending(pending, found, failures, judging)
        judging.replies = [found[key] for key in keys]
        judging.failures = {
            place: failures.get(key, judging.stopped or "not asked")
            for place, key in enumerate(keys)
            if found[key] is None
        }
        judging.num_requests = self._budget.num_requests
        judging.tokens = self._budget.tokens
        judging.cost = self._settings.cost(judging.tokens.num_input, judging.tokens.num_output)
        judging.snapshots = Counter(reply.snapshot for reply in found.values() if reply is not None)
        return judging

    def _announce(self, num_all: int, pending: dict[str, Messages], judging: Judging) -> None:
        """Say what is going to be asked, and about what it costs, before anything is sent."""
        for prompt in pending.values():
            judging.estimate += estimated_tokens(self._settings, prompt)
        estimate = judging.estimate
        cost = self._settings.cost(estimate.num_input, estimate.num_output)
        log.info(
            "judge %s: %d prompts, %d answered already, %d to ask; about %d input and %d output "
            "tokens%s",
            self._settings.model,
            num_all,
            judging.num_reused,
            len(pending),
            estimate.num_input,
            estimate.num_output,
            "" if cost is None else f", cost about {cost:.2f}",
        )

    def _ask_pending(
        self,
        pending: dict[str, Messages],
        found: dict[str, Reply | None],
        failures: dict[str, str],
        judging: Judging,
    ) -> None:
        self._endpoint = Endpoint(self._settings)
        in_a_row = 0
        pool = ThreadPoolExecutor(self._settings.concurrency, thread_name_prefix="judge")
        bar = tqdm(total=len(pending), unit=" prompts", desc="judge", dynamic_ncols=True)
        try:
            with bar:
                for key, outcome in self._outcomes(pool, pending):
                    for fault in outcome.malformed:
                        judging.num_malformed += 1
                        self._store.add_malformed(key, self._settings, str(fault), str(fault.body))
                    if outcome.reply is not None:
                        self._store.add(key, self._settings, pending[key], outcome.reply)
                        found[key] = outcome.reply
                        judging.num_asked += 1
                        in_a_row = 0
                    elif outcome.failure is not None:
                        failures[key] = outcome.failure
                        in_a_row += 1
                        log.warning("judge: a prompt failed: %s", outcome.failure)
                    stopped = outcome.stopped
                    if stopped is None and in_a_row >= MAX_FAILURES_IN_A_ROW:
                        stopped = f"{in_a_row} prompts in a row failed, last: {outcome.failure}"
                    if stopped is not None:
                        judging.stopped = judging.stopped or stopped
                        self._stop.set()
                    bar.update(1)
        finally:
            self._stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            self._endpoint.close()

    def _outcomes(
        self, pool: ThreadPoolExecutor, pending: dict[str, Messages]
    ) -> Iterator[tuple[str, _Outcome]]:
        """Yield outcomes as they come; once stopped, only what is under way still comes."""
        waiting = iter(pending.items())
        running: dict[Future[_Outcome], str] = {}
        while True:
            while not self._stop.is_set() and len(running) < self._concurrency():
                entry = next(waiting, None)
                if entry is None:
                    break
                key, prompt = entry
                running[pool.submit(self._ask_one, prompt)] = key
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()

    def _concurrency(self) -> int:
        """Return how many requests may be under way: one, until a limited cost can be told."""
        if self._settings.max_cost is not None and self._budget.num_settled == 0:
            return 1
        return self._settings.concurrency

    def _ask_one(self, prompt: Messages) -> _Outcome:
        """Ask one prompt, with retries; runs in a thread."""
        assert self._endpoint is not None
        outcome = _Outcome()
        estimate = estimated_tokens(self._settings, prompt)
        for attempt in range(self._settings.retries + 1):
            if self._stop.is_set():
                return outcome
            try:
                number = self._budget.reserve(estimate)
            except LimitReached as limit:
                outcome.stopped = str(limit)
                return outcome
            try:
                reply = self._endpoint.ask(prompt)
            except RequestError as error:
                self._budget.settle(number, estimate, None)
                if error.body is not None:
                    outcome.malformed.append(error)
                if error.is_fatal:
                    outcome.stopped = outcome.failure = str(error)
                    return outcome
                pause = pause_seconds(attempt, error, self._settings.backoff_seconds)
                if not error.may_pass or pause is None:
                    outcome.failure = str(error)
                    return outcome
                if attempt == self._settings.retries:
                    outcome.failure = f"{error} ({attempt + 1} attempts)"
                    return outcome
                self._stop.wait(pause)
            else:
                counted = counted_tokens(self._settings, prompt, reply)
                self._budget.settle(number, estimate, counted)
                outcome.reply = reply
                return outcome
        return outcome


@dataclass
class _Outcome:
    """One prompt's fate: a reply, a failure, or neither where asking was stopped."""

    reply: Reply | None = None
    failure: str | None = None
    stopped: str | None = None
    malformed: list[RequestError] = field(default_factory=list)


class Endpoint:
    """Sends prompts; one object serves many threads.

    Raises:
        ConfigError: the ``openai`` package is missing, or a key is.
    """

    def __init__(self, settings: JudgeSettings) -> None:
        self._settings = settings
        self._client = Client(
            settings.base_url,
            settings.key(),
            settings.timeout_seconds,
            "a judged protocol needs the openai package: pip install 'llava-eval[judge]'",
        )

    def ask(self, messages: Messages) -> Reply:
        """Send one prompt once.

        Raises:
            RequestError: there is no usable reply.
        """
        settings = self._settings
        parameters: dict[str, Any] = {}
        if settings.temperature is not None:
            parameters["temperature"] = settings.temperature
        if settings.max_tokens is not None:
            parameters["max_tokens"] = settings.max_tokens
        completion = read_completion(self._client.chat(settings.model, messages, parameters))
        reason = completion.finish_reason
        return Reply(
            text=completion.text,
            snapshot=completion.model,
            finish_reason=reason if isinstance(reason, str) else None,
            num_input_tokens=completion.num_input_tokens,
            num_output_tokens=completion.num_output_tokens,
        )

    def close(self) -> None:
        """Close all connections."""
        self._client.close()
