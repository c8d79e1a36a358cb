"""Charts as PNG."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from llava_eval.results.figures.chart import Chart
from llava_eval.results.figures.draw import HEIGHT, WIDTH, Anchor, Place, draw, outline

#: Everything is drawn this much larger and scaled down, which smooths the edges.
_SMOOTHING = 3
_DASH, _GAP = 5.0, 4.0


def to_png(chart: Chart, *, scale: int = 2) -> bytes:
    """Return a PNG file.

    Args:
        chart: what to draw.
        scale: pixels per unit of the layout; 2 gives 1120 x 760 pixels.
    """
    canvas = _PngCanvas(scale * _SMOOTHING)
    draw(chart, canvas)
    image = canvas.image.resize((WIDTH * scale, HEIGHT * scale), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


class _PngCanvas:
    """Draws into an image."""

    def __init__(self, factor: int) -> None:
        self._factor = factor
        self.image = Image.new("RGB", (WIDTH * factor, HEIGHT * factor), "white")
        self._pen = ImageDraw.Draw(self.image)

    def _scaled(self, places: Sequence[Place]) -> list[Place]:
        return [(x * self._factor, y * self._factor) for x, y in places]

    def line(
        self, places: Sequence[Place], *, role: str, colour: str, width: float, dashed: bool = False
    ) -> None:
        pieces = _dashes(places) if dashed else [list(places)]
        for piece in pieces:
            self._pen.line(
                self._scaled(piece), fill=colour, width=round(width * self._factor), joint="curve"
            )

    def marker(self, place: Place, shape: str, *, role: str, colour: str, hint: str) -> None:
        self._pen.polygon(self._scaled(outline(place, shape)), fill=colour)

    def text(
        self, place: Place, text: str, *, role: str, colour: str, size: float, anchor: Anchor
    ) -> None:
        font = ImageFont.load_default(size * self._factor)
        side = {"start": "l", "middle": "m", "end": "r"}[anchor]
        (corner,) = self._scaled([place])
        rim = round(1.5 * self._factor) if role == "label" else 0
        self._pen.text(
            corner,
            text,
            fill=colour,
            font=font,
            anchor=f"{side}s",
            stroke_width=rim,
            stroke_fill="white",
        )


def _dashes(places: Sequence[Place]) -> list[list[Place]]:
    """Cut a line into dashes."""
    pieces = []
    for (x0, y0), (x1, y1) in itertools.pairwise(places):
        length = math.hypot(x1 - x0, y1 - y0)
        at = 0.0
        while at < length:
            ends = (at / length, min(1.0, (at + _DASH) / length))
            pieces.append([(x0 + (x1 - x0) * share, y0 + (y1 - y0) * share) for share in ends])
            at += _DASH + _GAP
    return pieces
