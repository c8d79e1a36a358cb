"""The tables of a run: metrics.json, metrics.csv, metrics.md, and the one in the terminal."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llava_eval.metrics.means import MetricValue
from llava_eval.results import files
from llava_eval.results.summary import Comparison, Summary

CSV_COLUMNS = (
    "benchmark",
    "model",
    "facet",
    "level",
    "metric",
    "value",
    "stderr",
    "ci_low",
    "ci_high",
    "num_samples",
    "unit",
    "chance",
)


PUBLISHED_HEADER = ("held against", "published", "ours", "difference", "our 95 %", "chance?")


def write_tables(directory: Path, summary: Summary) -> None:
    """Write metrics.json, metrics.csv and metrics.md.

    Raises:
        StorageError: one of them cannot be written.
    """
    files.write_json(directory / files.METRICS_JSON, to_json(summary))
    files.write_text(directory / files.METRICS_CSV, to_csv(summary))
    files.write_text(directory / files.METRICS_MARKDOWN, to_markdown(summary))


def to_json(summary: Summary) -> dict[str, Any]:
    """Return the content of metrics.json, whose layout other programs rely on."""
    return {
        "benchmark": summary.benchmark,
        "model": summary.model,
        "num_samples": summary.num_samples,
        "num_scored": summary.num_scored,
        "num_unreadable": summary.num_unreadable,
        "num_errors": summary.num_errors,
        **({"num_random": summary.num_random} if summary.num_random else {}),
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
            {"published": [_published(one) for one in summary.published]}
            if summary.published
            else {}
        ),
    }


def _fields(value: MetricValue) -> dict[str, Any]:
    """Return a number without its note, which is of the whole set and stands beside the table."""
    return {name: field for name, field in asdict(value).items() if name != "note"}


def _notes(summary: Summary) -> list[str]:
    return [f"{name}: {value.note}" for name, value in summary.metrics.items() if value.note]


def _published(comparison: Comparison) -> dict[str, Any]:
    number = comparison.published
    return {
        "metric": number.metric,
        "facet": number.facet,
        "level": number.level,
        "published": number.value,
        "ours": comparison.ours,
        "difference": comparison.difference,
        "ci_low": comparison.ci_low,
        "ci_high": comparison.ci_high,
        "chance_explains": comparison.chance_explains,
        "unit": comparison.unit,
        "source": number.source,
        "note": number.note,
    }


def to_csv(summary: Summary) -> str:
    """Return one row per metric, facet and level; the whole set has an empty facet."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for facet, level, name, value in _all_values(summary):
        writer.writerow(
            {
                "benchmark": summary.benchmark,
                "model": summary.model,
                "facet": facet,
                "level": level,
                "metric": name,
                "chance": summary.chance.get(name),
                **_fields(value),
            }
        )
    return stream.getvalue()


def _all_values(summary: Summary) -> Iterator[tuple[str, str, str, MetricValue]]:
    for name, value in summary.metrics.items():
        yield "", "", name, value
    for facet, levels in summary.groups.items():
        for level, metrics in levels.items():
            for name, value in metrics.items():
                yield facet, level, name, value


def to_markdown(summary: Summary) -> str:
    """Return the tables as Markdown."""
    blocks = [f"# {_markdown_cell(summary.benchmark)}", _heading(summary), counts_line(summary)]
    overall = [
        [name, *_cells(value), _number(summary.chance.get(name)), value.unit]
        for name, value in summary.metrics.items()
    ]
    blocks.append(
        _markdown_table(["metric", "value", "95 % interval", "samples", "chance", "unit"], overall)
    )
    blocks += [f"- {_markdown_cell(note)}" for note in _notes(summary)]
    for facet, levels in summary.groups.items():
        rows = [
            [level, name, *_cells(value)]
            for level, metrics in levels.items()
            for name, value in metrics.items()
        ]
        header = [facet, "metric", "value", "95 % interval", "samples"]
        blocks += [f"## By {facet}", _markdown_table(header, rows)]
    if summary.published:
        rows = [_published_cells(one) for one in summary.published]
        blocks += ["## Published", _markdown_table(PUBLISHED_HEADER, rows)]
        blocks += [f"- {_markdown_cell(line)}" for line in _sources(summary)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _heading(summary: Summary) -> str:
    return f"Model: {_markdown_cell(summary.model)}" if summary.model else ""


def to_terminal(summary: Summary, *, width: int = 80) -> str:
    """Return the tables for a terminal: the headline by facet, everything else overall."""
    lines = [summary.benchmark]
    if summary.model:
        lines.append(f"model: {summary.model}")
    overall = [
        [name, *_cells(value), _number(summary.chance.get(name)), value.unit]
        for name, value in summary.metrics.items()
    ]
    header = ["metric", "value", "95 % interval", "samples", "chance", "unit"]
    blocks = ["\n".join(lines), _text_table(header, overall, width)]
    blocks += [
        textwrap.fill(note, width, subsequent_indent="  ", break_long_words=False)
        for note in _notes(summary)
    ]
    for facet, levels in summary.groups.items():
        names = [name for metrics in levels.values() for name in metrics]
        headline = next((name for name in summary.metrics if name in names), None)
        if headline is None:
            continue
        rows = [[level, *_cells(metrics[headline])] for level, metrics in levels.items()]
        header = [f"by {facet}", headline, "95 % interval", "samples"]
        blocks.append(_text_table(header, rows, width))
    if summary.published:
        rows = [_published_cells(one) for one in summary.published]
        notes = [
            textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False)
            for line in _sources(summary)
        ]
        blocks.append("\n".join([_text_table(PUBLISHED_HEADER, rows, width), *notes]))
    blocks.append(counts_line(summary))
    return "\n\n".join(blocks)


def _published_cells(comparison: Comparison) -> list[str]:
    unit, explained = comparison.unit, comparison.chance_explains
    interval = "-"
    if comparison.ci_low is not None:
        low, high = _number(comparison.ci_low, unit), _number(comparison.ci_high, unit)
        interval = f"{low} to {high}"
    return [
        comparison.name,
        f"{comparison.published.value:g}",
        _number(comparison.ours, unit),
        "-" if comparison.difference is None else f"{comparison.difference:+.2f}",
        interval,
        "-" if explained is None else "yes" if explained else "no",
    ]


def _sources(summary: Summary) -> list[str]:
    """Return each source and each note once."""
    lines = [f"source: {one.published.source}" for one in summary.published]
    lines += [f"note: {one.published.note}" for one in summary.published if one.published.note]
    return list(dict.fromkeys(lines))


def counts_line(summary: Summary) -> str:
    """Return the counts that stand beside every number."""
    at_random = f", {summary.num_random} chosen at random" if summary.num_random else ""
    return (
        f"{summary.num_samples} samples: {summary.num_scored} scored, "
        f"{summary.num_unreadable} unreadable{at_random}, {summary.num_errors} failed"
    )


def _cells(value: MetricValue) -> list[str]:
    low, high = _number(value.ci_low, value.unit), _number(value.ci_high, value.unit)
    interval = f"{low} to {high}" if value.ci_low is not None else "-"
    return [_number(value.value, value.unit), interval, str(value.num_samples)]


def _number(value: float | None, unit: str = "percent") -> str:
    """Write a number with the decimals that tables of its unit are printed with."""
    decimals = 2 if unit == "0-5" else 1
    return "-" if value is None else f"{value:.{decimals}f}"


def _text_table(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """Align columns; the first is text and is cut where the table would be too wide."""
    table = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    widths[0] = max(8, min(widths[0], width - sum(widths[1:]) - 2 * (len(widths) - 1)))
    return "\n".join(_text_row(row, widths) for row in table)


def _text_row(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0] if len(row[0]) <= widths[0] else f"{row[0][: widths[0] - 1]}…"
    rest = (cell.rjust(size) for cell, size in zip(row[1:], widths[1:], strict=True))
    return "  ".join([first.ljust(widths[0]), *rest]).rstrip()


def _markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(_markdown_cell, line))} |" for line in lines)


def _markdown_cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")
