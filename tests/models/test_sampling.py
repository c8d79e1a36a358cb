"""Seeded sampling draws from the right distribution, whatever the batch."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from llava_eval.models.local.decoding import SeededSampler, sample_seed

LOGITS = torch.tensor([2.0, 1.0, 0.0, -1.0, -3.0])
IDS = torch.zeros((1, 1), dtype=torch.long)


def draw(num_draws: int, *, temperature: float, top_p: float, seed: int = 0) -> list[int]:
    sampler = SeededSampler([seed], temperature, top_p)
    return [int(sampler(IDS, LOGITS[None]).argmax()) for _ in range(num_draws)]


@pytest.mark.slow
def test_draws_follow_the_tempered_distribution() -> None:
    counts = torch.bincount(torch.tensor(draw(20_000, temperature=0.7, top_p=1.0)), minlength=5)
    expected = 20_000 * torch.softmax(LOGITS.double() / 0.7, dim=0)
    assert stats.chisquare(counts.numpy(), expected.numpy()).pvalue > 0.001


@pytest.mark.slow
def test_nothing_outside_the_nucleus_is_drawn() -> None:
    # Probabilities at temperature 1: 0.636, 0.234, 0.086, 0.032, 0.004; 0.8 needs the first two.
    assert set(draw(3000, temperature=1.0, top_p=0.8)) == {0, 1}
    assert set(draw(500, temperature=1.0, top_p=0.1)) == {0}
    # At temperature 0.5: 0.865, 0.117, 0.016, ...; the first alone reaches 0.8.
    assert set(draw(500, temperature=0.5, top_p=0.8)) == {0}


def test_a_row_draws_the_same_alone_and_in_any_batch() -> None:
    seeds = [sample_seed(0, name) for name in ("a", "b", "c")]
    together = SeededSampler(seeds, 1.0, 0.9)
    reordered = SeededSampler(seeds[::-1], 1.0, 0.9)
    alone = [SeededSampler([seed], 1.0, 0.9) for seed in seeds]
    for _ in range(5):
        rows = together(IDS, LOGITS.repeat(3, 1))
        assert torch.equal(rows.flip(0), reordered(IDS, LOGITS.repeat(3, 1)))
        singles = [sampler(IDS, LOGITS[None])[0] for sampler in alone]
        assert torch.equal(rows, torch.stack(singles))


def test_seeds_differ_by_sample_and_run() -> None:
    seeds = {sample_seed(run, name) for run in (0, 1) for name in ("a", "b", "ab")}
    assert len(seeds) == 6
