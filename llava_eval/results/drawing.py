"""Charts as SVG for reports and papers, and as PDF and PNG."""

from __future__ import annotations

import io
import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import wcwidth

from llava_eval.results.chart import Chart, Series, step_line, tick_text
from llava_eval.results.formatting import cut, fitted, html_text, printable
from llava_eval.results.formatting import number as number_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

WIDTH, HEIGHT = 560, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 20, 74, 50
_FONT = 12.0
#: Horizontal shift between series at the same x.
_STEP = 5.0
#: Width of an average character, as a share of the font size.
_CHARACTER = 0.56

#: Colours that people with any colour vision can tell apart (Okabe and Ito 2008).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
INK, MUTED, GRID = "#1f2328", "#59636e", "#d8dee4"
_COLOUR_OF = {
    **dict.fromkeys(("ink", "label", "pareto"), INK),
    **dict.fromkeys(("muted", "axis"), MUTED),
    "grid": GRID,
    **{f"series-{number}": colour for number, colour in enumerate(COLOURS)},
}

#: A position on the drawing; the origin is the upper left corner, and y grows downwards.
Position = tuple[float, float]
Anchor = Literal["start", "middle", "end"]
#: Shapes of markers, for prints without colour, with their names in matplotlib.
SHAPES = {"circle": "o", "square": "s", "triangle": "^", "diamond": "D"}


def series_style(number: int) -> tuple[str, str, str]:
    """Return a series' role (a class in the page's style sheet), colour and marker shape."""
    return (
        f"series-{number % len(COLOURS)}",
        COLOURS[number % len(COLOURS)],
        list(SHAPES)[number % len(SHAPES)],
    )


_SVG_FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


def to_svg(chart: Chart, *, name: str = "chart", background: str | None = "#ffffff") -> str:
    """Return a chart as an SVG element.

    Args:
        chart: the chart to draw.
        name: prefix of the element's ids, unique within a page.
        background: colour behind the chart; None leaves it to the page, whose style sheet can also
            restyle every part by its class ("series-0", "ink", "muted", "grid", "axis").
    """
    drawing = _SvgDrawing(chart)
    height = drawing.height
    behind = f'<rect width="{WIDTH}" height="{height}" fill="{background}"/>' if background else ""
    title = html_text(chart.title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="{name}-title" class="chart" '
        f'font-family="{_SVG_FONT}"><title id="{name}-title">{title}</title>{behind}\n'
        + "\n".join(drawing.elements)
        + "\n</svg>\n"
    )


#: Left, upper, right and lower end of a drawn element.
Box = tuple[float, float, float, float]


class _SvgDrawing:
    """The elements of a chart, :data:`WIDTH` units wide.

    The class of each is its role, for instance "series-2", so that a page can restyle it.

    Attributes:
        elements: SVG elements in drawing order.
        height: :data:`HEIGHT`, or more if the names of series take several lines.
    """

    def __init__(self, chart: Chart) -> None:
        self.elements: list[str] = []
        self._chart = chart
        self._x_axis, self._y_axis = chart.x_axis(), chart.y_axis()
        self._top = _TOP + self._draw_legend()
        legend, self.elements = self.elements, []
        self.height = HEIGHT + self._top - _TOP
        self._draw_frame()
        self._draw_reference()
        self._draw_frontier()
        positions = [self._positions(number) for number in range(len(chart.series))]
        for number, series in enumerate(chart.series):
            self._draw_series(number, series, positions[number])
        self._draw_labels(positions)
        self.elements += legend

    def _x(self, value: float) -> float:
        return _LEFT + self._x_axis.share(value) * (WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return self.height - _BOTTOM - self._y_axis.share(value) * (HEIGHT - _TOP - _BOTTOM)

    def _draw_frame(self) -> None:
        chart, right, bottom = self._chart, WIDTH - _RIGHT, self.height - _BOTTOM
        title = cut(printable(chart.title), int((WIDTH - 24) / (_CHARACTER * 15)))
        self._text((12, 22), title, role="ink", size=15)
        self._text((12, self._top - 12), chart.y_name, size=_FONT)
        middle = ((_LEFT + right) / 2, self.height - 12)
        self._text(middle, chart.x_name, anchor="middle", size=_FONT)
        for tick in self._y_axis.ticks:
            y = self._y(tick)
            self._line([(_LEFT, y), (right, y)], role="grid")
            self._text((_LEFT - 8, y + 4), tick_text(tick), anchor="end", size=_FONT)
        free = 0.0
        for tick in self._x_axis.ticks:
            x, half = self._x(tick), _text_width(tick_text(tick), _FONT) / 2
            self._line([(x, bottom), (x, bottom + 5)], role="axis")
            if x - half > free:
                self._text((x, bottom + 19), tick_text(tick), anchor="middle", size=_FONT)
                free = x + half + 4
        self._line([(_LEFT, bottom), (right, bottom)], role="axis")

    def _draw_reference(self) -> None:
        if self._chart.reference is None:
            return
        height, name = self._chart.reference
        y, right = self._y(height), WIDTH - _RIGHT
        self._line([(_LEFT, y), (right, y)], role="muted", dashed=True)
        self._text((right, y - 5), name, anchor="end", size=11)

    def _draw_frontier(self) -> None:
        if len(self._chart.frontier) > 1:
            corners = [(self._x(x), self._y(y)) for x, y in step_line(self._chart.frontier)]
            self._line(corners, role="pareto", width=1.5, dashed=True)

    def _positions(self, number: int) -> list[Position]:
        shift = _STEP * self._chart.offset(number)
        points = self._chart.series[number].points
        return [(self._x(point.x) + shift, self._y(point.y)) for point in points]

    def _draw_series(self, number: int, series: Series, positions: Sequence[Position]) -> None:
        role, _, shape = series_style(number)
        pairs = zip(series.points, positions, strict=True)
        line = [position for point, position in pairs if point.on_line]
        self._line(line, role=role, width=2)
        for point, (x, y) in zip(series.points, positions, strict=True):
            if point.low is not None and point.high is not None:
                low, high = self._y(point.low), self._y(point.high)
                self._line([(x, low), (x, high)], role=role, width=1.25)
                for end in (low, high):
                    self._line([(x - 3, end), (x + 3, end)], role=role, width=1.25)
            value = number_text(point.y, self._chart.unit)
            hint = f"{series.name} {point.label}: {value}".replace(" :", ":")
            self._marker((x, y), shape, role=role, hint=hint)
            if len(self._chart.frontier) > 1 and (point.x, point.y) in self._chart.frontier:
                self.elements.append(
                    f'<circle class="pareto" cx="{x:.2f}" cy="{y:.2f}" r="7.5" fill="none" '
                    f'stroke="{INK}" stroke-width="1.5"/>'
                )

    def _draw_labels(self, positions: Sequence[Sequence[Position]]) -> None:
        """Write labels at free positions next to their points, those of the Pareto set first.

        A label without a free position is left out; the tooltip of its point has it too.
        """
        taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for series in positions for x, y in series]
        labelled = [
            (point, position)
            for series, of_series in zip(self._chart.series, positions, strict=True)
            for point, position in zip(series.points, of_series, strict=True)
            if point.label
        ]
        labelled.sort(key=lambda item: (item[0].x, item[0].y) not in self._chart.frontier)
        for point, position in labelled:
            width = _text_width(point.label, 10.5)
            for left, base in _sides(position, width):
                box = (left, base - 9, left + width, base + 1)
                if box[2] < WIDTH and not any(_overlap(box, other) for other in taken):
                    taken.append(box)
                    self._text((left, base), point.label, role="label", size=10.5)
                    break

    def _draw_legend(self) -> float:
        """Draw the legend, and return the height of its lines beyond the first."""
        x, y = 12.0, 40.0
        named = [(number, series.name) for number, series in enumerate(self._chart.series)]
        pareto = [(-1, "Pareto set")] if len(self._chart.frontier) > 1 else []
        columns = int((WIDTH - 48) / (_CHARACTER * _FONT))
        texts = fitted([printable(name) for _, name in [*named, *pareto]], columns)
        for (number, name), shown in zip([*named, *pareto], texts, strict=True):
            if not name:
                continue
            width = 24 + _text_width(shown, _FONT)
            if x > 12 and x + width > WIDTH - 12:
                x, y = 12.0, y + 18
            role, _, shape = series_style(number) if number >= 0 else ("pareto", "", "")
            self._line([(x, y), (x + 18, y)], role=role, width=2, dashed=number < 0)
            if number >= 0:
                self._marker((x + 9, y), shape, role=role, hint=name)
            self._text((x + 24, y + 4), shown, role="ink", size=_FONT)
            x += width + 20
        return y - 40

    def _line(
        self, positions: Sequence[Position], *, role: str, width: float = 1, dashed: bool = False
    ) -> None:
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in positions)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.elements.append(
            f'<polyline class="{role}" points="{points}" fill="none" stroke="{_COLOUR_OF[role]}" '
            f'stroke-width="{width:g}" stroke-linejoin="round" stroke-linecap="round"{dash}/>'
        )

    def _marker(self, position: Position, shape: str, *, role: str, hint: str) -> None:
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in _outline(position, shape))
        self.elements.append(
            f'<polygon class="{role} mark" points="{points}" fill="{_COLOUR_OF[role]}">'
            f"<title>{html_text(hint)}</title></polygon>"
        )

    def _text(
        self,
        position: Position,
        text: str,
        *,
        size: float,
        anchor: Anchor = "start",
        role: str = "muted",
    ) -> None:
        x, y = position
        rim = ' stroke="#ffffff" stroke-width="3" paint-order="stroke"' if role == "label" else ""
        self.elements.append(
            f'<text class="{role}" x="{x:.2f}" y="{y:.2f}" font-size="{size:g}" '
            f'text-anchor="{anchor}" fill="{_COLOUR_OF[role]}"{rim}>{html_text(text)}</text>'
        )


def _text_width(text: str, size: float) -> float:
    return _CHARACTER * size * wcwidth.width(text)


def _sides(position: Position, width: float) -> Iterator[Position]:
    """Yield possible positions of the label of a point, the best side first."""
    x, y = position
    yield from ((x + 8, y - 6), (x + 8, y + 14), (x - 8 - width, y - 6), (x - 8 - width, y + 14))
    yield from ((x - width / 2, y - 10), (x - width / 2, y + 19))


def _overlap(box: Box, other: Box) -> bool:
    return box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]


def _outline(position: Position, shape: str) -> list[Position]:
    """Return the corners of a marker; a circle has 24."""
    sides, turn, radius = {
        "circle": (24, 0.0, 4.0),
        "square": (4, 45.0, 5.0),
        "triangle": (3, 30.0, 5.2),
        "diamond": (4, 0.0, 5.2),
    }[shape]
    angles = [math.radians(turn + 360 * side / sides) for side in range(sides)]
    x, y = position
    return [(x + radius * math.cos(angle), y + radius * math.sin(angle)) for angle in angles]


ImageForm = Literal["pdf", "png"]
#: Most characters of a title's line, of a legend's line, and of names in a legend within the axes.
_TITLE_CHARACTERS, _LEGEND_CHARACTERS, _INSIDE_CHARACTERS = 52, 80, 40
#: Metadata about time and software, left out so that equal charts are equal bytes.
_UNSAID = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
}


def to_image(chart: Chart, form: ImageForm) -> bytes:
    """Return a chart as a PNG file of 1120 x 760 pixels, or as a PDF, drawn by matplotlib.

    Long names of series are written below the axes, which makes the picture higher.

    Args:
        chart: the chart to draw.
        form: the file format.

    Raises:
        ImportError: matplotlib is not installed (llava-eval[plots]).
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.transforms import ScaledTranslation

    stream = io.BytesIO()
    # A dollar sign in a name starts no formula; a glyph missing in the font is only a box.
    with (
        matplotlib.rc_context({"text.parse_math": False, "pdf.fonttype": 42}),
        warnings.catch_warnings(action="ignore"),
    ):
        figure = Figure((WIDTH / 100, HEIGHT / 100), dpi=200, layout="constrained")
        axes = figure.add_subplot()
        _set_axes(axes, chart)
        if chart.reference is not None:
            height, name = chart.reference
            axes.axhline(height, color=MUTED, linestyle="--", linewidth=1, label=printable(name))
        if len(chart.frontier) > 1:
            xs, ys = zip(*step_line(chart.frontier), strict=True)
            axes.plot(xs, ys, color=MUTED, linestyle="--", linewidth=1.5, label="Pareto set")
        for number, series in enumerate(chart.series):
            inches = _STEP * chart.offset(number) / 100
            position = axes.transData + ScaledTranslation(inches, 0, figure.dpi_scale_trans)
            _plot_series(axes, number, series, position)
        handles, labels = axes.get_legend_handles_labels()
        if any(len(label) > _INSIDE_CHARACTERS for label in labels):
            num_lines = sum(label.count("\n") + 1 for label in labels)
            figure.set_figheight(figure.get_figheight() + 0.16 * num_lines)
            figure.legend(handles, labels, loc="outside lower left", frameon=False, fontsize=8)
        elif handles:
            axes.legend(frameon=False)
        figure.savefig(stream, format=form, metadata=_UNSAID[form])
    return stream.getvalue()


def _set_axes(axes: Axes, chart: Chart) -> None:
    x_axis, y_axis = chart.x_axis(), chart.y_axis()
    axes.set_title(textwrap.fill(printable(chart.title), _TITLE_CHARACTERS), loc="left")
    axes.set(xlabel=printable(chart.x_name), ylabel=printable(chart.y_name))
    axes.set(xscale="log" if x_axis.is_log else "linear")
    axes.set(xlim=(x_axis.low, x_axis.high), ylim=(y_axis.low, y_axis.high))
    axes.set_xticks(x_axis.ticks, [tick_text(tick) for tick in x_axis.ticks])
    axes.set_xticks([], minor=True)
    axes.set_yticks(y_axis.ticks, [tick_text(tick) for tick in y_axis.ticks])
    axes.grid(axis="y", color=GRID)


def _plot_series(axes: Axes, number: int, series: Series, position: Transform) -> None:
    _, colour, shape = series_style(number)
    axes.errorbar(
        [point.x for point in series.points],
        [point.y for point in series.points],
        [
            [_distance(point.low, point.y) for point in series.points],
            [_distance(point.high, point.y) for point in series.points],
        ],
        color=colour,
        marker=SHAPES[shape],
        capsize=3,
        linestyle="none",
        transform=position,
        label=textwrap.fill(printable(series.name), _LEGEND_CHARACTERS),
    )
    line = [(point.x, point.y) for point in series.points if point.on_line]
    axes.plot(*zip(*line, strict=True), color=colour, transform=position)
    for point in series.points:
        at = (point.x, point.y)
        axes.annotate(point.label, at, xytext=(5, 4), textcoords="offset points", fontsize=8)


def _distance(end: float | None, value: float) -> float:
    return math.nan if end is None else abs(end - value)
