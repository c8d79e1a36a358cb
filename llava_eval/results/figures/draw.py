"""Where everything of a chart stands, drawn on whatever canvas is given.

Charts as SVG, for papers and for pages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Protocol

from llava_eval.results.figures.chart import Axis, Chart, Series, step_line, tick_text
from llava_eval.results.table import html_text

WIDTH, HEIGHT = 560, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 20, 74, 50
_FONT = 12.0
#: Width of an average character, as a share of the font size.
_CHARACTER = 0.56

#: Colours that people with any colour vision can tell apart (Okabe and Ito 2008).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
INK, MUTED, GRID = "#1f2328", "#59636e", "#d8dee4"

Place = tuple[float, float]
Anchor = Literal["start", "middle", "end"]
#: Markers differ in shape too, for prints without colour.
SHAPES = ("circle", "square", "triangle", "diamond")


class Canvas(Protocol):
    """Something to draw on; x grows to the right, y downwards, from the upper left corner.

    ``role`` names what is drawn, "series-2" for instance, so that a page can restyle it.
    """

    def line(
        self, places: Sequence[Place], *, role: str, colour: str, width: float, dashed: bool = False
    ) -> None:
        """Draw a line through several places."""

    def marker(self, place: Place, shape: str, *, role: str, colour: str, hint: str) -> None:
        """Draw a small filled shape; ``hint`` says what it stands for."""

    def text(
        self, place: Place, text: str, *, role: str, colour: str, size: float, anchor: Anchor
    ) -> None:
        """Write text whose base line begins, is centred or ends at a place.

        The role "label" asks for a rim in the colour of the background: it stands among lines.
        """


def series_style(number: int) -> tuple[str, str, str]:
    """Return role, colour and shape of a series."""
    return (
        f"series-{number % len(COLOURS)}",
        COLOURS[number % len(COLOURS)],
        SHAPES[number % len(SHAPES)],
    )


def draw(chart: Chart, canvas: Canvas) -> None:
    """Draw a chart of :data:`WIDTH` by :data:`HEIGHT` units."""
    x_axis, y_axis = chart.x_axis(), chart.y_axis()
    _Drawing(chart, canvas, x_axis, y_axis).draw()


class _Drawing:
    def __init__(self, chart: Chart, canvas: Canvas, x_axis: Axis, y_axis: Axis) -> None:
        self._chart, self._canvas = chart, canvas
        self._x_axis, self._y_axis = x_axis, y_axis

    def draw(self) -> None:
        self._frame()
        self._reference()
        self._frontier()
        for number, series in enumerate(self._chart.series):
            self._series(number, series)
        self._legend()

    def _x(self, value: float) -> float:
        return _LEFT + self._x_axis.share(value) * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - self._y_axis.share(value) * (HEIGHT - _TOP - _BOTTOM)

    def _write(
        self, place: Place, text: str, *, anchor: Anchor = "start", muted: bool = True, size: float
    ) -> None:
        role, colour = ("muted", MUTED) if muted else ("ink", INK)
        self._canvas.text(place, text, role=role, colour=colour, size=size, anchor=anchor)

    def _frame(self) -> None:
        chart, right, bottom = self._chart, WIDTH - _RIGHT, HEIGHT - _BOTTOM
        self._write((12, 22), chart.title, muted=False, size=15)
        self._write((12, _TOP - 12), chart.y_name, size=_FONT)
        self._write(((_LEFT + right) / 2, HEIGHT - 12), chart.x_name, anchor="middle", size=_FONT)
        for tick in self._y_axis.ticks:
            y = self._y(tick)
            self._canvas.line([(_LEFT, y), (right, y)], role="grid", colour=GRID, width=1)
            self._write((_LEFT - 8, y + 4), tick_text(tick), anchor="end", size=_FONT)
        for tick in self._x_axis.ticks:
            x = self._x(tick)
            self._canvas.line([(x, bottom), (x, bottom + 5)], role="axis", colour=MUTED, width=1)
            self._write((x, bottom + 19), tick_text(tick), anchor="middle", size=_FONT)
        self._canvas.line([(_LEFT, bottom), (right, bottom)], role="axis", colour=MUTED, width=1)

    def _reference(self) -> None:
        if self._chart.reference is None:
            return
        height, name = self._chart.reference
        y, right = self._y(height), WIDTH - _RIGHT
        self._canvas.line(
            [(_LEFT, y), (right, y)], role="muted", colour=MUTED, width=1, dashed=True
        )
        self._write((right, y - 5), name, anchor="end", size=11)

    def _frontier(self) -> None:
        if len(self._chart.frontier) > 1:
            corners = [(self._x(x), self._y(y)) for x, y in step_line(self._chart.frontier)]
            self._canvas.line(corners, role="muted", colour=MUTED, width=1.5, dashed=True)

    def _series(self, number: int, series: Series) -> None:
        role, colour, shape = series_style(number)
        # Series at the same x stand beside each other, so that their intervals can be seen.
        spread = 0.0 if self._chart.frontier else 5.0
        shift = spread * (number - (len(self._chart.series) - 1) / 2)
        places = [(self._x(point.x) + shift, self._y(point.y)) for point in series.points]
        self._canvas.line(places, role=role, colour=colour, width=2)
        for point, (x, y) in zip(series.points, places, strict=True):
            if point.low is not None and point.high is not None:
                low, high = self._y(point.low), self._y(point.high)
                self._canvas.line([(x, low), (x, high)], role=role, colour=colour, width=1.25)
                for end in (low, high):
                    cap = [(x - 3, end), (x + 3, end)]
                    self._canvas.line(cap, role=role, colour=colour, width=1.25)
            hint = f"{series.name} {point.label}: {point.y:.1f}".replace(" :", ":")
            self._canvas.marker((x, y), shape, role=role, colour=colour, hint=hint)
        for point, (x, y) in zip(series.points, places, strict=True):
            if point.label:
                self._canvas.text(
                    (x + 7, y - 6), point.label, role="label", colour=INK, size=10.5, anchor="start"
                )

    def _legend(self) -> None:
        x = 12.0
        for number, series in enumerate(self._chart.series):
            role, colour, shape = series_style(number)
            if not series.name:
                continue
            self._canvas.line([(x, 40), (x + 18, 40)], role=role, colour=colour, width=2)
            self._canvas.marker((x + 9, 40), shape, role=role, colour=colour, hint=series.name)
            self._write((x + 24, 44), series.name, muted=False, size=_FONT)
            x += 24 + _CHARACTER * _FONT * len(series.name) + 20
        if len(self._chart.frontier) > 1:
            self._canvas.line(
                [(x, 40), (x + 18, 40)], role="muted", colour=MUTED, width=1.5, dashed=True
            )
            self._write((x + 24, 44), "Pareto set", muted=False, size=_FONT)


_SVG_FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


def to_svg(chart: Chart, *, name: str = "chart", background: str | None = "#ffffff") -> str:
    """Return an SVG element.

    Args:
        chart: what to draw.
        name: unique within a page.
        background: colour behind the chart; None leaves it to the page, whose style sheet can also
            restyle every part by its class ("series-0", "ink", "muted", "grid", "axis").
    """
    canvas = _SvgCanvas()
    draw(chart, canvas)
    behind = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{background}"/>' if background else ""
    title = html_text(chart.title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" role="img" aria-labelledby="{name}-title" class="chart" '
        f'font-family="{_SVG_FONT}"><title id="{name}-title">{title}</title>{behind}\n'
        + "\n".join(canvas.elements)
        + "\n</svg>\n"
    )


class _SvgCanvas:
    """Collects SVG elements."""

    def __init__(self) -> None:
        self.elements: list[str] = []

    def line(
        self, places: Sequence[Place], *, role: str, colour: str, width: float, dashed: bool = False
    ) -> None:
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in places)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.elements.append(
            f'<polyline class="{role}" points="{points}" fill="none" stroke="{colour}" '
            f'stroke-width="{width:g}" stroke-linejoin="round" stroke-linecap="round"{dash}/>'
        )

    def marker(self, place: Place, shape: str, *, role: str, colour: str, hint: str) -> None:
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in outline(place, shape))
        self.elements.append(
            f'<polygon class="{role} mark" points="{points}" fill="{colour}">'
            f"<title>{html_text(hint)}</title></polygon>"
        )

    def text(
        self, place: Place, text: str, *, role: str, colour: str, size: float, anchor: Anchor
    ) -> None:
        x, y = place
        rim = ' stroke="#ffffff" stroke-width="3" paint-order="stroke"' if role == "label" else ""
        self.elements.append(
            f'<text class="{role}" x="{x:.2f}" y="{y:.2f}" font-size="{size:g}" '
            f'text-anchor="{anchor}" fill="{colour}"{rim}>{html_text(text)}</text>'
        )


def outline(place: Place, shape: str) -> list[Place]:
    """Return the corners of a marker; a circle has many."""
    sides, turn, radius = {
        "circle": (24, 0.0, 4.0),
        "square": (4, 45.0, 5.0),
        "triangle": (3, 30.0, 5.2),
        "diamond": (4, 0.0, 5.2),
    }[shape]
    angles = [math.radians(turn + 360 * side / sides) for side in range(sides)]
    x, y = place
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]
