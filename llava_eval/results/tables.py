"""The tables of a run: metrics.json, metrics.csv, metrics.md, and the one in the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llava_eval.metrics import MetricValue
from llava_eval.results import files
from llava_eval.results.summary import Summary

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
        "metrics": {name: asdict(value) for name, value in summary.metrics.items()},
        "groups": {
            facet: {
                level: {name: asdict(value) for name, value in metrics.items()}
                for level, metrics in levels.items()
            }
            for facet, levels in summary.groups.items()
        },
        "chance": dict(summary.chance),
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
                **asdict(value),
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
    for facet, levels in summary.groups.items():
        rows = [
            [level, name, *_cells(value)]
            for level, metrics in levels.items()
            for name, value in metrics.items()
        ]
        header = [facet, "metric", "value", "95 % interval", "samples"]
        blocks += [f"## By {facet}", _markdown_table(header, rows)]
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
    headline = next(iter(summary.metrics), None)
    for facet, levels in summary.groups.items():
        if headline is None:
            break
        rows = [[level, *_cells(metrics[headline])] for level, metrics in levels.items()]
        header = [f"by {facet}", headline, "95 % interval", "samples"]
        blocks.append(_text_table(header, rows, width))
    blocks.append(counts_line(summary))
    return "\n\n".join(blocks)


def counts_line(summary: Summary) -> str:
    """Return the counts that stand beside every number."""
    return (
        f"{summary.num_samples} samples: {summary.num_scored} scored, "
        f"{summary.num_unreadable} unreadable, {summary.num_errors} failed"
    )


def _cells(value: MetricValue) -> list[str]:
    interval = (
        f"{_number(value.ci_low)} to {_number(value.ci_high)}" if value.ci_low is not None else "-"
    )
    return [_number(value.value), interval, str(value.num_samples)]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


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
