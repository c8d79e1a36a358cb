"""What people see of a run: messages, the progress bar, and the table at its end."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tqdm import tqdm

from llava_eval.errors import without_secrets
from llava_eval.results.formatting import printable
from llava_eval.results.tables import to_terminal
from llava_eval.types import SampleResult

if TYPE_CHECKING:
    from llava_eval.run import Outcome


def set_up_logging() -> None:
    """Send the package's messages to stderr, above the progress bar."""
    logger = logging.getLogger("llava_eval")
    handler = _BarHandler()
    handler.addFilter(make_safe)
    logger.handlers = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # At every start torchao makes torch say what concerns torchao's authors alone, and for every
    # layer bitsandbytes says that its 8-bit products take float16.
    for name in ("torch.utils._pytree", "bitsandbytes"):
        logging.getLogger(name).setLevel(logging.ERROR)


def make_safe(record: logging.LogRecord) -> bool:
    """Make a message one line that no terminal or CI server acts upon, without secrets.

    Args:
        record: of the message, which is replaced.

    Returns:
        True, for a filter of logging: the message is to be shown.
    """
    record.msg = printable(without_secrets(record.getMessage()))
    record.args = ()
    return True


class _BarHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Write one message."""
        tqdm.write(f"llava-eval: {self.format(record)}", file=sys.stderr)


def print_outcome(outcome: Outcome) -> int:
    """Print the table and the run directory of a finished run.

    Args:
        outcome: what the run left.

    Returns:
        The exit code of the command.
    """
    summary = outcome.summary
    print(to_terminal(summary, width=shutil.get_terminal_size().columns))
    print(f"\n{outcome.directory}")
    judge = summary.judge or {}
    if judge.get("num_judged", 0) < judge.get("num_prompts", 0):
        stopped = f": {judge['stopped']}" if judge["stopped"] else ""
        print(
            f"llava-eval: {judge['num_judged']} of {judge['num_prompts']} prompts are judged"
            f"{stopped}; replies so far are kept in {outcome.directory / 'judge.jsonl'}, and the "
            "same command asks for the others",
            file=sys.stderr,
        )
    if summary.num_errors > outcome.max_errors:
        print(
            f"llava-eval: {summary.num_errors} samples failed, at most {outcome.max_errors} are "
            "allowed (errors.max); their causes are in "
            f"{outcome.directory / 'samples.jsonl'}",
            file=sys.stderr,
        )
    return outcome.exit_code


class ProgressBar:
    """Shows samples done, their rate, generated tokens a second, the wait for decode, the score.

    Args:
        total: samples of the benchmark.
        finished: results that an earlier process left.
    """

    def __init__(self, total: int, finished: Sequence[SampleResult]) -> None:
        self._num_failed = 0
        self._num_tokens = 0
        self._start = time.perf_counter()
        self._scores: list[float] = []
        for result in finished:
            self._count(result)
        self._bar = tqdm(
            total=total,
            initial=len(finished),
            unit=" samples",
            dynamic_ncols=True,
            smoothing=0.1,
            mininterval=0.2,
        )

    def add(self, result: SampleResult, *, decode_wait_seconds: float) -> None:
        """Count one more result."""
        self._count(result)
        self._num_tokens += result.generation.num_output_tokens or 0
        rate = self._num_tokens / max(time.perf_counter() - self._start, 1e-9)
        parts = [f"{rate:.0f} tokens/s", f"decode wait {decode_wait_seconds:.1f}s"]
        if self._scores:
            parts.append(f"score {100 * sum(self._scores) / len(self._scores):.1f}")
        if self._num_failed:
            parts.append(f"{self._num_failed} failed")
        self._bar.set_postfix_str(", ".join(parts), refresh=False)
        self._bar.update(1)

    def _count(self, result: SampleResult) -> None:
        self._num_failed += result.generation.error is not None
        if result.score.value is not None:
            self._scores.append(result.score.value)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
