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
    """The difference of two runs on one level of a facet.

    Attributes:
        level: the level's name.
        estimate: the metric's paired difference; None if one of the runs has no value.
        adjusted_p_value: p-value after Holm's correction over the levels of the facet.
    """

    level: str
    estimate: PairedEstimate | None
    adjusted_p_value: float | None = None


@dataclass(frozen=True)
class Flip:
    """A sample whose headline score changed.

    Attributes:
        id, group: the sample's id and group.
        media: the sample's media.
        target: accepted answers.
        before, after: the answers that were read; None if none could be read.
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
    """Numbers of compared samples with the same text, or the same answer, in two runs."""

    num_samples: int
    num_same_text: int
    num_same_answer: int


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Two runs compared.

    Attributes:
        letter: the second run's letter in tables; the first is A.
        pairing: the runs and their common samples.
        metrics: in the order of the protocol.
        headline_index: index of the first metric with a value in every comparison that has any.
        adjusted_p_values: by metric name, after Holm's correction over all runs compared at once.
    """

    letter: str
    pairing: Pairing
    metrics: Sequence[ComparedMetric]
    headline_index: int
    adjusted_p_values: Mapping[str, float | None]

    def __repr__(self) -> str:
        """Return the output of ``llava-eval compare``: a notebook must not show all samples."""
        from llava_eval.results.compare.terminal import comparison_text  # imports this module

        return comparison_text([self.pairing.first, self.pairing.second], [self])

    @property
    def headline(self) -> ComparedMetric:
        """The metric that tables of samples and levels are about."""
        return self.metrics[self.headline_index]

    @property
    def level_metric(self) -> ComparedMetric:
        """The headline, or the first metric after it that the runs compute for each level."""
        of_levels = flat(self.pairing.first.config).get("benchmark.facet_metrics")
        for item in self.metrics[self.headline_index :]:
            if not isinstance(of_levels, list) or item.name in of_levels:
                return item
        return self.headline

    @functools.cached_property
    def facets(self) -> Mapping[str, Sequence[ComparedLevel]]:
        """The levels of each facet, compared by :attr:`level_metric`, in the order of the samples.

        A sample counts under each of its levels, as in the runs' own tables.
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
        """Samples on which the second run is better, the largest change first."""
        return self._flips[0]

    @property
    def worse(self) -> Sequence[Flip]:
        """Samples on which the second run is worse, the largest change first."""
        return self._flips[1]

    @functools.cached_property
    def agreement(self) -> Agreement:
        """How many texts and answers are the same."""
        pairs = list(zip(self.pairing.firsts, self.pairing.seconds, strict=True))
        return Agreement(
            len(pairs),
            sum(left.generation.text == right.generation.text for left, right in pairs),
            sum(left.score.answer == right.score.answer for left, right in pairs),
        )

    @functools.cached_property
    def fidelity(self) -> Sequence[Measure]:
        """How much the runs differ, by several measures; empty if they saw different frames."""
        return fidelity_of(self.pairing, self.headline)


def compare_runs(
    runs: Sequence[ComparableRun], *, allow_differences: bool = False
) -> list[RunComparison]:
    """Compare every run with the first.

    Args:
        runs: at least two runs.
        allow_differences: compare runs that are incomplete or had different prompts, targets or
            media, and leave out those without a sample in common, see :func:`all_notes`.

    Raises:
        ComparisonError: the runs must not be compared, or none is left; the message says why.
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
    # The headline is the first metric with an estimate in each comparison that has any.
    has_estimate = [[item.estimate is not None for item in items] for items in metrics]
    by_metric = zip(*filter(any, has_estimate), strict=True)
    headline_index = next((n for n, found in enumerate(by_metric) if all(found)), 0)
    adjusted = {}  # by metric name, one p-value per comparison
    for items in zip(*metrics, strict=True):
        adjusted[items[0].name] = holm_of(item.estimate for item in items)
    comparisons = []
    for n, (letter, pairing) in enumerate(pairings.items()):
        p_values = {name: of_metric[n] for name, of_metric in adjusted.items()}
        comparisons.append(RunComparison(letter, pairing, metrics[n], headline_index, p_values))
    return comparisons


def refuse_differences(pairing: Pairing) -> None:
    """Raise for runs that are incomplete, or had different prompts, targets or media.

    Raises:
        ComparisonError: a run is incomplete, or they differ; all differences are named.
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
    """Return the samples on which the second run is better, and worse, largest changes first.

    Both are empty for a metric that is not a mean over samples.
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
    """Return all :func:`notes`, each once, and which runs are not compared with the first."""
    is_pair = len(comparisons) == 1
    compared = {"A", *(item.letter for item in comparisons)}
    left_out = [name for name in letters(len(runs)) if name not in compared]
    lines = [f"{name} is not compared: A has no sample that {name} answered" for name in left_out]
    lines += [line for item in comparisons for line in notes(item, is_pair=is_pair)]
    return list(dict.fromkeys(lines))


def notes(comparison: RunComparison, *, is_pair: bool = True) -> list[str]:
    """Return sentences that a reader needs to interpret the numbers of a comparison.

    Args:
        comparison: the comparison of two runs.
        is_pair: whether no other run is compared with the first.
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
