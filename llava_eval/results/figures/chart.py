"""What a chart shows, and its axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: A range of this ratio or more is drawn on a logarithmic axis.
_LOG_RATIO = 8.0


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement.

    Attributes:
        x, y: its place.
        low, high: interval of y; None for none.
        label: what stands beside it.
    """

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    label: str = ""


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
        ticks: where it is marked.
        is_log: distances are ratios.
    """

    low: float
    high: float
    ticks: Sequence[float]
    is_log: bool = False

    def share(self, value: float) -> float:
        """Return where a value lies: 0 at the low end, 1 at the high end."""
        low, high, at = (
            (math.log(one) if self.is_log else one) for one in (self.low, self.high, value)
        )
        return (at - low) / (high - low)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of one or more series.

    Attributes:
        title: what it shows.
        x_name, y_name: of the axes, with units.
        series: at most as many as there are colours (:data:`MAX_SERIES`).
        frontier: points (x, y) that no other beats in both; drawn as a step line.
        reference: a height to mark, for instance chance level; with its name.
    """

    title: str
    x_name: str
    y_name: str
    series: Sequence[Series]
    frontier: Sequence[tuple[float, float]] = ()
    reference: tuple[float, str] | None = None

    @property
    def points(self) -> list[Point]:
        """All points."""
        return [point for series in self.series for point in series.points]

    def x_axis(self) -> Axis:
        """Return an axis that holds all points; ticks stand at the values where they are few."""
        values = sorted({point.x for point in self.points})
        is_log = values[0] > 0 and values[-1] / values[0] >= _LOG_RATIO
        if is_log:
            room = (values[-1] / values[0]) ** 0.06
            low, high = values[0] / room, values[-1] * room
        else:
            room = 0.06 * (values[-1] - values[0]) or 0.5 * abs(values[0]) or 0.5
            low, high = values[0] - room, values[-1] + room
        few = len(values) <= 8 and all(float(value).is_integer() for value in values)
        ticks = values if few else _ticks(low, high, is_log=is_log)
        return Axis(low, high, ticks, is_log)

    def y_axis(self) -> Axis:
        """Return an axis that holds all points with their intervals."""
        heights = [
            height
            for point in self.points
            for height in (point.low, point.y, point.high)
            if height is not None
        ]
        if self.reference is not None:
            heights.append(self.reference[0])
        room = 0.05 * (max(heights) - min(heights)) or 1.0
        low, high = min(heights) - room, max(heights) + room
        low = max(low, 0.0) if min(heights) >= 0 else low
        return Axis(low, high, _ticks(low, high, is_log=False))


def _ticks(low: float, high: float, *, is_log: bool) -> list[float]:
    """Return round values inside a range: 1, 2 or 5 times a power of ten."""
    if is_log:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        found = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        return [value for value in found if low <= value <= high]
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= 0.6 * rough)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def tick_text(value: float) -> str:
    """Write a tick's value."""
    return f"{value:.10g}" if abs(value) < 1e6 else f"{value:.3g}"


def step_line(frontier: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of a frontier: the best height that can be had up to each x."""
    corners: list[tuple[float, float]] = []
    for x, y in sorted(frontier):
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return corners
