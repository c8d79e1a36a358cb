"""What a judge is and how it may be asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from llava_eval.errors import ConfigError
from llava_eval.models.http import EndpointSettings


@dataclass(frozen=True)
class JudgeSettings(EndpointSettings):
    """A judge and its limits.

    Attributes:
        temperature, max_tokens: None leaves them out of the request, so that the endpoint's own
            defaults hold.
        max_requests: requests, retries included, after which one command stops asking.
        max_cost: cost in the currency of the prices at which one command stops asking.
        price_per_million_input_tokens, price_per_million_output_tokens: None where unknown.
    """

    part: ClassVar[str] = "judge"

    base_url: str = "https://api.openai.com/v1"
    temperature: float | None = None
    max_tokens: int | None = None
    max_requests: int | None = None
    max_cost: float | None = None
    price_per_million_input_tokens: float | None = None
    price_per_million_output_tokens: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
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
