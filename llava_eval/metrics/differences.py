"""The paired difference of any metric, by a method that suits the metric.

* a mean over samples: from the samples' values, see :mod:`llava_eval.metrics.paired`;
* corpus BLEU: cluster bootstrap of the sums that it is computed from;
* any other function of the results: cluster bootstrap that calls it on resampled results.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from llava_eval.metrics.intervals import (
    NUM_RESAMPLES,
    FloatArray,
    IntArray,
    resample_counts,
    resampled_sums,
)
from llava_eval.metrics.means import mean_score, values_under
from llava_eval.metrics.paired import (
    PairedEstimate,
    bootstrap_test,
    cluster_sums,
    paired_estimate,
    paired_means,
)
from llava_eval.scoring.captions.bleu import bleu_of_parts
from llava_eval.scoring.captions.corpus import bleu_counts_of, corpus_bleu
from llava_eval.scoring.captions.java import meteor, spice
from llava_eval.types import MetricValue, SampleResult

Metric = Callable[[Sequence[SampleResult]], MetricValue]
Results = Sequence[SampleResult]

#: Decimals to which samples' values are compared. Further decimals differ between versions of
#: numpy, which sum in different orders; an equal tiny step on all samples would be significant.
DECIMALS = 9

#: Limit on the samples of all resamples together, for metrics without a faster method.
_MAX_RESAMPLED_SAMPLES = 3_000_000
_MIN_RESAMPLES = 200


def paired_metric(
    metric: Metric, first: Results, second: Results, failed: Results = ()
) -> PairedMetric:
    """Return the object that compares a metric between two runs.

    Args:
        metric: a metric function with its parameters bound.
        first: results of one run.
        second: results of the other run, for the same samples in the same order.
        failed: results of the samples without a text in one of the runs.
    """
    function = metric.func if isinstance(metric, functools.partial) else metric
    parameters = metric.keywords if isinstance(metric, functools.partial) else {}
    if function is mean_score:
        ours, theirs = (
            np.round(values_under(parameters, run), DECIMALS) for run in (first, second)
        )
        scale, unit = float(parameters.get("scale", 100.0)), parameters.get("unit", "percent")
        sign = 1.0 if scale >= 0 else -1.0
        return PairedMean(sign * ours, sign * theirs, abs(scale), unit)
    if function is corpus_bleu:
        return PairedBleu(_counted(first), _counted(second), int(parameters.get("order", 4)))
    if function in (meteor, spice):
        return NoDifference()
    return PairedFunction(metric, first, second, failed)


@dataclass(frozen=True)
class NoDifference:
    """A metric that is not compared, because every resample would need a run of a Java program."""

    unit: str = "points"
    reason: str = "an interval would take thousands of runs of its Java program"

    def difference(
        self, rows: IntArray, membership: IntArray, confidence: float
    ) -> PairedEstimate | None:
        """Return None; see :meth:`PairedMean.difference`."""
        return None


@dataclass(frozen=True)
class PairedMean:
    """A mean over samples.

    Attributes:
        first, second: (N,) values before scaling; NaN outside the denominator.
        scale: factor to the table's unit.
        unit: that unit.
    """

    first: FloatArray
    second: FloatArray
    scale: float = 100.0
    unit: str = "percent"

    def difference(
        self, rows: IntArray, membership: IntArray, confidence: float
    ) -> PairedEstimate | None:
        """Return the difference over some samples, in the table's unit; None without values.

        Args:
            rows: (n,) positions of the samples.
            membership: (n,) clusters of these samples, numbered from 0.
            confidence: confidence level of the interval.
        """
        first, second = self.first[rows], self.second[rows]
        estimate = paired_means(first, second, membership, confidence=confidence)
        return None if estimate is None else estimate.scaled(self.scale, self.unit)


@dataclass(frozen=True)
class PairedBleu:
    """Corpus BLEU.

    Attributes:
        first, second: (N, K) contribution of each sample to the sums; zeros if it has no text.
        order: length of the longest n-gram.
        unit: unit of the values.
    """

    first: FloatArray
    second: FloatArray
    order: int
    unit: str = "points"

    def difference(
        self, rows: IntArray, membership: IntArray, confidence: float
    ) -> PairedEstimate | None:
        """Return the difference; see :meth:`PairedMean.difference`."""
        first, second = self.first[rows], self.second[rows]
        if not first.any() or not second.any():
            return None
        sums = cluster_sums(np.concatenate([first, second], axis=1), membership)
        values = self._values(sums.sum(axis=0, keepdims=True))[:, 0]
        test = None
        if len(sums) >= 2:
            before, after = self._values(resampled_sums(sums))
            test = bootstrap_test(after - before, len(sums), confidence, 100.0)
        ours, theirs = map(float, values)
        return paired_estimate(ours, theirs, test, len(rows), len(sums), confidence)

    def _values(self, sums: FloatArray) -> FloatArray:
        """Return (2, rows) BLEU of both runs times 100."""
        half = sums.shape[1] // 2
        both = [bleu_of_parts(part)[:, self.order - 1] for part in (sums[:, :half], sums[:, half:])]
        return 100 * np.stack(both)


def _counted(results: Results) -> FloatArray:
    """Return (N, K) counts; zeros for failed samples."""
    kept = [row for row, item in enumerate(results) if item.generation.text is not None]
    if not kept:
        return np.zeros((len(results), 1))
    parts = bleu_counts_of([results[row] for row in kept])
    counted = np.zeros((len(results), parts.shape[1]))
    counted[kept] = parts
    return counted


@dataclass(frozen=True)
class PairedFunction:
    """Any function of the results; it also sees failed samples, whose groups are incomplete."""

    metric: Metric
    first: Results
    second: Results
    failed: Results = ()

    @property
    def unit(self) -> str:
        """Unit of the values."""
        return self.metric(self.first).unit

    def difference(
        self, rows: IntArray, membership: IntArray, confidence: float
    ) -> PairedEstimate | None:
        """Return the difference; see :meth:`PairedMean.difference`."""
        cluster_of = {self.first[row].group: c for row, c in zip(rows, membership, strict=True)}
        failed = [item for item in self.failed if item.group in cluster_of]
        runs = [[*(run[row] for row in rows), *failed] for run in (self.first, self.second)]
        values = [self.metric(run).value for run in runs]
        if values[0] is None or values[1] is None:
            return None
        num_clusters = int(membership.max()) + 1
        test = None
        if num_clusters >= 2:
            clusters = np.array([*membership, *(cluster_of[item.group] for item in failed)])
            replicates = np.array(list(self._replicates(runs, clusters)), np.float64)
            width = max(100.0 if self.unit == "percent" else 1.0, abs(values[0]), abs(values[1]))
            test = bootstrap_test(replicates, num_clusters, confidence, width)
        found = paired_estimate(values[0], values[1], test, len(rows), num_clusters, confidence)
        return found.scaled(1.0, self.unit)

    def _replicates(self, runs: Sequence[Results], membership: IntArray) -> Iterator[float]:
        sizes = np.bincount(membership)
        members = np.split(np.argsort(membership, kind="stable"), np.cumsum(sizes)[:-1])
        wanted = max(_MIN_RESAMPLES, min(NUM_RESAMPLES, _MAX_RESAMPLED_SAMPLES // len(membership)))
        drawn = [_copied(run, members) for run in runs]
        for chunk in resample_counts(len(sizes), wanted):
            for counts in chunk:
                before, after = (self.metric(copies(counts)).value for copies in drawn)
                yield np.nan if before is None or after is None else after - before


PairedMetric = PairedMean | PairedBleu | PairedFunction | NoDifference


def _copied(
    results: Results, members: Sequence[IntArray]
) -> Callable[[IntArray], list[SampleResult]]:
    """Return a function that draws clusters; a cluster drawn twice becomes two, with other names.

    A metric may look at whole groups (for instance, whether all questions of an image are right).
    Copies differ only in ``id`` and ``group``: a metric that joins results by anything else would
    merge the copies of a cluster, and its intervals would be too narrow.
    """

    @functools.cache
    def copy(cluster: int, number: int) -> list[SampleResult]:
        own = [results[row] for row in members[cluster]]
        if not number:
            return own
        mark = f"#{number}"
        return [
            dataclasses.replace(item, id=item.id + mark, group=item.group + mark) for item in own
        ]

    def draw(counts: IntArray) -> list[SampleResult]:
        drawn: list[SampleResult] = []
        for cluster in map(int, np.flatnonzero(counts)):
            for number in range(counts[cluster]):
                drawn += copy(cluster, number)
        return drawn

    return draw
