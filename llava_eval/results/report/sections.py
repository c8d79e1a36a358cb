"""The part of a page that shows one benchmark's numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llava_eval.results.compare.comparison_tables import letters
from llava_eval.results.cost import cost_of
from llava_eval.results.figures.draw import to_svg
from llava_eval.results.report.overview import (
    MAX_PAIRED_RUNS,
    Overview,
    facet_table,
    facets_of,
    results_table,
)
from llava_eval.results.report.plots import table_with_plots
from llava_eval.results.runs import Run
from llava_eval.results.table import Table, html_text, interval, number


def section(place: int, title: str, overview: Overview) -> Iterator[str]:
    """Yield the section of one benchmark, the ``place``-th of the page."""
    runs = overview.runs
    yield f'<section class="set" id="set-{place}" aria-labelledby="set-{place}-title">\n'
    yield f'<h2 id="set-{place}-title">{html_text(title)}</h2>\n'
    if len(runs) <= MAX_PAIRED_RUNS:
        cards = [_card(overview, number_of_run, run) for number_of_run, run in enumerate(runs)]
        yield f'<div class="cards">{"".join(cards)}</div>\n'
    if overview.notes:
        items = "".join(f"<li>{html_text(note)}</li>" for note in overview.notes)
        yield f'<div class="panel notes" role="note"><h3>Note</h3><ul>{items}</ul></div>\n'
    if overview.verdicts:
        lines = "".join(f"<li>{html_text(line)}</li>" for line in overview.verdicts)
        yield f'<ul class="panel verdicts">{lines}</ul>\n'
    for name, chart in overview.charts.items():
        svg = to_svg(chart, name=f"chart-{place}-{name}", background=None)
        yield f"{'<div class=curves>' if name == next(iter(overview.charts)) else ''}"
        yield f'<div class="panel">{svg}</div>\n'
    yield "</div>\n" if overview.charts else ""
    yield f'<div class="tables">\n{"".join(_panels(overview))}</div>\n</section>\n'


def _panels(overview: Overview) -> Iterator[str]:
    runs, metric = overview.runs, overview.headline
    tables = [
        _panel(name, table.to_html(), about, wide=_is_wide(table))
        for name, table, about in overview.tables()
    ]
    yield from tables[:1]
    if len(runs) > MAX_PAIRED_RUNS:
        yield _panel("Runs", results_table(runs).to_html(), wide=True)
    for facet in facets_of(runs) if metric is not None else ():
        table = facet_table(runs, facet, str(metric))
        if not table.rows:
            continue
        few = len(runs) <= MAX_PAIRED_RUNS
        drawn = table_with_plots(table, runs, facet, str(metric)) if few else table.to_html()
        yield _panel(f"{metric} by {facet}", drawn, wide=not few)
    yield from tables[1:]


def _is_wide(table: Table) -> bool:
    rows = [table.header, *table.rows]
    return max(sum(len(cell) + 2 for cell in row) for row in rows) > 90


def _panel(title: str, content: str, about: str = "", *, wide: bool = False) -> str:
    after = f'<p class="muted">{html_text(about)}</p>' if about else ""
    shown = html_text(title)
    return (
        f'<section class="panel{" wide" if wide else ""}"><h3>{shown}</h3>'
        f'<div class="scroll" tabindex="0" role="group" aria-label="{shown}">{content}</div>'
        f"{after}</section>\n"
    )


def _card(overview: Overview, place: int, run: Run) -> str:
    letter = letters(len(overview.runs))[place]
    metrics: Mapping[str, Any] = run.tables.get("metrics") or {}
    name = overview.headline or ""
    value = metrics.get(name) or {}
    unit = str(value.get("unit", ""))
    shown_unit = "%" if unit == "percent" else unit
    bounds = interval(value.get("ci_low"), value.get("ci_high"), unit)
    others = [
        f"{other} {number(one.get('value'), str(one.get('unit')))}"
        for other, one in metrics.items()
        if other != name
    ]
    return (
        f'<article class="panel card" aria-label="Run {letter}"><header>'
        f'<span class="letter s{place}">{letter}</span>'
        f"<strong>{html_text(run.model)}</strong></header>"
        f'<div class="big">{html_text(number(value.get("value"), unit))}'
        f"<small>{html_text(f'{shown_unit} {name}')}</small></div>"
        f"{_counts([f'95 % interval {bounds}', *others])}{_counts(_counted(run))}"
        f'<div class="path">{html_text(run.label)}<br>{html_text(run.name)}</div></article>'
    )


def _counted(run: Run) -> list[str]:
    speed = cost_of(run).samples_per_second
    counts = [
        f"{len(run.results)} samples",
        f"{run.num_unreadable} unreadable",
        f"{run.num_errors} failed",
    ]
    return counts if speed is None else [*counts, f"{speed:.3g} samples/s"]


def _counts(texts: Sequence[str]) -> str:
    return f'<div class="counts">{"".join(f"<span>{html_text(one)}</span>" for one in texts)}</div>'
