"""How texts are asked for, and what of a reply is kept: the likelihoods of letters."""

from __future__ import annotations

from typing import Any

import pytest

from llava_eval.models.chat_client import Completion, MalformedError, read_completion
from llava_eval.models.served.messages import choice_logprobs, generation_fields, to_generation
from llava_eval.models.served.server import DIALECTS
from llava_eval.types import GenerationSettings, Request
from tests.models.chat_server import reply

SAMPLED = GenerationSettings(5, temperature=0.5, top_p=0.9, stop_strings=("\n", "end"), seed=3)
#: printf '3\0q0' | sha256sum begins with dd34242e9832ce65, whose last 31 bits these are.
DRAWN = {"temperature": 0.5, "top_p": 0.9, "seed": 0x1832CE65}


@pytest.mark.parametrize(
    ("kind", "asked", "fields"),
    [
        ("openai", {}, {"temperature": 0.0}),
        ("openai", {"settings": SAMPLED}, {**DRAWN, "stop": ["\n", "end"]}),
        (
            "transformers",
            {"settings": SAMPLED},
            {**DRAWN, "generation_config": '{"do_sample": true, "top_k": 0}'},
        ),
        (
            "vllm",
            {"letters": ("A", "B")},
            {"temperature": 0.0, "logprobs": True, "top_logprobs": 20},
        ),
        (
            "sglang",
            {"assistant_prefill": "("},
            {"temperature": 0.0, "add_generation_prompt": False, "continue_final_message": True},
        ),
    ],
)
def test_how_a_text_is_asked_for(
    kind: str, asked: dict[str, Any], fields: dict[str, object]
) -> None:
    request = Request("q0", ("what?",), **{"settings": GenerationSettings(5), **asked})
    assert generation_fields(request, DIALECTS[kind]) == {"max_tokens": 5, **fields}


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


@pytest.mark.parametrize(
    ("message", "has_reasoning"),
    [
        ({"content": "B"}, None),
        ({"content": "B", "reasoning_content": None}, None),
        ({"content": "B", "reasoning": "A person asks."}, True),
        ({"content": "", "reasoning_content": "A person asks."}, True),
        ({"content": [{"type": "text", "text": "B"}]}, None),
        ({"content": [{"type": "thinking", "thinking": []}, {"type": "text", "text": "B"}]}, True),
        ({"content": [{"type": "reasoning", "text": "A?"}, {"type": "text", "text": "B"}]}, True),
    ],
)
def test_reasoning_beside_the_text_is_kept_in_mind(message: object, has_reasoning: object) -> None:
    choice = {"message": message, "finish_reason": "stop"}
    found = read_completion(reply("", choices=[choice]).body.decode())
    assert to_generation(found, GenerationSettings()).has_reasoning_apart is has_reasoning


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
        listed(("A", True)),
        listed(("A", "-0.5")),
        listed(("A", 1.5)),
        listed(("A", 10**400)),
        {"content": [{"top_logprobs": [{"token": "A"}]}]},
        {"content": [7]},
        {"content": 7},
        [7],
    ],
)
def test_what_the_protocol_does_not_say(logprobs: object) -> None:
    with pytest.raises(MalformedError, match=r"^malformed response \("):
        choice_logprobs(completion(logprobs), ("A", "B"))
