"""Charts: what is drawn where, in each of the three forms."""

from __future__ import annotations

import dataclasses
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from llava_eval.results.chart import Chart, Point, Series, step_line, tick_text, to_text
from llava_eval.results.drawing import COLOURS, to_image, to_svg

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def chart() -> Chart:
    return Chart(
        "Score <against> frames",
        "frames",
        "accuracy (percent)",
        [
            Series(
                "none", [Point(2, 40, 35, 45), Point(8, 60, 55, 65), Point(32, 80, 75, 85, "x")]
            ),
            Series("int8 & co", [Point(2, 38, 33, 43), Point(32, 70)]),
        ],
        frontier=[(2, 40), (32, 80)],
        reference=(25.0, "chance"),
    )


def test_axes_hold_everything_and_have_round_ticks(chart: Chart) -> None:
    x_axis, y_axis = chart.x_axis(), chart.y_axis()
    assert x_axis.is_log
    assert list(x_axis.ticks) == [2, 8, 32]
    assert y_axis.low <= 25 < 85 <= y_axis.high
    assert list(y_axis.ticks) == [30, 40, 50, 60, 70, 80]
    assert x_axis.share(8) == pytest.approx(0.5, abs=0.01)
    assert 0 < x_axis.share(2) < x_axis.share(32) < 1


def test_odd_ranges_have_axes() -> None:
    one = Chart("t", "x", "y", [Series("", [Point(3, 5)])])
    assert one.x_axis().low < 3 < one.x_axis().high
    assert one.y_axis().low < 5 < one.y_axis().high
    seconds = Chart("t", "x", "y", [Series("", [Point(0.013, 1), Point(0.9, 2), Point(0.4, 3)])])
    ticks = [tick_text(tick) for tick in seconds.x_axis().ticks]
    assert ticks == ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]
    below_zero = Chart("t", "x", "y", [Series("", [Point(1, -4), Point(2, 4)])])
    assert below_zero.y_axis().low < -4


def test_a_frontier_is_a_step_line() -> None:
    assert step_line([(4, 30), (1, 10), (2, 20)]) == [(1, 10), (2, 10), (2, 20), (4, 20), (4, 30)]


def test_svg_is_well_formed_labelled_and_escaped(chart: Chart) -> None:
    root = ElementTree.fromstring(to_svg(chart, name="first"))
    assert root.attrib["role"] == "img"
    title = root.find(f"{SVG}title")
    assert title is not None
    assert title.text == "Score <against> frames"
    assert root.attrib["aria-labelledby"] == title.attrib["id"] == "first-title"
    texts = [element.text for element in root.iter(f"{SVG}text")]
    for text in ("frames", "accuracy (percent)", "none", "int8 & co", "chance", "Pareto set", "32"):
        assert text in texts
    markers = [one for one in root.iter(f"{SVG}polygon") if "mark" in one.attrib["class"]]
    assert len(markers) == 5 + 2  # points, and the legend
    hints = [element.text for element in root.iter(f"{SVG}title")]
    assert "none x: 80.0" in hints
    assert "none: 60.0" in hints
    fractions = Chart("t", "x", "y", [Series("s", [Point(1, 0.956), Point(2, 0.9)])], unit="0-1")
    assert "s: 0.956" in to_svg(fractions)


def test_points_stand_where_their_values_are(chart: Chart) -> None:
    root = ElementTree.fromstring(to_svg(chart))
    lines = [one for one in root.iter(f"{SVG}polyline") if one.attrib["class"] == "series-0"]
    corners = [tuple(map(float, pair.split(","))) for pair in lines[0].attrib["points"].split()]
    heights = [y for _, y in corners]
    assert heights == sorted(heights, reverse=True)
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.02)


def test_labels_do_not_stand_on_each_other() -> None:
    points = [Point(10 + x / 100, 50 + y / 10, label=f"{x}{y}") for x in range(6) for y in range(6)]
    crowd = Chart("t", "x", "y", [Series("s", points), Series("far", [Point(90, 90, label="far")])])
    root = ElementTree.fromstring(to_svg(crowd))
    labels = [one for one in root.iter(f"{SVG}text") if one.attrib["class"] == "label"]
    assert 2 <= len(labels) < 37
    assert any(one.text == "far" for one in labels)
    places = [(float(one.attrib["x"]), float(one.attrib["y"])) for one in labels]
    for number, (x, y) in enumerate(places):
        for other_x, other_y in places[:number]:
            assert abs(x - other_x) >= 10 or abs(y - other_y) >= 10


def test_long_names_take_lines_of_their_own(chart: Chart) -> None:
    long = dataclasses.replace(
        chart, series=[Series("n" * 200, [Point(2, 40)]), Series("界" * 40, [Point(3, 50)])]
    )
    root = ElementTree.fromstring(to_svg(long))
    assert float(root.attrib["height"]) > float(
        ElementTree.fromstring(to_svg(chart)).attrib["height"]
    )
    names = [one.text or "" for one in root.iter(f"{SVG}text")]
    assert max(map(len, names)) < 80


@pytest.mark.slow
def test_png_is_drawn_in_the_series_colours(chart: Chart) -> None:
    image = Image.open(io.BytesIO(to_image(chart, "png")))
    assert (image.format, image.size) == ("PNG", (1120, 760))
    pixels = np.asarray(image.convert("RGB"), np.int64).reshape(-1, 3)
    for colour in COLOURS[:2]:
        wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
        assert np.abs(pixels - wanted).sum(axis=1).min() < 12
    assert to_image(chart, "png") == to_image(chart, "png")
    others = [dataclasses.replace(series, name="other") for series in chart.series]
    assert to_image(chart, "png") != to_image(dataclasses.replace(chart, series=others), "png"), (
        "its series are named"
    )


@pytest.mark.slow
def test_equal_series_stand_beside_each_other_in_png(chart: Chart) -> None:
    """Ten pixels at 200 dpi: what an SVG of 5.6 inches has as 5 of its 560 units."""
    equal = [Series(name, chart.series[0].points) for name in ("one", "two")]
    drawn = to_image(dataclasses.replace(chart, series=equal, frontier=[]), "png")
    pixels = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"), np.int64)
    last = []
    for colour in COLOURS[:2]:
        wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
        columns = (np.abs(pixels - wanted).sum(axis=2) < 12).sum(axis=0)
        last.append(int(np.flatnonzero(columns > 50).max()))  # of the interval, not of the line
    assert last[1] - last[0] == pytest.approx(10, abs=1)


@pytest.mark.slow
def test_pdf_is_the_same_each_time(chart: Chart) -> None:
    assert to_image(chart, "pdf").startswith(b"%PDF-")
    assert to_image(chart, "pdf") == to_image(chart, "pdf")


def test_the_chart_of_characters_fits_its_width(chart: Chart) -> None:
    lines = to_text(chart, width=60).splitlines()
    assert max(map(len, lines)) <= 60
    text = "\n".join(lines)
    assert "o none   x int8 & co   --- Pareto set   ... chance" in text
    assert sum(line.count("o") for line in lines[1:15]) == 3
    assert text.count("x") >= 2
    assert " 32" in lines[-3]


def small(**changes: object) -> Chart:
    points = [Point(0, 0, 0, 20, "zero"), Point(5, 50, on_line=False), Point(10, 100, 80, 100)]
    series = [Series("one", points), Series("two", [Point(0, 50), Point(10, 50)])]
    chart = Chart("T", "x", "y", series, [(0, 0), (10, 100)], (25.0, "chance"))
    return dataclasses.replace(chart, **changes)  # type: ignore[arg-type]


def test_characters_stand_where_values_are() -> None:
    """Fourteen lines for 0 to 105, 33 columns for -0.6 to 10.6: the margins are 5 and 6 percent."""
    assert to_text(small(), width=40).splitlines() == [
        "T (y)",
        "     |",
        " 100 |                              o",
        "     |                              |",
        "  80 |                              |",
        "     |",
        "     |",
        "  60 |",
        "     |  x             o             x",
        "  40 |",
        "     |",
        "     |.................................",
        "  20 |  |",
        "     |  |",
        "   0 |  o----------------------------",
        "     +---------------------------------",
        "        0             5            10",
        "                      x",
        "  o one   x two   --- Pareto set   ... …",
    ]
    plain = to_text(small(frontier=(), reference=None), width=40).splitlines()
    assert plain[2] == " 100 |                             o", "series stand beside each other"
    assert plain[-1] == "  o one   x two"
    assert "." not in "".join(plain)
    points = [Point(0, 1), Point(1, 2)]
    assert to_text(small(y_name="y (%); beside points: z")).startswith("T (y (%))\n")
    many = [Series(f"{4 * n} frames, quantization {n}", points) for n in (1, 2)]
    assert to_text(small(series=many), width=40).splitlines()[-3:] == [
        "  o 4 frames, quantization 1",
        "  x 8 frames, quantization 2",
        "  --- Pareto set   ... chance",
    ]
    nameless = Chart("T", "x", "y", [Series("", [Point(1, 1), Point(2, 2)])])
    assert to_text(nameless, width=40).splitlines()[-1].strip() == "x"


class Digitised:
    """A drawing read back: what its marks say by its own ticks."""

    def __init__(self, chart: Chart, **settings: object) -> None:
        self.root = ElementTree.fromstring(to_svg(chart, **settings))  # type: ignore[arg-type]
        ticks = [t for t in self.root.iter(f"{SVG}text") if t.attrib["font-size"] == "12"]
        self._y = self._scale([t for t in ticks if t.attrib["text-anchor"] == "end"], "grid", 1)
        middle = [t for t in ticks if t.attrib["text-anchor"] == "middle"]
        self._x = self._scale(middle[1:], "axis", 0)

    def _scale(self, texts: list[ElementTree.Element], role: str, at: int) -> tuple[float, float]:
        """Return pixels at zero and a unit, from the first and last tick of an axis."""
        pixels = [corners[0][at] for corners in self.lines(role)][: len(texts)]
        values = [float(text.text or "") for text in texts]
        unit = (pixels[-1] - pixels[0]) / (values[-1] - values[0])
        return pixels[0] - values[0] * unit, unit

    def lines(self, role: str) -> list[list[tuple[float, float]]]:
        return [
            [(float(x), float(y)) for x, y in (p.split(",") for p in line.attrib["points"].split())]
            for line in self.root.iter(f"{SVG}polyline")
            if line.attrib["class"] == role
        ]

    def value(self, x: float, y: float) -> tuple[float, float]:
        """Return the data that a position on the drawing stands for."""
        (x0, x_unit), (y0, y_unit) = self._x, self._y
        return round((x - x0) / x_unit, 2) + 0.0, round((y - y0) / y_unit, 1) + 0.0

    def marks(self, role: str) -> list[tuple[float, float]]:
        """Return the centres of a series' marks, its mark in the legend last."""
        centres = []
        for mark in self.root.iter(f"{SVG}polygon"):
            if mark.attrib["class"] == f"{role} mark":
                corners = [tuple(map(float, c.split(","))) for c in mark.attrib["points"].split()]
                xs, ys = zip(*corners, strict=True)
                centres.append(((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2))
        return centres


def test_a_drawing_read_back_gives_its_data() -> None:
    read = Digitised(small())
    assert [read.value(*mark) for mark in read.marks("series-0")[:-1]] == [
        (0, 0), (5, 50), (10, 100),
    ]  # fmt: skip
    assert [read.value(*mark) for mark in read.marks("series-1")[:-1]] == [(0, 50), (10, 50)]
    line, *whiskers, _ = read.lines("series-0")
    assert [read.value(*corner) for corner in line] == [(0, 0), (10, 100)], "5 is not on the line"
    ends = [[read.value(*corner) for corner in whisker] for whisker in whiskers]
    assert [ends[0], ends[3]] == [[(0, 0), (0, 20)], [(10, 80), (10, 100)]]
    for cap, height in zip((whiskers[1], whiskers[2], whiskers[4]), (0, 20, 80), strict=True):
        assert cap[1][0] - cap[0][0] == pytest.approx(6)
        assert [read.value(*corner)[1] for corner in cap] == [height, height]
    frontier, legend = read.lines("pareto")
    assert [read.value(*corner) for corner in frontier] == [(0, 0), (10, 0), (10, 100)]
    assert legend[1][0] - legend[0][0] == 18
    circles = [
        (float(c.attrib["cx"]), float(c.attrib["cy"])) for c in read.root.iter(f"{SVG}circle")
    ]
    assert [read.value(*circle) for circle in circles] == [(0, 0), (10, 100)]
    (reference,) = read.lines("muted")
    assert [read.value(*corner)[1] for corner in reference] == [25, 25]
    lefts = {t.text: t.attrib["x"] for t in read.root.iter(f"{SVG}text")}
    assert lefts["T"] == lefts["y"] == f"{read.lines('series-0')[-1][0][0]:.2f}", "and the legend"
    labels = [t for t in read.root.iter(f"{SVG}text") if t.attrib["class"] == "label"]
    assert [label.text for label in labels] == ["zero"]
    x, y = float(labels[0].attrib["x"]), float(labels[0].attrib["y"])
    assert 6 < x - read.marks("series-0")[0][0] < 12, "beside its point, on the right"
    assert abs(y - read.marks("series-0")[0][1]) < 15


def test_series_at_the_same_x_stand_beside_each_other() -> None:
    read = Digitised(small(frontier=(), reference=None))
    (first, *_), (second, *_) = read.marks("series-0"), read.marks("series-1")
    assert second[0] - first[0] == pytest.approx(5, abs=0.02)
    middle = (first[0] + second[0]) / 2
    assert read.value(middle, first[1]) == (0, 0)
    assert read.lines("muted") == read.lines("pareto") == []
    assert list(read.root.iter(f"{SVG}circle")) == []


def test_colours_of_a_drawing_are_its_pages() -> None:
    root = ElementTree.fromstring(to_svg(small(), background=None))
    assert list(root.iter(f"{SVG}rect")) == []
    (ground,) = ElementTree.fromstring(to_svg(small(), background="#123456")).iter(f"{SVG}rect")
    assert ground.attrib["fill"] == "#123456"
    dashed = [
        e.attrib["class"] for e in root.iter(f"{SVG}polyline") if "stroke-dasharray" in e.attrib
    ]
    assert dashed == ["muted", "pareto", "pareto"]
    fills = {e.attrib["class"]: e.attrib["fill"] for e in root.iter(f"{SVG}polygon")}
    assert fills == {"series-0 mark": "#0072b2", "series-1 mark": "#d55e00"}
    corners = {
        e.attrib["class"]: len(e.attrib["points"].split()) for e in root.iter(f"{SVG}polygon")
    }
    assert corners["series-1 mark"] == 4 < corners["series-0 mark"], "a square and a circle"
    many = [Series(str(n), [Point(n, n)]) for n in range(9)]
    drawn = ElementTree.fromstring(to_svg(small(series=many)))
    first, eighth = (
        [e.attrib["fill"] for e in drawn.iter(f"{SVG}polygon") if (e[0].text or "") == hint]
        for hint in ("0: 0.0", "7: 7.0")
    )
    assert first == eighth, "seven colours repeat"


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0, 10], ["0", "10"]),
        ([1, 100], ["1", "100"]),
        ([0.5, 1.5], ["0.6", "0.8", "1", "1.2", "1.4"]),
        (list(range(100, 110)), ["100", "102", "104", "106", "108"]),
        ([0.25, 4.0], ["0.5", "1", "2"]),
        ([0.125, 1.0], ["0.2", "0.5", "1"]),
        ([2e6, 2.5e6], ["2e+06", "2.5e+06"]),
    ],
)
def test_ticks_are_round_or_the_values_themselves(values: list[float], ticks: list[str]) -> None:
    chart = Chart("t", "x", "y", [Series("", [Point(value, 1) for value in values])])
    axis = chart.x_axis()
    assert axis.is_log == (values[0] > 0 and values[-1] >= 8 * values[0])
    found = [tick_text(tick) for tick in axis.ticks]
    assert found == ticks


def test_four_shapes_tell_series_apart_without_colour() -> None:
    """A circle of many corners, an upright square, a triangle and a square on its corner."""
    many = [Series(str(n), [Point(n, n)]) for n in range(5)]
    root = ElementTree.fromstring(to_svg(small(series=many, frontier=())))
    shapes = []
    for mark in [e for e in root.iter(f"{SVG}polygon") if ": " in (e[0].text or "")]:
        corners = [tuple(map(float, c.split(","))) for c in mark.attrib["points"].split()]
        xs, ys = zip(*corners, strict=True)
        shapes.append((len(corners), len({round(x) for x in xs}), max(ys) - min(ys)))
    numbers = [number for number, _, _ in shapes]
    assert numbers[1:4] == [4, 3, 4]
    assert numbers[0] == numbers[4] > 12
    assert (shapes[1][1], shapes[3][1]) == (2, 3), "upright corners share their columns"
    assert all(6 < height < 12 for _, _, height in shapes)


def test_a_label_takes_the_first_side_that_is_free() -> None:
    """To the right above, to the right below, to the left above, and so on around its point."""
    right = Point(51, 51)  # so near that its mark covers the right upper side
    for others, (dx, dy) in (([], (8, -6)), ([right], (8, 14))):
        series = [Series("s", [Point(50, 50, label="here"), *others]), Series("far", [Point(0, 0)])]
        ends = Series("end", [Point(100, 100)])
        root = ElementTree.fromstring(to_svg(Chart("t", "x", "y", [*series, ends], [(0, 0)])))
        (label,) = [e for e in root.iter(f"{SVG}text") if e.attrib["class"] == "label"]
        mark = next(e for e in root.iter(f"{SVG}polygon") if (e[0].text or "").startswith("s here"))
        corners = [tuple(map(float, c.split(","))) for c in mark.attrib["points"].split()]
        xs, ys = zip(*corners, strict=True)
        middle = ((min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2)
        found = (float(label.attrib["x"]) - middle[0], float(label.attrib["y"]) - middle[1])
        assert found == pytest.approx((dx, dy), abs=0.02)


@pytest.mark.slow
def test_matplotlib_draws_at_the_same_axes(chart: Chart) -> None:
    """The marks of the second colour: 2 and 32 of a logarithmic axis, and nothing left of them."""
    image = Image.open(io.BytesIO(to_image(chart, "png"))).convert("RGB")
    pixels = np.asarray(image, np.int64)
    wanted = [int(COLOURS[0][start : start + 2], 16) for start in (1, 3, 5)]
    columns = np.flatnonzero((np.abs(pixels - wanted).sum(axis=2) < 12).any(axis=0))
    first, last = columns.min(), columns.max()
    # Margins of 6 percent: the first mark stands within the first tenth of the axis.
    assert 0.08 < first / pixels.shape[1] < 0.2
    assert last / pixels.shape[1] > 0.9


def test_long_names_are_told_apart_by_their_ends(chart: Chart) -> None:
    series = [
        Series(f"{'very ' * 20}long {end}", chart.series[0].points) for end in ("none", "nf4")
    ]
    long = dataclasses.replace(chart, series=series)
    (first, *_), (second, *_) = (
        [line for line in to_text(long).splitlines() if line.startswith(f"  {mark} ")]
        for mark in "ox"
    )
    assert (first.endswith("very long none"), second.endswith("very long nf4")) == (True, True)
    assert max(len(first), len(second)) <= 80
    texts = [item.text for item in ElementTree.fromstring(to_svg(long)).iter(f"{SVG}text")]
    assert [str(text).rpartition(" ")[2] for text in texts if "very long" in str(text)] == [
        "none",
        "nf4",
    ]


@pytest.mark.slow
def test_long_names_stand_below_the_axes(chart: Chart) -> None:
    """Marks of the second colour are as far apart as beside short names, and none is covered."""
    names = [f"Think of each option, then answer with its letter, model-name-{n}b" for n in (7, 13)]
    series = [Series(name, chart.series[n].points) for n, name in enumerate(names)]
    spans, sizes = [], []
    for drawn in (chart, dataclasses.replace(chart, series=series, title="a long name of it " * 5)):
        pixels = np.asarray(Image.open(io.BytesIO(to_image(drawn, "png"))).convert("RGB"), np.int64)
        wanted = [int(COLOURS[1][start : start + 2], 16) for start in (1, 3, 5)]
        found = (np.abs(pixels[:700] - wanted).sum(axis=2) < 12).any(axis=0)
        spans.append(int(np.ptp(np.flatnonzero(found))))
        sizes.append(pixels.shape[1::-1])
    assert sizes[0] == (1120, 760)
    assert sizes[1] > sizes[0]
    assert spans[1] == pytest.approx(spans[0], rel=0.05)
