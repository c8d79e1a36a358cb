"""Token counts, cost, and the limits that stop a judge."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from llava_eval.config.schema import JudgeConfig
from llava_eval.models.chat_client import Completion
from llava_eval.scoring.scorer import Messages

#: English text has about four characters per token, which is good enough for estimates.
CHARACTERS_PER_TOKEN = 4
#: Tokens that a chat format adds to each message.
TOKENS_PER_MESSAGE = 4
#: Estimated length of a reply if the protocol sets no limit: a small dictionary.
USUAL_OUTPUT_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Tokens:
    """Numbers of input and output tokens."""

    num_input: int = 0
    num_output: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.num_input + other.num_input, self.num_output + other.num_output)


def estimated_tokens(config: JudgeConfig, messages: Messages) -> Tokens:
    """Estimate the tokens of a prompt and its reply.

    Args:
        config: configuration of the judge.
        messages: the prompt.
    """
    characters = sum(len(message["content"]) for message in messages)
    outgoing = min(USUAL_OUTPUT_TOKENS, config.max_tokens or USUAL_OUTPUT_TOKENS)
    return Tokens(characters // CHARACTERS_PER_TOKEN + TOKENS_PER_MESSAGE * len(messages), outgoing)


def counted_tokens(estimate: Tokens, completion: Completion) -> Tokens:
    """Return the endpoint's token counts, or estimates if it gives none.

    Args:
        estimate: estimate for the prompt, see :func:`estimated_tokens`.
        completion: the reply.
    """
    ingoing, outgoing = completion.num_input_tokens, completion.num_output_tokens
    return Tokens(
        estimate.num_input if ingoing is None else ingoing,
        len(completion.text) // CHARACTERS_PER_TOKEN if outgoing is None else outgoing,
    )


class LimitReachedError(Exception):
    """One more request would exceed a limit."""


class Budget:
    """Counts requests and cost of one command, from many threads.

    The estimated cost of running requests counts as spent, so that concurrent requests cannot
    exceed the limit together. Estimates are scaled by the largest ratio of actual to estimated cost
    so far.

    Args:
        config: configuration of the judge, with its prices and limits.

    Attributes:
        num_requests: number of requests that were sent.
        tokens: total tokens of the counted requests.
        num_settled: number of requests that were counted.
    """

    def __init__(self, config: JudgeConfig) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._reserved: dict[int, float] = {}
        self._ratio = 1.0
        self.num_requests = 0
        self.num_settled = 0
        self.tokens = Tokens()

    def reserve(self, estimate: Tokens) -> int:
        """Count a request that is about to be sent, and return its number.

        Args:
            estimate: its estimated tokens.

        Raises:
            LimitReachedError: the request must not be sent.
        """
        config = self._config
        with self._lock:
            if config.max_requests is not None and self.num_requests >= config.max_requests:
                raise LimitReachedError(f"judge.max_requests={config.max_requests} is reached")
            cost = self._ratio * self._cost(estimate)
            if config.max_cost is not None:
                spent, under_way = self._cost(self.tokens), sum(self._reserved.values())
                if spent + under_way + cost > config.max_cost:
                    raise LimitReachedError(
                        f"judge.max_cost={config.max_cost:g} is reached ({spent:.4f} spent, about "
                        f"{under_way:.4f} under way, {cost:.4f} for one more)"
                    )
            self.num_requests += 1
            self._reserved[self.num_requests] = cost
            return self.num_requests

    def settle(self, number: int, estimate: Tokens, counted: Tokens | None) -> None:
        """Replace the estimate of a finished request by its actual tokens.

        Args:
            number: number of the request.
            estimate: the estimate with which it was reserved.
            counted: its actual tokens; None if it cost nothing.
        """
        with self._lock:
            del self._reserved[number]
            if counted is None:
                return
            self.tokens += counted
            self.num_settled += 1
            if self._cost(estimate) > 0:
                self._ratio = max(self._ratio, self._cost(counted) / self._cost(estimate))

    def _cost(self, tokens: Tokens) -> float:
        return self._config.cost(tokens.num_input, tokens.num_output) or 0.0
