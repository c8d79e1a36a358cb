"""Columns that several tables share, and how their cells are written."""

from __future__ import annotations

from dataclasses import fields

from llava_eval.metrics.means import width_of
from llava_eval.metrics.paired import PairedEstimate
from llava_eval.results.formatting import interval, number
from llava_eval.types import MetricValue

#: In files: the columns that name a number (the whole set has no facet and level), and its own.
KEY_COLUMNS = ("facet", "level", "metric")
NUMBER_COLUMNS = tuple(field.name for field in fields(MetricValue) if field.name != "note")

#: In terminals and reports: header of the interval of a value or a difference.
INTERVAL = "95 % interval"
VALUE_COLUMNS = ("value", INTERVAL, "samples")

#: The words that tables use for the flags of samples.
FLAG_WORDS = {
    "cut_at_limit": "cut at the limit of tokens",
    "hidden_answer": "with a hidden answer",
    "has_reasoning": "with reasoning",
    "needs_frames": "left out as the judge needs frames",
    "chosen_at_random": "chosen at random",
    "few_answers": "with too few answers for full VQA accuracy",
    "damaged": "with damaged media",
    "truncated": "with truncated media",
    "replayed": "decoded from the start",
    "fewer_frames": "with fewer frames than asked",
    "unconfirmed_frames": "with frames that the server does not confirm",
}


def value_cells(value: MetricValue) -> list[str]:
    """Return the cells of :data:`VALUE_COLUMNS`."""
    return [
        number(value.value, value.unit),
        interval(value.ci_low, value.ci_high, value.unit),
        str(value.num_samples),
    ]


def value_with_interval(value: MetricValue | None) -> str:
    """Return a value with its interval as one cell."""
    if value is None or value.value is None:
        return "-"
    text, bounds, _ = value_cells(value)
    return text if value.ci_low is None else f"{text} ({bounds})"


def paired_cells(estimate: PairedEstimate | None, unit: str) -> list[str]:
    """Return both values, their difference, and its interval."""
    if estimate is None:
        return ["-"] * 4
    return [
        number(estimate.first, unit),
        number(estimate.second, unit),
        number(estimate.difference, unit, signed=True),
        interval(estimate.low, estimate.high, unit, signed=True),
    ]


def detectable_cell(smallest: float | None, unit: str) -> str:
    """Return the cell of the smallest detectable difference, noting one beyond the scale."""
    text = number(smallest, unit)
    return f"{text} (none is as large)" if is_beyond_scale(smallest, unit) else text


def is_beyond_scale(smallest: float | None, unit: str) -> bool:
    """Return whether the smallest detectable difference exceeds the width of the metric's scale."""
    width = width_of(unit)
    return width is not None and smallest is not None and smallest > width
