"""Line charts with intervals: one layout, drawn as SVG, as PNG, or with characters."""

from llava_eval.results.figures.chart import Chart, Point, Series
from llava_eval.results.figures.png import to_png
from llava_eval.results.figures.svg import to_svg
from llava_eval.results.figures.text import to_text

__all__ = ["Chart", "Point", "Series", "to_png", "to_svg", "to_text"]
