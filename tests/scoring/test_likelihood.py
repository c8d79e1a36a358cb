"""Answers by likelihood."""

from __future__ import annotations

import pytest

from llava_eval.errors import ScoreError
from llava_eval.scoring.choice import LowestLoss
from llava_eval.scoring.scorer import SampleScorer
from llava_eval.types import Generation, Sample

SAMPLE = Sample(
    id="1",
    row=0,
    group="v",
    content=("q",),
    targets=("B",),
    choices=("x.", "y.", "z."),
    options=("x", "y", "z"),
)


@pytest.mark.parametrize(
    ("losses", "answer"),
    [
        ((0.5, 0.2, 0.3), "B"),
        ((0.5, 0.2, 0.1), "C"),
        ((0.2, 0.2, 0.3), "A"),  # of equal losses the first
        ((float("nan"), 0.2, 0.3), "B"),  # nan is below nothing
        ((float("nan"), float("inf"), float("nan")), None),
    ],
)
def test_the_lowest_loss_is_the_answer(losses: tuple[float, ...], answer: str | None) -> None:
    scorer = LowestLoss()
    assert isinstance(scorer, SampleScorer)
    score = scorer.score_generation(Generation("", option_losses=losses), SAMPLE)
    assert (score.answer, score.unreadable) == (answer, answer is None)
    assert score.value == float(answer == "B")


@pytest.mark.parametrize("losses", [None, (0.1, 0.2)])
def test_every_option_needs_a_loss(losses: tuple[float, ...] | None) -> None:
    with pytest.raises(ScoreError, match=r"sample 1: .*need 3 option losses, got (none|2)"):
        LowestLoss().score_generation(Generation("", option_losses=losses), SAMPLE)
