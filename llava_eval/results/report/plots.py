"""Levels of a facet as a table with a small drawing in each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llava_eval.results.figures.draw import series_style
from llava_eval.results.report.overview import level_values
from llava_eval.results.runs import Run
from llava_eval.results.table import Table, html_text, interval, number

_WIDTH, _STEP, _MARGIN = 160, 12, 6


def table_with_plots(table: Table, runs: Sequence[Run], facet: str, metric: str) -> str:
    """Return a facet's table as HTML, each row with a dot and an interval for each run."""
    columns = [level_values(run, facet, metric) for run in runs]
    scale = _scale([one for column in columns for one in column.values()])
    if scale is None:
        return table.to_html()
    chance = (runs[0].tables.get("chance") or {}).get(metric)
    low, high = scale
    name, samples, *runs_header = map(html_text, table.header)
    header = "".join(
        f'<th scope="col"><span class="letter s{place}">{cell}</span></th>'
        for place, cell in enumerate(runs_header)
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


def _cell(value: Mapping[str, Any] | None) -> str:
    if value is None or value.get("value") is None:
        return "-"
    unit = str(value.get("unit"))
    bounds = interval(value.get("ci_low"), value.get("ci_high"), unit)
    return f"{html_text(number(value['value'], unit))} <small>{html_text(bounds)}</small>"


def _scale(values: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    """Return the ends of the drawings: 0 to 100 for shares; None where there is no value."""
    numbers = [
        float(one[key])
        for one in values
        for key in ("ci_low", "value", "ci_high")
        if one.get(key) is not None
    ]
    if not numbers:
        return None
    low, high = min(0.0, *numbers), max(numbers)
    if all(one.get("unit") == "percent" for one in values):
        high = max(high, 100.0)
    return float(f"{low:.3g}"), float(f"{high:.3g}") if high > low else low + 1.0


def _plot(
    values: Sequence[Mapping[str, Any] | None], scale: tuple[float, float], chance: float | None
) -> str:
    low, high = scale
    height = _STEP * len(values) + 2

    def x(value: float) -> str:
        share = min(1.0, max(0.0, (value - low) / (high - low)))
        return f"{_MARGIN + share * (_WIDTH - 2 * _MARGIN):.1f}"

    marks = [_line("grid", x(low), height / 2, x(high), height / 2, 1)]
    if chance is not None:
        marks.append(_line("muted dashed", x(chance), 0, x(chance), height, 1))
    for place, value in enumerate(values):
        if value is None or value.get("value") is None:
            continue
        role, _, _ = series_style(place)
        y = _STEP * place + _STEP / 2 + 1
        if value.get("ci_low") is not None:
            marks.append(_line(role, x(value["ci_low"]), y, x(value["ci_high"]), y, 2))
        marks.append(f'<circle class="mark {role}" cx="{x(value["value"])}" cy="{y:g}" r="3.5"/>')
    return (
        f'<svg class="chart" aria-hidden="true" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}">{"".join(marks)}</svg>'
    )


def _line(role: str, x1: str, y1: float, x2: str, y2: float, width: int) -> str:
    points = f"{x1},{y1:g} {x2},{y2:g}"
    return f'<polyline class="{role}" points="{points}" fill="none" stroke-width="{width}"/>'
