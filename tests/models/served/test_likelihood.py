"""Likelihoods of given answers from vLLM's log-probabilities of a prompt."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForImageTextToText, AutoProcessor

from llava_eval.errors import ConfigError
from llava_eval.models.backend import Needs
from llava_eval.models.served.served_model import find_served_model
from llava_eval.types import Generation, GenerationSettings, Request
from tests.models.chat_server import Answer, reply, serving
from tests.models.served.fakes import PAGES, ask, echo, make_runner, served

#: By option: its tokens with their log-probabilities, the end token's last.
TOKENS = {
    "cat</s>": [("cat", -1.0), ("</s>", -0.5)],
    "a dog</s>": [("a", -0.25), ("dog", -0.5), ("</s>", 0.0)],
}
PROMPT = [("USER", -3.0), ("ASSISTANT:", -2.0)]
OPTIONS = Needs(likelihoods=True)


def entries(tokens: list[tuple[str, float]]) -> list[dict[str, Any]]:
    """Return vLLM's entries: the prompt's token, and the likeliest where that is another."""
    likeliest = {"logprob": -0.01, "rank": 1, "decoded_token": "x"}
    return [
        {str(number): {"logprob": value, "rank": 7, "decoded_token": token}, "999": likeliest}
        for number, (token, value) in enumerate(tokens)
    ]


def vllm(content: dict[str, Any], number: int) -> Answer:
    last = content["messages"][-1]
    tokens = PROMPT + (TOKENS[last["content"]] if last["role"] == "assistant" else [])
    usage = {"prompt_tokens": len(tokens), "completion_tokens": 1}
    if "prompt_logprobs" not in content:
        return reply("y", usage=usage)
    assert content["continue_final_message"] is True
    assert content["add_generation_prompt"] is False
    assert content["max_tokens"] == 1
    return reply("y", usage=usage, prompt_logprobs=[None, *entries(tokens)[1:]])


def question(*options: str) -> Request:
    return Request("q", ("what?",), GenerationSettings(), options=options)


def test_the_likeliest_option_by_mean_loss() -> None:
    with serving(vllm, PAGES["vllm"]) as server:
        found = ask(make_runner(server, end_token="</s>"), [question("cat", "a dog")])
    assert found["q"] == Generation(
        text="a dog",
        num_input_tokens=2,
        num_output_tokens=3,
        option_losses=(0.75, 0.25),
    )
    assert len(server.requests) == 3


@pytest.mark.slow
def test_a_prompt_that_ends_in_something_else_is_an_error() -> None:
    def other(content: dict[str, Any], number: int) -> Answer:
        wrong = {"role": "assistant", "content": "cat</s>"}
        last = content["messages"][-1]
        messages = content["messages"] if last["role"] == "user" else [wrong]
        return vllm({**content, "messages": messages}, number)

    with serving(other, PAGES["vllm"]) as server:
        found = ask(make_runner(server, end_token="</s>"), [question("a dog")])["q"]
    assert found.error == (
        "PromptError: sample q: with option 0 'a dog' the server's prompt ends in 'cat</s>'"
    )


def test_a_template_that_drops_the_delimiter_is_an_error() -> None:
    def trimming(content: dict[str, Any], number: int) -> Answer:
        last = content["messages"][-1]
        trimmed = (
            {**last, "content": last["content"].strip()}
            if isinstance(last["content"], str)
            else last
        )
        return vllm({**content, "messages": [*content["messages"][:-1], trimmed]}, number)

    with serving(trimming, PAGES["vllm"]) as server:
        found = ask(make_runner(server, end_token="</s>"), [question(" cat", " a dog")])["q"]
    assert found.error is not None
    assert found.error.startswith(
        "PromptError: sample q: the server's chat template drops the space before option ' cat'"
    )


@pytest.mark.slow
def test_two_spaces_and_the_end_token_are_scored(demo: Path) -> None:
    """As the reference scores it: its delimiter's space beside the conversation's."""
    processor = AutoProcessor.from_pretrained(demo / "checkpoint")
    model = AutoModelForImageTextToText.from_pretrained(demo / "checkpoint", dtype=torch.float32)

    def log_probabilities(text: str) -> list[tuple[str, float]]:
        ids = processor.tokenizer(text, return_tensors="pt")["input_ids"]
        with torch.inference_mode():
            rows = model(input_ids=ids).logits[0].log_softmax(-1)
        values = [0.0, *rows[:-1].gather(1, ids[0, 1:, None])[:, 0].tolist()]
        return list(zip(map(processor.tokenizer.decode, ids[0]), values, strict=True))

    def server_of_the_model(content: dict[str, Any], number: int) -> Answer:
        goes_on = content.get("continue_final_message", False)
        text = processor.apply_chat_template(
            content["messages"], continue_final_message=goes_on, add_generation_prompt=not goes_on
        )
        tokens = log_probabilities(text)
        listed = [None, *entries(tokens)[1:]]
        return reply("y", usage={"prompt_tokens": len(tokens)}, prompt_logprobs=listed)

    colors = ("red", "blue", "dark green")
    with serving(server_of_the_model, PAGES["vllm"]) as server:
        runner = make_runner(server, end_token="</s>")
        found = ask(runner, [question(*(f" {color}" for color in colors))])["q"]
    start = len(log_probabilities("USER: what? ASSISTANT:"))
    expected = []
    for color in colors:
        own = log_probabilities(f"USER: what? ASSISTANT:  {color}</s>")[start:]
        expected.append(-sum(value for _, value in own) / len(own))
    assert found.error is None
    assert found.option_losses == pytest.approx(expected, rel=1e-5)
    assert found.text == f" {colors[expected.index(min(expected))]}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "told"),
    [
        (None, "the server returned no log-probabilities of the prompt"),
        ([], "the server returned no log-probabilities of the prompt"),
        ([None, {"7": {"rank": 1}}], "malformed response (KeyError: 'decoded_token')"),
        (
            [None, {"7": {"rank": 1, "decoded_token": "cat</s>", "logprob": 4.0}}],
            "malformed response (ValueError: 4.0 is no log-probability)",
        ),
    ],
)
def test_a_server_that_returns_none_after_all(given: object, told: str) -> None:
    def silent(content: dict[str, Any], number: int) -> Answer:
        usage = {"prompt_tokens": 1, "completion_tokens": 1}
        return reply("y", usage=usage, prompt_logprobs=given)

    with serving(silent, PAGES["vllm"]) as server:
        found = ask(make_runner(server, end_token="</s>"), [question("cat")])["q"]
    assert found.error == f"ServerError: {told}"


@pytest.mark.parametrize("kind", ["openai", "sglang", "transformers"])
def test_other_servers_are_refused(kind: str) -> None:
    with serving(echo, PAGES[kind]) as server:
        plan = find_served_model(served("m", server.base_url), OPTIONS)
        with pytest.raises(ConfigError, match=r"likelihoods.*vLLM does"):
            plan.check_protocol(has_prefill=False)


@pytest.mark.slow
def test_the_end_token_has_to_be_known() -> None:
    with serving(echo, PAGES["vllm"]) as server:
        plan = find_served_model(served("m", server.base_url), OPTIONS)
        with pytest.raises(ConfigError, match=r"model\.server\.end_token"):
            plan.check_protocol(has_prefill=False)
        named = find_served_model(served("m", server.base_url, end_token="</s>"), OPTIONS)
        named.check_protocol(has_prefill=True)


@pytest.mark.slow
def test_a_space_before_an_option_is_looked_for_once() -> None:
    def spaced(content: dict[str, Any], number: int) -> Answer:
        last = content["messages"][-1]
        tokens = PROMPT + ([(last["content"], -1.0)] if last["role"] == "assistant" else [])
        usage = {"prompt_tokens": len(tokens), "completion_tokens": 1}
        return reply("y", usage=usage, prompt_logprobs=[None, *entries(tokens)[1:]])

    first, second = question(" cat", "dog"), dataclasses.replace(question(" cat", "dog"), id="r")
    with serving(spaced, PAGES["vllm"]) as server:
        runner = make_runner(server, end_token="</s>", concurrency=1)
        found = ask(runner, [first, second])
        sent = [request["messages"][-1]["content"] for request in server.requests]
    assert found["q"] == found["r"]
    assert found["q"].option_losses == (1.0, 1.0)
    assert [text for text in sent if isinstance(text, str)] == [
        *(" cat</s>", "cat</s>", "dog</s>"),
        *(" cat</s>", "dog</s>"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("prefill", ["", "It is "])
def test_a_prompt_whose_last_space_joins_the_option(prefill: str) -> None:
    """As tokenizers join "▁" and "cat" to "▁cat"."""

    def joining(content: dict[str, Any], number: int) -> Answer:
        last = content["messages"][-1]
        # The template trims what the assistant says.
        text = last["content"].removeprefix(prefill).strip() if last["role"] == "assistant" else ""
        own = [(f" {text.removesuffix('</s>')}", -1.0), ("</s>", -0.5)] if text else [(" ", -0.1)]
        usage = {"prompt_tokens": len([*PROMPT, *own]), "completion_tokens": 1}
        return reply("y", usage=usage, prompt_logprobs=[None, *entries([*PROMPT, *own])[1:]])

    asked = dataclasses.replace(question("cat", "dog"), assistant_prefill=prefill)
    with serving(joining, PAGES["vllm"]) as server:
        found = ask(make_runner(server, end_token="</s>"), [asked])["q"]
        spaced = dataclasses.replace(asked, options=(" cat", "dog"))
        dropped = ask(make_runner(server, end_token="</s>"), [spaced])["q"].error
    assert found.error is None
    assert (found.option_losses, found.num_output_tokens) == ((0.75, 0.75), 2)
    assert dropped is not None
    assert "the server's chat template drops the space before option ' cat'" in dropped
