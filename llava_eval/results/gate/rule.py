"""The rule of the gate.

A metric has regressed if its paired one-sided test finds a drop (the whole interval of the
difference lies below zero; for right-or-wrong scores McNemar's exact test must find it too, so that
a handful of flips fails no build) and the drop exceeds the tolerance. Unreadable answers are tested
for a rise in the same way. ``alpha`` is the probability that a model as good as the baseline fails,
over all these tests together: it is divided among the tests that could find anything.

The lack of a significant drop does not prove that a model is as good. In the mode ``noninferior``
a metric with a stated tolerance passes only if the interval of its difference lies above minus the
tolerance; ``alpha`` is then the probability that a model passes that is worse by the tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from llava_eval.config.roles import protocol_difference
from llava_eval.errors import ComparisonError, ConfigError
from llava_eval.metrics.differences import DECIMALS, PairedMean
from llava_eval.metrics.intervals import CONFIDENCE
from llava_eval.metrics.means import width_of
from llava_eval.metrics.paired import PairedEstimate, mcnemar_exact
from llava_eval.results.columns import FLAG_WORDS, paired_cells
from llava_eval.results.compare.comparison import flips_of
from llava_eval.results.compare.pairing import ComparedMetric, Pairing, compare_metrics, pair
from llava_eval.results.formatting import listed, number
from llava_eval.results.gate.baseline import unusable
from llava_eval.results.gate.verdict import Check, GateVerdict
from llava_eval.results.runs import ComparableRun
from llava_eval.results.summary import flag_counts

#: How a run passes: no drop is shown, or it is shown that no drop exceeds the tolerance.
Mode = Literal["regression", "noninferior"]

#: Without a stated tolerance a gate should be able to detect a drop of this share of the scale.
DEFAULT_VISIBLE = 0.1

UNREADABLE = "unreadable"
ERRORS = "errors"
SECONDS = "seconds a sample"


@dataclass(frozen=True)
class GateRule:
    """The rule for what counts as a regression.

    Attributes:
        alpha: probability that an equally good model fails.
        tolerance: by metric name, ``unreadable``, ``errors`` or a flag of samples
            (``cut_at_limit``): points by which it may get worse.
        max_slowdown: most seconds per sample, as a multiple of the baseline's; None allows any.
        mode: how a metric with a stated tolerance passes.
    """

    alpha: float = 0.05
    tolerance: Mapping[str, float] = field(default_factory=dict)
    max_slowdown: float | None = None
    mode: Mode = "regression"

    def must_be_shown(self, name: str) -> bool:
        """Return whether a metric passes only if it is shown to be no worse."""
        return self.mode == "noninferior" and name in self.tolerance


def rule_of(
    alpha: float, tolerances: Sequence[str], max_slowdown: float | None, mode: Mode
) -> GateRule:
    """Return the rule that the command line describes.

    Args:
        alpha: as in :class:`GateRule`.
        tolerances: "METRIC=POINTS" each.
        max_slowdown: as in :class:`GateRule`.
        mode: as in :class:`GateRule`.

    Raises:
        ConfigError: a value is not valid.
    """
    tolerance = dict(map(_tolerance, tolerances))
    if not 0 < alpha < 0.5:
        raise ConfigError(f"gate: --alpha {alpha:g}: expected a rate between 0 and 0.5")
    if max_slowdown is not None and not (math.isfinite(max_slowdown) and max_slowdown > 0):
        raise ConfigError(f"gate: --max-slowdown {max_slowdown:g}: expected a factor above 0")
    return GateRule(alpha, tolerance, max_slowdown, mode)


def _tolerance(text: str) -> tuple[str, float]:
    name, _, points = text.rpartition("=")
    try:
        value = float(points)
    except ValueError:
        value = math.nan
    if not name or not (math.isfinite(value) and value >= 0):
        raise ConfigError(
            f"gate: --tolerance {text!r}: expected METRIC=POINTS with points of at least 0, for "
            "instance accuracy=1.5"
        )
    return name, value


def verdict_of(run: ComparableRun, baseline: ComparableRun, rule: GateRule) -> GateVerdict:
    """Compare a run with a baseline.

    Args:
        run: the run.
        baseline: the run or baseline that it is compared with.
        rule: what counts as a regression.

    Raises:
        ComparisonError: the two cannot be compared; the message says why.
        ConfigError: a tolerance names something that does not exist, or the mode needs one.
    """
    pairing = judged_pairing(run, baseline)
    metrics = compare_metrics(pairing)
    _check_rule(rule, [item.name for item in metrics])
    metrics = [
        item
        if baseline.is_directed(item.name) or item.name in rule.tolerance
        else replace(item, estimate=None, reason="neither more nor less of it is better")
        for item in metrics
    ]
    compared = [item for item in metrics if item.estimate is not None]
    for item in metrics:
        if item.estimate is None and (item.name in rule.tolerance or not compared):
            raise ComparisonError(f"{run.name}: {item.name} cannot be compared: {item.reason}")
    unreadable = _unreadable(pairing)
    tested = [*compared, unreadable]
    num_tests = max(1, len({_evidence(item) for item in tested} - {None}))
    confidence = 1 - 2 * rule.alpha / num_tests
    checks = [_check(item, pairing, rule, rule.alpha / num_tests) for item in tested]
    sides = (baseline, run)
    checks.append(_check_share(ERRORS, "failed", [s.num_errors for s in sides], pairing, rule))
    flags = [flag_counts(side.results) for side in sides]
    checks += [
        _check_share(flag, word, [counts.get(flag, 0) for counts in flags], pairing, rule)
        for flag, word in FLAG_WORDS.items()
        if flag in rule.tolerance
    ]
    notes = [f"{item.name} is not checked: {item.reason}" for item in metrics if item.reason]
    if rule.max_slowdown is not None:
        checks.append(_check_speed(run, baseline, rule.max_slowdown))
        ours, theirs = run.cost.machine or "unknown", baseline.cost.machine or "unknown"
        if ours != theirs:
            notes.append(f"the times are of two machines: {theirs} and {ours}")
    better, worse = flips_of(pairing, compared[0])
    return GateVerdict(
        pairing,
        checks,
        confidence,
        compared[0],
        [item for item in compared if _is_underpowered(item, rule)],
        worse,
        better,
        notes,
        rule.must_be_shown(compared[0].name),
    )


def _is_underpowered(metric: ComparedMetric, rule: GateRule) -> bool:
    """Return whether the samples are too few to reliably detect a drop that the rule forbids."""
    assert metric.estimate is not None
    if rule.must_be_shown(metric.name):
        return False
    width = width_of(metric.unit)
    usual = math.inf if width is None else DEFAULT_VISIBLE * width
    visible = rule.tolerance.get(metric.name, usual)
    smallest = metric.estimate.smallest_detectable
    return smallest is not None and smallest > visible


def judged_pairing(run: ComparableRun, baseline: ComparableRun) -> Pairing:
    """Pair a baseline and a run; raise unless a gate may compare them.

    Raises:
        ComparisonError: protocols, samples or prompts differ, or one is incomplete.
    """
    for item in (baseline, run):
        if (reason := unusable(item)) is not None:
            raise ComparisonError(f"{item.name} {reason}")
    if run.benchmark != baseline.benchmark:
        raise ComparisonError(
            f"{run.name} is of benchmark {run.benchmark}, the baseline {baseline.name} of "
            f"{baseline.benchmark}"
        )
    ids, expected = ({item.id for item in side.results} for side in (run, baseline))
    only_in_one = {
        "of the baseline are missing": [r.id for r in baseline.results if r.id not in ids],
        "are not in the baseline": [r.id for r in run.results if r.id not in expected],
    }
    parts = [
        f"{len(names)} samples {words} ({listed(names)})"
        for words, names in only_in_one.items()
        if names
    ]
    if parts:
        raise ComparisonError(f"{run.name} and {baseline.name}: {'; '.join(parts)}")
    changed = protocol_difference(run.config, baseline.config)
    if changed:
        reason = "; ".join(f"{key} was {old} and is {new}" for key, (new, old) in changed.items())
        raise ComparisonError(f"{run.name} follows another protocol than {baseline.name}: {reason}")
    pairing = pair(baseline, run)
    if pairing.differences:
        raise ComparisonError(
            f"{run.name} and {baseline.name} were not asked the same: they differ in "
            f"{'; '.join(pairing.differences)}"
        )
    return pairing


def _check_rule(rule: GateRule, metrics: Sequence[str]) -> None:
    known = [*metrics, UNREADABLE, ERRORS, *FLAG_WORDS]
    for name in rule.tolerance:
        if name not in known:
            raise ConfigError(f"gate: --tolerance {name}=...: there is only {', '.join(known)}")
        if known.count(name) > 1:
            raise ConfigError(
                f"gate: --tolerance {name}=...: the run has a metric of this name, and the gate "
                f"counts {name} too; give the metric another name in benchmark.metrics"
            )
    stated = [name for name in (*metrics, UNREADABLE) if rule.tolerance.get(name)]
    if rule.mode == "noninferior" and not stated:
        raise ConfigError(
            "gate: --mode noninferior needs --tolerance METRIC=POINTS above 0: no number of "
            "samples shows that a model is not worse at all"
        )


def _unreadable(pairing: Pairing) -> ComparedMetric:
    """Return the comparison of the percentages of unreadable replies."""
    first, second = (
        np.array([item.score.unreadable for item in side], np.float64)
        for side in (pairing.firsts, pairing.seconds)
    )
    paired = PairedMean(first, second)
    estimate = paired.difference(np.arange(len(first)), pairing.membership, CONFIDENCE)
    return ComparedMetric(UNREADABLE, "percent", estimate, mcnemar_exact(first, second), paired)


def _evidence(metric: ComparedMetric) -> object | None:
    """Return the data of a test, equal for equal tests; None if the runs' values are equal.

    A test that cannot find anything, or that repeats another, takes no share of alpha.
    """
    paired = metric.paired
    if not isinstance(paired, PairedMean):
        return metric.name
    if np.array_equal(paired.first, paired.second, equal_nan=True):
        return None
    return paired.first.tobytes(), paired.second.tobytes()


def _estimate(metric: ComparedMetric, pairing: Pairing, alpha: float) -> PairedEstimate:
    """Return the difference with an interval that leaves ``alpha`` beyond each end."""
    assert metric.paired is not None
    rows = np.arange(len(pairing.firsts))
    estimate = metric.paired.difference(rows, pairing.membership, 1 - 2 * alpha)
    assert estimate is not None
    if estimate.low is None or estimate.high is None:
        reason = (
            "all samples belong to one group (video)"
            if estimate.num_clusters < 2
            else f"{metric.name} needs what most draws of the groups (videos) lack"
        )
        raise ComparisonError(
            f"{pairing.second.name}: {reason}, so that its chance variation is not known"
        )
    return estimate


def _check(metric: ComparedMetric, pairing: Pairing, rule: GateRule, alpha: float) -> Check:
    """Check that one metric is not found to be worse, or that it is shown to be no worse.

    All checks that require proof (non-inferiority) must pass, so each may use the rule's whole
    ``alpha`` (intersection-union test, Berger 1982, doi:10.1080/00401706.1982.10487790).
    """
    is_proof = rule.must_be_shown(metric.name)
    estimate = _estimate(metric, pairing, rule.alpha if is_proof else alpha)
    assert estimate.low is not None
    assert estimate.high is not None
    unit, tolerance = metric.unit, rule.tolerance.get(metric.name, 0.0)
    worse_by, least, most = -estimate.difference, -estimate.high, -estimate.low
    if metric.name == UNREADABLE:  # here a rise is worse
        worse_by, least, most = estimate.difference, estimate.low, estimate.high
    allowed = number(tolerance, unit)
    if is_proof:
        regressed, is_shown = least > tolerance, most < tolerance
        if regressed:
            finding = f"worse by more than the {allowed} allowed"
        elif is_shown:
            finding = f"shown to be worse by less than the {allowed} allowed"
        else:
            finding = f"not shown to be worse by less than the {allowed} allowed"
    else:
        found_exactly = metric.mcnemar is None or metric.mcnemar.p_value / 2 <= alpha
        is_worse = least > 0 and found_exactly
        regressed, is_shown = is_worse and _exceeds(worse_by, tolerance), True
        if regressed:
            finding = f"worse by {number(worse_by, unit)}, allowed are {allowed}"
        elif is_worse:
            finding = f"worse, within the {allowed} allowed"
        else:
            finding = "no worse than chance explains"
    before, after, change, bounds = paired_cells(estimate, unit)
    if is_proof and alpha != rule.alpha:  # the table's other intervals are wider
        bounds += f" at {100 * (1 - 2 * rule.alpha):.4g} %"
    return Check(
        metric.name,
        before,
        after,
        change,
        bounds,
        allowed,
        regressed,
        f"{metric.name} went from {before} to {after} ({bounds}): {finding}",
        is_shown,
    )


def _exceeds(worse_by: float, tolerance: float) -> bool:
    """Return whether a change exceeds a tolerance by more than rounding, as in 2.2 - 1.2 > 1."""
    return round(worse_by - tolerance, DECIMALS) > 0


def _check_share(
    name: str, word: str, numbers: Sequence[int], pairing: Pairing, rule: GateRule
) -> Check:
    """Compare the shares of samples that failed or have a flag, without a statistical test."""
    totals = [len(side.results) for side in (pairing.first, pairing.second)]
    before, after = (100 * n / total for n, total in zip(numbers, totals, strict=True))
    tolerance = rule.tolerance.get(name, 0.0)
    regressed = _exceeds(after - before, tolerance)
    return Check(
        name,
        number(before),
        number(after),
        number(after - before, signed=True),
        "-",
        number(tolerance),
        regressed,
        f"{numbers[1]} of {totals[1]} samples {word}, {numbers[0]} in the "
        f"baseline; {'more than' if regressed else 'within'} what is allowed",
    )


def _check_speed(run: ComparableRun, baseline: ComparableRun, max_slowdown: float) -> Check:
    before, after = (side.cost.model_seconds_per_sample for side in (baseline, run))
    if before is None or after is None:  # an older baseline has only the wall time
        before, after = (side.cost.seconds_per_sample for side in (baseline, run))
    if before is None or after is None:
        silent = baseline.name if before is None else run.name
        raise ComparisonError(f"--max-slowdown: {silent} does not hold how long it took")
    ratio = after / before
    regressed = ratio > max_slowdown
    return Check(
        SECONDS,
        f"{before:.3g}",
        f"{after:.3g}",
        f"x{ratio:.2f}",
        "-",
        f"x{max_slowdown:.2f}",
        regressed,
        f"a sample takes {ratio:.2f} times as long as in the baseline, "
        f"{'more than' if regressed else 'within'} the {max_slowdown:.2f} allowed",
    )
