"""The numbers of a report as files for papers: tables and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from llava_eval.results.compare.export import file_name, write_charts, write_tables
from llava_eval.results.report.overview import Overview, facet_table, facets_of, results_table
from llava_eval.results.runs import Run
from llava_eval.results.table import Table


def export_report(folder: Path, groups: Mapping[str, Sequence[Run]]) -> list[Path]:
    """Write the tables of every benchmark, and its curves as SVG and PNG.

    Raises:
        StorageError: one of them cannot be written.
    """
    written = []
    for benchmark, runs in groups.items():
        overview = Overview.of(runs)
        parts: dict[str, Table] = {"results": results_table(runs)}
        if overview.headline is not None:
            for facet in facets_of(runs):
                parts[f"by_{facet}"] = facet_table(runs, facet, overview.headline)
        for name, table, _ in overview.tables():
            parts[file_name(name.lower())] = table
        name = file_name(benchmark)
        written += write_tables(folder, name, parts, [f"- {note}" for note in overview.notes])
        written += write_charts(folder, f"{name}_score_against", dict(overview.charts))
    return written
