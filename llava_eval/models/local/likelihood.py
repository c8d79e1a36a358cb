"""Answers by likelihood: how probable the model finds each option."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from llava_eval.models.local.prompt import Prompt
from llava_eval.types import Generation


def option_losses(prompts: Sequence[Prompt], logits: torch.Tensor) -> list[Generation]:
    """Return the mean negative log-likelihood of each prompt's option.

    The loss that transformers' models compute from labels which mask everything but the option.

    Args:
        prompts: B prompts, each of one option.
        logits: (B, S, vocabulary); the last column belongs to each prompt's last token.

    Returns:
        B generations with one loss each, in nats per token.
    """
    generations = []
    for prompt, row in zip(prompts, logits, strict=True):
        assert prompt.option is not None
        option = prompt.token_ids[prompt.option_start :]
        before = row[-len(option) - 1 : -1].float()
        chosen = torch.tensor(option, device=row.device).unsqueeze(1)
        log_likelihoods = before.log_softmax(dim=-1).gather(1, chosen)
        generations.append(
            Generation(
                text=prompt.request.options[prompt.option],
                num_input_tokens=prompt.option_start,
                num_output_tokens=len(option),
                option_losses=(float(-log_likelihoods.mean()),),
            )
        )
    return generations


def likeliest(asked: Sequence[tuple[Prompt, Generation]]) -> Generation:
    """Join the generations of a request's options to one; a failed option fails the request."""
    ordered = [generation for _, generation in sorted(asked, key=lambda pair: pair[0].option or 0)]
    failed = next((generation for generation in ordered if generation.error is not None), None)
    if failed is not None:
        return failed
    losses = tuple(
        generation.option_losses[0] for generation in ordered if generation.option_losses
    )
    best = ordered[losses.index(min(losses))]
    return Generation(
        text=best.text,
        num_input_tokens=best.num_input_tokens,
        num_output_tokens=best.num_output_tokens,
        option_losses=losses,
    )
