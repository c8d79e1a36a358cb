"""Charts with characters, for terminals."""

from __future__ import annotations

import itertools

from llava_eval.results.figures.chart import Chart, Series, step_line, tick_text
from llava_eval.results.table import cut, printable

_MARKS = "ox+*#@%&"
_HEIGHT = 14


def to_text(chart: Chart, *, width: int = 80) -> str:
    """Return a chart of characters: a mark for each point, a bar for its interval."""
    x_axis, y_axis = chart.x_axis(), chart.y_axis()
    margin = max(len(tick_text(tick)) for tick in y_axis.ticks) + 1
    columns = width - margin - 3

    # As on paper, series at the same x stand beside each other.
    spread = 0 if chart.frontier else 2

    def column(x: float, series: float = (len(chart.series) - 1) / 2) -> int:
        shift = round(spread * (series - (len(chart.series) - 1) / 2))
        return min(columns - 1, max(0, round(x_axis.share(x) * (columns - 1)) + shift))

    def row(y: float) -> int:
        return _HEIGHT - 1 - round(y_axis.share(y) * (_HEIGHT - 1))

    grid = [[" "] * columns for _ in range(_HEIGHT)]
    if chart.reference is not None:
        grid[row(chart.reference[0])] = ["."] * columns
    corners = step_line(chart.frontier)
    for (x0, y0), (x1, _) in itertools.pairwise(corners):
        for place in range(column(x0), column(x1) + 1):
            grid[row(y0)][place] = "-"
    for number, series in enumerate(chart.series):
        for point in series.points:
            if point.low is not None and point.high is not None:
                for line in range(row(point.high), row(point.low) + 1):
                    grid[line][column(point.x, number)] = "|"
    for number, series in enumerate(chart.series):
        for point in series.points:
            grid[row(point.y)][column(point.x, number)] = _MARKS[number % len(_MARKS)]
    ticks = {row(tick): tick_text(tick) for tick in y_axis.ticks}
    lines = [
        f"{ticks.get(number, ''):>{margin}} |{''.join(cells)}".rstrip()
        for number, cells in enumerate(grid)
    ]
    below = [" "] * (columns + 1)
    for tick in x_axis.ticks:
        text = tick_text(tick)
        start = min(max(0, column(tick) - len(text) // 2), columns - len(text))
        if set(below[max(0, start - 1) : start + len(text) + 1]) <= {" "}:
            below[start : start + len(text)] = text
    return "\n".join(
        [
            cut(printable(f"{chart.title} ({chart.y_name})"), width),
            *lines,
            f"{'':>{margin}} +{'-' * columns}",
            f"{'':>{margin}}  {''.join(below)}".rstrip(),
            f"{'':>{margin}}  {chart.x_name:^{columns}}".rstrip(),
            *_legend(chart, width),
        ]
    )


def _legend(chart: Chart, width: int) -> list[str]:
    parts = [_named(number, series) for number, series in enumerate(chart.series) if series.name]
    if len(chart.frontier) > 1:
        parts.append("--- Pareto set")
    if chart.reference is not None:
        parts.append(f"... {chart.reference[1]}")
    return [cut(f"  {'   '.join(parts)}", width)] if parts else []


def _named(number: int, series: Series) -> str:
    return f"{_MARKS[number % len(_MARKS)]} {printable(series.name)}"
