"""First steps with a shared prefix beside those of a plain forward pass, by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from transformers import BartConfig, LlamaConfig

from llava_eval.errors import PromptError
from llava_eval.models.local.guards import check_length, compare_steps
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.prompt import Prompt
from llava_eval.types import GenerationSettings
from tests.models.helpers import make_request

#: Standard deviation 1, and the third token is the likeliest.
PLAIN = torch.tensor([-1.0, 0.0, 1.0])


def compared(loaded: LoadedModel, *pairs: tuple[list[float], list[float]]) -> tuple[float, bool]:
    shared, plain = ([torch.tensor(step) for step in side] for side in zip(*pairs, strict=True))
    found = compare_steps(loaded, [(shared, plain)])
    assert found is not None
    assert found.limit == 1e-3
    return found.difference, found.has_other_answer


def test_the_largest_difference_is_relative_to_the_spread(loaded: LoadedModel) -> None:
    plain = PLAIN.tolist()
    twice = [2 * logit for logit in plain]
    near = [-1.0, 0.5, 1.0]
    assert compared(loaded, (plain, plain)) == (0.0, False)
    assert compared(loaded, (near, plain)) == (0.5, False)
    assert compared(loaded, (plain, plain), (near, plain)) == (0.5, False)
    assert compared(loaded, ([-2.0, 1.0, 2.0], twice)) == (0.5, False)
    # Tokens that the model never writes count nowhere.
    never = -math.inf
    assert compared(loaded, ([*near, 3.0], [*plain, never])) == (0.5, False)


def test_another_token_ends_the_comparison(loaded: LoadedModel) -> None:
    plain, other = PLAIN.tolist(), [-1.0, 0.0, -0.5]
    difference, has_other = compared(loaded, (other, plain), ([9.0, 0.0, 0.0], plain))
    assert (difference, has_other) == (1.5, True)  # what came after it is not looked at
    close = [-1.0, 0.9995, 1.0]  # two tokens that are equal but for rounding
    spread = float(torch.tensor(close).std())
    difference, has_other = compared(loaded, ([-1.0, 1.0, 0.9995], close))
    assert difference == pytest.approx(0.0005 / spread, rel=1e-3)
    assert not has_other


@pytest.mark.parametrize(("num_limits", "has_other"), [(1.9, False), (2.1, True)])
def test_rounding_of_both_logits_explains_another_token(
    loaded: LoadedModel, num_limits: float, has_other: bool
) -> None:
    """Each of two may be off by the limit, so that they change places up to twice that apart."""
    gap = num_limits * 1e-3 * math.sqrt(4 / 3)  # the standard deviation of -1, 1 and almost 1
    halfway = 1 - gap / 2
    steps = ([-1.0, halfway + 1e-5, halfway], [-1.0, 1 - gap, 1.0])
    difference, is_other = compared(loaded, steps)
    assert difference == pytest.approx(num_limits * 1e-3 / 2, rel=0.02)
    assert is_other == has_other


def test_without_finite_logits_nothing_is_compared(loaded: LoadedModel) -> None:
    lost = torch.full((3,), math.nan)
    assert compare_steps(loaded, [([PLAIN], [lost])]) is None
    found = compare_steps(loaded, [([lost], [PLAIN])])
    assert found is not None
    assert (found.difference, found.agrees) == (math.inf, False)
    assert found.recorded_difference is None


def test_an_encoder_reads_the_prompt_in_a_context_of_its_own() -> None:
    """Florence-2's 1024 positions: 577 of an image, a question, and up to 1024 of the reply."""

    def asked(config: Any, num_new: int) -> None:
        model = SimpleNamespace(config=config)
        settings = GenerationSettings(max_new_tokens=num_new)
        prompt = Prompt(make_request("x", settings=settings), "", (5,) * 590, 577)
        check_length(prompt, LoadedModel(model, None, cast(Any, None), cast(Any, None)))

    asked(BartConfig(max_position_embeddings=1024), 1024)
    with pytest.raises(PromptError, match="590 prompt tokens and up to 1025 new"):
        asked(BartConfig(max_position_embeddings=1024), 1025)
    with pytest.raises(PromptError, match="590 prompt tokens and up to 435 new"):
        asked(LlamaConfig(max_position_embeddings=1024), 435)
