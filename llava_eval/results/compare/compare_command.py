"""``llava-eval compare RUN_A RUN_B [RUN...]`` and ``llava-eval compare SWEEP``."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from llava_eval.errors import ConfigError
from llava_eval.results.command_line import terminal_width, write_out
from llava_eval.results.runs import Run, RunReader, find_runs, is_run
from llava_eval.results.table import printable


def compare_paths(
    paths: Sequence[Path], *, export: Path | None = None, allow_differences: bool = False
) -> None:
    """Print how runs differ from the first one, or how the runs of a sweep compare.

    Args:
        paths: run directories, or folders that hold runs.
        export: folder to write tables and curves into.
        allow_differences: compare runs whose questions or benchmark versions differ, too.

    Raises:
        LlavaEvalError: the runs cannot be read or compared, or a file cannot be written.
    """
    if len(paths) == 1 and is_run(paths[0]):
        raise ConfigError(f"compare needs another run beside {paths[0]}, or the folder of a sweep")
    reader = RunReader()
    if all(is_run(path) for path in paths):
        runs = [reader.read(path) for path in paths]
        _compare(runs, export, allow_differences=allow_differences)
        return
    found = [run for path in paths for run in find_runs(path)]
    runs = [reader.read(path) for path in dict.fromkeys(found)]
    _compare_sweep(runs, export, allow_differences=allow_differences)


def _compare(runs: Sequence[Run], export: Path | None, *, allow_differences: bool) -> None:
    from llava_eval.results.compare.comparison import compare_runs
    from llava_eval.results.compare.files import export_comparison
    from llava_eval.results.compare.screen import to_terminal

    comparisons = compare_runs(runs, allow_differences=allow_differences)
    write_out(to_terminal(runs, comparisons, width=terminal_width()))
    if export is not None:
        _say_written(export, export_comparison(export, runs, comparisons))


def _compare_sweep(runs: Sequence[Run], export: Path | None, *, allow_differences: bool) -> None:
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


def _say_written(folder: Path, written: Sequence[Path]) -> None:
    write_out(f"\n{len(written)} files in {printable(str(folder))}")
