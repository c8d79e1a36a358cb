"""Fidelity: how far a run's answers are from those of another run that saw the same frames.

Two runs of a model, one of them quantized, mostly reach the same score. That some answers change,
and by how much the model's first choice moves, shows with far fewer samples.
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

#: What is measured beside the headline metric.
CHANGED = "answers changed"
DIVERGENCE = "KL of letters"


@dataclass(frozen=True)
class Measure:
    """One way to tell two runs apart.

    Attributes:
        name: the headline metric's, :data:`CHANGED` or :data:`DIVERGENCE`.
        unit: of the estimate.
        estimate: how far the second run is from the first; 0 where they are the same.
    """

    name: str
    unit: str
    estimate: PairedEstimate

    @property
    def num_samples_needed(self) -> int | None:
        """Samples that show as much four times in five; None where nothing differs."""
        spread, size = Spread.of_pair(self.estimate), abs(self.estimate.difference)
        return spread.samples_for(size) if spread and size else None


def fidelity_of(pairing: Pairing, headline: ComparedMetric) -> list[Measure]:
    """Return how far two runs are apart, by each measure that both allow.

    Args:
        pairing: the runs.
        headline: the metric that tables look at.

    Returns:
        The headline, the share of answers that changed, and the divergence KL(first || second) of
        the options' distribution at the first new token, in nats; none for runs of other frames.
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
    """Return the divergence of a sample's options in nats; NaN where they are not known of both."""
    before, after = left.generation.choice_logprobs, right.generation.choice_logprobs
    if before is None or after is None or len(before) != len(after):
        return np.nan
    return divergence(before, after)


def _measure(
    name: str, unit: str, scale: float, values: Sequence[float], membership: npt.NDArray[np.int64]
) -> list[Measure]:
    """Return the mean of values that are 0 for equal runs; nothing without any (NaN: not known)."""
    column = np.array(values, np.float64)
    nothing = np.where(np.isnan(column), np.nan, 0.0)
    found = paired_means(nothing, column, membership)
    if found is None:
        return []
    estimate = found.scaled(scale)
    low = None if estimate.low is None else max(0.0, estimate.low)
    high = estimate.high
    if unit == "nats" and not np.nanmax(column):  # how far others may diverge is not known
        low = high = None
    return [Measure(name, unit, replace(estimate, low=low, high=high))]


def divergence(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the Kullback-Leibler divergence of the second from the first distribution, in nats.

    Args:
        first: log-probabilities of the options among all tokens; of their sum each is a share.
        second: likewise, of the same options.
    """
    before, after = (log_softmax(np.array(side, np.float64)) for side in (first, second))
    distribution: FloatArray = np.exp(before)
    return float(max(0.0, (distribution * (before - after)).sum()))
