"""The tables of a run: metrics.json, metrics.csv, metrics.md, and the terminal's."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llava_eval.borders.json_text import load_json
from llava_eval.borders.typed_json import Count, as_type
from llava_eval.config.experiments import as_printed
from llava_eval.results import files
from llava_eval.results.columns import (
    FLAG_WORDS,
    KEY_COLUMNS,
    NUMBER_COLUMNS,
    VALUE_COLUMNS,
    value_cells,
)
from llava_eval.results.formatting import (
    Table,
    interval,
    markdown_text,
    number,
    printable,
    safe_cell,
    wrapped,
)
from llava_eval.results.summary import PublishedComparison, Summary
from llava_eval.types import MetricValue

CSV_COLUMNS = ("benchmark", "model", *KEY_COLUMNS, *NUMBER_COLUMNS, "chance")


def all_values(tables: Summary | Tables) -> Iterator[tuple[str, str, str, MetricValue]]:
    """Yield facet, level, name and value of each number; no facet and level for the whole set."""
    for name, value in tables.metrics.items():
        yield "", "", name, value
    for facet, levels in tables.groups.items():
        for level, metrics in levels.items():
            for name, value in metrics.items():
                yield facet, level, name, value


@dataclass(frozen=True)
class Tables:
    """The entries of metrics.json that are read back; see :class:`.summary.Summary`."""

    benchmark: str | None = None
    model: str | None = None
    num_samples: Count | None = None
    metrics: Mapping[str, MetricValue] = field(default_factory=dict)
    groups: Mapping[str, Mapping[str, Mapping[str, MetricValue]]] = field(default_factory=dict)
    chance: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for _, _, name, value in all_values(self):
            numbers = (value.value, value.stderr, value.ci_low, value.ci_high)
            if not all(number is None or math.isfinite(number) for number in numbers):
                raise ValueError(f"{name} is not a finite number")
            if not 0 <= value.num_samples <= 1 << 53:  # as a :data:`Count`
                raise ValueError(f"{name} is of {value.num_samples} samples")


def read_tables(directory: Path) -> Tables:
    """Return the content of a run directory's metrics.json; empty tables if there is none.

    Raises:
        ComparisonError: the file cannot be read.
    """
    path = directory / files.METRICS_JSON
    try:
        with files.reading_errors(path):
            return as_type(load_json(path, dict, is_ours=True), Tables)
    except FileNotFoundError:
        return Tables()


def write_tables(directory: Path, summary: Summary) -> None:
    """Write metrics.json, metrics.csv and metrics.md.

    Args:
        directory: the run directory.
        summary: the run's numbers.

    Raises:
        StorageError: one of them cannot be written.
    """
    files.write_json(directory / files.METRICS_JSON, to_json(summary))
    files.write_text(directory / files.METRICS_CSV, to_csv(summary))
    files.write_text(directory / files.METRICS_MARKDOWN, to_markdown(summary))


def to_json(summary: Summary) -> dict[str, Any]:
    """Return the content of metrics.json; other programs rely on its layout."""
    return {
        "benchmark": summary.benchmark,
        "model": summary.model,
        "num_samples": summary.num_samples,
        "num_scored": summary.num_scored,
        "num_unreadable": summary.num_unreadable,
        "num_errors": summary.num_errors,
        **({"num_random": summary.num_random} if summary.num_random else {}),
        **({"flags": dict(summary.flags)} if summary.flags else {}),
        **({"notes": list(summary.notes)} if summary.notes else {}),
        "metrics": {
            name: {**_fields(value), **({"note": value.note} if value.note else {})}
            for name, value in summary.metrics.items()
        },
        "groups": {
            facet: {
                level: {name: _fields(value) for name, value in metrics.items()}
                for level, metrics in levels.items()
            }
            for facet, levels in summary.groups.items()
        },
        "chance": dict(summary.chance),
        **({"judge": dict(summary.judge)} if summary.judge is not None else {}),
        **(
            {"published": [_published_fields(item) for item in summary.published]}
            if summary.published
            else {}
        ),
    }


def _fields(value: MetricValue) -> dict[str, Any]:
    """Return a number's columns without its note, which is written next to the table."""
    return {name: getattr(value, name) for name in NUMBER_COLUMNS}


def _notes(summary: Summary) -> list[str]:
    of_metrics = (f"{name}: {value.note}" for name, value in summary.metrics.items() if value.note)
    return [*summary.notes, *of_metrics]


def _published_fields(comparison: PublishedComparison) -> dict[str, Any]:
    published = comparison.published
    return {
        "metric": published.metric,
        "facet": published.facet,
        "level": published.level,
        "published": published.value,
        "ours": comparison.ours,
        "difference": comparison.difference,
        "ci_low": comparison.value.ci_low,
        "ci_high": comparison.value.ci_high,
        "chance_explains": comparison.is_within_interval,
        "unit": comparison.value.unit,
        "source": published.source,
        "note": published.note,
    }


def to_csv(summary: Summary) -> str:
    """Return CSV with a row per metric, facet and level; the whole set has an empty facet."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for facet, level, name, value in all_values(summary):
        texts = (summary.benchmark, summary.model or "", facet, level, name)
        values = {**_fields(value), "chance": summary.chance.get(name)}
        writer.writerow(
            [*map(safe_cell, texts), *(values[column] for column in CSV_COLUMNS[len(texts) :])]
        )
    return stream.getvalue()


def to_markdown(summary: Summary) -> str:
    """Return the tables as Markdown."""
    blocks = [f"# {_inline(summary.benchmark)}"]
    if summary.model:
        blocks.append(f"Model: {_inline(summary.model)}")
    blocks += [counts_line(summary), _overall_table(summary).to_markdown()]
    blocks += [f"- {markdown_text(note)}" for note in _notes(summary)]
    for facet, levels in summary.groups.items():
        rows = [
            [level, name, *value_cells(value)]
            for level, metrics in levels.items()
            for name, value in metrics.items()
        ]
        header = [facet, "metric", *VALUE_COLUMNS]
        blocks += [f"## By {markdown_text(facet)}", Table(header, rows).to_markdown()]
    if summary.published:
        blocks += ["## Published", _published_table(summary).to_markdown()]
        blocks += [f"- {markdown_text(line)}" for line in _sources(summary)]
    return "\n\n".join(blocks) + "\n"


def _inline(text: str) -> str:
    """Return text escaped for Markdown outside tables, bars included."""
    return "\\|".join(map(markdown_text, text.split("|")))


def _overall_table(summary: Summary) -> Table:
    header = ["metric", *VALUE_COLUMNS, "chance", "unit"]
    rows = [
        [name, *value_cells(value), number(summary.chance.get(name)), value.unit]
        for name, value in summary.metrics.items()
    ]
    return Table(header, rows)


def to_terminal(summary: Summary, *, width: int = 80) -> str:
    """Return the tables for a terminal: all metrics overall, only the headline by facet."""
    title = [printable(summary.benchmark)]
    if summary.model:
        title.append(f"model: {printable(summary.model)}")
    blocks = ["\n".join(title), _overall_table(summary).to_text(width)]
    blocks += [wrapped(note, width, break_long_words=False) for note in _notes(summary)]
    for facet, levels in summary.groups.items():
        names = [name for metrics in levels.values() for name in metrics]
        headline = next((name for name in summary.metrics if name in names), None)
        if headline is None:
            continue
        rows = [[level, *value_cells(metrics[headline])] for level, metrics in levels.items()]
        header = [f"by {facet}", headline, *VALUE_COLUMNS[1:]]
        blocks.append(Table(header, rows).to_text(width))
    if summary.published:
        sources = [wrapped(line, width, break_long_words=False) for line in _sources(summary)]
        blocks.append("\n".join([_published_table(summary).to_text(width), *sources]))
    blocks.append(counts_line(summary))
    return "\n\n".join(blocks)


def _published_table(summary: Summary) -> Table:
    header = ["metric", "published", "ours", "difference", "95 % CI", "within CI?"]
    return Table(header, [_published_cells(item) for item in summary.published])


def _published_cells(comparison: PublishedComparison) -> list[str]:
    unit, is_within = comparison.value.unit, comparison.is_within_interval
    return [
        comparison.name,
        as_printed(comparison.published.value, comparison.published.half_step),
        number(comparison.ours, unit),
        "-" if comparison.difference is None else f"{comparison.difference:+.2f}",
        interval(comparison.value.ci_low, comparison.value.ci_high, unit),
        "-" if is_within is None else "yes" if is_within else "no",
    ]


def _sources(summary: Summary) -> list[str]:
    """Return the sources and notes of published numbers, each once."""
    published = [item.published for item in summary.published]
    lines = [f"source: {item.source}" for item in published]
    lines += [f"note: {item.note}" for item in published if item.note]
    return list(dict.fromkeys(lines))


def counts_line(summary: Summary) -> str:
    """Return the counts that qualify all numbers, in fixed words that scripts can search for."""
    flags = [f", {number} {FLAG_WORDS.get(flag, flag)}" for flag, number in summary.flags.items()]
    return (
        f"{summary.num_samples} samples: {summary.num_scored} scored, "
        f"{summary.num_unreadable} unreadable, {summary.num_errors} failed" + "".join(flags)
    )
