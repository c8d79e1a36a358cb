"""``llava-eval compare RUN_A RUN_B [RUN...]`` and ``llava-eval compare SWEEP``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llava_eval.errors import ConfigError

if TYPE_CHECKING:
    from llava_eval.results.runs import Run


def compare_paths(
    paths: Sequence[Path],
    *,
    export: Path | None = None,
    allow_differences: bool = False,
    config_dir: Path | None = None,
) -> None:
    """Print a comparison of runs, or the table and curves of a sweep.

    Args:
        paths: run directories, all compared with the first; or folders that hold runs.
        export: folder for the same as files.
        allow_differences: compare runs that are incomplete or were not asked the same.
        config_dir: the user's own configuration files; metrics that they name may be called.

    Raises:
        LlavaEvalError: the runs cannot be read or compared, or a file cannot be written.
    """
    from llava_eval.results.runs import RunReader, find_runs, is_run

    if len(paths) == 1 and is_run(paths[0]):
        raise ConfigError(f"compare needs another run beside {paths[0]}, or the folder of a sweep")
    reader = RunReader(config_dir)
    if all(is_run(path) for path in paths):
        runs = [reader.read(path) for path in paths]
        written = _compare_runs(runs, export, allow_differences=allow_differences)
    else:
        result = dict.fromkeys(run for path in paths for run in find_runs(path))
        runs = [reader.read(path) for path in result]
        written = _compare_sweep(runs, export, allow_differences=allow_differences)
    if export is not None:
        from llava_eval.results.formatting import printable, write_out

        write_out(f"\n{len(written)} files in {printable(str(export))}")


def _compare_runs(
    runs: Sequence[Run], export: Path | None, *, allow_differences: bool
) -> Sequence[Path]:
    from llava_eval.results.compare.comparison import compare_runs
    from llava_eval.results.compare.export import export_comparison
    from llava_eval.results.compare.terminal import comparison_text
    from llava_eval.results.formatting import terminal_width, write_out

    comparisons = compare_runs(runs, allow_differences=allow_differences)
    write_out(comparison_text(runs, comparisons, width=terminal_width()))
    return [] if export is None else export_comparison(export, runs, comparisons)


def _compare_sweep(
    runs: Sequence[Run], export: Path | None, *, allow_differences: bool
) -> Sequence[Path]:
    from llava_eval.results.compare.export import export_sweeps
    from llava_eval.results.compare.sweep_curves import sweeps_of
    from llava_eval.results.compare.terminal import sweep_text
    from llava_eval.results.formatting import terminal_width, write_out

    sweeps = sweeps_of(runs, allow_differences=allow_differences)
    for sweep in sweeps:
        write_out(sweep_text(sweep, width=terminal_width()) + "\n")
    return [] if export is None else export_sweeps(export, sweeps)
