"""The numbers of a report: runs, differences, levels of facets, curves and cost."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from llava_eval.errors import ComparisonError, LlavaEvalError
from llava_eval.results.chart import Chart
from llava_eval.results.columns import value_with_interval
from llava_eval.results.compare.comparison import RunComparison, all_notes, compare_runs
from llava_eval.results.compare.comparison_tables import (
    DETECTABLE_WORDS,
    FIDELITY_WORDS,
    agreement_table,
    cost_table,
    counts_table,
    fidelity_table,
    metrics_table,
    settings_table,
)
from llava_eval.results.compare.export import (
    agreement_data,
    cost_data,
    export_tables,
    metrics_data,
    write_charts,
)
from llava_eval.results.compare.probe_tables import Probes, probes_table
from llava_eval.results.compare.seeds import Seeds, over_seeds, seeds_table, seeds_words
from llava_eval.results.compare.sweep_curves import (
    Sweep,
    legend,
    sweep_charts,
    sweep_table,
    sweeps_of,
)
from llava_eval.results.compare.terminal import headline_sentence
from llava_eval.results.explain.screen import stored_parts
from llava_eval.results.files import file_name, file_names
from llava_eval.results.formatting import Table, formatted, highest, markdown_text
from llava_eval.results.run_names import letters, paper_names, run_names
from llava_eval.results.runs import Run
from llava_eval.types import MetricValue

#: More runs than this are shown as a sweep: by a table and curves, not by cards and pairs.
MAX_PAIRED_RUNS = 4
#: Headers of a run's counts.
COUNT_COLUMNS = ("samples", "unreadable", "failed")


@dataclass(frozen=True, eq=False)
class Overview:
    """The numbers of the runs of one benchmark.

    Attributes:
        runs: at least one run.
        comparisons: each other run compared with the first; empty for one run, or for many.
        sweep: data of the table and the curves; None for one run, or if runs cannot be compared.
        notes: sentences that qualify the numbers.
    """

    runs: Sequence[Run]
    comparisons: Sequence[RunComparison]
    sweep: Sweep | None
    notes: Sequence[str]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Overview:
        """Compare the runs; a reason why they cannot be compared becomes a note."""
        unfinished = [
            f"{letter} {run.incomplete}"  # in the words of a comparison's notes
            for letter, run in zip(letters(len(runs)), runs, strict=True)
            if run.incomplete is not None
        ]
        result: list[str] = []
        comparisons: Sequence[RunComparison] = ()
        sweep = None
        try:
            if 1 < len(runs) <= MAX_PAIRED_RUNS:
                comparisons = compare_runs(runs, allow_differences=True)
                result += all_notes(comparisons, runs)
            if len(runs) > 1:
                (sweep,) = sweeps_of(runs, allow_differences=True)
            if sweep is not None and len(runs) > MAX_PAIRED_RUNS:
                result += sweep.notes
                unfinished = []  # the sweep's notes name them
        except LlavaEvalError as error:
            result.append(str(error))
        return cls(runs, comparisons, sweep, list(dict.fromkeys([*unfinished, *result])))

    @functools.cached_property
    def names(self) -> list[str]:
        """Names that distinguish the runs."""
        return run_names(self.runs)

    @property
    def headline(self) -> str | None:
        """The name of the first metric."""
        return next(iter(self.runs[0].tables.metrics or self.runs[0].metric_nodes), None)

    @property
    def charts(self) -> Mapping[str, Chart]:
        """The curves; none for fewer than three runs."""
        if self.sweep is None or len(self.runs) < 3:
            return {}
        return sweep_charts(self.sweep)

    @property
    def verdicts(self) -> list[str]:
        """The result of each comparison in one sentence."""
        return [headline_sentence(item) for item in self.comparisons]

    def tables(self) -> Iterator[tuple[str, Table, str]]:
        """Yield the name, table and explanation of each table without a place of its own."""
        if self.comparisons:
            about = (
                "Paired by sample; intervals and p-values treat the questions of one video as one "
                "cluster, McNemar's exact test takes samples as independent."
            )
            if len(self.comparisons) > 1:
                about += (
                    f" Holm is p corrected for the {len(self.comparisons)} runs compared with A."
                )
            yield "Differences", metrics_table(self.comparisons), about
            about = f"Detectable is {DETECTABLE_WORDS}"
            yield "Agreement", agreement_table(self.comparisons), about
        fidelity = fidelity_table(self.comparisons)
        if fidelity is not None:
            yield "What tells the runs apart", fidelity, FIDELITY_WORDS
        with contextlib.suppress(ComparisonError):  # these runs are no probes
            about = "Changes are paired by question; p-values are corrected for all probes."
            yield "What answers rest on", probes_table(Probes.of(self.runs)), about
        names, groups = letters(len(self.runs)), over_seeds(self.runs)
        for group in groups:
            members = [name for name, run in zip(names, self.runs, strict=True) if run in group]
            of = f" ({', '.join(members)})" if len(groups) > 1 else ""
            with contextlib.suppress(ComparisonError):
                seeds = Seeds.of(group)
                yield f"Seeds of {group[0].model}{of}", seeds_table(seeds), seeds_words(seeds)
        if self.sweep is not None and len(self.runs) > MAX_PAIRED_RUNS:
            yield "Settings", sweep_table(self.sweep), legend(self.sweep)
        settings = settings_table(self.runs) if len(self.runs) > 1 else None
        if settings is not None:
            yield "What differs between the runs", settings, ""
        counted = counts_table(self.runs) if len(self.runs) > 1 else None
        if counted is not None:
            yield "What must be known of the samples", counted, ""
        for name, run in zip(names, self.runs, strict=True):
            explained = stored_parts(run.path)
            if explained is not None:
                table, against = explained
                about = f"From {name} to {against}, one difference switched at a time."
                yield f"Why {name} differs", table, about
        cost = cost_table(self.runs)
        if cost.rows:  # none for texts that were only scored
            yield "Cost", cost, ""


def metrics_by_facet(runs: Sequence[Run]) -> dict[str, str]:
    """Return for each facet the first metric that its levels have, as in a run's own table."""
    metrics = list(dict.fromkeys(name for run in runs for name in run.tables.metrics))
    found: dict[str, str] = {}
    for facet in dict.fromkeys(facet for run in runs for facet in run.tables.groups):
        metric = next((name for name in metrics if level_values(runs, facet, name)), None)
        if metric is not None:
            found[facet] = metric
    return found


def level_values(
    runs: Sequence[Run], facet: str, metric: str
) -> dict[str, list[MetricValue | None]]:
    """Return for each level of a facet a metric's value in each run's metrics.json."""
    groups = [run.tables.groups.get(facet, {}) for run in runs]
    levels = dict.fromkeys(level for group in groups for level in group if metric in group[level])
    return {level: [group.get(level, {}).get(metric) for group in groups] for level in levels}


def facet_table(runs: Sequence[Run], facet: str, metric: str) -> Table:
    """Return the table of a metric by level, with a column per run."""
    by_level = level_values(runs, facet, metric)
    rows = []
    for name, values in by_level.items():
        number = next(value.num_samples for value in values if value is not None)
        cells = [
            value_with_interval(value)
            + (f", of {value.num_samples}" if value and value.num_samples != number else "")
            for value in values
        ]
        rows.append([name, str(number), *cells])
    best = [
        (row, 2 + column)
        for row, values in enumerate(by_level.values())
        if runs[0].is_directed(metric)
        for column in highest([_score(value) for value in values])
    ]
    return Table([facet, "samples", *letters(len(runs))], rows, best=best)


def count_cells(run: Run) -> list[str]:
    """Return the cells of :data:`COUNT_COLUMNS`."""
    return [*map(str, (len(run.results), run.num_unreadable, run.num_errors))]


def results_table(runs: Sequence[Run]) -> Table:
    """Return the table of all runs with all metrics and counts."""
    names = list(dict.fromkeys(name for run in runs for name in run.tables.metrics))
    rows = []
    for letter, run in zip(letters(len(runs)), runs, strict=True):
        metrics = run.tables.metrics
        rows.append(
            [
                letter,
                run.model,
                run.label,
                *(value_with_interval(metrics.get(name)) for name in names),
                *count_cells(run),
                formatted(run.cost.model_seconds_per_sample, ".3g"),
            ]
        )
    header = ["run", "model", "benchmark", *names, *COUNT_COLUMNS, "s/sample"]
    best = [
        (row, 3 + column)
        for column, name in enumerate(names)
        if runs[0].is_directed(name)
        for row in highest([_score(run.tables.metrics.get(name)) for run in runs])
    ]
    return Table(header, rows, num_names=3, best=best)


def _score(value: MetricValue | None) -> float | None:
    return None if value is None else value.value


def export_report(folder: Path, overviews: Sequence[Overview]) -> list[Path]:
    """Write the tables, data and curves of every benchmark.

    Raises:
        StorageError: one of them cannot be written.
    """
    written, stems = [], file_names(overview.runs[0].benchmark for overview in overviews)
    for overview in overviews:
        runs = overview.runs
        parts: dict[str, Table] = {"results": results_table(runs)}
        data = {
            "cost": cost_data(runs),
            "agreement": agreement_data(overview.comparisons),
            **metrics_data(runs, overview.comparisons, name="results"),
        }
        for facet, metric in metrics_by_facet(runs).items():
            parts[f"by_{facet}"] = facet_table(runs, facet, metric)
        for name, table, _ in overview.tables():
            parts[file_name(name.lower())] = table
        name = stems[runs[0].benchmark]
        lines = [f"- {markdown_text(note)}" for note in overview.notes]
        written += export_tables(folder, name, parts, lines, data=data, names=paper_names(runs))
        written += write_charts(folder, f"{name}_score_against", overview.charts)
    return written
