"""A confidence sequence: an interval for a mean that may be looked at after every observation.

An ordinary interval that is looked at again and again excludes the truth at some time far more
often than it says. Here a gambler bets against every candidate value m of the mean: he holds
``K(m) = prod(1 + bet * (x - m))``, where each bet is fixed before its x is seen. Against the true
mean the game is fair, so that (Ville's inequality) K ever reaches 1 / alpha with a probability of
at most alpha, whenever one stops. Values against which it has are excluded for good.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B
2024, arXiv 2010.09686): the capital process (section 4), bets by the approximate growth rate
("aGRAPA", appendix B). Mean and variance start from a prior of a few observations, which any bet
may: it moves how soon something is known, never how often it is wrong.
"""

from __future__ import annotations

import math

import numpy as np

#: Candidate means, from -1 to 1.
_NUM_CANDIDATES = 2001
#: Most that is bet, as a share of what cannot be lost.
_MOST = 0.75
#: The prior: no difference, this variance, and the weight of so many observations.
_PRIOR_VARIANCE = 0.05
_PRIOR_WEIGHT = 5.0


class ConfidenceSequence:
    """Bounds of the mean of independent observations in [-1, 1], valid at every time.

    Args:
        alpha: probability with which the lower bound ever exceeds the mean, and with which the
            upper one ever falls below it.
        threshold: a mean that the bounds are compared with; it is tested exactly.

    Attributes:
        num_observations: seen so far.
    """

    def __init__(self, alpha: float, threshold: float = 0.0) -> None:
        self._goal = math.log(1 / alpha)
        self._candidates = np.unique([*np.linspace(-1, 1, _NUM_CANDIDATES), threshold])
        size = len(self._candidates)
        self._from_below, self._from_above = np.zeros(size), np.zeros(size)  # log capital
        self._is_below, self._is_above = np.zeros(size, bool), np.zeros(size, bool)
        self.num_observations = 0
        self._sum, self._squares = 0.0, _PRIOR_WEIGHT * _PRIOR_VARIANCE
        self._threshold = threshold

    def add(self, observation: float) -> None:
        """See one more observation.

        Raises:
            ValueError: it lies outside of [-1, 1].
        """
        if not -1 <= observation <= 1:
            raise ValueError(f"an observation is {observation}, expected -1 to 1")
        weight = _PRIOR_WEIGHT + self.num_observations
        mean, variance = self._sum / weight, self._squares / weight
        distance = mean - self._candidates
        bet = distance / (variance + distance**2)
        lower = np.clip(bet, 0, _MOST / np.maximum(1 + self._candidates, 1e-9))
        upper = np.clip(-bet, 0, _MOST / np.maximum(1 - self._candidates, 1e-9))
        gain = observation - self._candidates
        self._from_below += np.log1p(lower * gain)
        self._from_above += np.log1p(-upper * gain)
        self._is_below |= self._from_below >= self._goal
        self._is_above |= self._from_above >= self._goal
        self.num_observations += 1
        self._sum += observation
        self._squares += (observation - self._sum / (weight + 1)) * (observation - mean)

    @property
    def low(self) -> float:
        """The lower bound."""
        kept = np.flatnonzero(~self._is_below)
        return float(self._candidates[kept[0]]) if len(kept) else 1.0

    @property
    def high(self) -> float:
        """The upper bound."""
        kept = np.flatnonzero(~self._is_above)
        return float(self._candidates[kept[-1]]) if len(kept) else -1.0

    @property
    def is_above(self) -> bool:
        """Whether the mean is shown to lie above the threshold."""
        return self.low > self._threshold

    @property
    def is_below(self) -> bool:
        """Whether the mean is shown to lie below the threshold."""
        return self.high < self._threshold
