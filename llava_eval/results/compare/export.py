"""A comparison as files: JSON for programs, tables and curves for papers, and data.

The data have unrounded numbers, each in a column of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from llava_eval.metrics.paired import PairedEstimate
from llava_eval.results import files
from llava_eval.results.chart import Chart
from llava_eval.results.columns import KEY_COLUMNS, NUMBER_COLUMNS
from llava_eval.results.compare import comparison_tables as tables
from llava_eval.results.compare.comparison import Flip, RunComparison, all_notes
from llava_eval.results.compare.sweep_curves import (
    Sweep,
    SweepPoint,
    legend,
    preparing_table,
    sweep_charts,
    sweep_table,
)
from llava_eval.results.cost import Cost
from llava_eval.results.drawing import ImageForm, to_image, to_svg
from llava_eval.results.formatting import Table, markdown_text, safe_cell
from llava_eval.results.run_names import letters, paper_names, settings_texts
from llava_eval.results.runs import Run, with_types, writable
from llava_eval.results.summary import flag_counts
from llava_eval.types import MetricValue

if TYPE_CHECKING:
    from pandas import DataFrame

_NAMES = ("run", "model", "benchmark", "settings")
_DIFFERENCES = (
    *("against", "num_compared", "difference"),
    *("difference_low", "difference_high", "p", "p_holm"),
)


def export_comparison(
    folder: Path, runs: Sequence[Run], comparisons: Sequence[RunComparison]
) -> list[Path]:
    """Write comparison.json, every table as Markdown and LaTeX, and data as CSV and Parquet.

    Raises:
        StorageError: one of them cannot be written.
    """
    shown = {
        "runs": tables.runs_table(runs),
        "metrics": tables.metrics_table(comparisons),
        "agreement": tables.agreement_table(comparisons),
        "cost": tables.cost_table(runs),
        "fidelity": tables.fidelity_table(comparisons),
        "settings": tables.settings_table(runs),
        "counts": tables.counts_table(runs),
    }
    parts = {name: table for name, table in shown.items() if table is not None}
    for table in tables.facet_tables(comparisons):
        parts[table.header[0].replace(" ", "_", 1)] = table  # "by duration"
    data = {
        "cost": cost_data(runs),
        "agreement": agreement_data(comparisons),
        **metrics_data(runs, comparisons),
    }
    for item in comparisons:
        flips, name = [*item.worse, *item.better], f"flips_{item.letter}"
        if flips:
            parts[name] = tables.flips_table(flips, item.headline, second=item.letter)
            data[name] = _frame(_flip(flip) for flip in flips)
    lines = [f"- {markdown_text(note)}" for note in all_notes(comparisons, runs)]
    written = export_tables(folder, "comparison", parts, lines, data=data, names=paper_names(runs))
    files.write_json(folder / "comparison.json", comparison_content(runs, comparisons))
    return [folder / "comparison.json", *written]


def comparison_content(runs: Sequence[Run], comparisons: Sequence[RunComparison]) -> dict[str, Any]:
    """Return a comparison as JSON values."""
    return {
        "runs": [_run(run) for run in runs],
        "comparisons": [_comparison(item) for item in comparisons],
    }


def export_sweeps(folder: Path, sweeps: Sequence[Sweep]) -> list[Path]:
    """Write sweep.json, the tables, and every curve as SVG and, with matplotlib, PDF and PNG.

    Raises:
        StorageError: one of them cannot be written.
    """
    names = files.file_names(sweep.benchmark for sweep in sweeps)
    parts = {names[sweep.benchmark]: sweep_table(sweep) for sweep in sweeps}
    data = {names[sweep.benchmark]: sweep_data(sweep) for sweep in sweeps}
    for sweep in sweeps:
        if (preparing := preparing_table(sweep)) is not None:
            parts[f"{names[sweep.benchmark]}_preparing"] = preparing
    lines = [
        markdown_text(line)
        for sweep in sweeps
        for line in (
            f"{sweep.label}{sweep.model and f', model {sweep.model}'}",
            legend(sweep),
            *sweep.notes,
        )
    ]
    written = export_tables(folder, "sweep", parts, list(dict.fromkeys(lines)), data=data)
    files.write_json(folder / "sweep.json", [sweep_content(sweep) for sweep in sweeps])
    written.insert(0, folder / "sweep.json")
    for sweep in sweeps:
        charts = sweep_charts(sweep)
        written += write_charts(folder, f"{names[sweep.benchmark]}_score_against", charts)
    return written


def export_tables(
    folder: Path,
    name: str,
    parts: Mapping[str, Table],
    lines: Sequence[str],
    *,
    data: Mapping[str, DataFrame],
    names: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write one Markdown file of all tables, and a LaTeX file and data files for each table.

    Args:
        folder: the folder to write into.
        name: the prefix of all file names.
        parts: the tables by name.
        lines: Markdown below the tables.
        data: unrounded numbers by the name of their table, for its CSV and Parquet files. A table
            without data has no such file, because its own cells are rounded.
        names: the runs' names in LaTeX, by letter.

    Raises:
        StorageError: one of them cannot be written.
    """
    blocks = [f"## {markdown_text(part)}\n\n{t.to_markdown()}" for part, t in parts.items()]
    content: dict[str, str | bytes] = {}
    content[f"{name}.md"] = "\n\n".join([*blocks, "\n".join(lines)]).rstrip() + "\n"
    stems = files.file_names(parts)
    for part, table in parts.items():
        content[f"{name}_{stems[part]}.tex"] = table.to_latex(names)
    for part in data.keys() & parts.keys():
        content |= data_files(f"{name}_{stems[part]}", data[part])
    return files.write_files(folder, content)


def write_charts(folder: Path, name: str, charts: Mapping[str, Chart]) -> list[Path]:
    """Write each chart as SVG, and as PDF and PNG if matplotlib is installed.

    Raises:
        StorageError: one of them cannot be written.
    """
    content: dict[str, str | bytes] = {}
    for part, chart in charts.items():
        content[f"{name}_{part}.svg"] = to_svg(chart)
        for form in get_args(ImageForm):
            with contextlib.suppress(ImportError):
                content[f"{name}_{part}.{form}"] = to_image(chart, form)
    return files.write_files(folder, content)


def _flip(flip: Flip) -> dict[str, Any]:
    return {**asdict(flip), "media": ", ".join(flip.media), "target": " | ".join(flip.target)}


def _run(run: Run) -> dict[str, Any]:
    return {
        "path": run.name,
        "benchmark": run.label,
        "model": run.model,
        "fingerprint": run.manifest.fingerprint,
        "num_samples": len(run.results),
        **_counts(run),
        "cost": asdict(run.cost),
    }


def _counts(run: Run) -> dict[str, Any]:
    flags = flag_counts(run.results)
    return {"num_unreadable": run.num_unreadable, "num_errors": run.num_errors, "flags": flags}


def _comparison(comparison: RunComparison) -> dict[str, Any]:
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
                "mcnemar": item.mcnemar and asdict(item.mcnemar),
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
        "label": sweep.label,
        "model": sweep.model,
        "metric": sweep.metric,
        "chance": sweep.chance,
        "memory": sweep.memory_name,
        "notes": list(sweep.notes),
        "settings": [_setting(item) for item in sweep.settings],
    }


def _setting(setting: SweepPoint) -> dict[str, Any]:
    return {
        "run": setting.run.name,
        "settings": setting.values,
        "num_frames": setting.num_frames,
        "score": asdict(setting.score),
        "seconds_per_sample": setting.run.cost.model_seconds_per_sample,
        "memory_bytes": setting.memory_bytes,
        "on_time_frontier": setting.on_time_frontier,
        "on_memory_frontier": setting.on_memory_frontier,
        "to_best": setting.to_best and asdict(setting.to_best),
        "holm_p_value": setting.p_value,
        "cost": asdict(setting.run.cost),
    }


def metrics_data(
    runs: Sequence[Run], comparisons: Sequence[RunComparison] = (), *, name: str = "metrics"
) -> dict[str, DataFrame]:
    """Return a row per run, facet, level and metric; the facet is empty for the whole set.

    Args:
        runs: the runs; their own numbers come from their metrics.json.
        comparisons: comparisons of each run with the first; they add paired differences over the
            samples that both answered.
        name: the key of all rows in the result.

    Returns:
        All rows under ``name``, and those of each facet under "by_FACET".
    """
    import pandas as pd

    of_pairs = {item.letter: _differences(item) for item in comparisons}
    rows = []
    for letter, run, settings in zip(letters(len(runs)), runs, settings_texts(runs), strict=True):
        names = dict(zip(_NAMES, (run.name, run.model, run.label, settings), strict=True))
        differences = of_pairs.get(letter, {})
        for row in run.metrics.to_dict("records"):
            numbers = {column: row[column] for column in (*KEY_COLUMNS, *NUMBER_COLUMNS)}
            key = tuple(row[column] for column in KEY_COLUMNS)
            rows.append({**names, **numbers, **differences.get(key, {})})
    columns = [*_NAMES, *KEY_COLUMNS, *NUMBER_COLUMNS, *(_DIFFERENCES if comparisons else ())]
    data = with_types(pd.DataFrame(map(writable, rows), columns=columns), MetricValue)
    facets = [facet for facet in data["facet"].unique() if facet]
    return {name: data, **{f"by_{facet}": data[data["facet"] == facet] for facet in facets}}


def cost_data(runs: Sequence[Run]) -> DataFrame:
    """Return a row per run: its cost, and its counts of unreadable, failed and flagged samples."""
    return _frame(
        {"run": run.name, "settings": settings, **_counts(run), **asdict(run.cost)}
        for run, settings in zip(runs, settings_texts(runs), strict=True)
    )


def _frame(rows: Iterable[Mapping[str, Any]]) -> DataFrame:
    import pandas as pd

    data = pd.json_normalize([writable(row) for row in rows])
    return with_types(data, MetricValue, Cost, Flip)


def agreement_data(comparisons: Sequence[RunComparison]) -> DataFrame:
    """Return a row per comparison: how many texts and answers of its runs are the same."""
    return _frame(
        {
            "run": item.pairing.second.name,
            "against": item.pairing.first.name,
            **asdict(item.agreement),
        }
        for item in comparisons
    )


def _differences(comparison: RunComparison) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Return the differences of a comparison by facet, level and metric."""
    against, of_levels = comparison.pairing.first.name, comparison.level_metric.name
    adjusted = comparison.adjusted_p_values
    by_number = {
        ("", "", item.name): _difference(item.estimate, adjusted.get(item.name), against)
        for item in comparison.metrics
    }
    for facet, levels in comparison.facets.items():
        for item in levels:
            difference = _difference(item.estimate, item.adjusted_p_value, against)
            by_number[facet, item.level, of_levels] = difference
    return by_number


def _difference(
    estimate: PairedEstimate | None, adjusted: float | None, against: str
) -> dict[str, Any]:
    if estimate is None:
        return {}
    bounds = (estimate.difference, estimate.low, estimate.high, estimate.p_value)
    return dict(zip(_DIFFERENCES, (against, estimate.num_samples, *bounds, adjusted), strict=True))


def sweep_data(sweep: Sweep) -> DataFrame:
    """Return a row per run of a sweep, with its paired difference to the best one."""
    best = next((item.run.name for item in sweep.settings if item.is_best), "")
    settings = settings_texts([item.run for item in sweep.settings])
    return _frame(
        {
            **dict(zip(_NAMES, (item.run.name, item.run.model, item.run.label, text), strict=True)),
            # a sweep's judge.model has the short key "model", but is not the run's model
            **{f"setting_{key}" if key in _NAMES else key: v for key, v in item.values.items()},
            "metric": sweep.metric,
            **{name: getattr(item.score, name) for name in NUMBER_COLUMNS},
            **_difference(item.to_best, item.p_value, best),
            "num_frames_shown": item.num_frames,
            "model_seconds_per_sample": item.run.cost.model_seconds_per_sample,
            "prepare_seconds_per_sample": item.run.cost.prepare_seconds_per_sample,
            "cached_share": item.run.cost.cached_share,
            "seconds_per_sample": item.run.cost.seconds_per_sample,
            "memory_bytes": item.memory_bytes,
            "on_time_frontier": item.on_time_frontier,
            "on_memory_frontier": item.on_memory_frontier,
        }
        for item, text in zip(sweep.settings, settings, strict=True)
    )


def data_files(name: str, data: DataFrame) -> dict[str, str | bytes]:
    """Return rows as CSV without cells that a spreadsheet would execute, and as Parquet.

    Args:
        name: the name of both files, without extension.
        data: the rows.
    """
    safe = data.copy()
    for column in map(str, safe.select_dtypes("string")):
        safe[column] = safe[column].map(safe_cell, na_action="ignore")
    csv, parquet = safe.to_csv(index=False), data.to_parquet(index=False)
    return {f"{name}.csv": csv, f"{name}.parquet": parquet}
