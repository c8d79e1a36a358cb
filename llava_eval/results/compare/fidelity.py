"""Fidelity: how much a run's answers differ from those of another run that saw the same frames.

A model and its quantized version mostly reach the same score. Changed answers, and shifts in the
distribution of the first token, show a difference with far fewer samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax

from llava_eval.metrics.intervals import FloatArray
from llava_eval.metrics.paired import PairedEstimate, paired_means
from llava_eval.metrics.power import Spread
from llava_eval.results.compare.pairing import ComparedMetric, Pairing
from llava_eval.types import SampleResult

#: Names of the measures other than the headline metric.
CHANGED = "answers changed"
DIVERGENCE = "KL of letters"


@dataclass(frozen=True)
class Measure:
    """One measure of the difference between two runs.

    Attributes:
        name: the headline metric's name, :data:`CHANGED` or :data:`DIVERGENCE`.
        unit: the unit of the estimate.
        estimate: the difference between the runs; 0 if they are the same.
    """

    name: str
    unit: str
    estimate: PairedEstimate

    @property
    def num_samples_needed(self) -> int | None:
        """Samples that detect this difference with a probability of 4/5; None if there is none."""
        spread, size = Spread.of_pair(self.estimate), abs(self.estimate.difference)
        return spread.samples_for(size) if spread and size else None


def fidelity_of(pairing: Pairing, headline: ComparedMetric) -> list[Measure]:
    """Return the difference between two runs by each measure that both allow.

    Args:
        pairing: the runs.
        headline: the comparison's headline metric.

    Returns:
        The headline, the share of answers that changed, and the divergence KL(first || second) of
        the options' distribution at the first new token, in nats; empty if the frames differ.
    """
    pairs = list(zip(pairing.firsts, pairing.seconds, strict=True))
    if any(left.frame_indices != right.frame_indices for left, right in pairs):
        return []
    measures = []
    if headline.estimate is not None:
        measures.append(Measure(headline.name, headline.unit, headline.estimate))
    changed = [float(left.score.answer != right.score.answer) for left, right in pairs]
    measures += _measure(CHANGED, "percent", 100.0, changed, pairing.membership)
    diverged = [_divergence_of(left, right) for left, right in pairs]
    return measures + _measure(DIVERGENCE, "nats", 1.0, diverged, pairing.membership)


def _divergence_of(left: SampleResult, right: SampleResult) -> float:
    """Return the divergence of a sample's options in nats; NaN unless both runs recorded them."""
    before, after = left.generation.choice_logprobs, right.generation.choice_logprobs
    if before is None or after is None or len(before) != len(after):
        return np.nan
    return divergence(before, after)


def _measure(
    name: str, unit: str, scale: float, values: Sequence[float], membership: npt.NDArray[np.int64]
) -> list[Measure]:
    """Return the mean of values (0 for equal runs, NaN if unknown) as a list; empty without any."""
    column = np.array(values, np.float64)
    nothing = np.where(np.isnan(column), np.nan, 0.0)
    found = paired_means(nothing, column, membership)
    if found is None:
        return []
    estimate = found.scaled(scale)
    low = None if estimate.low is None else max(0.0, estimate.low)
    high = estimate.high
    if unit == "nats" and not np.nanmax(column):  # no bound for the divergence of other samples
        low = high = None
    return [Measure(name, unit, replace(estimate, low=low, high=high))]


def divergence(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the Kullback-Leibler divergence KL(first || second), in nats.

    Args:
        first: log-probabilities of the options among all tokens; they are normalised here.
        second: the same for the other run, in the same order of options.
    """
    before, after = (log_softmax(np.array(side, np.float64)) for side in (first, second))
    distribution: FloatArray = np.exp(before)
    return float(max(0.0, (distribution * (before - after)).sum()))
