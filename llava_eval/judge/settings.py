"""What a judge is and how it may be asked."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from llava_eval.errors import ConfigError

#: What a server that asks for no key gets instead of one.
NO_KEY = "no-key"

_OPENAI_HOST = "api.openai.com"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class JudgeSettings:
    """A judge and its limits; the key is read from the environment and kept nowhere.

    Attributes:
        model: name that the endpoint knows the judge by.
        base_url: the endpoint up to and without ``/chat/completions``.
        api_key_env: name of the environment variable that holds the key.
        temperature, max_tokens: None leaves them out of the request, so that the endpoint's own
            defaults hold.
        concurrency: requests under way at once.
        retries: further attempts at a request that failed in a way that may pass.
        backoff_seconds: wait before the first further attempt; doubles with each.
        timeout_seconds: longest wait for the endpoint's next byte.
        max_requests: requests, retries included, after which one command stops asking.
        max_cost: cost in the currency of the prices at which one command stops asking.
        price_per_million_input_tokens, price_per_million_output_tokens: None where unknown.
    """

    model: str
    base_url: str = "https://api.openai.com/v1"
    api_key_env: str = "OPENAI_API_KEY"
    temperature: float | None = None
    max_tokens: int | None = None
    concurrency: int = 8
    retries: int = 5
    backoff_seconds: float = 1.0
    timeout_seconds: float = 60.0
    max_requests: int | None = None
    max_cost: float | None = None
    price_per_million_input_tokens: float | None = None
    price_per_million_output_tokens: float | None = None

    def __post_init__(self) -> None:
        if not _VARIABLE.fullmatch(self.api_key_env):
            # The value is not repeated: it may be the key itself.
            raise ConfigError(
                "judge.api_key_env takes the name of an environment variable, letters, digits and "
                "underscores; the key itself belongs into that variable"
            )
        url = _parts(self.base_url)
        if url.username or url.password or url.query:
            raise ConfigError(
                "judge.base_url must not hold a user name, a password or a query: it is written "
                "into the run's files; the key belongs into an environment variable"
            )
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ConfigError(
                f"judge.base_url is {self.base_url!r}; expected http(s)://host[:port]/path, for "
                "instance http://localhost:8000/v1"
            )
        if self.max_cost is not None and not self.prices_known:
            raise ConfigError(
                "judge.max_cost needs judge.price_per_million_input_tokens and "
                "judge.price_per_million_output_tokens"
            )

    @property
    def prices_known(self) -> bool:
        """Whether costs can be told."""
        prices = (self.price_per_million_input_tokens, self.price_per_million_output_tokens)
        return None not in prices

    def cost(self, num_input_tokens: int, num_output_tokens: int) -> float | None:
        """Return what so many tokens cost, or None where a price is unknown."""
        ingoing, outgoing = (
            self.price_per_million_input_tokens,
            self.price_per_million_output_tokens,
        )
        if ingoing is None or outgoing is None:
            return None
        return (num_input_tokens * ingoing + num_output_tokens * outgoing) / 1e6

    def key(self) -> str:
        """Return the key from the environment.

        Raises:
            ConfigError: OpenAI's own endpoint is asked and the variable is not set.
        """
        found = os.environ.get(self.api_key_env, "").strip()
        if found:
            return found
        if _parts(self.base_url).hostname == _OPENAI_HOST:
            raise ConfigError(
                f"the environment variable {self.api_key_env} is not set, and the judge "
                f"{self.model} at {self.base_url} needs a key (judge.api_key_env names another "
                "variable, judge.base_url another endpoint)"
            )
        return NO_KEY


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ConfigError(f"judge.base_url is no address: {error}") from error
