"""What of a reply is kept: the likelihoods of letters."""

from __future__ import annotations

from typing import Any

import pytest

from llava_eval.models.chat_client import Completion, MalformedError, read_completion
from llava_eval.models.served.messages import choice_logprobs
from tests.models.chat_server import reply


def completion(logprobs: object) -> Completion:
    choice = {"message": {"content": "A"}, "finish_reason": "stop", "logprobs": logprobs}
    return read_completion(reply("", choices=[choice]).body.decode())


def listed(*tokens: tuple[Any, Any]) -> dict[str, Any]:
    """Return the first new token's likeliest as OpenAI's protocol lists them."""
    first = [{"token": token, "logprob": value, "bytes": None} for token, value in tokens]
    return {"content": [{"token": "A", "logprob": 0.0, "top_logprobs": first}]}


@pytest.mark.parametrize(
    ("logprobs", "expected"),
    [
        (listed(("A", -0.12345), ("B", -2.5)), (-0.123, -2.5)),
        (listed((" A", -0.5), ("A", -1.5), ("B", -2.0)), (-0.5, -2.0)),  # the likelier
        (listed(("B", -0.1), ("x", -7.25)), (-7.25, -0.1)),  # no likelier than the last listed
        (listed(("A", -1e30), ("B", 0.0)), (-1e4, 0.0)),
        (listed(("x", -0.1), ("a", -0.2), ("AB", -0.3)), None),
        (listed(), None),
        ({"content": [{"top_logprobs": None}]}, None),
        ({"content": None}, None),
        ({}, None),
        (None, None),
    ],
)
def test_letters(logprobs: object, expected: object) -> None:
    assert choice_logprobs(completion(logprobs), ("A", "B")) == expected


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_letters_of_reasoning_are_none(name: str) -> None:
    # vLLM lists the tokens of both, and those of the reasoning come first.
    message = {"content": "B", name: "A person asks."}
    choice = {"message": message, "finish_reason": "stop", "logprobs": listed(("A", -0.01))}
    found = read_completion(reply("", choices=[choice]).body.decode())
    assert choice_logprobs(found, ("A", "B")) is None


@pytest.mark.parametrize(
    "logprobs",
    [
        listed(("A", "x")),
        listed(("A", None)),
        {"content": [{"top_logprobs": [{"token": "A"}]}]},
        {"content": [7]},
        {"content": 7},
        [7],
    ],
)
def test_what_the_protocol_does_not_say(logprobs: object) -> None:
    with pytest.raises(MalformedError, match=r"^malformed response \("):
        choice_logprobs(completion(logprobs), ("A", "B"))
