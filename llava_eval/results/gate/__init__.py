"""``llava-eval gate RUN --baseline FILE_OR_RUN``, and ``--write-baseline FILE``."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llava_eval.errors import ComparisonError, ConfigError, LlavaEvalError, StorageError

if TYPE_CHECKING:
    from llava_eval.results.gate.rule import Check, Mode, Rule
    from llava_eval.results.runs import ComparableRun, RunReader


def run_gate(
    run_path: Path,
    baseline_path: Path,
    rule: Rule,
    *,
    junit: Path | None = None,
    summary: Path | None = None,
    as_json: bool = False,
    config_dir: Path | None = None,
) -> int:
    """Compare a run with a baseline and print the verdict.

    Args:
        run_path: run directory.
        baseline_path: a written baseline, or another run directory.
        rule: what counts as a regression.
        junit: file to write JUnit XML into.
        summary: file to write Markdown into.
        as_json: print JSON.
        config_dir: the user's own configuration files; metrics that they name may be called.

    Returns:
        The exit code: 0 passed, 1 not.

    Raises:
        LlavaEvalError: nothing can be compared, or a file cannot be written.
    """
    from llava_eval.results.formatting import terminal_width
    from llava_eval.results.gate import verdict as texts
    from llava_eval.results.gate.rule import verdict_of
    from llava_eval.results.runs import RunReader

    with refusals_reported(junit, summary, as_json=as_json, run_path=run_path):
        reader = RunReader(config_dir)
        run = reader.read(run_path)
        verdict = verdict_of(run, _baseline(reader, baseline_path, run), rule)
    publish(
        texts.to_terminal(verdict, width=terminal_width()),
        texts.to_markdown(verdict),
        label=run.label,
        benchmark=run.benchmark,
        outcome=texts.outcome(verdict),
        checks=verdict.checks,
        properties=texts.properties_of(verdict),
        junit=junit,
        summary=summary,
        content=texts.to_content(verdict) if as_json else None,
    )
    return int(bool(verdict.failures))


@contextlib.contextmanager
def refusals_reported(
    junit: Path | None,
    summary: Path | None,
    *,
    as_json: bool = False,
    run_path: Path | None = None,
) -> Iterator[None]:
    """Tell CI servers, too, of an error of the block that leaves nothing to compare.

    Args:
        junit: file to write JUnit XML into.
        summary: file to write Markdown into.
        as_json: what is printed is JSON.
        run_path: run directory, whose failures are listed by cause.
    """
    from llava_eval.results.files import write_output
    from llava_eval.results.formatting import write_out
    from llava_eval.results.gate import verdict as texts

    try:
        yield
    except (ConfigError, StorageError):
        raise
    except LlavaEvalError as error:
        if _is_on_github() and not as_json:
            title = "llava-eval gate: cannot compare"
            write_out(texts.annotation("error", title, str(error)))
        _give_to_later_steps(verdict="cannot compare", outcome=str(error), failures="")
        if junit is not None:
            write_output(junit, texts.not_comparable_junit(str(error)))
        if summary is not None:
            write_output(summary, texts.not_comparable_markdown(str(error), _causes(run_path)))
        raise


def _causes(run_path: Path | None) -> list[str]:
    """Return what samples of a run failed of; nothing where its ledger cannot be read."""
    from llava_eval.results import files
    from llava_eval.results.ledger import read_ledger
    from llava_eval.results.summary import failures_by_cause

    if run_path is None:
        return []
    try:
        return failures_by_cause(read_ledger(run_path / files.LEDGER))
    except (LlavaEvalError, OSError):
        return []


def _give_to_later_steps(**outputs: str) -> None:
    """Write outputs of a step of a GitHub workflow, as steps.ID.outputs.NAME gives them."""
    from llava_eval.results.formatting import printable

    path = os.environ.get("GITHUB_OUTPUT")
    if path:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.writelines(f"{name}={printable(text)}\n" for name, text in outputs.items())


def publish(
    text: str,
    markdown: str,
    *,
    label: str,
    benchmark: str,
    outcome: str,
    checks: Sequence[Check],
    properties: Mapping[str, str],
    junit: Path | None,
    summary: Path | None,
    content: Mapping[str, Any] | None,
) -> None:
    """Print a verdict, and write it for CI servers.

    Args:
        text: for a terminal.
        markdown: for a pull request.
        label: of the run, with overrides.
        benchmark: of the run, without.
        outcome: the verdict in a few words.
        checks: what it is made of.
        properties: of the run and its baseline, for readers of JUnit.
        junit: file to write JUnit XML into.
        summary: file to write Markdown into.
        content: JSON values to print in place of the text.

    Raises:
        StorageError: a file cannot be written.
    """
    from llava_eval.results.files import write_output
    from llava_eval.results.formatting import write_out
    from llava_eval.results.gate.verdict import to_junit, workflow_commands

    write_out(text if content is None else json.dumps(content, indent=2, ensure_ascii=False))
    if _is_on_github() and content is None:
        write_out("\n".join(workflow_commands(label, outcome, checks)))
    failing = [check for check in checks if check.fails]
    unproven = "not shown" if failing else "passed"
    _give_to_later_steps(
        verdict="regressed" if any(check.regressed for check in failing) else unproven,
        outcome=outcome,
        failures=",".join(check.name for check in failing),
    )
    if junit is not None:
        write_output(junit, to_junit(label, benchmark, checks, text, properties))
    if summary is not None:
        write_output(summary, markdown)


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


def _baseline(reader: RunReader, path: Path, run: ComparableRun) -> ComparableRun:
    """Read a written baseline, or a run directory.

    Raises:
        LlavaEvalError: it is neither, or cannot be read.
    """
    from llava_eval.borders.paths import is_folder
    from llava_eval.results.gate.baseline import read_baseline
    from llava_eval.results.runs import is_run

    if is_run(path):
        return reader.read(path)
    if is_folder(path):
        raise ComparisonError(f"{path} is neither a baseline file nor a run directory")
    return read_baseline(path, run)


def _is_on_github() -> bool:
    return bool(os.environ.get("GITHUB_ACTIONS"))
