"""Tokens, cost and limits, by hand."""

from __future__ import annotations

from typing import Any

import pytest

from llava_eval.config.schema import JudgeConfig
from llava_eval.models.chat_client import read_completion
from llava_eval.scoring.judge.budget import (
    Budget,
    LimitReachedError,
    Tokens,
    counted_tokens,
    estimated_tokens,
)
from tests.models.chat_server import reply

#: 1.00 for each token in, 10.00 for each token out.
PRICES: dict[str, Any] = {
    "price_per_million_input_tokens": 1e6,
    "price_per_million_output_tokens": 1e7,
}


def config(**settings: Any) -> JudgeConfig:
    return JudgeConfig(model="m", **{**PRICES, **settings})


def test_estimates() -> None:
    prompt = ({"role": "system", "content": "a" * 40}, {"role": "user", "content": "b" * 43})
    # 83 characters of four to a token, and four tokens for each message
    assert estimated_tokens(config(), prompt) == Tokens(20 + 8, 32)
    assert estimated_tokens(config(max_tokens=5), prompt) == Tokens(28, 5)
    assert estimated_tokens(config(max_tokens=500), prompt) == Tokens(28, 32)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 7, "completion_tokens": 3}, Tokens(7, 3)),
        ({"prompt_tokens": 0, "completion_tokens": 0}, Tokens(0, 0)),
        ({"prompt_tokens": 7}, Tokens(7, 5)),
        ({"completion_tokens": 3}, Tokens(28, 3)),
        (None, Tokens(28, 5)),
    ],
)
def test_counts_and_what_stands_in_for_them(usage: dict[str, int] | None, expected: Tokens) -> None:
    completion = read_completion(reply("c" * 20, usage=usage).body.decode())
    assert counted_tokens(Tokens(28, 32), completion) == expected


def test_prices() -> None:
    assert config().cost(3, 2) == 23.0
    for name in PRICES:
        assert config(**{name: None}).cost(3, 2) is None


def test_a_limit_of_requests() -> None:
    budget = Budget(config(max_requests=2))
    assert [budget.reserve(Tokens(1, 1)) for _ in range(2)] == [1, 2]
    with pytest.raises(LimitReachedError, match=r"judge\.max_requests=2 is reached"):
        budget.reserve(Tokens(1, 1))
    assert budget.num_requests == 2


def test_the_message_says_what_the_limit_is_made_of() -> None:
    budget = Budget(config(max_cost=100.0))
    budget.settle(budget.reserve(Tokens(10, 0)), Tokens(10, 0), Tokens(10, 0))
    budget.reserve(Tokens(70, 0))
    told = r"\(10\.0000 spent, about 70\.0000 under way, 21\.0000 for one more\)$"
    with pytest.raises(LimitReachedError, match=told):
        budget.reserve(Tokens(21, 0))


def test_what_is_under_way_counts_as_spent_until_it_is_settled() -> None:
    budget = Budget(config(max_cost=100.0))
    first, second = (budget.reserve(Tokens(40, 0)) for _ in range(2))
    with pytest.raises(LimitReachedError, match=r"judge\.max_cost=100 is reached \(0\.0000 spent"):
        budget.reserve(Tokens(21, 0))
    budget.settle(first, Tokens(40, 0), Tokens(10, 0))  # cheaper than expected
    budget.settle(second, Tokens(40, 0), None)  # failed: it cost nothing
    assert (budget.tokens, budget.num_settled) == (Tokens(10, 0), 1)
    third = budget.reserve(Tokens(90, 0))
    with pytest.raises(LimitReachedError, match=r"\(10\.0000 spent"):
        budget.reserve(Tokens(1, 0))
    budget.settle(third, Tokens(90, 0), Tokens(80, 1))
    assert (budget.tokens, budget.num_settled) == (Tokens(90, 1), 2)
    budget.reserve(Tokens(0, 0))  # exactly 100 is within the limit


def test_estimates_grow_by_the_largest_ratio_so_far() -> None:
    budget = Budget(config(max_cost=100.0))
    for counted in (10, 30, 20):  # each expected to cost 10: up to three times as much
        budget.settle(budget.reserve(Tokens(10, 0)), Tokens(10, 0), Tokens(counted, 0))
    number = budget.reserve(Tokens(13, 0))  # 39 of the 40 that are left
    budget.settle(number, Tokens(13, 0), None)
    with pytest.raises(LimitReachedError):
        budget.reserve(Tokens(14, 0))


def test_no_limit() -> None:
    budget = Budget(config())
    for _ in range(3):
        budget.settle(budget.reserve(Tokens(10**9, 10**9)), Tokens(1, 1), Tokens(10**9, 0))
    assert budget.num_requests == 3
