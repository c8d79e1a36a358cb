"""``llava-eval compare RUN_A RUN_B [RUN...]`` and ``llava-eval compare SWEEP``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from llava_eval.errors import ConfigError


def compare_paths(
    paths: Sequence[Path],
    *,
    export: Path | None = None,
    allow_differences: bool = False,
    as_json: bool = False,
    config_dir: Path | None = None,
) -> None:
    """Print a comparison of runs, or the table and curves of a sweep.

    Args:
        paths: run directories, all compared with the first; or folders that hold runs.
        export: folder for the same as files.
        allow_differences: compare runs that are incomplete or were not asked the same.
        as_json: print JSON.
        config_dir: the user's own configuration files; metrics that they name may be called.

    Raises:
        LlavaEvalError: the runs cannot be read or compared, or a file cannot be written.
    """
    from llava_eval.results.compare import export as exports
    from llava_eval.results.compare.comparison import compare_runs
    from llava_eval.results.compare.terminal import comparison_text, sweep_text
    from llava_eval.results.compare.sweep_curves import sweeps_of
    from llava_eval.results.formatting import printable, terminal_width, write_out
    from llava_eval.results.runs import RunReader, find_runs, is_run

    if len(paths) == 1 and is_run(paths[0]):
        raise ConfigError(f"compare needs another run beside {paths[0]}, or the folder of a sweep")
    reader, width = RunReader(config_dir), terminal_width()
    written: Sequence[Path] = []
    if all(is_run(path) for path in paths):
        runs = [reader.read(path) for path in paths]
        comparisons = compare_runs(runs, allow_differences=allow_differences)
        if as_json:
            content: object = exports.comparison_content(runs, comparisons)
        else:
            write_out(comparison_text(runs, comparisons, width=width))
        if export is not None:
            written = exports.export_comparison(export, runs, comparisons)
    else:
        result = dict.fromkeys(run for path in paths for run in find_runs(path))
        sweeps = sweeps_of(
            [reader.read(path) for path in result], allow_differences=allow_differences
        )
        if as_json:
            content = exports.sweep_content(sweeps)
        else:
            write_out("\n\n".join(sweep_text(sweep, width=width) for sweep in sweeps) + "\n")
        if export is not None:
            written = exports.export_sweeps(export, sweeps)
    if as_json:
        write_out(json.dumps(content, indent=2, ensure_ascii=False))
    elif export is not None:
        write_out(f"\n{len(written)} files in {printable(str(export))}")
