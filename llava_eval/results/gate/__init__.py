"""``llava-eval gate RUN --baseline FILE_OR_RUN``, and ``--write-baseline FILE``."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llava_eval.errors import ComparisonError, ConfigError, LlavaEvalError, StorageError

if TYPE_CHECKING:
    from llava_eval.results.gate.rule import Mode, Rule
    from llava_eval.results.runs import RunReader


def run_gate(
    run_path: Path,
    baseline_path: Path,
    rule: Rule,
    *,
    junit: Path | None = None,
    summary: Path | None = None,
    config_dir: Path | None = None,
) -> int:
    """Compare a run with a baseline and print the verdict.

    Args:
        run_path: run directory.
        baseline_path: a written baseline, or another run directory.
        rule: what counts as a regression.
        junit: file to write JUnit XML into.
        summary: file to write Markdown into.
        config_dir: the user's own configuration files; metrics that they name may be called.

    Returns:
        The exit code: 0 passed, 1 not.

    Raises:
        LlavaEvalError: nothing can be compared, or a file cannot be written.
    """
    from llava_eval.results.runs import RunReader

    try:
        return _judge(RunReader(config_dir), run_path, baseline_path, rule, junit, summary)
    except (ConfigError, StorageError):
        raise
    except LlavaEvalError as error:
        _report_not_comparable(str(error), junit, summary)
        raise


def write_baseline_of(run_path: Path, path: Path) -> None:
    """Write the baseline of a run.

    Args:
        run_path: run directory.
        path: file to write.

    Raises:
        LlavaEvalError: the run cannot be read, or the file cannot be written.
    """
    from llava_eval.results.formatting import printable, write_out
    from llava_eval.results.gate.baseline import write_baseline
    from llava_eval.results.runs import RunReader

    write_baseline(path, RunReader().read(run_path))
    write_out(f"wrote {printable(str(path))}, {path.stat().st_size / 1000:.0f} kB")


def rule_of(
    *,
    alpha: float,
    tolerances: Sequence[str],
    max_slowdown: float | None,
    mode: Mode = "regression",
) -> Rule:
    """Return the rule that the command line asks for.

    Args:
        alpha: how often a model as good as the baseline fails.
        tolerances: "METRIC=POINTS" each.
        max_slowdown: most seconds a sample, as a multiple of the baseline's.
        mode: what a metric whose tolerance is stated has to do to pass.

    Raises:
        ConfigError: a value that makes no sense.
    """
    from llava_eval.results.gate.rule import Rule

    tolerance = dict(_tolerance(text) for text in tolerances)
    if not 0 < alpha < 0.5:
        raise ConfigError(f"gate: --alpha {alpha:g}: expected a rate between 0 and 0.5")
    if max_slowdown is not None and not (math.isfinite(max_slowdown) and max_slowdown > 0):
        raise ConfigError(f"gate: --max-slowdown {max_slowdown:g}: expected a factor above 0")
    return Rule(alpha, tolerance, max_slowdown, mode)


def _tolerance(text: str) -> tuple[str, float]:
    name, _, points = text.rpartition("=")
    try:
        value = float(points)
    except ValueError:
        value = math.nan
    if not name or not (math.isfinite(value) and value >= 0):
        raise ConfigError(
            f"gate: --tolerance {text!r}: expected METRIC=POINTS with points of at least 0, for "
            "instance accuracy=1.5"
        )
    return name, value


def _judge(
    reader: RunReader,
    run_path: Path,
    baseline_path: Path,
    rule: Rule,
    junit: Path | None,
    summary: Path | None,
) -> int:
    from llava_eval.borders.paths import is_folder
    from llava_eval.results.files import write_output
    from llava_eval.results.formatting import terminal_width, write_out
    from llava_eval.results.gate.baseline import read_baseline
    from llava_eval.results.gate.rule import judge
    from llava_eval.results.gate.verdict import (
        to_junit,
        to_markdown,
        to_terminal,
        workflow_commands,
    )
    from llava_eval.results.runs import ComparableRun, is_run

    run = reader.read(run_path)
    baseline: ComparableRun
    if is_run(baseline_path):
        baseline = reader.read(baseline_path)
    elif is_folder(baseline_path):
        raise ComparisonError(f"{baseline_path} is neither a baseline file nor a run directory")
    else:
        baseline = read_baseline(baseline_path, run)
    verdict = judge(run, baseline, rule)
    write_out(to_terminal(verdict, width=terminal_width()))
    if _is_on_github():
        write_out("\n".join(workflow_commands(verdict)))
    if junit is not None:
        write_output(junit, to_junit(verdict, to_terminal(verdict)))
    if summary is not None:
        write_output(summary, to_markdown(verdict))
    return int(bool(verdict.failures))


def _report_not_comparable(reason: str, junit: Path | None, summary: Path | None) -> None:
    from llava_eval.results.files import write_output
    from llava_eval.results.formatting import write_out
    from llava_eval.results.gate.verdict import (
        annotation,
        not_comparable_junit,
        not_comparable_markdown,
    )

    if _is_on_github():
        write_out(annotation("error", "llava-eval gate: cannot compare", reason))
    if junit is not None:
        write_output(junit, not_comparable_junit(reason))
    if summary is not None:
        write_output(summary, not_comparable_markdown(reason))


def _is_on_github() -> bool:
    return bool(os.environ.get("GITHUB_ACTIONS"))
