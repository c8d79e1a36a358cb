"""``llava-eval report PATH... --out report.html``.

The numbers of a report as files for papers: tables and curves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from llava_eval.errors import ConfigError
from llava_eval.results.command_line import HelpShown, Parser, write_out, write_output
from llava_eval.results.compare.files import file_name, write_charts, write_tables
from llava_eval.results.report.overview import Overview, facet_table, facets_of, results_table
from llava_eval.results.report.thumbnails import Budget, ReadFrames, ResolveFolder, make_thumbnails
from llava_eval.results.runs import Run, RunReader, find_runs
from llava_eval.results.table import Table, printable

EPILOG = """\
The page needs no network and no server. Videos that are missing have no
pictures; that is no error.

exit codes
  0  written
  2  a path holds no run, or a mistake in the command
"""


def main(words: Sequence[str], *, read_frames: ReadFrames, resolve_folder: ResolveFolder) -> int:
    """Run the command and return its exit code.

    Args:
        words: the command line after "report".
        read_frames: decodes frames.
        resolve_folder: finds configured folders.

    Raises:
        LlavaEvalError: the runs cannot be read, or a file cannot be written.
    """
    try:
        arguments = _parser().parsed(words)
    except HelpShown:
        return 0
    for name in ("thumbnails_mb", "thumbnails_seconds"):
        if getattr(arguments, name) < 0:
            raise ConfigError(f"report: --{name.replace('_', '-')} must be at least 0")
    out = Path(arguments.out).expanduser()
    paths = [found for word in arguments.paths for found in find_runs(Path(word).expanduser())]
    reader = RunReader()
    runs = [reader.read(path) for path in dict.fromkeys(paths)]
    budget = Budget(int(1e6 * arguments.thumbnails_mb), arguments.thumbnails_seconds)
    _write_page(out, runs, read_frames, resolve_folder, budget)
    written = [out]
    if arguments.export is not None:
        written += export_report(Path(arguments.export).expanduser(), by_benchmark(runs))
    size = out.stat().st_size / 1e6
    write_out(f"wrote {printable(str(out))}, {size:.1f} MB, {len(runs)} runs")
    if len(written) > 1:
        write_out(f"{len(written) - 1} files in {printable(arguments.export)}")
    return 0


def _parser() -> Parser:
    parser = Parser("report", "Write one HTML page with runs and all their samples.", EPILOG)
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="run directories, or folders of runs"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="the page")
    parser.add_argument(
        "--thumbnails-mb",
        type=float,
        default=8.0,
        metavar="MB",
        help="most that pictures of frames may add (default 8; 0: none)",
    )
    parser.add_argument(
        "--thumbnails-seconds",
        type=float,
        default=10.0,
        metavar="S",
        help="most time to take them in (default 10)",
    )
    parser.add_argument(
        "--export",
        metavar="DIR",
        help="also write tables (Markdown, CSV, LaTeX) and curves (SVG, PNG)",
    )
    return parser


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
