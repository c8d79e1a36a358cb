"""The end of a command: the table, the failures by cause, and the exit code."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from llava_eval.engine.console import say
from llava_eval.results import files
from llava_eval.results.ledger import read_ledger
from llava_eval.results.summary import Summary, failures_by_cause
from llava_eval.results.tables import to_terminal


@dataclass(frozen=True)
class Outcome:
    """A run directory and its numbers at the end of a command."""

    directory: Path
    summary: Summary
    max_errors: int  # most failed samples with which the exit code is still 0
    of_given_texts: bool = False  # the texts came from a file, so failed samples cannot be retried

    @property
    def exit_code(self) -> int:
        """1 if more samples failed than the configuration allows or the judge stopped, else 0."""
        judge = self.summary.judge or {}
        num_unjudged = judge.get("num_prompts", 0) - judge.get("num_judged", 0)
        num_failed = self.summary.num_errors + num_unjudged
        return int(num_failed > self.max_errors or judge.get("stopped") is not None)


def print_outcome(outcome: Outcome) -> int:
    """Print the table and the run directory of a finished run.

    Args:
        outcome: outcome of the run.

    Returns:
        The exit code of the command.
    """
    summary = outcome.summary
    print(to_terminal(summary, width=shutil.get_terminal_size().columns))
    print(f"\n{outcome.directory}")
    judge = summary.judge or {}
    if judge.get("num_judged", 0) < judge.get("num_prompts", 0):
        stopped = f": {judge['stopped']}" if judge["stopped"] else ""
        say(
            f"{judge['num_judged']} of {judge['num_prompts']} prompts are judged{stopped}; replies "
            f"so far are kept in {outcome.directory / 'judge.jsonl'}, and the same command with "
            f"output_dir={outcome.directory} asks for the others"
        )
    if summary.num_errors:
        for line in failures_by_cause(read_ledger(outcome.directory / files.LEDGER)):
            say(line)
    if summary.num_errors > outcome.max_errors:
        asks = f", and a run with output_dir={outcome.directory} asks them again"
        say(
            f"{summary.num_errors} samples failed, at most {outcome.max_errors} are allowed "
            f"(errors.max); they are in {outcome.directory / files.LEDGER}"
            f"{'' if outcome.of_given_texts else asks}"
        )
    return outcome.exit_code
