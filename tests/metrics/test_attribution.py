"""A gap taken apart: known amounts lie in the intervals of nearly all seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtr

from llava_eval.metrics.attribution import attribute
from llava_eval.metrics.intervals import FloatArray, IntArray

#: By how much each change lowers the share of right answers.
AMOUNTS = {"frames": 0.08, "prompt": 0.05, "extraction": 0.15}


def simulated(
    seed: int, *, num_groups: int = 80, per_group: int = 3, together: float = 0.0
) -> tuple[FloatArray, dict[str, FloatArray], FloatArray, IntArray]:
    """Return right and wrong answers before, under each change, and under all of them.

    An answer is right where a draw, alike within a video and over changes, lies below the share
    that is right under these settings; so the true differences are known exactly.
    """
    random = np.random.default_rng(seed)
    size = (num_groups, per_group)
    alike = 0.5 * random.normal(size=(num_groups, 1)) + 0.75**0.5 * random.normal(size=size)

    def answers(changes: Sequence[str], more: float = 0.0) -> FloatArray:
        noise = random.normal(size=size)
        draw = ndtr(0.95 * alike + (1 - 0.95**2) ** 0.5 * noise).ravel()
        share = 0.7 - sum(AMOUNTS[name] for name in changes) - more
        right: FloatArray = np.where(draw < share, 1.0, 0.0)
        return right

    switched = {name: answers([name]) for name in AMOUNTS}
    membership = np.repeat(np.arange(num_groups), per_group)
    return answers([]), switched, answers(list(AMOUNTS), together), membership


@pytest.mark.parametrize("together", [0.0, 0.06])
def test_known_amounts_lie_in_the_intervals(together: float) -> None:
    truths = {**{name: -amount for name, amount in AMOUNTS.items()}, "rest": -together}
    held = dict.fromkeys(truths, 0)
    for seed in range(100):
        found = attribute(*simulated(seed, together=together))
        assert found is not None
        intervals = {name: (part.low, part.high) for name, part in found.parts.items()}
        intervals["rest"] = (found.rest_low, found.rest_high)
        for name, (low, high) in intervals.items():
            assert low is not None
            assert high is not None
            held[name] += low <= truths[name] <= high
    assert min(held.values()) >= 90, held


def test_the_parts_and_the_rest_add_up_to_the_whole() -> None:
    found = attribute(*simulated(7))
    assert found is not None
    parts = sum(part.difference for part in found.parts.values())
    assert parts + found.rest == pytest.approx(found.whole.difference)


def test_a_rule_that_leaves_samples_out_keeps_its_own_denominator() -> None:
    base = np.array([1.0, 0.0, 1.0, 0.0])
    left_out = np.array([1.0, np.nan, 1.0, np.nan])
    found = attribute(base, {"extraction": left_out}, left_out, np.arange(4))
    assert found is not None
    assert found.parts["extraction"].difference == 0.5
    assert found.rest == 0


def test_a_side_without_values_cannot_be_taken_apart() -> None:
    base = np.array([1.0, 0.0])
    assert attribute(base, {}, np.full(2, np.nan), np.arange(2)) is None


def test_the_interval_of_the_rest_is_students_of_what_each_sample_adds() -> None:
    random = np.random.default_rng(3)
    base, frames, prompt, whole = random.normal(size=(4, 12))
    found = attribute(base, {"frames": frames, "prompt": prompt}, whole, np.arange(12))
    assert found is not None
    rest = (whole - base) - (frames - base) - (prompt - base)
    low, high = stats.t.interval(0.95, 11, loc=rest.mean(), scale=stats.sem(rest))
    assert found.rest == pytest.approx(rest.mean())
    assert (found.rest_low, found.rest_high) == pytest.approx((low, high))
    changes = {"frames": frames, "prompt": prompt}
    scaled = attribute(base, changes, whole, np.arange(12), scale=-10.0)
    assert scaled is not None
    assert (scaled.rest, scaled.rest_low) == pytest.approx((-10 * rest.mean(), -10 * low))
    assert scaled.rest_high == pytest.approx(-10 * high)
    assert scaled.parts["frames"].difference == pytest.approx(-10 * (frames - base).mean())
    assert scaled.whole.difference == pytest.approx(-10 * (whole - base).mean())


@pytest.mark.parametrize(("membership", "has_interval"), [([0, 0, 0], False), ([0, 1, 1], True)])
def test_two_clusters_are_needed_for_an_interval(membership: list[int], has_interval: bool) -> None:
    columns = np.array([[0.0, 1.0, 0.5], [0.25, 1.0, 1.0], [1.0, 1.0, 0.0]])
    for scale in (1.0, 2.0):
        found = attribute(
            columns[0], {"x": columns[1]}, columns[2], np.array(membership), scale=scale
        )
        assert found is not None
        assert (found.rest_low is not None) is has_interval
        assert (found.rest_high is not None) is has_interval


def test_nothing_left_over_of_any_sample_says_nothing_of_others() -> None:
    right = np.ones(24)
    found = attribute(right, {"x": right, "y": right}, right, np.repeat(np.arange(8), 3))
    assert found is not None
    assert (found.rest, found.rest_low, found.rest_high) == (0.0, None, None)
    assert found.whole.high is not None
    assert found.whole.high > 0.3
