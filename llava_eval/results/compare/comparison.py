"""Compare two runs of the same questions: metrics, facets, and samples whose score changed."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from llava_eval.config.roles import flat, is_of_scored_texts
from llava_eval.errors import ComparisonError
from llava_eval.metrics.differences import PairedFunction, PairedMean
from llava_eval.metrics.groups import rows_by_level
from llava_eval.metrics.intervals import CONFIDENCE
from llava_eval.metrics.paired import PairedEstimate, holm_of
from llava_eval.metrics.question_groups import is_of_whole_groups
from llava_eval.results.compare.fidelity import Measure, fidelity_of
from llava_eval.results.compare.pairing import (
    ComparedMetric,
    Pairing,
    compare_metrics,
    is_otherwise,
    pair,
)
from llava_eval.results.formatting import count, listed
from llava_eval.results.run_names import letters
from llava_eval.results.runs import ComparableRun


@dataclass(frozen=True)
class ComparedLevel:
    """One level of a facet.

    Attributes:
        level: its name.
        estimate: of one metric; None where one of the runs has no value.
        adjusted_p_value: Holm's, over the levels of the facet.
    """

    level: str
    estimate: PairedEstimate | None
    adjusted_p_value: float | None = None


@dataclass(frozen=True)
class Flip:
    """A sample whose headline score changed.

    Attributes:
        id, group: of the sample.
        media: what it shows.
        target: accepted answers.
        before, after: answers that were read; None where none could be read.
        change: score of the second run minus that of the first, in the metric's unit.
    """

    id: str
    group: str
    media: Sequence[str]
    target: Sequence[str]
    before: str | None
    after: str | None
    change: float


@dataclass(frozen=True)
class Agreement:
    """Counts of compared samples on which two runs wrote or answered the same."""

    num_samples: int
    num_same_text: int
    num_same_answer: int


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Two runs compared.

    Attributes:
        letter: what tables call the second run; the first is A.
        pairing: the runs and their common samples.
        metrics: as the protocol lists them.
        headline_index: of the first of them by which all runs that are compared could be.
        adjusted_p_values: by metric name, Holm's over the runs compared at once.
    """

    letter: str
    pairing: Pairing
    metrics: Sequence[ComparedMetric]
    headline_index: int
    adjusted_p_values: Mapping[str, float | None]

    def __repr__(self) -> str:
        """Return what ``llava-eval compare`` prints: a notebook shows no thousands of samples."""
        from llava_eval.results.compare.terminal import comparison_text  # which is made of these

        return comparison_text([self.pairing.first, self.pairing.second], [self])

    @property
    def headline(self) -> ComparedMetric:
        """The metric that tables look at."""
        return self.metrics[self.headline_index]

    @property
    def level_metric(self) -> ComparedMetric:
        """The headline, or the first metric after it that levels have in the runs' own tables."""
        of_levels = flat(self.pairing.first.config).get("benchmark.facet_metrics")
        for item in self.metrics[self.headline_index :]:
            if not isinstance(of_levels, list) or item.name in of_levels:
                return item
        return self.headline

    @functools.cached_property
    def facets(self) -> Mapping[str, Sequence[ComparedLevel]]:
        """By facet, its levels by :attr:`level_metric`, in the order of the samples.

        A sample counts under each level that it has, as in the runs' own tables.
        """
        pairing, paired = self.pairing, self.level_metric.paired
        if paired is None:
            return {}
        compared = {}
        whole = isinstance(paired, PairedFunction) and is_of_whole_groups(paired.metric)
        for facet in pairing.first.parts.benchmark.facets:
            members = rows_by_level(pairing.firsts, facet, of_whole_groups=whole)
            estimates = []
            for of_level in members.values():
                rows = np.array(of_level, np.int64)
                _, membership = np.unique(pairing.membership[rows], return_inverse=True)
                estimates.append(paired.difference(rows, membership, CONFIDENCE))
            levels = zip(members, estimates, holm_of(estimates), strict=True)
            compared[facet] = [ComparedLevel(*parts) for parts in levels]
        return compared

    @functools.cached_property
    def _flips(self) -> tuple[Sequence[Flip], Sequence[Flip]]:
        return flips_of(self.pairing, self.headline)

    @property
    def better(self) -> Sequence[Flip]:
        """Samples that the second run did better on, the largest change first."""
        return self._flips[0]

    @property
    def worse(self) -> Sequence[Flip]:
        """Samples that the second run did worse on, the largest change first."""
        return self._flips[1]

    @functools.cached_property
    def agreement(self) -> Agreement:
        """How often texts and answers are the same."""
        pairs = list(zip(self.pairing.firsts, self.pairing.seconds, strict=True))
        return Agreement(
            len(pairs),
            sum(left.generation.text == right.generation.text for left, right in pairs),
            sum(left.score.answer == right.score.answer for left, right in pairs),
        )

    @functools.cached_property
    def fidelity(self) -> Sequence[Measure]:
        """How far the answers are apart, by several measures; none for other frames."""
        return fidelity_of(self.pairing, self.headline)


def compare_runs(
    runs: Sequence[ComparableRun], *, allow_differences: bool = False
) -> list[RunComparison]:
    """Compare every run with the first.

    Args:
        runs: at least two.
        allow_differences: compare runs that are incomplete or were not asked the same, and leave
            out one without a sample in common, see :func:`all_notes`.

    Raises:
        ComparisonError: they must not be compared, or none is left; the message says why.
    """
    pairings: dict[str, Pairing] = {}
    names = letters(len(runs))
    for name, run in zip(names[1:], runs[1:], strict=True):
        try:
            pairings[name] = pair(runs[0], run)
            if not allow_differences:
                refuse_differences(pairings[name])
        except ComparisonError:
            if not allow_differences or (not pairings and name == names[-1]):
                raise
    metrics = [compare_metrics(pairing) for pairing in pairings.values()]
    # The headline is the first with an estimate in each comparison that has any.
    has_estimate = [[item.estimate is not None for item in items] for items in metrics]
    by_metric = zip(*filter(any, has_estimate), strict=True)
    headline_index = next((n for n, found in enumerate(by_metric) if all(found)), 0)
    adjusted = {}  # by metric name, one for each comparison
    for items in zip(*metrics, strict=True):
        adjusted[items[0].name] = holm_of(item.estimate for item in items)
    comparisons = []
    for n, (letter, pairing) in enumerate(pairings.items()):
        p_values = {name: of_metric[n] for name, of_metric in adjusted.items()}
        comparisons.append(RunComparison(letter, pairing, metrics[n], headline_index, p_values))
    return comparisons


def refuse_differences(pairing: Pairing) -> None:
    """Raise for runs that are not whole, or were not asked the same.

    Raises:
        ComparisonError: with every reason.
    """
    first, second = pairing.first, pairing.second
    for run in (first, second):
        reason = run.incomplete
        if reason is not None:
            raise ComparisonError(f"{run.name} {reason}; --allow-differences compares it as it is")
    if pairing.differences:
        raise ComparisonError(
            f"{first.name} and {second.name} were not asked the same: they differ in "
            f"{'; '.join(pairing.differences)}; --allow-differences compares them anyway"
        )


def flips_of(pairing: Pairing, headline: ComparedMetric) -> tuple[list[Flip], list[Flip]]:
    """Return the samples that the second run did better and worse on, largest changes first.

    Empty for a metric that is no mean over samples.
    """
    if not isinstance(headline.paired, PairedMean):
        return [], []
    paired = headline.paired
    change = np.nan_to_num(paired.scale * (paired.second - paired.first))
    order = np.argsort(-np.abs(change), kind="stable")
    flips = []
    for row in order[change[order] != 0]:
        left, right = pairing.firsts[row], pairing.seconds[row]
        answers = (left.score.answer, right.score.answer)
        asked = (left.id, left.group, left.media, left.target)
        flips.append(Flip(*asked, *answers, float(change[row])))
    return [item for item in flips if item.change > 0], [item for item in flips if item.change < 0]


def all_notes(
    comparisons: Sequence[RunComparison], runs: Sequence[ComparableRun] = ()
) -> list[str]:
    """Return each of :func:`notes` once, and which of the runs are not compared with the first."""
    is_pair = len(comparisons) == 1
    compared = {"A", *(item.letter for item in comparisons)}
    left_out = [name for name in letters(len(runs)) if name not in compared]
    lines = [f"{name} is not compared: A has no sample that {name} answered" for name in left_out]
    lines += [line for item in comparisons for line in notes(item, is_pair=is_pair)]
    return list(dict.fromkeys(lines))


def notes(comparison: RunComparison, *, is_pair: bool = True) -> list[str]:
    """Return what a reader must know beside the numbers.

    Args:
        comparison: of two runs.
        is_pair: no other run is compared with the first.
    """
    pairing, first, second = comparison.pairing, "A", comparison.letter
    of = "" if is_pair else f" of {first} and {second}"
    sides = {first: pairing.first, second: pairing.second}
    lines = [
        f"{name} {run.incomplete}" for name, run in sides.items() if run.incomplete is not None
    ]
    if pairing.differences:
        lines.append(f"{first} and {second} differ in {'; '.join(pairing.differences)}")
    lines += [
        f"of {name} only how it was scored is known; its other settings are not compared"
        for name, run in sides.items()
        if is_of_scored_texts(run.config)
    ]
    for name in pairing.first.metric_nodes:
        if is_otherwise(name, pairing.first, pairing.second):
            otherwise = f"that of {second} is configured otherwise"
            lines.append(f"{name} is by the rule of {first} for both: {otherwise}")
    left_out = {
        f" only in {first}{of}": pairing.first_only,
        f" only in {second}{of}": pairing.second_only,
    }
    if is_pair:
        left_out[" failed"] = pairing.failed
    else:
        left_out |= {f" of {name} failed": run.failed for name, run in sides.items()}
    lines += [
        f"{count(len(ids), 'sample')}{words}, not compared: {listed(ids)}"
        for words, ids in left_out.items()
        if ids
    ]
    lines += [
        f"{item.name}{of} is not compared: {item.reason}"
        for item in comparison.metrics
        if item.reason
    ]
    return lines
