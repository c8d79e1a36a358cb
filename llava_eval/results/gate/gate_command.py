"""``llava-eval gate RUN --baseline FILE_OR_RUN``, and ``--write-baseline FILE``."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from llava_eval.errors import ComparisonError, ConfigError, LlavaEvalError, StorageError
from llava_eval.results.command_line import (
    HelpShown,
    Parser,
    terminal_width,
    write_out,
    write_output,
)
from llava_eval.results.runs import Run, RunReader, is_run

if TYPE_CHECKING:
    from llava_eval.results.gate.checks import Rule

EPILOG = """\
A metric has regressed when the paired interval of its difference, clustered by
video, excludes no change and the drop exceeds the tolerance. Tolerances are in
the metric's own points; unreadable=1 allows one percent more unreadable
answers, errors=1 one percent more failed samples.

exit codes
  0  passed
  1  regressed
  2  cannot compare, or a mistake in the command
"""


def main(words: Sequence[str]) -> int:
    """Run the command and return its exit code.

    Raises:
        LlavaEvalError: nothing can be compared, or a file cannot be written.
    """
    try:
        arguments = _parser().parsed(words)
    except HelpShown:
        return 0
    if (arguments.baseline is None) == (arguments.write_baseline is None):
        raise ConfigError("gate needs either --baseline FILE_OR_RUN or --write-baseline FILE")
    run_path = Path(arguments.run).expanduser()
    if arguments.write_baseline is not None:
        return _write(run_path, Path(arguments.write_baseline).expanduser())
    rule = _rule(arguments)
    try:
        return _judge(arguments, run_path, Path(arguments.baseline).expanduser(), rule)
    except (ConfigError, StorageError):
        raise
    except LlavaEvalError as error:
        _report_not_comparable(arguments, str(error))
        raise


def _parser() -> Parser:
    parser = Parser("gate", "Fail when a run is worse than a baseline.", EPILOG)
    parser.add_argument("run", metavar="RUN", help="run directory")
    parser.add_argument(
        "--baseline", metavar="FILE_OR_RUN", help="a written baseline, or another run directory"
    )
    parser.add_argument(
        "--write-baseline", metavar="FILE", help="write RUN's baseline and do nothing else"
    )
    parser.add_argument(
        "--tolerance",
        metavar="METRIC=POINTS",
        action="append",
        default=[],
        help="how much worse a metric may get; may be given several times",
    )
    parser.add_argument(
        "--alpha",
        type=float,
        default=0.05,
        help="how often a model as good as the baseline fails (default 0.05)",
    )
    parser.add_argument(
        "--max-slowdown",
        type=float,
        metavar="FACTOR",
        help="most seconds a sample, as a multiple of the baseline's",
    )
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    parser.add_argument("--summary", metavar="FILE", help="write Markdown for a pull request")
    return parser


def _rule(arguments: argparse.Namespace) -> Rule:
    from llava_eval.results.gate.checks import Rule

    tolerance = dict(_tolerance(text) for text in arguments.tolerance)
    if not 0 < arguments.alpha < 0.5:
        raise ConfigError(f"gate: --alpha {arguments.alpha:g}: expected a rate between 0 and 0.5")
    slowdown = arguments.max_slowdown
    if slowdown is not None and not (math.isfinite(slowdown) and slowdown > 0):
        raise ConfigError(f"gate: --max-slowdown {slowdown:g}: expected a factor above 0")
    return Rule(arguments.alpha, tolerance, slowdown)


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


def _write(run_path: Path, path: Path) -> int:
    from llava_eval.results.gate.baseline import write_baseline

    write_baseline(path, RunReader().read(run_path))
    write_out(f"wrote {path}, {path.stat().st_size / 1000:.0f} kB")
    return 0


def _judge(arguments: argparse.Namespace, run_path: Path, baseline_path: Path, rule: Rule) -> int:
    from llava_eval.results.gate.checks import judge
    from llava_eval.results.gate.junit import to_junit
    from llava_eval.results.gate.verdict_text import to_markdown, to_terminal, workflow_commands

    reader = RunReader()
    run = reader.read(run_path)
    verdict = judge(run, _baseline(baseline_path, run, reader), rule)
    write_out(to_terminal(verdict, width=terminal_width()))
    if _on_github():
        write_out("\n".join(workflow_commands(verdict)))
    if arguments.junit is not None:
        write_output(arguments.junit, to_junit(verdict, to_terminal(verdict)))
    if arguments.summary is not None:
        write_output(arguments.summary, to_markdown(verdict))
    return int(bool(verdict.regressions))


def _baseline(path: Path, run: Run, reader: RunReader) -> Run:
    from llava_eval.results.gate.baseline import read_baseline

    if is_run(path):
        return reader.read(path)
    if path.is_dir():
        raise ComparisonError(f"{path} is neither a baseline file nor a run directory")
    return read_baseline(path, run)


def _report_not_comparable(arguments: argparse.Namespace, reason: str) -> None:
    from llava_eval.results.gate.junit import not_comparable_junit
    from llava_eval.results.gate.verdict_text import annotation, not_comparable_markdown

    if _on_github():
        write_out(annotation("error", "llava-eval gate: cannot compare", reason))
    if arguments.junit is not None:
        write_output(arguments.junit, not_comparable_junit(reason))
    if arguments.summary is not None:
        write_output(arguments.summary, not_comparable_markdown(reason))


def _on_github() -> bool:
    return bool(os.environ.get("GITHUB_ACTIONS"))
