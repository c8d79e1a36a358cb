"""``llava-eval gate RUN --baseline FILE_OR_RUN``, and ``--write-baseline FILE``."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llava_eval.errors import ComparisonError, ConfigError, LlavaEvalError, StorageError
from llava_eval.results.command_line import terminal_width, write_out, write_output
from llava_eval.results.runs import Run, RunReader, is_run

if TYPE_CHECKING:
    from llava_eval.results.gate.checks import Rule


def run_gate(
    run_path: Path,
    baseline_path: Path,
    rule: Rule,
    *,
    junit: str | None = None,
    summary: str | None = None,
) -> int:
    """Compare a run with a baseline and print the verdict.

    Args:
        run_path: run directory.
        baseline_path: a written baseline, or another run directory.
        rule: what counts as a regression.
        junit: file to write JUnit XML into.
        summary: file to write Markdown into.

    Returns:
        The exit code: 0 passed, 1 regressed.

    Raises:
        LlavaEvalError: nothing can be compared, or a file cannot be written.
    """
    try:
        return _judge(run_path, baseline_path, rule, junit, summary)
    except (ConfigError, StorageError):
        raise
    except LlavaEvalError as error:
        _report_not_comparable(str(error), junit, summary)
        raise


def write_baseline_of(run_path: Path, path: Path) -> None:
    """Write the baseline of a run.

    Raises:
        LlavaEvalError: the run cannot be read, or the file cannot be written.
    """
    from llava_eval.results.gate.baseline import write_baseline

    write_baseline(path, RunReader().read(run_path))
    write_out(f"wrote {path}, {path.stat().st_size / 1000:.0f} kB")


def rule_of(*, alpha: float, tolerances: Sequence[str], max_slowdown: float | None) -> Rule:
    """Return the rule that the command line asks for.

    Args:
        alpha: how often a model as good as the baseline fails.
        tolerances: "METRIC=POINTS" each.
        max_slowdown: most seconds a sample, as a multiple of the baseline's.

    Raises:
        ConfigError: a value that makes no sense.
    """
    from llava_eval.results.gate.checks import Rule

    tolerance = dict(_tolerance(text) for text in tolerances)
    if not 0 < alpha < 0.5:
        raise ConfigError(f"gate: --alpha {alpha:g}: expected a rate between 0 and 0.5")
    if max_slowdown is not None and not (math.isfinite(max_slowdown) and max_slowdown > 0):
        raise ConfigError(f"gate: --max-slowdown {max_slowdown:g}: expected a factor above 0")
    return Rule(alpha, tolerance, max_slowdown)


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
    run_path: Path, baseline_path: Path, rule: Rule, junit: str | None, summary: str | None
) -> int:
    from llava_eval.results.gate.checks import judge
    from llava_eval.results.gate.junit import to_junit
    from llava_eval.results.gate.verdict_text import to_markdown, to_terminal, workflow_commands

    reader = RunReader()
    run = reader.read(run_path)
    verdict = judge(run, _baseline(baseline_path, run, reader), rule)
    write_out(to_terminal(verdict, width=terminal_width()))
    if _on_github():
        write_out("\n".join(workflow_commands(verdict)))
    if junit is not None:
        write_output(junit, to_junit(verdict, to_terminal(verdict)))
    if summary is not None:
        write_output(summary, to_markdown(verdict))
    return int(bool(verdict.regressions))


def _baseline(path: Path, run: Run, reader: RunReader) -> Run:
    from llava_eval.results.gate.baseline import read_baseline

    if is_run(path):
        return reader.read(path)
    if path.is_dir():
        raise ComparisonError(f"{path} is neither a baseline file nor a run directory")
    return read_baseline(path, run)


def _report_not_comparable(reason: str, junit: str | None, summary: str | None) -> None:
    from llava_eval.results.gate.junit import not_comparable_junit
    from llava_eval.results.gate.verdict_text import annotation, not_comparable_markdown

    if _on_github():
        write_out(annotation("error", "llava-eval gate: cannot compare", reason))
    if junit is not None:
        write_output(junit, not_comparable_junit(reason))
    if summary is not None:
        write_output(summary, not_comparable_markdown(reason))


def _on_github() -> bool:
    return bool(os.environ.get("GITHUB_ACTIONS"))
