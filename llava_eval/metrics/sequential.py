"""A confidence sequence: an interval for a mean that is valid after every observation.

An ordinary interval that is checked repeatedly excludes the true mean at some time far more often
than its level says. Here a gambler bets against every candidate value m of the mean and has the
capital ``K(m) = prod(1 + bet * (x - m))``, where each bet is fixed before its x is seen. Against
the true mean the game is fair, so by Ville's inequality the probability that K ever reaches
1 / alpha is at most alpha, whenever one stops. Candidates against which K has reached it are
excluded.

Source: Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (JRSS B
2024, arXiv 2010.09686): the capital process (section 4), bets by the approximate growth rate
("aGRAPA", appendix B). Mean and variance start from a prior worth a few observations. This is
allowed for any bet: it changes how soon a candidate is excluded, never how often that is wrong.
"""

from __future__ import annotations

import math

import numpy as np

#: Candidate means, from -1 to 1.
_NUM_CANDIDATES = 2001
#: Largest bet, as a share of the bet that could lose the whole capital.
_MOST = 0.75
#: The prior: mean 0, this variance, and the weight of this number of observations.
_PRIOR_VARIANCE = 0.05
_PRIOR_WEIGHT = 5.0


class ConfidenceSequence:
    """Bounds on the mean of independent observations in [-1, 1], valid at every time.

    Args:
        alpha: probability that the lower bound ever exceeds the mean, and likewise that the upper
            bound ever falls below it.
        threshold: a mean to compare the bounds with; it is one of the candidates.

    Attributes:
        num_observations: number of observations so far.
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
        """Add one observation.

        Raises:
            ValueError: it lies outside [-1, 1].
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
        """Whether the mean has been shown to lie above the threshold."""
        return self.low > self._threshold

    @property
    def is_below(self) -> bool:
        """Whether the mean has been shown to lie below the threshold."""
        return self.high < self._threshold
