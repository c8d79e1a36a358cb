"""Where an endpoint is and how it may be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llava_eval.endpoint.address import check_address, check_variable, read_key


@dataclass(frozen=True)
class EndpointSettings:
    """A model behind an endpoint; the key is read from the environment and kept nowhere.

    Attributes:
        part: what the configuration calls it, for messages.
        model: name that the endpoint knows the model by.
        base_url: the endpoint up to and without ``/chat/completions``.
        api_key_env: name of the environment variable that holds the key.
        concurrency: requests under way at once.
        retries: further attempts at a request that failed in a way that may pass.
        backoff_seconds: wait before the first further attempt; doubles with each.
        timeout_seconds: longest wait for the endpoint's next byte.

    Raises:
        ConfigError: the address or the variable is none.
    """

    part: ClassVar[str]

    model: str
    base_url: str
    api_key_env: str = "OPENAI_API_KEY"
    concurrency: int = 8
    retries: int = 5
    backoff_seconds: float = 1.0
    timeout_seconds: float = 60.0

    def __post_init__(self) -> None:
        check_variable(self.api_key_env, key=f"{self.part}.api_key_env")
        check_address(self.base_url, key=f"{self.part}.base_url")

    def key(self) -> str:
        """Return the key from the environment.

        Raises:
            ConfigError: OpenAI's own endpoint is asked and the variable is not set.
        """
        return read_key(
            self.api_key_env,
            self.base_url,
            who=f"the {self.part} {self.model}",
            hint=f"{self.part}.api_key_env names another variable, {self.part}.base_url another "
            "endpoint",
        )
