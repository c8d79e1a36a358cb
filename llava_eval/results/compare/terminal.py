"""A comparison, and a sweep, as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llava_eval.results.chart import to_text
from llava_eval.results.compare import comparison_tables as tables
from llava_eval.results.compare.comparison import RunComparison, all_notes
from llava_eval.results.compare.sweep_curves import (
    Sweep,
    legend,
    preparing_table,
    sweep_charts,
    sweep_table,
)
from llava_eval.results.formatting import Table, count, interval, number, p_text, printable, wrapped
from llava_eval.results.runs import ComparableRun

#: The most samples that are listed as better, and as worse.
SHOWN_FLIPS = 5
#: Least columns of a shortened setting of a run, and most columns of a row's name.
_LEAST, _MOST = 8, 26


def comparison_text(
    runs: Sequence[ComparableRun], comparisons: Sequence[RunComparison], *, width: int = 80
) -> str:
    """Return all results of a comparison as text for the terminal.

    Args:
        runs: at least two runs.
        comparisons: the comparison of each other run with the first.
        width: columns of the terminal.
    """
    fidelity = tables.fidelity_table(comparisons)
    facet_text = _by_run if len(comparisons) > 1 else Table.to_text
    blocks = [
        tables.runs_table(runs).to_text(width),
        _by_run(tables.settings_table(runs), width, num_names=2) or "no setting differs",
        tables.metrics_table(comparisons).to_text(width),
        tables.agreement_table(comparisons).to_text(width),
        "" if fidelity is None else fidelity.to_text(width),
        _by_run(tables.counts_table(runs), width),
        "\n".join(wrapped(headline_sentence(item), width) for item in comparisons),
        "\n".join(_explanations(comparisons, runs, width)),
        *(block for item in comparisons for block in _flips(item, width)),
    ]
    blocks += [facet_text(table, width) for table in tables.facet_tables(comparisons)]
    blocks.append(_by_run(tables.cost_table(runs), width))
    return "\n\n".join(block for block in blocks if block)


def sweep_text(sweep: Sweep, *, width: int = 80) -> str:
    """Return the table and the curves of a sweep.

    Args:
        sweep: the runs of one benchmark.
        width: columns of the terminal.
    """
    preparing = preparing_table(sweep)
    blocks = [
        wrapped(f"{printable(sweep.label)}, {count(len(sweep.settings), 'run')}", width)
        + (f"\nmodel: {printable(sweep.model)}" if sweep.model else ""),
        sweep_table(sweep).to_text(width),
        wrapped(legend(sweep), width),
        *([] if preparing is None else [preparing.to_text(width)]),
        *(to_text(chart, width=width) for chart in sweep_charts(sweep).values()),
        *(wrapped(f"Note: {note}.", width) for note in sweep.notes),
    ]
    return "\n\n".join(blocks)


def headline_sentence(comparison: RunComparison) -> str:
    """Return the result for the headline metric in one sentence."""
    headline, second = comparison.headline, comparison.letter
    estimate = headline.estimate
    if estimate is None:
        return f"{headline.name} of A and {second} is not compared."
    if estimate.low is None or estimate.high is None:
        few = "too few videos in common"
        reason = few if estimate.num_clusters < 2 else "most draws of the videos lack what it needs"
        return f"{headline.name} of A and {second} cannot be told apart: {reason}."
    bounds = interval(estimate.low, estimate.high, headline.unit, signed=True)
    adjusted = comparison.adjusted_p_values.get(headline.name)
    if adjusted is not None and not estimate.low <= 0 <= estimate.high:
        if adjusted < tables.SIGNIFICANT:
            direction = "higher" if estimate.difference > 0 else "lower"
            size = number(abs(estimate.difference), headline.unit)
            return f"{headline.name} is {direction} in {second} than in A, by {size} ({bounds})."
        bounds += f", but p is {p_text(adjusted)} after Holm's correction"
    return f"No difference in {headline.name} between A and {second} is shown ({bounds})."


def _explanations(
    comparisons: Sequence[RunComparison], runs: Sequence[ComparableRun], width: int
) -> Iterator[str]:
    headline, of_levels = comparisons[0].headline.name, comparisons[0].level_metric.name
    yield wrapped(
        f"worse, better: samples, by {headline}. detectable, in {headline}: "
        f"{tables.DETECTABLE_WORDS}"
        f"{f' Levels are compared by {of_levels}.' if of_levels != headline else ''}",
        width,
    )
    if any(item.fidelity for item in comparisons):
        yield wrapped(tables.FIDELITY_WORDS, width)
    if len(comparisons) > 1:
        yield wrapped(
            "Holm: p corrected for the number of runs; * is below 0.05, corrected for the levels.",
            width,
        )
    yield from (wrapped(f"Note: {note}.", width) for note in all_notes(comparisons, runs))


def _flips(comparison: RunComparison, width: int) -> Iterator[str]:
    for flips, name in ((comparison.worse, "worse"), (comparison.better, "better")):
        if flips:
            more = f"; the first {SHOWN_FLIPS}" if len(flips) > SHOWN_FLIPS else ""
            title = f"{comparison.letter} is {name} on {count(len(flips), 'sample')}{more}:"
            table = tables.flips_table(
                flips[:SHOWN_FLIPS], comparison.headline, second=comparison.letter
            )
            yield f"{title}\n{table.to_text(width, indent='  ')}"


def _by_run(table: Table | None, width: int, *, num_names: int = 1) -> str:
    """Return a table with a column per run, split into several if the columns do not fit.

    Args:
        table: the table; None gives an empty text.
        width: columns of the terminal.
        num_names: columns from the left that name the rows, repeated in each part.
    """
    if table is None:
        return ""
    columns = list(zip(table.header, *table.rows, strict=True))
    sizes = [2 + max(map(len, column)) for column in columns]
    least = _LEAST if table.num_names > num_names else max(sizes[num_names:])  # names are cut
    room = width - sum(min(size, _MOST) for size in sizes[:num_names])
    per_table = max(1, room // least)
    texts = []
    for start in range(num_names, len(columns), per_table):
        header, *rows = zip(*columns[:num_names], *columns[start : start + per_table], strict=True)
        part = Table(header, rows, len(header) if table.num_names > num_names else num_names)
        texts.append(part.to_text(width))
    return "\n\n".join(texts)
