"""A confidence sequence holds its error rates at every time, and ends early where it can."""

from __future__ import annotations

import numpy as np
import pytest

from llava_eval.metrics.sequential import ConfidenceSequence
from tests.conftest import slow

ALPHA = 0.1
TOLERANCE = 0.05
NUM_GROUPS = 250


def groups(seed: int, difference: float, flips: float = 0.2) -> list[float]:
    """Return mean changes of groups of three answers that change together now and then."""
    random = np.random.default_rng(seed)
    size = (NUM_GROUPS, 3)
    draw = np.where(random.random(size) < 0.4, random.random((NUM_GROUPS, 1)), random.random(size))
    up, down = (flips + difference) / 2, (flips - difference) / 2
    return list(np.where(draw < up, 1.0, np.where(draw < up + down, -1.0, 0.0)).mean(axis=1))


def outcome(observations: list[float]) -> tuple[str, int]:
    """Return what is known when it is known, and after how many groups."""
    bounds = ConfidenceSequence(ALPHA, -TOLERANCE)
    for observation in observations:
        bounds.add(observation)
        if bounds.is_above or bounds.is_below:
            return ("no worse" if bounds.is_above else "regressed"), bounds.num_observations
    return "not shown", bounds.num_observations


@pytest.mark.slow
def test_at_the_tolerance_itself_each_verdict_is_rare_whenever_one_stops() -> None:
    found = [outcome(groups(seed, -TOLERANCE))[0] for seed in range(100)]
    assert found.count("no worse") <= 100 * ALPHA
    assert found.count("regressed") <= 100 * ALPHA


@pytest.mark.slow
def test_an_equal_model_never_regresses_and_mostly_passes_early() -> None:
    found = [outcome(groups(seed, 0.0)) for seed in range(60)]
    assert [name for name, _ in found].count("regressed") == 0
    assert [name for name, _ in found].count("no worse") >= 35
    assert np.mean([number for _, number in found]) < 0.75 * NUM_GROUPS


@pytest.mark.parametrize(("difference", "verdict"), [(-0.18, "regressed"), slow(0.08, "no worse")])
def test_what_is_clear_takes_less_than_half_of_the_fixed_gate(
    difference: float, verdict: str
) -> None:
    found = [outcome(groups(seed, difference)) for seed in range(40)]
    assert [name for name, _ in found].count(verdict) == 40
    assert np.mean([number for _, number in found]) < 0.5 * NUM_GROUPS


@pytest.mark.slow
def test_rare_large_losses_are_no_trap() -> None:
    """Nearly all is 0, and a mean of -0.02 comes from rare -1: an ordinary interval misses it."""
    missed = 0
    for seed in range(100):
        draws = np.where(np.random.default_rng(seed).random(NUM_GROUPS) < 0.02, -1.0, 0.0)
        bounds = ConfidenceSequence(ALPHA)
        for observation in draws:
            bounds.add(observation)
        # Values that were excluded once stay so: the last bounds are the tightest of all times.
        missed += not bounds.low <= -0.02 <= bounds.high
    assert missed <= 2 * 100 * ALPHA


def test_bounds_only_tighten_and_hold_the_observed_mean_of_many() -> None:
    bounds = ConfidenceSequence(0.05)
    before = (-1.0, 1.0)
    observations = groups(5, 0.02)
    for observation in observations:
        bounds.add(observation)
        assert bounds.low >= before[0]
        assert bounds.high <= before[1]
        before = (bounds.low, bounds.high)
    assert bounds.low < np.mean(observations) < bounds.high
    assert bounds.high - bounds.low < 0.25


@pytest.mark.parametrize("observation", [1.5, -1.5])
def test_an_observation_outside_of_the_range_is_refused(observation: float) -> None:
    with pytest.raises(ValueError, match="expected -1 to 1"):
        ConfidenceSequence(0.05).add(observation)


def test_a_mean_is_compared_with_no_difference_where_nothing_else_is_said() -> None:
    rise, fall = ConfidenceSequence(0.05), ConfidenceSequence(0.05)
    for _ in range(20):
        rise.add(0.5)
        fall.add(-0.5)
    assert (rise.is_above, rise.is_below) == (True, False)
    assert (fall.is_above, fall.is_below) == (False, True)


@pytest.mark.parametrize("difference", [-0.15, 0.0, 0.15])
def test_the_bounds_are_those_of_the_papers_bets(difference: float) -> None:
    """Of every candidate: bets by the moments of what was seen and of five zeros of variance 0.05.

    The lower bound is the least mean against which no bet on more has won 20 times the stake.
    """
    observations = np.array(groups(11, difference)[:120])
    means = np.linspace(-1, 1, 2001)
    more, less = np.ones((2, 2001))
    is_out = np.zeros((2, 2001), bool)
    bounds = ConfidenceSequence(0.05)
    for number, observation in enumerate(observations):
        seen = observations[:number]
        mean = seen.sum() / (5 + number)
        variance = (5 * 0.05 + seen @ seen) / (5 + number) - mean**2
        bet = (mean - means) / (variance + (mean - means) ** 2)
        with np.errstate(divide="ignore"):
            more *= 1 + np.clip(bet, 0, 0.75 / (1 + means)) * (observation - means)
            less *= 1 - np.clip(-bet, 0, 0.75 / (1 - means)) * (observation - means)
        is_out |= np.stack([more, less]) >= 20
        bounds.add(observation)
        expected = means[~is_out[0]][0], means[~is_out[1]][-1]
        assert (bounds.low, bounds.high) == pytest.approx(expected), number
    assert -1 < bounds.low < difference < bounds.high < 1


@pytest.mark.parametrize("sign", [1, -1])
def test_the_capital_grows_as_the_paper_has_it(sign: int) -> None:
    """Against 0.6 on either side, by zeros alone: bets (mean - m) / (variance + (mean - m)^2)."""
    capital, needed = 1.0, 0
    while capital < 1 / 0.05:
        variance = 5.0 * 0.05 / (5.0 + needed)  # the prior's, spread over what was seen
        capital *= 1 + 0.6 / (variance + 0.6**2) * 0.6
        needed += 1
    bounds = ConfidenceSequence(0.05, -0.6 * sign)
    for number in range(needed):
        assert (bounds.is_above, bounds.is_below) == (False, False), number
        bounds.add(0.0)
    assert (bounds.is_above, bounds.is_below) == (sign > 0, sign < 0)
    assert bounds.num_observations == needed
    assert not ConfidenceSequence(0.05, -1.0).is_above  # no mean lies beyond the ends
    assert not ConfidenceSequence(0.05, 1.0).is_below
