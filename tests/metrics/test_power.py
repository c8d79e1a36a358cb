"""How many samples a difference takes: known sizes, both ways, and power that is reached."""

from __future__ import annotations

import numpy as np
import pytest

from llava_eval.metrics.paired import paired_means
from llava_eval.metrics.power import Spread


@pytest.mark.parametrize(
    ("flips", "points", "num_samples"),
    # (1.959964 + 0.841621) ** 2 * flips / points ** 2, as tables of power have it
    [
        *((0.08, 1.0, 6279), (0.08, 2.0, 1570), (0.30, 1.0, 23547), (0.01, 0.5, 3140)),
        (0.08, 0.001, 6_279_103_790),
    ],
)
def test_flips_give_the_sizes_of_the_textbook(
    flips: float, points: float, num_samples: int
) -> None:
    planned = Spread.of_flips(flips).samples_for(points / 100)
    # Student's quantiles ask for a few samples more than the normal distribution's.
    assert num_samples <= planned <= num_samples + 5


def test_samples_of_a_group_that_change_together_count_as_one() -> None:
    alone, together = Spread.of_flips(0.08), Spread.of_flips(0.08, 3.0)
    assert together.samples_for(0.01) == pytest.approx(3 * alone.samples_for(0.01), rel=0.001)


def test_a_plan_has_two_groups_at_least() -> None:
    assert Spread(1e-6, 10.0).samples_for(0.5) == 20


def test_both_ways_agree() -> None:
    spread = Spread(0.2, 2.5)
    for num_samples in (50, 1000, 40_000):
        assert spread.samples_for(spread.detectable(num_samples)) == num_samples


def test_a_pair_shows_what_its_estimate_says() -> None:
    random = np.random.default_rng(3)
    membership = np.repeat(np.arange(100), 3)
    first = (random.random(300) < 0.6).astype(float)
    second = np.where(random.random(300) < 0.1, 1 - first, first)
    estimate = paired_means(first, second, membership)
    assert estimate is not None
    spread = Spread.of_pair(estimate)
    assert spread is not None
    assert spread.detectable(300) == pytest.approx(estimate.smallest_detectable)


def test_two_clusters_tell_no_spread() -> None:
    # one flip of six takes 523 samples for 5 points; Tango's interval fills the scale
    first, membership = np.ones(6), np.repeat(np.arange(2), 3)
    estimate = paired_means(first, np.array([0.0, 1, 1, 1, 1, 1]), membership)
    assert estimate is not None
    assert Spread.of_pair(estimate) is None


def test_a_difference_is_found_four_times_in_five_with_the_planned_samples() -> None:
    flips, difference = 0.2, 0.06
    num_samples = Spread.of_flips(flips).samples_for(difference)
    found = 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        draw = random.random(num_samples)
        first = (random.random(num_samples) < 0.5).astype(float)
        up, down = (flips + difference) / 2, (flips - difference) / 2
        second = np.where(draw < up, 1.0, np.where(draw < flips, 0.0, first))
        first = np.where(draw < up, 0.0, np.where(draw < up + down, 1.0, first))
        estimate = paired_means(first, second, np.arange(num_samples))
        assert estimate is not None
        assert estimate.low is not None
        found += estimate.low > 0
    assert 0.75 <= found / 300 <= 0.87


def test_independent_answers_are_the_safe_side() -> None:
    random = np.random.default_rng(4)
    membership = np.repeat(np.arange(200), 2)
    values = np.repeat(random.random(200) < 0.5, 2).astype(float)  # videos are all right or wrong
    spread = Spread.of_one(values, membership)
    assert spread is not None
    share = values.mean()
    assert spread.variance == pytest.approx(2 * 2 * share * (1 - share), rel=0.01)


def test_one_group_says_nothing() -> None:
    assert Spread.of_one(np.array([0.0, 1.0]), np.zeros(2, np.int64)) is None
    # Two stray by (1 - 1/2) / 2 each, which G / (G - 1) doubles: 0.25 a run, of four samples.
    two = Spread.of_one(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1]))
    assert two is not None
    assert (two.variance, two.samples_per_cluster) == pytest.approx((2 * 4 * 0.25, 2.0))
