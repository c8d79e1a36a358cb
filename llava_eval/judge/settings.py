"""What a judge is and how it may be asked."""

from __future__ import annotations

from dataclasses import dataclass

from llava_eval.endpoint import check_address, check_variable, read_key
from llava_eval.errors import ConfigError


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
        check_variable(self.api_key_env, key="judge.api_key_env")
        check_address(self.base_url, key="judge.base_url")
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
        return read_key(
            self.api_key_env,
            self.base_url,
            who=f"the judge {self.model}",
            hint="judge.api_key_env names another variable, judge.base_url another endpoint",
        )
