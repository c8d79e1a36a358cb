"""The tables of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llava_eval.metrics.differences import PairedMean
from llava_eval.metrics.means import width_of
from llava_eval.metrics.paired import PairedEstimate
from llava_eval.models.clock import MODEL_STAGES, PREPARE_STAGE
from llava_eval.results.columns import FLAG_WORDS, INTERVAL, is_beyond_scale, paired_cells
from llava_eval.results.compare.comparison import ComparedLevel, Flip, RunComparison
from llava_eval.results.compare.pairing import ComparedMetric
from llava_eval.results.cost import Cost, megabytes
from llava_eval.results.formatting import Table, formatted, highest, interval, number, p_text
from llava_eval.results.run_names import letters
from llava_eval.results.runs import ComparableRun, differences_of
from llava_eval.results.summary import flag_counts

#: Corrected p-values below this level are marked with a star.
SIGNIFICANT = 0.05

#: Explanation of the column "detectable" of :func:`agreement_table`.
DETECTABLE_WORDS = "the smallest true difference that so many samples show four times in five."
#: Explanation of the columns of :func:`fidelity_table`.
FIDELITY_WORDS = (
    "Told apart by: the mean, which is 0 for runs that are the same, and the samples needed to "
    "find one as large, by that alone. KL of letters: of the options' distribution at the first "
    "new token, from A's."
)


def runs_table(runs: Sequence[ComparableRun]) -> Table:
    """Return the table of the runs' letters, paths, models and benchmarks."""
    rows = [
        [letter, run.name, run.model, run.label]
        for letter, run in zip(letters(len(runs)), runs, strict=True)
    ]
    return Table(["", "run", "model", "benchmark"], rows, num_names=4)


def settings_table(runs: Sequence[ComparableRun]) -> Table | None:
    """Return the table of settings, versions and weights that differ; None if none does."""
    rows = [[item.name, item.role, *item.values] for item in differences_of(runs)]
    if not rows:
        return None
    return Table(["differs in", "role", *letters(len(runs))], rows, num_names=2 + len(runs))


def metrics_table(comparisons: Sequence[RunComparison]) -> Table:
    """Return the table of each metric's values, paired differences and tests."""
    return _pair_table(comparisons[0]) if len(comparisons) == 1 else _many_table(comparisons)


def _pair_table(comparison: RunComparison) -> Table:
    known = [(item, item.estimate) for item in comparison.metrics if item.estimate is not None]
    rows = [
        [
            item.name,
            *paired_cells(estimate, item.unit),
            p_text(estimate.p_value),
            p_text(item.mcnemar.p_value if item.mcnemar else None),
        ]
        for item, estimate in known
    ]
    is_directed = comparison.pairing.first.is_directed
    estimates = [estimate if is_directed(item.name) else None for item, estimate in known]
    name = comparison.letter
    header = ["metric", "A", name, f"{name} - A", INTERVAL, "p", "McNemar p"]
    return Table(header, rows, best=_better(estimates, 1))


def _better(estimates: Sequence[PairedEstimate | None], column: int) -> list[tuple[int, int]]:
    """Return the cell of the better run in each row; the first run is in column ``column``."""
    return [
        (row, column + index)
        for row, item in enumerate(estimates)
        if item is not None
        for index in highest([item.first, item.second])
    ]


def _many_table(comparisons: Sequence[RunComparison]) -> Table:
    rows: list[list[str]] = []
    best = []
    for index, metric in enumerate(comparisons[0].metrics):
        estimates = [item.metrics[index].estimate for item in comparisons]
        firsts = values_of_first(comparisons, estimates, metric.unit)
        if "A" in firsts:
            first = next((item.first for item in estimates if item is not None), None)
            scores = [first, *(item.second if item else None for item in estimates)]
            if comparisons[0].pairing.first.is_directed(metric.name):
                best += [(len(rows) + row, 2) for row in highest(scores)]
            rows.append([metric.name, "A", firsts["A"], *["-"] * 5])
        for comparison in comparisons:
            item, name = comparison.metrics[index], f"A, as {comparison.letter}"
            if name in firsts:
                rows.append([metric.name, name, firsts[name], *["-"] * 5])
            _, *cells = paired_cells(item.estimate, item.unit)
            p_values = (
                item.estimate.p_value if item.estimate else None,
                comparison.adjusted_p_values.get(item.name),
                item.mcnemar.p_value if item.mcnemar else None,
            )
            rows.append([metric.name, f"{comparison.letter} - A", *cells, *map(p_text, p_values)])
    header = ["metric", "runs", "value", "change", INTERVAL, "p", "Holm", "McNemar"]
    return Table(header, rows, num_names=2, best=best)


def values_of_first(
    comparisons: Sequence[RunComparison], estimates: Sequence[PairedEstimate | None], unit: str
) -> dict[str, str]:
    """Return run A's value under the key "A", or under "A, as B" for each run if they differ.

    Each run is compared with A on the samples that both answered, and A's value depends on these.
    """
    values = [number(item.first if item else None, unit) for item in estimates]
    known = {value for value, item in zip(values, estimates, strict=True) if item is not None}
    if len(known) <= 1:
        return {"A": next(iter(known), number(None))}
    return {f"A, as {item.letter}": v for item, v in zip(comparisons, values, strict=True)}


def agreement_table(comparisons: Sequence[RunComparison]) -> Table:
    """Return the table of how often runs agree, and of the smallest detectable difference."""
    rows = []
    for item in comparisons:
        agreement, estimate, unit = item.agreement, item.headline.estimate, item.headline.unit
        total = agreement.num_samples
        smallest = estimate.smallest_detectable if estimate else None
        # Only for a mean over samples is a single sample better or worse.
        is_mean = isinstance(item.headline.paired, PairedMean)
        rows.append(
            [
                f"{item.letter} - A",
                str(total),
                str(item.pairing.num_clusters),
                f"{100 * agreement.num_same_text / total:.1f} %",
                f"{100 * agreement.num_same_answer / total:.1f} %",
                *(str(len(flips)) if is_mean else "-" for flips in (item.worse, item.better)),
                f"> {width_of(unit):g}"
                if is_beyond_scale(smallest, unit)
                else number(smallest, unit),
            ]
        )
    alike = ["same text", "same answer", "worse", "better", "detectable"]
    return Table(["runs", "samples", "clusters", *alike], rows)


def fidelity_table(comparisons: Sequence[RunComparison]) -> Table | None:
    """Return the table of measures that tell runs of the same frames apart; None without any."""
    rows = [
        [
            f"{item.letter} - A",
            measure.name,
            number(
                measure.estimate.difference, measure.unit, signed=measure.name == item.headline.name
            ),
            interval(measure.estimate.low, measure.estimate.high, measure.unit),
            measure.unit,
            str(measure.estimate.num_samples),
            formatted(measure.num_samples_needed, ","),
        ]
        for item in comparisons
        for measure in item.fidelity
    ]
    header = ["runs", "told apart by", "mean", INTERVAL, "unit", "samples", "needed"]
    return Table(header, rows, num_names=2) if rows else None


def facet_tables(comparisons: Sequence[RunComparison]) -> list[Table]:
    """Return a table per facet: A's value on each level, and the differences to it."""
    facets = dict.fromkeys(facet for item in comparisons for facet in item.facets)
    if len(comparisons) == 1:
        return [_pair_facet(comparisons[0], facet) for facet in facets]
    return [_many_facet(comparisons, facet) for facet in facets]


def _pair_facet(comparison: RunComparison, facet: str) -> Table:
    unit = comparison.level_metric.unit
    rows = [
        [
            item.level,
            str(item.estimate.num_samples if item.estimate else 0),
            *paired_cells(item.estimate, unit),
            p_text(item.adjusted_p_value),
        ]
        for item in comparison.facets[facet]
    ]
    name = comparison.letter
    header = [f"by {facet}", "samples", "A", name, f"{name} - A", INTERVAL, "Holm p"]
    is_directed = comparison.pairing.first.is_directed(comparison.level_metric.name)
    estimates = [item.estimate for item in comparison.facets[facet] if is_directed]
    return Table(header, rows, best=_better(estimates, 2))


def _many_facet(comparisons: Sequence[RunComparison], facet: str) -> Table:
    unit = comparisons[0].level_metric.unit
    levels = [{level.level: level for level in item.facets.get(facet, ())} for item in comparisons]
    rows = []
    for name in dict.fromkeys(name for by_name in levels for name in by_name):
        found = [by_name.get(name, ComparedLevel(name, None)) for by_name in levels]
        changes = [marked(item.estimate, item.adjusted_p_value, unit) for item in found]
        firsts = values_of_first(comparisons, [item.estimate for item in found], unit)
        for label, value in firsts.items():
            shown = [
                change if label in ("A", f"A, as {item.letter}") else "-"
                for change, item in zip(changes, comparisons, strict=True)
            ]
            rows.append([label.replace("A", name, 1), value, *shown])
    return Table([f"by {facet}", "A", *(f"{item.letter} - A" for item in comparisons)], rows)


def marked(estimate: PairedEstimate | None, p_value: float | None, unit: str) -> str:
    """Return an estimate's difference as a cell, with a star or a space after it."""
    if estimate is None:
        return "-"
    difference = number(estimate.difference, unit, signed=True)
    return starred(difference, p_value).ljust(len(difference) + 1)


def starred(text: str, p_value: float | None) -> str:
    """Return a difference, followed by a star if its corrected p-value is significant."""
    return f"{text}*" if p_value is not None and p_value < SIGNIFICANT else text


def flips_table(
    flips: Sequence[Flip], metric: ComparedMetric, *, first: str = "A", second: str = "B"
) -> Table:
    """Return the table of changed samples; with sizes of changes unless all are right or wrong."""
    rows = [
        [
            flip.id,
            ", ".join(flip.media) or flip.group,
            *("(none)" if answer is None else answer for answer in (flip.before, flip.after)),
            " | ".join(flip.target),
            number(flip.change, metric.unit, signed=True),
        ]
        for flip in flips
    ]
    header = ["sample", "video", first, second, "target", "change"]
    if metric.mcnemar is not None:
        return Table(header[:-1], [row[:-1] for row in rows], num_names=5)
    return Table(header, rows, num_names=5)


def counts_table(runs: Sequence[ComparableRun], names: Sequence[str] | None = None) -> Table | None:
    """Return the table of unreadable, failed and flagged samples; None if there are none."""
    flags = [flag_counts(run.results) for run in runs]
    counted = {
        "unreadable": [run.num_unreadable for run in runs],
        "failed": [run.num_errors for run in runs],
    }
    for flag in dict.fromkeys(flag for counts in flags for flag in counts):
        counted[FLAG_WORDS.get(flag, flag)] = [counts.get(flag, 0) for counts in flags]
    rows = [[name, *map(str, numbers)] for name, numbers in counted.items() if any(numbers)]
    return Table(["samples", *(names or letters(len(runs)))], rows) if rows else None


def cost_table(runs: Sequence[ComparableRun]) -> Table:
    """Return the table of the runs' costs; rows without any value are left out."""
    costs = [run.cost for run in runs]
    stages = dict.fromkeys(stage for cost in costs for stage in cost.stage_seconds)
    stages.pop(PREPARE_STAGE, None)  # shown by sample
    # A killed process does not record the samples that it generated.
    is_whole = all(cost.num_generated in (0, cost.num_samples) for cost in costs)
    lines: list[tuple[str, str, Callable[[Cost], float | None]]] = [
        ("samples timed", "", lambda cost: None if is_whole else cost.num_generated),
        ("model (ms a sample)", ".3g", lambda cost: _times(1000, cost.model_seconds_per_sample)),
        *(_stage_line(stage) for stage in stages if stage in MODEL_STAGES),
        (
            "preparing media (ms a sample)",
            ".3g",
            lambda cost: _times(1000, cost.prepare_seconds_per_sample),
        ),
        ("frames from the cache (%)", ".0f", lambda cost: _times(100, cost.cached_share)),
        *(_stage_line(stage) for stage in stages if stage not in MODEL_STAGES),
        ("wall, without loading (s)", ".1f", lambda cost: cost.seconds),
        ("samples/s", ".2f", lambda cost: cost.samples_per_second),
        ("weights (MB)", ".1f", lambda cost: megabytes(cost.weights_bytes)),
        ("peak device memory (MB)", ".1f", lambda cost: megabytes(cost.peak_device_bytes)),
        ("peak host memory (MB)", ".1f", lambda cost: megabytes(cost.peak_host_bytes)),
        ("input tokens a sample", ".1f", lambda cost: _per_sample(cost.num_input_tokens, cost)),
        ("output tokens a sample", ".1f", lambda cost: _per_sample(cost.num_output_tokens, cost)),
        ("judge's cost", ".4f", lambda cost: cost.judge_cost),
    ]
    rows = [[name, *(formatted(get(cost), form) for cost in costs)] for name, form, get in lines]
    known = [row for row in rows if any(cell != "-" for cell in row[1:])]
    return Table(["cost", *letters(len(runs))], known)


def _stage_line(stage: str) -> tuple[str, str, Callable[[Cost], float | None]]:
    return f"{stage} (s)", ".1f", lambda cost: cost.stage_seconds.get(stage)


def _times(factor: int, value: float | None) -> float | None:
    return None if value is None else factor * value


def _per_sample(value: int, cost: Cost) -> float | None:
    return value / cost.num_with_tokens if value else None
