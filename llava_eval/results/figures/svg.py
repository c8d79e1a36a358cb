"""Charts as SVG, for papers and for pages."""

from __future__ import annotations

import math
from collections.abc import Sequence

from llava_eval.results.figures.chart import Chart
from llava_eval.results.figures.layout import HEIGHT, WIDTH, Anchor, Place, draw
from llava_eval.results.table import html_text

_FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


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
        f'font-family="{_FONT}"><title id="{name}-title">{title}</title>{behind}\n'
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
