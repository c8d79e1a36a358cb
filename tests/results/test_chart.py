"""Charts: what is drawn where, in each of the three forms."""

from __future__ import annotations

import dataclasses
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from llava_eval.results.chart import Chart, Point, Series, step_line, tick_text, to_text
from llava_eval.results.drawing import COLOURS, to_pdf, to_png, to_svg

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


def test_png_is_drawn_in_the_series_colours(chart: Chart) -> None:
    image = Image.open(io.BytesIO(to_png(chart)))
    assert (image.format, image.size) == ("PNG", (1120, 760))
    pixels = np.asarray(image.convert("RGB"), np.int64).reshape(-1, 3)
    for colour in COLOURS[:2]:
        wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
        assert np.abs(pixels - wanted).sum(axis=1).min() < 12
    assert to_png(chart) == to_png(chart)


def test_pdf_is_the_same_each_time(chart: Chart) -> None:
    assert to_pdf(chart).startswith(b"%PDF-")
    assert to_pdf(chart) == to_pdf(chart)


def test_the_chart_of_characters_fits_its_width(chart: Chart) -> None:
    lines = to_text(chart, width=60).splitlines()
    assert max(map(len, lines)) <= 60
    text = "\n".join(lines)
    assert "o none   x int8 & co   --- Pareto set   ... chance" in text
    assert sum(line.count("o") for line in lines[1:15]) == 3
    assert text.count("x") >= 2
    assert " 32" in lines[-3]
