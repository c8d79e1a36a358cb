"""Sample sizes: how many samples detect a difference, and how long they take."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from llava_eval.errors import ComparisonError
from llava_eval.metrics.differences import PairedMean
from llava_eval.metrics.means import range_of, width_of
from llava_eval.metrics.power import Spread
from llava_eval.results.columns import detectable_cell, is_beyond_scale
from llava_eval.results.compare.pairing import compare_metrics, pair
from llava_eval.results.formatting import Table, count, duration, wrapped
from llava_eval.results.run_names import letters
from llava_eval.results.runs import Run

#: Differences that are planned for by default, as shares of the metric's scale.
_USUAL = (0.005, 0.01, 0.02, 0.05, 0.1)


@dataclass(frozen=True)
class SamplePlan:
    """The samples and the time that are needed to detect one difference.

    Attributes:
        difference: the difference, in the metric's unit.
        num_samples, num_groups: sizes that detect it with a probability of 4/5.
        seconds: for each run, the time that they take at that run's own speed.
    """

    difference: float
    num_samples: int
    num_groups: int
    seconds: Sequence[float | None]


@dataclass(frozen=True)
class SamplePlans:
    """Sample sizes for several differences, and the difference that the given samples detect.

    Attributes:
        subject: the metric, benchmark and number of samples, in words.
        basis: how the spread was estimated, in words.
        unit: the unit of the differences.
        plans: one for each difference, in increasing order.
        at_hand: number of the runs' samples; None without a run.
        detectable: the smallest difference that these samples detect; None without a run.
        num_rows: rows of the whole benchmark; None if not known.
    """

    subject: str
    basis: str
    unit: str
    plans: Sequence[SamplePlan]
    at_hand: int | None = None
    detectable: float | None = None
    num_rows: int | None = None


def plans_of(
    runs: Sequence[Run],
    detect: float | None = None,
    flips: float | None = None,
    per_group: float = 1.0,
) -> SamplePlans:
    """Return the samples that are needed to detect differences.

    Args:
        runs: none, one, or a pair of the same questions.
        detect: the difference, in the metric's unit; None for the usual ones.
        flips: percentage of samples whose score changes either way; None takes it from the runs.
        per_group: samples per group (video), used without a run.

    Raises:
        ComparisonError: nothing can be planned from these runs.
    """
    if runs:
        return _of_runs(runs, detect, flips)
    assert flips is not None
    spread = Spread.of_flips(flips / 100, per_group, 100.0)
    basis = f"{flips:g} % of samples change"
    if per_group > 1:
        basis += (
            f"; the {per_group:g} samples of a group are taken to change together, which is "
            f"the safe side: independent ones take {per_group:g} times fewer"
        )
    return SamplePlans("right or wrong", basis, "percent", _planned(spread, detect, 100.0, ()))


def _of_runs(runs: Sequence[Run], detect: float | None, flips: float | None) -> SamplePlans:
    if all(result.generation.error is not None for result in runs[0].results):
        raise ComparisonError(f"{runs[0].name} holds no sample that was answered")
    pairing = pair(runs[0], runs[-1])
    compared = ((item, item.estimate) for item in compare_metrics(pairing) if item.estimate)
    headline, estimate = next(compared, (None, None))
    if headline is None or estimate is None:
        raise ComparisonError(f"{runs[0].name}: none of its metrics has a paired difference")
    mean = headline.paired if isinstance(headline.paired, PairedMean) else None
    ends = range_of(headline.unit)
    scale = 100.0 if ends is None else ends[1]
    if mean is not None:
        scale = mean.scale * (runs[0].full_score or 1.0)  # full_score is 0 for an error measure
    num_samples = estimate.num_samples  # without samples that the mean does not count
    per_group = num_samples / estimate.num_clusters
    spread: Spread | None
    if flips is not None:
        spread = Spread.of_flips(flips / 100, per_group, scale)
        basis = (
            f"{flips:g} % of samples change, as stated; those of a group are taken to change "
            "together, which is the safe side"
        )
    elif len(runs) == 2:
        spread = Spread.of_pair(estimate)
        basis = "the spread of their paired difference"
        if mean is not None:
            values = np.array([mean.first, mean.second])
            first, second = np.nan_to_num(values[:, ~np.isnan(values).all(axis=0)])
            changed = float(np.mean(first != second))
            basis = f"{100 * changed:.1f} % of samples change between the two"
            if not changed:
                basis += ", so that this is a bound of what chance may do"
            elif pairing.num_clusters == 2:
                spread = Spread.of_flips(changed, per_group, scale)
                basis += ", those of a group together, which is the safe side"
    elif mean is None:
        raise ComparisonError(
            f"{runs[0].name}: {headline.name} is not a mean over samples; plan needs a pair of runs"
        )
    else:
        counted = ~np.isnan(mean.first)
        _, membership = np.unique(pairing.membership[counted], return_inverse=True)
        spread = Spread.of_one(mean.scale * mean.first[counted], membership)
        basis = (
            "as if the other run answered independently, which is the safe side; a second run "
            "or --flips tells more"
        )
    if spread is None:
        raise ComparisonError(
            f"{runs[0].name}: {_why_no_spread(headline.name, len(runs), pairing.num_clusters)}, "
            "so that the chance variation is not known; --flips PERCENT states it"
        )
    rows = runs[0].manifest.config.get("benchmark", {}).get("num_rows")
    return SamplePlans(
        f"{headline.name} of {runs[0].label}, {count(num_samples, 'sample')}",
        basis,
        headline.unit,
        _planned(spread, detect, scale, runs),
        num_samples,
        spread.detectable(num_samples),
        rows if isinstance(rows, int) else None,
    )


def _why_no_spread(metric: str, num_runs: int, num_groups: int) -> str:
    """Return why the spread of one run's metric, or of two runs' difference, is not known."""
    if num_groups < 2:
        return "all samples are of one group"
    if num_groups < 1 + num_runs:
        return "all samples are of two groups"
    if num_runs == 1:
        return f"{metric} of all samples is the same"
    return f"{metric} of all samples differs alike, if at all"


def _planned(
    spread: Spread, detect: float | None, scale: float, runs: Sequence[Run]
) -> Sequence[SamplePlan]:
    differences = [detect] if detect is not None else [scale * share for share in _USUAL]
    seconds = [run.cost.seconds_per_sample for run in runs]
    plans = []
    for difference in differences:
        num_samples = spread.samples_for(difference)
        num_groups = math.ceil(num_samples / spread.samples_per_cluster)
        times = [None if item is None else item * num_samples for item in seconds]
        plans.append(SamplePlan(difference, num_samples, num_groups, times))
    return plans


def plans_text(plans: SamplePlans, names: Sequence[str], *, width: int = 80) -> str:
    """Return plans as text for the terminal.

    Args:
        plans: the plans of some runs.
        names: the names of these runs.
        width: columns of the terminal.
    """
    columns = letters(len(names))
    rows = []
    for plan in plans.plans:
        counts = map(str, (plan.num_samples, plan.num_groups))
        rows.append([f"{plan.difference:g}", *counts, *map(duration, plan.seconds)])
    takes = [f"{column} takes" for column in columns]
    table = Table(["to detect", "samples", "groups", *takes], rows, num_names=0)
    blocks = [
        wrapped(plans.subject, width),
        *(wrapped(f"{column} {name}", width) for column, name in zip(columns, names, strict=True)),
        wrapped(f"Spread: {plans.basis}.", width),
        "",
        table.to_text(width),
        "",
        *(wrapped(line, width) for line in _remarks(plans)),
    ]
    return "\n".join(blocks)


def _remarks(plans: SamplePlans) -> Iterator[str]:
    if plans.at_hand is not None:
        yield (
            f"At hand: {count(plans.at_hand, 'sample')} show a true difference of "
            f"{detectable_cell(plans.detectable, plans.unit)} or more four times in five."
        )
    unseen = [plan for plan in plans.plans if plan.num_samples > (plans.num_rows or math.inf)]
    if unseen:
        least = f"{unseen[-1].difference:g}{' or less' if len(unseen) > 1 else ''}"
        yield f"The whole benchmark has {plans.num_rows} rows: it cannot show {least}."
    if is_beyond_scale(plans.plans[-1].difference, plans.unit):
        named = "Percentages" if plans.unit == "percent" else "Scores"
        yield f"{named} differ by {width_of(plans.unit):g} at most."
    yield "A difference is found at 5 %, two-sided, four times in five."
