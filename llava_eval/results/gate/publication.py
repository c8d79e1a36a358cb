"""Output of a gate's verdict: terminal, JUnit XML, Markdown, and GitHub workflow steps."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llava_eval.borders.paths import storage_errors
from llava_eval.errors import ComparisonError, ConfigError, LlavaEvalError, StorageError
from llava_eval.results import files
from llava_eval.results.formatting import print_json, printable, terminal_width, write_out
from llava_eval.results.gate import verdict as texts
from llava_eval.results.gate.sequential_gate import SequentialGate
from llava_eval.results.gate.verdict import GateVerdict
from llava_eval.results.ledger import read_ledger
from llava_eval.results.summary import failures_by_cause


@dataclass(frozen=True)
class Publication:
    """The requested outputs of a gate's verdict.

    Attributes:
        junit: file for JUnit XML; None for none.
        summary: file for Markdown; None for none.
        as_json: whether to print JSON instead of the text.
    """

    junit: Path | None
    summary: Path | None
    as_json: bool

    @contextlib.contextmanager
    def refusals_reported(self, run_path: Path | None = None) -> Iterator[None]:
        """Report errors of the block, except ConfigError, to CI servers as "cannot compare".

        Args:
            run_path: run directory, whose failures are listed by cause in the Markdown.

        Raises:
            ComparisonError: replaces errors with exit code 1, which in a gate would mean that the
                run regressed.
        """
        try:
            yield
        except ConfigError:
            raise
        except LlavaEvalError as error:
            if self._is_on_github:
                write_out(texts.annotation("error", "llava-eval gate: cannot compare", str(error)))
            causes: list[str] = []
            with contextlib.suppress(LlavaEvalError, OSError):  # the ledger may not be readable
                if run_path is not None and self.summary is not None:
                    causes = failures_by_cause(read_ledger(run_path / files.LEDGER))
            junit = texts.not_comparable_junit(str(error))
            try:
                self._write(junit, texts.not_comparable_markdown(str(error), causes))
                _give_to_later_steps(verdict="cannot compare", outcome=str(error), failures="")
            except StorageError as unwritten:
                raise ComparisonError(f"{error}; {unwritten}") from error
            if error.exit_code == 1:
                raise ComparisonError(str(error)) from error
            raise

    def publish(self, verdict: GateVerdict | SequentialGate) -> int:
        """Print a verdict, and write it for CI servers.

        Returns:
            The exit code: 0 if the run passed, 1 otherwise.

        Raises:
            ComparisonError: a file cannot be written.
        """
        text = verdict.text(width=terminal_width())
        if self.as_json:
            print_json(verdict.content)
        else:
            write_out(text)
        if self._is_on_github:
            write_out("\n".join(texts.workflow_commands(verdict)))
        failing = [check for check in verdict.checks if check.fails]
        word = "not shown" if failing else "passed"
        if any(check.regressed for check in failing):
            word = "regressed"
        try:
            self._write(texts.to_junit(verdict, text), verdict.markdown())
            _give_to_later_steps(
                verdict=word,
                outcome=verdict.outcome,
                failures=",".join(check.name for check in failing),
            )
        except StorageError as error:  # its exit code 1 would mean that the run regressed
            raise ComparisonError(str(error)) from error
        return int(bool(failing))

    @property
    def _is_on_github(self) -> bool:
        """Whether a GitHub runner reads commands from the output; JSON has none."""
        return bool(os.environ.get("GITHUB_ACTIONS")) and not self.as_json

    def _write(self, junit: str, markdown: str) -> None:
        for path, text in ((self.junit, junit), (self.summary, markdown)):
            if path is None:
                continue
            if str(path) == os.environ.get("GITHUB_STEP_SUMMARY"):  # keep the step's other text
                with storage_errors(path), path.open("a", encoding="utf-8") as stream:
                    stream.write(f"{text}\n")
            else:
                files.write_output(path, text)


def _give_to_later_steps(**outputs: str) -> None:
    """Write outputs of a GitHub workflow step, for later use as steps.ID.outputs.NAME."""
    path = os.environ.get("GITHUB_OUTPUT")
    if path:
        with storage_errors(Path(path)), Path(path).open("a", encoding="utf-8") as stream:
            stream.writelines(f"{name}={printable(text)}\n" for name, text in outputs.items())
