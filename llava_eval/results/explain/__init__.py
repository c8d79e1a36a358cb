"""``llava-eval explain RUN [--against PUBLISHED|RUN]``: why a number is what it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llava_eval.errors import ConfigError, RunDirectoryError

if TYPE_CHECKING:
    from llava_eval.results.explain.explanation import Explanation
    from llava_eval.results.formatting import Table
    from llava_eval.types import SampleResult

#: Generates anew: a configuration, ids of samples, and a folder for the run directory.
Rerun = Callable[[Mapping[str, Any], Collection[str], Path], Sequence["SampleResult"]]

#: What ``explain --run`` leaves in the run directory, for the report.
FILE = "explain.json"


def explain_command(
    path: Path,
    *,
    against: str | None,
    num_groups: int | None,
    seed: int,
    out: Path | None,
    as_json: bool,
    rerun: Rerun,
    config_dir: Path | None = None,
) -> None:
    """Print what explains a run's number.

    Args:
        path: run directory.
        against: another run directory, or the name of an experiment; None looks at the run alone.
        num_groups: groups (videos) to generate anew with one difference switched at a time; None
            generates nothing.
        seed: of the draw of these groups.
        out: folder for the runs of these, and for Markdown and JSON.
        as_json: print JSON.
        rerun: generates.
        config_dir: the user's own configuration files; metrics that they name may be called.

    Raises:
        LlavaEvalError: the run cannot be read, or what it is explained by.
    """
    from llava_eval.results import files
    from llava_eval.results.explain.explanation import explain, side_of
    from llava_eval.results.explain.screen import as_content, to_markdown, to_terminal
    from llava_eval.results.explain.switched_runs import attributed
    from llava_eval.results.formatting import printable, terminal_width, write_out
    from llava_eval.results.runs import RunReader

    if num_groups is not None and against is None:
        raise ConfigError("explain: --run needs --against: something that differs")
    if num_groups is not None and num_groups < 2:
        raise ConfigError(f"explain: --run {num_groups}: expected at least 2 groups")
    reader = RunReader(config_dir)
    run = reader.read(path)
    side = None if against is None else side_of(run, against, reader, config_dir)
    explanation: Explanation = explain(run, side, config_dir)
    if num_groups is not None and side is not None:
        folder = out or _default_folder(path, side.name)
        runs = folder / f"{num_groups}_groups_seed_{seed}"
        explanation = attributed(explanation, side, num_groups, seed, runs, rerun)
        out = folder
    content = as_content(explanation)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        files.write_json(out / FILE, content)
        files.write_text(out / "explain.md", to_markdown(explanation))
    if num_groups is not None:
        files.write_json(path / FILE, content)
    if as_json:
        write_out(json.dumps(content, indent=2, ensure_ascii=False))
        return
    write_out(to_terminal(explanation, width=terminal_width()))
    if out is not None:
        write_out(f"\nwrote explain.md and {FILE} into {printable(str(out))}")


def stored_parts(path: Path) -> tuple[Table, str] | None:
    """Return what ``explain --run`` found of a run, and what it is explained by.

    Args:
        path: run directory.

    Returns:
        None where it was not explained.

    Raises:
        RunDirectoryError: the file is damaged.
    """
    from llava_eval.borders.json_text import JsonError, load_json
    from llava_eval.borders.typed_json import as_type
    from llava_eval.results.explain.screen import Stored, stored_table

    try:
        stored = as_type(load_json(path / FILE, dict), Stored)
    except FileNotFoundError:
        return None
    except JsonError as error:
        raise RunDirectoryError(f"{path / FILE} cannot be read: {error}") from error
    return stored_table(stored), stored.against


def _default_folder(path: Path, against: str) -> Path:
    """Return where the runs of an explanation lie; the same question continues there."""
    from llava_eval.results.identity import digest

    return Path("results") / "explain" / f"{path.resolve().name}-{digest([str(path), against])[:8]}"
