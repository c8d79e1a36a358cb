"""A comparison as files: JSON for programs, tables and curves for papers."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llava_eval.results import files
from llava_eval.results.chart import Chart
from llava_eval.results.compare import comparison_tables as tables
from llava_eval.results.compare.comparison import Comparison, notes
from llava_eval.results.compare.data import (
    agreement_data,
    cost_data,
    flips_data,
    metrics_data,
    settings_texts,
    sweep_data,
    write_data,
)
from llava_eval.results.compare.sweep_curves import (
    Setting,
    Sweep,
    legend,
    preparing_table,
    sweep_charts,
    sweep_table,
)
from llava_eval.results.drawing import to_pdf, to_png, to_svg
from llava_eval.results.formatting import Table, markdown_text
from llava_eval.results.runs import Run
from llava_eval.results.summary import flag_counts

if TYPE_CHECKING:
    from pandas import DataFrame


def export_comparison(
    folder: Path, runs: Sequence[Run], comparisons: Sequence[Comparison]
) -> list[Path]:
    """Write comparison.json, every table as Markdown and LaTeX, and the numbers as CSV.

    Raises:
        StorageError: one of them cannot be written.
    """
    names = tables.letters(len(runs))[1:]
    parts = {
        "runs": tables.runs_table(runs),
        "metrics": tables.metrics_table(comparisons),
        "agreement": tables.agreement_table(comparisons),
        "cost": tables.cost_table(runs),
    }
    optional = {
        "fidelity": tables.fidelity_table(comparisons),
        "settings": tables.settings_table(runs),
        "counts": tables.counts_table(runs),
    }
    parts |= {name: table for name, table in optional.items() if table is not None}
    for facet, table in zip(comparisons[0].facets, tables.facet_tables(comparisons), strict=True):
        parts[f"by_{facet}"] = table
    data = {
        "cost": cost_data(runs),
        "agreement": agreement_data(comparisons),
        **metrics_data(runs, comparisons),
    }
    for name, item in zip(names, comparisons, strict=True):
        flips = [*item.worse, *item.better]
        if flips:
            parts[f"flips_{name}"] = tables.flips_table(flips, item.headline, second=name)
            data[f"flips_{name}"] = flips_data(flips)
    lines = [
        f"- {markdown_text(note)}"
        for name, item in zip(names, comparisons, strict=True)
        for note in notes(item, "A", name)
    ]
    return [
        write_json(folder / "comparison.json", comparison_content(runs, comparisons)),
        *write_tables(folder, "comparison", parts, lines, data=data, names=paper_names(runs)),
    ]


def comparison_content(runs: Sequence[Run], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return a comparison as JSON values."""
    return {
        "runs": [_run(run) for run in runs],
        "comparisons": [_comparison(item) for item in comparisons],
    }


def export_sweeps(folder: Path, sweeps: Sequence[Sweep]) -> list[Path]:
    """Write sweep.json, the tables, and every curve as SVG, PDF and PNG.

    Raises:
        StorageError: one of them cannot be written.
    """
    parts = {file_name(sweep.benchmark): sweep_table(sweep) for sweep in sweeps}
    data = {file_name(sweep.benchmark): sweep_data(sweep) for sweep in sweeps}
    for sweep in sweeps:
        preparing = preparing_table(sweep)
        if preparing is not None:
            parts[f"{file_name(sweep.benchmark)}_preparing"] = preparing
    lines = [markdown_text(line) for sweep in sweeps for line in (legend(sweep), *sweep.notes)]
    written = [
        write_json(folder / "sweep.json", [sweep_content(sweep) for sweep in sweeps]),
        *write_tables(folder, "sweep", parts, list(dict.fromkeys(lines)), data=data),
    ]
    for sweep in sweeps:
        charts = sweep_charts(sweep)
        written += write_charts(folder, f"{file_name(sweep.benchmark)}_score_against", charts)
    return written


def paper_names(runs: Sequence[Run]) -> dict[str, str]:
    """Return by letter what a paper calls each run: what differs, or else model or folder."""
    choices = (settings_texts(runs), [run.model for run in runs], [run.path.name for run in runs])
    names = next((names for names in choices if len(set(names)) == len(runs)), choices[-1])
    return dict(zip(tables.letters(len(runs)), names, strict=True))


def write_tables(
    folder: Path,
    name: str,
    parts: Mapping[str, Table],
    lines: Sequence[str],
    *,
    data: Mapping[str, DataFrame],
    names: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write all tables into one Markdown file, each into a LaTeX file, and its data as CSV.

    Args:
        folder: to write into.
        name: that all files begin with.
        parts: the tables by name.
        lines: below the tables in Markdown.
        data: rows of numbers with all their digits, by name: the CSV and Parquet files of a table.
            A table without them has no CSV file: its own cells are rounded.
        names: by letter, what LaTeX calls a run.

    Raises:
        StorageError: one of them cannot be written.
    """
    files.make_folder(folder)
    blocks = [f"## {markdown_text(part)}\n\n{t.to_markdown()}" for part, t in parts.items()]
    content = {f"{name}.md": "\n\n".join([*blocks, "\n".join(lines)]).rstrip() + "\n"}
    for part, table in parts.items():
        content[f"{name}_{part}.tex"] = table.to_latex(names or {})
    for file, text in content.items():
        files.write_text(folder / file, text)
    written = [folder / file for file in content]
    for part in data.keys() & parts.keys():
        written += write_data(folder / f"{name}_{part}.csv", data[part])
    return written


def write_charts(folder: Path, name: str, charts: dict[str, Chart]) -> list[Path]:
    """Write each chart as SVG, and as PDF and PNG where matplotlib is installed.

    Raises:
        StorageError: one of them cannot be written.
    """
    files.make_folder(folder)
    written = []
    for part, chart in charts.items():
        path = folder / f"{name}_{part}.svg"
        files.write_text(path, to_svg(chart))
        written.append(path)
        for end, drawn in ((".pdf", to_pdf), (".png", to_png)):
            with contextlib.suppress(ImportError):
                files.write_bytes(path.with_suffix(end), drawn(chart))
                written.append(path.with_suffix(end))
    return written


def write_json(path: Path, content: Any) -> Path:
    """Write a JSON file, its folder too where it is missing.

    Raises:
        StorageError: it cannot be written.
    """
    files.make_folder(path.parent)
    files.write_json(path, content)
    return path


def file_name(name: str) -> str:
    """Return a benchmark's name as a part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "unnamed"


def _run(run: Run) -> dict[str, Any]:
    return {
        "path": run.name,
        "benchmark": run.label,
        "model": run.model,
        "fingerprint": run.manifest.fingerprint,
        "num_samples": len(run.results),
        "num_unreadable": run.num_unreadable,
        "num_errors": run.num_errors,
        "flags": flag_counts(run.results),
        "cost": asdict(run.cost),
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    pairing = comparison.pairing
    return {
        "first": pairing.first.name,
        "second": pairing.second.name,
        "num_samples": len(pairing.firsts),
        "num_clusters": pairing.num_clusters,
        "metrics": {
            item.name: {
                "unit": item.unit,
                **(asdict(item.estimate) if item.estimate is not None else {"reason": item.reason}),
                "holm_p_value": comparison.adjusted_p_values.get(item.name),
                "mcnemar": None if item.mcnemar is None else asdict(item.mcnemar),
            }
            for item in comparison.metrics
        },
        "facets": {
            facet: {
                item.level: {
                    **(asdict(item.estimate) if item.estimate is not None else {}),
                    "holm_p_value": item.adjusted_p_value,
                }
                for item in levels
            }
            for facet, levels in comparison.facets.items()
        },
        "worse": [asdict(flip) for flip in comparison.worse],
        "better": [asdict(flip) for flip in comparison.better],
        "agreement": asdict(comparison.agreement),
        "fidelity": {
            item.name: {
                "unit": item.unit,
                **asdict(item.estimate),
                "num_samples_needed": item.num_samples_needed,
            }
            for item in comparison.fidelity
        },
        "first_only": list(pairing.first_only),
        "second_only": list(pairing.second_only),
        "failed": list(pairing.failed),
        "differences": list(pairing.differences),
    }


def sweep_content(sweep: Sweep) -> dict[str, Any]:
    """Return a sweep as JSON values."""
    return {
        "benchmark": sweep.benchmark,
        "metric": sweep.metric,
        "chance": sweep.chance,
        "memory": sweep.memory_name,
        "notes": list(sweep.notes),
        "settings": [_setting(item) for item in sweep.settings],
    }


def _setting(setting: Setting) -> dict[str, Any]:
    return {
        "run": setting.run.name,
        "settings": setting.values,
        "num_frames": setting.num_frames,
        "score": asdict(setting.score),
        "seconds_per_sample": setting.cost.model_seconds_per_sample,
        "memory_bytes": setting.memory_bytes,
        "on_time_frontier": setting.on_time_frontier,
        "on_memory_frontier": setting.on_memory_frontier,
        "to_best": None if setting.to_best is None else asdict(setting.to_best),
        "holm_p_value": setting.p_value,
        "cost": asdict(setting.cost),
    }
