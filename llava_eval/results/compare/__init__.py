"""``llava-eval compare RUN_A RUN_B [RUN...]`` and ``llava-eval compare SWEEP``."""

from __future__ import annotations

import dataclasses
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
    """Print a comparison of runs, the table and curves of a sweep, or what seeds do.

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
    from llava_eval.results.compare.seeds import Seeds, over_seeds, seeds_text
    from llava_eval.results.compare.sweep_curves import sweeps_of
    from llava_eval.results.compare.terminal import comparison_text, sweep_text
    from llava_eval.results.formatting import printable, terminal_width, write_out
    from llava_eval.results.runs import RunReader, find_runs, is_run

    if len(paths) == 1 and is_run(paths[0]):
        raise ConfigError(f"compare needs another run beside {paths[0]}, or the folder of a sweep")
    reader, width = RunReader(config_dir), terminal_width()
    written: Sequence[Path] = []
    are_runs = all(is_run(path) for path in paths)
    found = dict.fromkeys(run for path in paths for run in find_runs(path))
    runs = [reader.read(path) for path in (paths if are_runs else found)]
    of_seeds = over_seeds(runs) if len(runs) > 2 or not are_runs else []
    if len(of_seeds) == 1 and export is None:
        seeds = Seeds.of(runs)
        content: object = dataclasses.asdict(seeds)
        text = seeds_text(seeds, width=width)
    elif are_runs:
        comparisons = compare_runs(runs, allow_differences=allow_differences)
        content = exports.comparison_content(runs, comparisons)
        text = comparison_text(runs, comparisons, width=width)
        written = exports.export_comparison(export, runs, comparisons) if export else []
    else:
        sweeps = sweeps_of(runs, allow_differences=allow_differences)
        content = exports.sweep_content(sweeps)
        text = "\n\n".join(sweep_text(sweep, width=width) for sweep in sweeps) + "\n"
        written = exports.export_sweeps(export, sweeps) if export else []
    write_out(json.dumps(content, indent=2, ensure_ascii=False) if as_json else text)
    if export is not None and not as_json:
        write_out(f"\n{len(written)} files in {printable(str(export))}")
