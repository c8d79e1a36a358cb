"""The part of a page that shows one benchmark's numbers, with a drawing in each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from llava_eval.results.compare.comparison_tables import letters
from llava_eval.results.drawing import series_style, to_svg
from llava_eval.results.formatting import Table, html_text, interval, number
from llava_eval.results.report.overview import (
    MAX_PAIRED_RUNS,
    Overview,
    facet_table,
    facets_of,
    level_values,
    results_table,
)
from llava_eval.results.runs import Run
from llava_eval.results.summary import flag_counts
from llava_eval.results.tables import FLAG_WORDS
from llava_eval.types import MetricValue


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
    metrics = run.tables.metrics
    name = overview.headline or ""
    headline = metrics.get(name) or MetricValue.none(0, "")
    unit = headline.unit
    shown_unit = "%" if unit == "percent" else unit
    bounds = interval(headline.ci_low, headline.ci_high, unit)
    others = [
        f"{other} {number(value.value, value.unit)}"
        for other, value in metrics.items()
        if other != name
    ]
    return (
        f'<article class="panel card" aria-label="Run {letter}"><header>'
        f'<span class="letter s{place}">{letter}</span>'
        f"<strong>{html_text(run.model)}</strong></header>"
        f'<div class="big">{html_text(number(headline.value, unit))}'
        f"<small>{html_text(f'{shown_unit} {name}')}</small></div>"
        f"{_counts([f'95 % interval {bounds}', *others])}{_counts(_counted(run))}"
        f'<div class="path">{html_text(run.label)}<br>{html_text(run.name)}</div></article>'
    )


def _counted(run: Run) -> list[str]:
    speed = run.cost.samples_per_second
    counts = [
        f"{len(run.results)} samples",
        f"{run.num_unreadable} unreadable",
        f"{run.num_errors} failed",
        *(
            f"{number} {FLAG_WORDS.get(flag, flag)}"
            for flag, number in flag_counts(run.results).items()
        ),
    ]
    return counts if speed is None else [*counts, f"{speed:.3g} samples/s"]


def _counts(texts: Sequence[str]) -> str:
    return (
        f'<div class="counts">{"".join(f"<span>{html_text(item)}</span>" for item in texts)}</div>'
    )


_WIDTH, _STEP, _MARGIN = 160, 12, 6


def table_with_plots(table: Table, runs: Sequence[Run], facet: str, metric: str) -> str:
    """Return a facet's table as HTML, each row with a dot and an interval for each run."""
    columns = [level_values(run, facet, metric) for run in runs]
    scale = _scale([item for column in columns for item in column.values()])
    if scale is None:
        return table.to_html()
    chance = runs[0].tables.chance.get(metric)
    low, high = scale
    name, samples, *runs_header = map(html_text, table.header)
    header = "".join(
        f'<th scope="col"><span class="letter s{index}">{cell}</span></th>'
        for index, cell in enumerate(runs_header)
    )
    rows = []
    for level, num_samples, *_ in table.rows:
        values = [column.get(level) for column in columns]
        cells = "".join(f"<td>{_cell(value)}</td>" for value in values)
        rows.append(
            f'<tr><th scope="row">{html_text(level)}</th>'
            f'<td class="plot">{_plot(values, scale, chance)}</td>'
            f"{cells}<td>{html_text(num_samples)}</td></tr>"
        )
    return (
        f'<table><thead><tr><th scope="col" class="name">{name}</th>'
        f'<th scope="col" class="name">{low:g} to {high:g}</th>'
        f'{header}<th scope="col">{samples}</th></tr></thead>\n'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _cell(value: MetricValue | None) -> str:
    if value is None or value.value is None:
        return "-"
    bounds = interval(value.ci_low, value.ci_high, value.unit)
    return f"{html_text(number(value.value, value.unit))} <small>{html_text(bounds)}</small>"


def _scale(values: Sequence[MetricValue]) -> tuple[float, float] | None:
    """Return the axis limits; percentages always get 0 to 100. None without a value."""
    numbers = [
        number
        for value in values
        for number in (value.ci_low, value.value, value.ci_high)
        if number is not None
    ]
    if not numbers:
        return None
    low, high = min(0.0, *numbers), max(numbers)
    if all(value.unit == "percent" for value in values):
        high = max(high, 100.0)
    return float(f"{low:.3g}"), float(f"{high:.3g}") if high > low else low + 1.0


def _plot(
    values: Sequence[MetricValue | None], scale: tuple[float, float], chance: float | None
) -> str:
    low, high = scale
    height = _STEP * len(values) + 2

    def x(value: float) -> str:
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return f"{_MARGIN + share * (_WIDTH - 2 * _MARGIN):.1f}"

    marks = [_line("grid", x(low), height / 2, x(high), height / 2, 1)]
    if chance is not None:
        marks.append(_line("muted dashed", x(chance), 0, x(chance), height, 1))
    for index, value in enumerate(values):
        if value is None or value.value is None:
            continue
        role, _, _ = series_style(index)
        y = _STEP * index + _STEP / 2 + 1
        if value.ci_low is not None and value.ci_high is not None:
            marks.append(_line(role, x(value.ci_low), y, x(value.ci_high), y, 2))
        marks.append(f'<circle class="mark {role}" cx="{x(value.value)}" cy="{y:g}" r="3.5"/>')
    return (
        f'<svg class="chart" aria-hidden="true" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}">{"".join(marks)}</svg>'
    )


def _line(role: str, x1: str, y1: float, x2: str, y2: float, width: int) -> str:
    points = f"{x1},{y1:g} {x2},{y2:g}"
    return f'<polyline class="{role}" points="{points}" fill="none" stroke-width="{width}"/>'
