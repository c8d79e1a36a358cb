"""A sweep as a table and as curves: scores and costs of settings, and their Pareto sets."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llava_eval.errors import ComparisonError
from llava_eval.metrics.paired import PairedEstimate, holm_of
from llava_eval.results.chart import Chart, Point, Series
from llava_eval.results.columns import INTERVAL, value_cells
from llava_eval.results.compare.comparison import refuse_differences
from llava_eval.results.compare.comparison_tables import SIGNIFICANT, marked
from llava_eval.results.compare.pairing import (
    METRIC_ERRORS,
    compared,
    is_mean,
    is_otherwise,
    metric_of,
    pair,
)
from llava_eval.results.cost import comparable_memory, megabytes
from llava_eval.results.formatting import Table, count, formatted, highest
from llava_eval.results.run_names import FRAMES
from llava_eval.results.runs import Run, by_benchmark, differing_versions, own_settings
from llava_eval.types import MetricValue


@dataclass(frozen=True, eq=False)
class SweepPoint:
    """One run of a sweep.

    Attributes:
        run: the run.
        values: values of the settings that vary, by short key.
        name: these values, except the number of frames.
        score: the headline metric, computed by the first run's rule.
        num_frames: average number of frames per sample.
        memory_bytes: memory, comparable between the sweep's runs, see ``Sweep.memory_name``.
        on_time_frontier, on_memory_frontier: whether it is in this set of :func:`frontier`.
        is_best: whether it has the highest score.
        to_best: paired difference to the best run; None for the best itself.
        p_value: p-value of that difference, corrected for all pairs of runs.
    """

    run: Run
    values: dict[str, str]
    name: str
    score: MetricValue
    num_frames: float
    memory_bytes: int | None
    on_time_frontier: bool
    on_memory_frontier: bool
    is_best: bool
    to_best: PairedEstimate | None
    p_value: float | None

    @property
    def shown(self) -> str:
        """The average number of frames in parentheses; empty if it is the configured one."""
        is_other = self.num_frames and self.values.get(FRAMES) != f"{self.num_frames:g}"
        return f" ({formatted(self.num_frames, '.3g')} shown)" if is_other else ""


@dataclass(frozen=True, eq=False)
class Sweep:
    """All runs of one benchmark in a sweep.

    Attributes:
        benchmark: name and protocol.
        label: the same, followed by the overrides that all runs share.
        model: the model's name with such overrides; empty if there are several models.
        metric: name of the headline metric.
        chance: its chance level, if the protocol states one.
        settings: one point per run, in the order of the runs.
        memory_name: the meaning of ``memory_bytes``.
        notes: sentences on runs that were left out, failed samples and other differences.
    """

    benchmark: str
    label: str
    model: str
    metric: str
    chance: float | None
    settings: Sequence[SweepPoint]
    memory_name: str
    notes: Sequence[str]


def sweeps_of(runs: Sequence[Run], *, allow_differences: bool = False) -> list[Sweep]:
    """Return one sweep for each benchmark among the runs.

    Raises:
        ComparisonError: runs of a benchmark had different prompts or media, or none is finished.
    """
    notes = [f"left out: {run.name} {run.incomplete}" for run in runs if run.incomplete is not None]
    whole = [run for run in runs if run.incomplete is None]
    if not whole:
        raise ComparisonError(f"there is no finished run: {'; '.join(notes)}")
    return [_sweep(members, notes, allow_differences) for members in by_benchmark(whole).values()]


def _sweep(runs: Sequence[Run], notes: Sequence[str], allow_differences: bool) -> Sweep:
    notes = [*notes, *_sample_notes(runs, allow_differences)]
    metric, node = next(iter(runs[0].metric_nodes.items()), (None, {}))
    if metric is None:
        raise ComparisonError(f"{runs[0].name}: its manifest names no metrics")
    notes += [
        f"{metric} is by the rule of {runs[0].name} for all: that of {run.name} is configured "
        "otherwise"
        for run in runs
        if is_otherwise(metric, runs[0], run)
    ]
    memory_name, memory = comparable_memory([run.cost for run in runs])
    scores = [_score(run, metric, node) for run in runs]
    values = [score.value for score in scores]
    seconds = [run.cost.model_seconds_per_sample for run in runs]
    fast = frontier(list(zip(seconds, values, strict=True)))
    small = frontier(list(zip(memory, values, strict=True)))
    varying = _distinguishing_settings(runs)
    names, settings = _names(varying), []
    for n, (run, to_best) in enumerate(zip(runs, _against_best(runs, values), strict=True)):
        shown = (run, varying[n], names[n], scores[n], _num_frames(run), memory[n])
        settings.append(SweepPoint(*shown, fast[n], small[n], *to_best))
    chance = runs[0].parts.benchmark.chance.get(metric)
    label, model = _in_common([run.label for run in runs]), _in_common([run.model for run in runs])
    name = runs[0].benchmark
    return Sweep(name, label, model, metric, chance, settings, memory_name, notes)


def _in_common(labels: Sequence[str]) -> str:
    """Return the labels' name with the overrides that all share; empty if the names differ."""
    names, overrides = zip(*(label.partition(" (")[::2] for label in labels), strict=True)
    listed = [text.removesuffix(")").split(", ") for text in overrides]
    shared = ", ".join(part for part in listed[0] if all(part in others for others in listed))
    named = f"{names[0]} ({shared})" if shared else names[0]
    return named if len(set(names)) == 1 else ""


def _sample_notes(runs: Sequence[Run], allow_differences: bool) -> list[str]:
    """Return notes on failed and unshared samples; raise for runs that must not be compared."""
    failed = [run for run in runs if run.num_errors]
    notes = [f"{run.name}: {count(run.num_errors, 'sample')} failed" for run in failed]
    for run in runs[1:]:
        try:
            pairing = pair(runs[0], run)
        except ComparisonError as error:  # no sample that both answered
            if not allow_differences:
                raise
            notes.append(str(error))
            continue
        if not allow_differences:
            refuse_differences(pairing)
        only = [*pairing.first_only, *pairing.second_only]
        if only:
            others = count(len(only), "sample")
            notes.append(f"{run.name} and {runs[0].name} do not share {others}")
    return notes


def _distinguishing_settings(runs: Sequence[Run]) -> list[dict[str, str]]:
    """Return each run's own settings; if some are equal, add software, weights and folders."""
    varying = own_settings(runs)
    for beside in (differing_versions(runs), {"folder": [run.name for run in runs]}):
        if len(set(map(str, varying))) < len(runs):
            for index, own in enumerate(varying):
                own.update({key: values[index] for key, values in beside.items()})
    return varying


def _names(varying: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the other settings of each run; paths as file names if that keeps runs distinct."""
    others = [[v for key, v in own.items() if key not in (FRAMES, "folder")] for own in varying]
    whole = [", ".join(values) for values in others]
    names = [", ".join(v.rstrip("/").rpartition("/")[2] for v in values) for values in others]
    return names if len(set(names)) == len(set(whole)) else whole


def _score(run: Run, metric: str, node: Mapping[str, Any]) -> MetricValue:
    try:
        return metric_of(node, run.allowed_targets)(run.results)
    except METRIC_ERRORS:
        if metric not in run.tables.metrics:
            raise ComparisonError(f"{run.name}: its metrics.json has no {metric}") from None
        return run.tables.metrics[metric]


def _num_frames(run: Run) -> float:
    """Return the average number of frames per sample; 0 if the ledger does not record it."""
    shown = [sum(map(len, result.frame_indices)) for result in run.results]
    return statistics.fmean(filter(None, shown)) if any(shown) else 0.0


def frontier(points: Sequence[tuple[float | None, float | None]]) -> list[bool]:
    """Return for each (price, score) whether no other point is at least as good and as cheap.

    A point without price or score is not in this Pareto set.
    """
    known = [(price, score) for price, score in points if price is not None and score is not None]
    best = [
        (price, score)
        for price, score in known
        if not any(p <= price and s >= score and (p, s) != (price, score) for p, s in known)
    ]
    return [point in best for point in points]


def _against_best(
    runs: Sequence[Run], scores: Sequence[float | None]
) -> list[tuple[bool, PairedEstimate | None, float | None]]:
    """Return for each run whether it is the best one, its difference to the best, and the p-value.

    The best is chosen by the same scores, so p-values are corrected for all pairs of runs: any
    pair might have been the one that is tested.
    """
    scored = [index for index, score in enumerate(scores) if score is not None]
    name, node = next(iter(runs[0].metric_nodes.items()))
    if len(scored) < 2 or not is_mean(node):
        return [(False, None, None)] * len(runs)
    best = max(scored, key=lambda index: scores[index] or 0.0)

    def difference(left: int, right: int) -> PairedEstimate | None:
        try:
            return compared(name, node, pair(runs[left], runs[right])).estimate
        except ComparisonError:  # no sample that both answered
            return None

    pairs = list(itertools.combinations(range(len(runs)), 2))
    adjusted = dict(zip(pairs, holm_of(itertools.starmap(difference, pairs)), strict=True))
    adjusted |= {(right, left): p_value for (left, right), p_value in adjusted.items()}
    to_best = [None if index == best else difference(best, index) for index in range(len(runs))]
    return [
        (index == best, estimate, adjusted[index, best] if estimate else None)
        for index, estimate in enumerate(to_best)
    ]


def sweep_table(sweep: Sweep) -> Table:
    """Return the table of scores and costs of each setting; :func:`legend` explains it."""
    keys = _keys(sweep)
    header = [*keys, sweep.metric, INTERVAL, "to best", "s/sample"]
    rows = [
        [
            *(f"{text}{item.shown if key == FRAMES else ''}" for key, text in item.values.items()),
            *value_cells(item.score)[:2],
            "best"
            if item.is_best
            else marked(item.to_best, item.p_value, item.score.unit).rstrip(),
            formatted(item.run.cost.model_seconds_per_sample, ".3g"),
            formatted(megabytes(item.memory_bytes), ".1f"),
            "T" * item.on_time_frontier + "M" * item.on_memory_frontier,
        ]
        for item in sweep.settings
    ]
    best = [(row, len(keys)) for row in highest([item.score.value for item in sweep.settings])]
    return Table([*header, "MB", "Pareto"], rows, num_names=len(keys), best=best)


def preparing_table(sweep: Sweep) -> Table | None:
    """Return the table of the time for media next to the model's time; None if unknown.

    Reading, decoding and resizing run in threads ahead of the model, so their seconds are not
    added to the model's; they depend on the frames that an earlier run left in the cache.
    """
    if all(setting.run.cost.prepare_seconds is None for setting in sweep.settings):
        return None
    keys = _keys(sweep)
    rows = [
        [
            *setting.values.values(),
            formatted(setting.run.cost.model_seconds_per_sample, ".3g"),
            formatted(setting.run.cost.prepare_seconds_per_sample, ".3g"),
            "-" if (share := setting.run.cost.cached_share) is None else f"{100 * share:.0f} %",
            formatted(setting.run.cost.seconds_per_sample, ".3g"),
        ]
        for setting in sweep.settings
    ]
    header = ["model s", "preparing s", "from cache", "wall s"]
    return Table([*keys, *header], rows, num_names=len(keys))


def _keys(sweep: Sweep) -> list[str]:
    return ["frames" if key == FRAMES else key for key in sweep.settings[0].values]


def legend(sweep: Sweep) -> str:
    """Return the explanation of the table's columns."""
    num_pairs = math.comb(len(sweep.settings), 2)
    corrected = (
        f" after Holm's correction for all {num_pairs} pairs of runs, as any of them might have "
        "been the best"
        if num_pairs > 1
        else " for the only pair of runs"
    )
    return (
        "to best: paired difference to the best run, by the samples that both answered; * is "
        f"p < {SIGNIFICANT:g}{corrected}. "
        "s/sample: the model's seconds, without its first batch. "
        f"MB: {sweep.memory_name}. Pareto: no other run is at least as good and as fast (T), or as "
        "small (M)."
    )


def sweep_charts(sweep: Sweep) -> dict[str, Chart]:
    """Return charts of the score against frames, time and memory, by a short name.

    A chart is left out if its quantity does not vary or is not recorded.
    """
    y_name = f"{sweep.metric} ({sweep.settings[0].score.unit})"
    beside = "; beside points: frames" if len({s.num_frames for s in sweep.settings}) > 1 else ""
    prices: dict[str, tuple[str, Callable[[SweepPoint], float | None]]] = {
        "frames": ("frames a sample", lambda item: item.num_frames or None),
        "time": ("model seconds a sample", lambda item: item.run.cost.model_seconds_per_sample),
        "memory": (f"{sweep.memory_name} (MB)", lambda item: megabytes(item.memory_bytes)),
    }
    charts = {}
    for name, (x_name, price) in prices.items():
        known = [item for item in sweep.settings if price(item) and item.score.value is not None]
        if len({price(item) for item in known}) < 2:
            continue
        charts[name] = Chart(
            title=f"{sweep.benchmark}: score against {name}",
            x_name=x_name,
            y_name=f"{y_name}{beside if name != 'frames' else ''}",
            series=_series(known, price, labelled=name != "frames"),
            frontier=[
                (price(item) or 0.0, item.score.value or 0.0)
                for item in known
                if getattr(item, f"on_{name}_frontier", False)
            ],
            reference=None if sweep.chance is None else (sweep.chance, "chance"),
            unit=sweep.settings[0].score.unit,
        )
    return charts


def _series(
    settings: Sequence[SweepPoint], price: Callable[[SweepPoint], float | None], *, labelled: bool
) -> list[Series]:
    members: dict[str, list[SweepPoint]] = {item.name: [] for item in settings}
    for item in sorted(settings, key=lambda item: (price(item) or 0.0, item.score.value or 0.0)):
        members[item.name].append(item)
    varies = len({item.num_frames for item in settings}) > 1
    result = []
    for name, items in members.items():
        on_line = frontier([(price(item), item.score.value) for item in items])
        points = [
            Point(
                price(item) or 0.0,
                item.score.value or 0.0,
                *((None, None) if labelled else (item.score.ci_low, item.score.ci_high)),
                formatted(item.num_frames, ".3g") if labelled and varies else "",
                is_on_line or not labelled,
            )
            for item, is_on_line in zip(items, on_line, strict=True)
        ]
        result.append(Series(name, points))
    return result
