"""``llava-eval compare RUN_A RUN_B [RUN...]`` and ``llava-eval compare SWEEP``."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from llava_eval.errors import ConfigError
from llava_eval.results.command_line import HelpShown, Parser, terminal_width, write_out
from llava_eval.results.runs import Run, RunReader, find_runs, is_run
from llava_eval.results.table import printable

EPILOG = """\
Samples are paired by id. Intervals and p-values treat the questions of one
video as one cluster; McNemar's exact test takes samples as independent.

exit codes
  0  compared
  2  the runs cannot be compared, or a mistake in the command
"""


def main(words: Sequence[str]) -> int:
    """Run the command and return its exit code.

    Raises:
        LlavaEvalError: the runs cannot be read or compared, or a file cannot be written.
    """
    try:
        arguments = _parser().parsed(words)
    except HelpShown:
        return 0
    paths = [Path(word).expanduser() for word in arguments.paths]
    export = None if arguments.export is None else Path(arguments.export).expanduser()
    if len(paths) == 1 and is_run(paths[0]):
        raise ConfigError(f"compare needs another run beside {paths[0]}, or the folder of a sweep")
    reader = RunReader()
    if all(is_run(path) for path in paths):
        runs = [reader.read(path) for path in paths]
        return _compare(runs, export, allow_differences=arguments.allow_differences)
    found = [run for path in paths for run in find_runs(path)]
    runs = [reader.read(path) for path in dict.fromkeys(found)]
    return _compare_sweep(runs, export, allow_differences=arguments.allow_differences)


def _parser() -> Parser:
    parser = Parser(
        "compare", "Compare runs of the same questions, or the runs of a sweep.", EPILOG
    )
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="RUN",
        help="run directories, all compared with the first; or folders of a sweep",
    )
    parser.add_argument(
        "--allow-differences",
        action="store_true",
        help="compare runs that are not finished, or whose prompts, targets, media or benchmark "
        "version differ",
    )
    parser.add_argument(
        "--export",
        metavar="DIR",
        help="write JSON, tables (Markdown, CSV, LaTeX) and curves (SVG, PNG)",
    )
    return parser


def _compare(runs: Sequence[Run], export: Path | None, *, allow_differences: bool) -> int:
    from llava_eval.results.compare.comparison import compare_runs
    from llava_eval.results.compare.files import export_comparison
    from llava_eval.results.compare.screen import to_terminal

    comparisons = compare_runs(runs, allow_differences=allow_differences)
    write_out(to_terminal(runs, comparisons, width=terminal_width()))
    if export is not None:
        _say_written(export, export_comparison(export, runs, comparisons))
    return 0


def _compare_sweep(runs: Sequence[Run], export: Path | None, *, allow_differences: bool) -> int:
    from llava_eval.results.compare.files import export_sweeps
    from llava_eval.results.compare.sweep_curves import legend, sweep_charts, sweep_table, sweeps_of
    from llava_eval.results.figures.characters import to_text

    width = terminal_width()
    sweeps = sweeps_of(runs, allow_differences=allow_differences)
    for sweep in sweeps:
        blocks = [
            printable(f"{sweep.benchmark}, {len(sweep.settings)} runs"),
            sweep_table(sweep).to_text(width),
            textwrap.fill(printable(legend(sweep)), width),
            *(to_text(chart, width=width) for chart in sweep_charts(sweep).values()),
        ]
        blocks += [textwrap.fill(printable(f"Note: {note}."), width) for note in sweep.notes]
        write_out("\n\n".join(blocks) + "\n")
    if export is not None:
        _say_written(export, export_sweeps(export, sweeps))
    return 0


def _say_written(folder: Path, written: Sequence[Path]) -> None:
    write_out(f"\n{len(written)} files in {printable(str(folder))}")
