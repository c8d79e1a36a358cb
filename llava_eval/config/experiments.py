"""Experiments that reproduce a published number: rows of a table instead of files.

``experiment=NAME`` chooses a benchmark, a model and a recipe, and shows the published numbers
beside ours. They come from two tables in ``llava_eval/benchmarks/published``: experiments.csv (one
row per experiment) and scores.csv (the rows whose column ``experiment`` contains its name).
"""

from __future__ import annotations

import csv
import functools
import importlib.resources
import io
import math
import re
from collections.abc import Mapping
from typing import Any

#: "accuracy", or "accuracy[duration=short]" for one level of a facet.
_METRIC = re.compile(r"(?P<metric>[^\[]+)(?:\[(?P<facet>\w+)=(?P<level>.+)\])?")

#: Notes on a published number whose source does not state its number of frames.
_NOTES_OF_FRAMES = {
    "32 (inferred)": "32 frames are inferred",
    "not stated": "number of frames not stated",
}


@functools.cache
def published_experiments() -> Mapping[str, Mapping[str, Any]]:
    """Return, by name, the contents a file of each experiment would have."""
    scores = published_rows("scores.csv")
    return {
        row["experiment"]: {
            "defaults": [
                {"override /benchmark": row["benchmark"]},
                {"override /model": row["model"]},
                {"override /recipe": row["recipe"]},
                "_self_",
            ],
            "published": [
                _published(score, row["note"])
                for score in scores
                if score["experiment"] == row["experiment"]
            ],
        }
        for row in published_rows("experiments.csv")
    }


def benchmark_of(experiment: str | None) -> str | None:
    """Return the benchmark of one of the package's experiments, or None."""
    rows = published_rows("experiments.csv")
    return next((row["benchmark"] for row in rows if row["experiment"] == experiment), None)


def half_step(printed: str) -> float:
    """Return half a unit of the last printed digit: 0.005 for "26.90", 0.5 for "54"."""
    _, _, decimals = printed.partition(".")
    return float(f"5e-{len(decimals) + 1}")


def as_printed(value: float, half_step: float) -> str:
    """Return a published value with as many digits as its half step implies: 26.90 for 0.005."""
    decimals = round(-math.log10(2 * half_step)) if half_step > 0 else 0
    text = f"{value:.{max(decimals, 0)}f}"
    return text if float(text) == value else f"{value:g}"


def _published(score: Mapping[str, str], note: str) -> dict[str, Any]:
    printed = score["printed"] or score["score"]
    metric = _METRIC.fullmatch(score["our_metric"])
    assert metric is not None, score
    notes = (_NOTES_OF_FRAMES.get(score["frames"], ""), note)
    return {
        **metric.groupdict(),
        "value": float(printed),
        "half_step": half_step(printed),
        "source": score["source"],
        "note": "; ".join(filter(None, notes)),
    }


def published_rows(name: str) -> list[dict[str, str]]:
    """Return the rows of one of the two tables."""
    folder = importlib.resources.files("llava_eval") / "benchmarks" / "published"
    return list(csv.DictReader(io.StringIO((folder / name).read_text("utf-8"))))
