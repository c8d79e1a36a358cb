"""Sampled decoding that does not depend on order or batch."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from transformers import LogitsProcessor


class SeededSampler(LogitsProcessor):
    """Makes greedy decoding draw from each row's distribution, with a random stream per row.

    Adding Gumbel noise to log-probabilities and taking the largest is a draw from them (Gumbel,
    1954; Maddison et al., arXiv 1411.0030). Each row has its own generator, on the CPU, so that
    neither the batch nor the device changes what a sample draws.

    Args:
        seeds: one per row.
        temperature: logits are divided by it.
        top_p: only the most probable tokens that together reach it are drawn from.
    """

    def __init__(self, seeds: Sequence[int], temperature: float, top_p: float) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._temperature = temperature
        self._top_p = top_p

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return perturbed log-probabilities (B, vocabulary)."""
        logits = _nucleus(scores.float() / self._temperature, self._top_p)
        uniform = torch.stack(
            [torch.rand(scores.shape[1], generator=one) for one in self._generators]
        )
        smallest = torch.finfo(torch.float32).tiny
        gumbel = -torch.log(-torch.log(uniform.clamp(min=smallest)))
        return logits + gumbel.to(scores.device)


def _nucleus(logits: torch.Tensor, top_p: float) -> torch.Tensor:
    """Return logits with everything outside the nucleus at minus infinity."""
    if top_p >= 1.0:
        return logits
    ordered, order = logits.sort(dim=-1, descending=True)
    probabilities = ordered.softmax(dim=-1)
    before = probabilities.cumsum(dim=-1) - probabilities
    outside = before >= top_p
    return logits.masked_fill(outside.scatter(1, order, outside), -torch.inf)


def sample_seed(seed: int, sample_id: str) -> int:
    """Return a seed of a sample's own."""
    return int.from_bytes(hashlib.sha256(f"{seed}\0{sample_id}".encode()).digest()[:8], "big")
