"""Line charts with intervals: their data, their axes, and a drawing for the terminal."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import wcwidth

from llava_eval.results.formatting import cut, fitted, printable

#: An x range whose ends have this ratio or more is drawn on a logarithmic axis.
_LOG_RATIO = 8.0
#: A character for each series in the terminal, and the number of lines of the plot there.
_MARKS = "ox+*#@%&"
_NUM_LINES = 14


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement.

    Attributes:
        x, y: its coordinates, in the units of the data.
        low, high: ends of y's interval; None if there is none.
        label: text next to the point.
        on_line: whether the line of its series goes through it.
    """

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    label: str = ""
    on_line: bool = True


@dataclass(frozen=True, slots=True)
class Series:
    """Points that belong together, in the order of the line through them."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis.

    Attributes:
        low, high: its ends, in the units of the data.
        ticks: values that are marked.
        is_log: whether the axis is logarithmic.
    """

    low: float
    high: float
    ticks: Sequence[float]
    is_log: bool = False

    def share(self, value: float) -> float:
        """Return a value's position on the axis: 0 at the low end, 1 at the high end."""
        low, high, at = (
            (math.log(number) if self.is_log else number) for number in (self.low, self.high, value)
        )
        return (at - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of one or more series.

    Attributes:
        title: the chart's title.
        x_name, y_name: names of the axes, with units.
        series: the lines; in pictures colours repeat after seven, shapes of markers after four.
        frontier: points (x, y) that no other point beats in both; drawn as a step line.
        reference: a value of y to mark, for instance the chance level, and its name.
        unit: the unit of y.
    """

    title: str
    x_name: str
    y_name: str
    series: Sequence[Series]
    frontier: Sequence[tuple[float, float]] = ()
    reference: tuple[float, str] | None = None
    unit: str = "percent"

    @property
    def points(self) -> list[Point]:
        """The points of all series."""
        return [point for series in self.series for point in series.points]

    def offset(self, number: int) -> float:
        """Return by how many steps a series is shifted to the right.

        The shifts separate points at the same x, so that their intervals stay visible.
        """
        return 0.0 if self.frontier else number - (len(self.series) - 1) / 2

    def x_axis(self) -> Axis:
        """Return an axis that contains all points; up to eight whole values become its ticks."""
        values = sorted({point.x for point in self.points})
        is_log = values[0] > 0 and values[-1] / values[0] >= _LOG_RATIO
        if is_log:
            margin = (values[-1] / values[0]) ** 0.06
            low, high = values[0] / margin, values[-1] * margin
        else:
            margin = 0.06 * (values[-1] - values[0]) or 0.5 * abs(values[0]) or 0.5
            low, high = values[0] - margin, values[-1] + margin
        few = len(values) <= 8 and all(float(value).is_integer() for value in values)
        ticks = values if few else _ticks(low, high, is_log=is_log)
        return Axis(low, high, ticks, is_log)

    def y_axis(self) -> Axis:
        """Return an axis that contains all points with their intervals."""
        heights = [
            height
            for point in self.points
            for height in (point.low, point.y, point.high)
            if height is not None
        ]
        if self.reference is not None:
            heights.append(self.reference[0])
        margin = 0.05 * (max(heights) - min(heights)) or 1.0
        low, high = min(heights) - margin, max(heights) + margin
        low = max(low, 0.0) if min(heights) >= 0 else low
        return Axis(low, high, _ticks(low, high, is_log=False))


def _ticks(low: float, high: float, *, is_log: bool) -> list[float]:
    """Return round values inside a range: 1, 2 or 5 times a power of ten."""
    if is_log:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        result = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        return [value for value in result if low <= value <= high]
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= 0.6 * rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(multiple * step, 12) for multiple in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Return a tick's value as text."""
    return f"{value:.10g}" if abs(value) < 1e6 else f"{value:.3g}"


def step_line(frontier: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of a frontier's step line: the best y that is reached up to each x."""
    corners: list[tuple[float, float]] = []
    for x, y in sorted(frontier):
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return corners


def to_text(chart: Chart, *, width: int = 80) -> str:
    """Return a chart drawn with characters: a mark for each point, a bar for its interval.

    Args:
        chart: the chart to draw.
        width: columns of the terminal.
    """
    x_axis, y_axis = chart.x_axis(), chart.y_axis()
    margin = max(len(tick_text(tick)) for tick in y_axis.ticks) + 1
    columns = width - margin - 3

    shifts = [round(2 * chart.offset(number)) for number in range(len(chart.series))]

    def column(x: float, shift: int = 0) -> int:
        return min(columns - 1, max(0, round(x_axis.share(x) * (columns - 1)) + shift))

    def row(y: float) -> int:
        return _NUM_LINES - 1 - round(y_axis.share(y) * (_NUM_LINES - 1))

    grid = [[" "] * columns for _ in range(_NUM_LINES)]
    if chart.reference is not None:
        grid[row(chart.reference[0])] = ["."] * columns
    corners = step_line(chart.frontier)
    for (x0, y0), (x1, _) in itertools.pairwise(corners):
        for index in range(column(x0), column(x1) + 1):
            grid[row(y0)][index] = "-"
    for shift, series in zip(shifts, chart.series, strict=True):
        for point in series.points:
            if point.low is not None and point.high is not None:
                for line in range(row(point.high), row(point.low) + 1):
                    grid[line][column(point.x, shift)] = "|"
    for shift, mark, series in zip(shifts, itertools.cycle(_MARKS), chart.series, strict=False):
        for point in series.points:
            grid[row(point.y)][column(point.x, shift)] = mark
    ticks = {row(tick): tick_text(tick) for tick in y_axis.ticks}
    lines = [
        f"{ticks.get(number, ''):>{margin}} |{''.join(cells)}".rstrip()
        for number, cells in enumerate(grid)
    ]
    below = [" "] * (columns + 1)
    for tick in x_axis.ticks:
        text = tick_text(tick)
        start = min(max(0, column(tick) - len(text) // 2), columns - len(text))
        is_free = not "".join(below[max(0, start - 1) : start + len(text) + 1]).strip()
        if is_free:
            below[start : start + len(text)] = text
    return "\n".join(
        [
            # The axis name's second part explains labels, which are not drawn here.
            cut(printable(f"{chart.title} ({chart.y_name.partition('; ')[0]})"), width),
            *lines,
            f"{'':>{margin}} +{'-' * columns}",
            f"{'':>{margin}}  {''.join(below)}".rstrip(),
            f"{'':>{margin}}  {chart.x_name:^{columns}}".rstrip(),
            *_legend(chart, width),
        ]
    )


def _legend(chart: Chart, width: int) -> list[str]:
    """Return the names of all series on one line, or on one line each if they do not fit."""
    texts = fitted([printable(series.name) for series in chart.series], width - 4)
    marks = itertools.cycle(_MARKS)
    names = [f"{mark} {text}" for mark, text in zip(marks, texts, strict=False) if text]
    others = ["--- Pareto set"] if len(chart.frontier) > 1 else []
    others += [] if chart.reference is None else [f"... {chart.reference[1]}"]
    lines = ["   ".join([*names, *others])]
    if wcwidth.width("   ".join(names)) + 2 > width:
        lines = [*names, "   ".join(others)]
    return [cut(f"  {line}", width) for line in lines if line]
