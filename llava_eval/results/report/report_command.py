"""``llava-eval report PATH... --out report.html``.

The numbers of a report as files for papers: tables and curves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from llava_eval.results.command_line import write_out, write_output
from llava_eval.results.compare.files import file_name, write_charts, write_tables
from llava_eval.results.report.overview import Overview, facet_table, facets_of, results_table
from llava_eval.results.report.thumbnails import Budget, ReadFrames, ResolveFolder, make_thumbnails
from llava_eval.results.runs import Run, RunReader, find_runs
from llava_eval.results.table import Table, printable


def write_report(
    paths: Sequence[Path],
    out: Path,
    budget: Budget,
    *,
    read_frames: ReadFrames,
    resolve_folder: ResolveFolder,
    export: Path | None = None,
) -> None:
    """Write the page of some runs, and say so.

    Args:
        paths: run directories, or folders of runs.
        out: the page.
        budget: most bytes and seconds for pictures of frames.
        read_frames: decodes frames.
        resolve_folder: finds configured folders.
        export: folder to write tables and curves into.

    Raises:
        LlavaEvalError: the runs cannot be read, or a file cannot be written.
    """
    found = [run for path in paths for run in find_runs(path)]
    reader = RunReader()
    runs = [reader.read(path) for path in dict.fromkeys(found)]
    _write_page(out, runs, read_frames, resolve_folder, budget)
    exported = [] if export is None else export_report(export, by_benchmark(runs))
    size = out.stat().st_size / 1e6
    write_out(f"wrote {printable(str(out))}, {size:.1f} MB, {len(runs)} runs")
    if exported:
        write_out(f"{len(exported)} files in {printable(str(export))}")


def by_benchmark(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Return the runs of each benchmark, in the order of their first runs."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.benchmark, []).append(run)
    return groups


def _write_page(
    out: Path,
    runs: Sequence[Run],
    read_frames: ReadFrames,
    resolve_folder: ResolveFolder,
    budget: Budget,
) -> None:
    from llava_eval.results.report.overview import Overview
    from llava_eval.results.report.page import Part, page
    from llava_eval.results.report.samples import SampleSet

    parts = []
    for benchmark, members in by_benchmark(runs).items():
        samples = SampleSet.of(benchmark, members)
        thumbnails = make_thumbnails(samples, read_frames, resolve_folder, budget)
        parts.append(Part(Overview.of(members), samples, thumbnails))
    write_output(out, "".join(page(parts)))


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
