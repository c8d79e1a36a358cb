"""Answers of a batch from given logits and tokens, by arithmetic."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from llava_eval.config.schema import ConversationConfig
from llava_eval.models.local.decoding import Decoder, FirstLogprobs, likeliest, option_losses
from llava_eval.models.local.doctor import _difference
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.prompt import Prompt
from llava_eval.models.local.runner import ModelRunner
from llava_eval.types import Generation, GenerationSettings, Request
from tests.models.helpers import make_request

LN2 = math.log(2)
CONVERSATION = ConversationConfig("plain", "{system}USER: {user} ASSISTANT:{prefill}")


def option(number: int, *token_ids: int, start: int = 2) -> Prompt:
    request = make_request("x", options=("red", "blue", "green"))
    return Prompt(request, "", token_ids, 0, option=number, option_start=start)


def logits_of(*shares: list[float]) -> torch.Tensor:
    """Return logits of one row (1, S, vocabulary) that give these probabilities."""
    return torch.tensor([shares]).log()


def test_losses_are_means_over_an_options_own_tokens() -> None:
    # Two tokens of a prompt, then the option's: 1 (a half of what was likely), 0 (a quarter).
    logits = logits_of([0.9, 0.1], [0.5, 0.5], [0.25, 0.75], [0.9, 0.1])
    two, one = option(1, 7, 8, 1, 0), option(2, 7, 8, 9, 0, start=3)
    (first,) = option_losses([two], logits)
    assert first is not None
    assert (first.text, first.num_input_tokens, first.num_output_tokens) == ("blue", 2, 2)
    assert first.option_losses == pytest.approx(((LN2 + 2 * LN2) / 2,))
    found = option_losses([two, one], logits.repeat(2, 1, 1))
    assert found[1] is not None
    assert (found[1].text, found[1].num_input_tokens, found[1].num_output_tokens) == ("green", 3, 1)
    assert found[1].option_losses == pytest.approx((2 * LN2,))
    broken = logits.repeat(2, 1, 1)
    broken[0, 1] = math.nan
    assert [answer is None for answer in option_losses([two, one], broken)] == [True, False]


def generation(text: str, loss: float) -> Generation:
    return Generation(text, 5, len(text), option_losses=(loss,))


def test_the_likeliest_of_a_requests_options() -> None:
    asked = [
        (option(2, 1, 2, 3), generation("green", 0.5)),
        (option(0, 1, 2, 3), generation("red", 0.75)),
        (option(1, 1, 2, 3), generation("blue", 0.25)),
    ]
    expected = Generation("blue", 5, 4, option_losses=(0.75, 0.25, 0.5))
    assert likeliest(asked) == expected
    failed = Generation(None, error="E: x")
    assert likeliest([*asked[:2], (option(1, 1, 2, 3), failed)]) is failed


def test_the_first_tokens_likelihood_of_letters() -> None:
    shares = torch.tensor([[0.5, 0.25, 0.125, 0.125], [0.0, 0.5, 0.25, 0.25]])
    kept = FirstLogprobs([((0,), (1, 2), (3,)), ((0,), (2, 3))])
    assert kept.rows() == [None, None]
    scores = shares.log()
    assert kept(torch.zeros(2, 1), scores) is scores
    kept(torch.zeros(2, 2), torch.zeros(2, 4))  # later tokens say nothing
    assert kept.rows() == [(-0.693, -1.386, -2.079), (-1e4, -1.386)]
    nothing = FirstLogprobs([(), ()])
    nothing(torch.zeros(2, 1), scores)
    assert nothing.rows() == [None, None]
    mixed = FirstLogprobs([(), ((1,),)])
    mixed(torch.zeros(2, 1), scores)
    assert mixed.rows() == [None, (-0.693,)]


@pytest.mark.parametrize(
    ("stops", "ends", "expected"),
    [
        ((), True, ("What is shown?", "eos")),
        ((), False, ("What is shown?", "length")),
        ((" is",), True, ("What", "stop_string")),
        (("shown", "is"), True, ("What ", "stop_string")),
        (("red",), False, ("What is shown?", "length")),
    ],
)
def test_a_text_ends_at_its_first_end(
    loaded: LoadedModel, stops: tuple[str, ...], ends: bool, expected: tuple[str, str]
) -> None:
    tokens = loaded.tokenizer("What is shown?", add_special_tokens=False)["input_ids"]
    assert loaded.tokenizer.decode(tokens) == "What is shown?"
    (end,) = loaded.end_tokens
    settings = GenerationSettings(max_new_tokens=len(tokens), stop_strings=stops)
    prompt = Prompt(make_request("x", settings=settings), "", (1, 2, 3), 0)
    written = [*tokens, *[end, *tokens] * ends]
    found = Decoder(loaded)._to_generation(written, prompt, None)
    assert (found.text, found.stop_reason) == expected
    assert found.num_input_tokens == 3
    assert found.num_output_tokens == len(tokens) + ends  # with the end token


def test_marks_around_reasoning_stay_where_they_are_special_tokens(loaded: LoadedModel) -> None:
    """As Gemma 4's are; without them its reasoning would be read as its answer."""
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.add_tokens(["<|channel>", "<channel|>", "<|turn>"], special_tokens=True)
    ours = dataclasses.replace(loaded, processor=SimpleNamespace(tokenizer=tokenizer))
    prompt = Prompt(make_request("x"), "", (1, 2, 3), 0)
    written = tokenizer("<|channel>What is<channel|>shown?<|turn>", add_special_tokens=False)
    found = Decoder(ours)._to_generation(written["input_ids"], prompt, None)
    assert found.text == "<|channel>What is<channel|>shown?"


@pytest.mark.parametrize(
    ("end_of_prompt", "reply", "expected"),
    [
        ("<think>\n", "What is shown?", "<think>What is shown?"),
        ("<think>\n", "What</think>is", "What</think>is"),
        ("<think>\n\n</think>\n\n", "What", "What"),
    ],
)
def test_a_reply_that_ends_in_the_reasoning_of_its_prompt_says_so(
    loaded: LoadedModel, end_of_prompt: str, reply: str, expected: str
) -> None:
    """Templates of models that always reason begin it, as that of Qwen3-VL-Thinking."""
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.add_tokens(["</think>"])
    ours = dataclasses.replace(loaded, processor=SimpleNamespace(tokenizer=tokenizer))
    prompt = Prompt(make_request("x"), f"What? {end_of_prompt}", (1, 2, 3), 0)
    tokens = tokenizer(reply, add_special_tokens=False)["input_ids"]
    assert Decoder(ours)._to_generation(tokens, prompt, None).text == expected


PLAIN = Generation("a", 5, 1)
LOSSES = Generation("a", 5, 1, option_losses=(0.5, 1.0))


@pytest.mark.parametrize(
    ("answer", "plain", "said"),
    [
        (PLAIN, PLAIN, ""),
        (Generation("b", 5, 1), PLAIN, "gives 'b' for 'a'"),
        (Generation("a", 6, 1), PLAIN, "has 6 tokens instead of 5"),
        (Generation(None, error="E: x"), PLAIN, "fails (E: x)"),
        (dataclasses.replace(LOSSES, option_losses=(0.5009, 1.0)), LOSSES, ""),
        (dataclasses.replace(LOSSES, option_losses=(0.5, 0.99)), LOSSES, "differ by 0.01 nats a"),
    ],
)
def test_what_the_doctor_calls_a_difference(
    loaded: LoadedModel, answer: Generation, plain: Generation, said: str
) -> None:
    found = _difference(loaded, answer, plain)
    assert found.startswith(said)
    assert bool(found) == bool(said)


class Deaf(LoadedModel):
    """A model that drops logits processors, as Janus's own ``generate`` does."""

    def generate(self, inputs: Mapping[str, Any], **arguments: Any) -> Any:
        arguments.pop("logits_processor", None)
        return super().generate(inputs, **arguments)


def test_logits_processors_are_known_to_work_before_a_text_is_drawn(loaded: LoadedModel) -> None:
    deaf = Deaf(loaded.model, loaded.processor, loaded.plan, loaded.pixels)
    greedy = GenerationSettings(max_new_tokens=4)
    drawn = dataclasses.replace(greedy, temperature=1.0)

    def ask(model: LoadedModel, settings: GenerationSettings) -> Generation:
        runner = ModelRunner(model, CONVERSATION, share_prefixes=False)
        ((_, answer),) = runner.generate([Request("a", ("What is it?",), settings)])
        return answer

    assert ask(deaf, greedy) == ask(loaded, greedy)
    assert ask(loaded, drawn).error is None
    said = "LlavaNextVideoForConditionalGeneration ignores logits processors, so it cannot sample"
    assert ask(deaf, drawn).error == f"ForwardError: {said}"
