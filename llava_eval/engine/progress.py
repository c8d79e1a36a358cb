"""What people see of a run: messages, the progress bar, and the table at its end."""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from tqdm import tqdm

from llava_eval.errors import without_secrets
from llava_eval.results import files
from llava_eval.results.formatting import printable
from llava_eval.results.ledger import read_ledger
from llava_eval.results.tables import to_terminal
from llava_eval.types import SampleResult

if TYPE_CHECKING:
    from llava_eval.run import Outcome

log = logging.getLogger(__name__)

#: Without a terminal: a line for so much of the whole, within these seconds of the last one.
_SHARE = 0.05
_LEAST_SECONDS = 2.0
_MOST_SECONDS = 30.0

#: Failures of one cause that are shown while a run goes on.
_NUM_SHOWN_OF_A_CAUSE = 3
#: What differs between failures of one cause: words with a slash or a digit in them.
_PARTICULARS = re.compile(r"[^\s:;,]*[/\d][^\s:;,]*")


@contextmanager
def messages_shown(verbosity: int = 0) -> Iterator[None]:
    """Send the package's messages to stderr, above the progress bar, and to the run's run.log.

    Args:
        verbosity: -1 shows neither progress nor information, 1 shows details too.
    """
    logger = logging.getLogger("llava_eval")
    before = logger.handlers, logger.level, logger.propagate
    logger.handlers = [_TerminalHandler(), _FileHandler()]
    for handler in logger.handlers:
        handler.addFilter(make_safe)
    logger.setLevel({-1: logging.WARNING, 0: logging.INFO, 1: logging.DEBUG}[verbosity])
    logger.propagate = False
    # At every start torchao makes torch say what concerns torchao's authors alone, and for every
    # layer bitsandbytes says that its 8-bit products take float16.
    for name in ("torch.utils._pytree", "bitsandbytes"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.handlers, level, logger.propagate = before
        logger.setLevel(level)


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


class _TerminalHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Write one message, unless it is for the file alone."""
        if not getattr(record, "is_for_file", False):
            tqdm.write(f"llava-eval: {self.format(record)}", file=sys.stderr)


class _FileHandler(logging.Handler):
    """Appends messages to run.log, from the one that names the run's directory on.

    What came before it is kept until then: a mistake that is found early leaves no file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._lines: list[str] = []
        self._path: Path | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Append one message; a file that cannot be written stops no run."""
        directory: Path | None = getattr(record, "run_directory", None)
        if directory is not None:
            self._path = directory / files.LOG
        self._lines.append(self.format(record))
        if self._path is None:
            return
        with contextlib.suppress(OSError), self._path.open("a", encoding="utf-8") as stream:
            stream.writelines(f"{line}\n" for line in self._lines)
        self._lines.clear()


def say(message: str) -> None:
    """Print one line to stderr that no terminal or CI server acts upon, without secrets."""
    tqdm.write(f"llava-eval: {printable(without_secrets(message))}", file=sys.stderr)


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
        say(
            f"{judge['num_judged']} of {judge['num_prompts']} prompts are judged{stopped}; replies "
            f"so far are kept in {outcome.directory / 'judge.jsonl'}, and the same command asks "
            "for the others"
        )
    if summary.num_errors:
        for line in failures_by_cause(read_ledger(outcome.directory / files.LEDGER)):
            say(line)
    if summary.num_errors > outcome.max_errors:
        say(
            f"{summary.num_errors} samples failed, at most {outcome.max_errors} are allowed "
            f"(errors.max); they are in {outcome.directory / files.LEDGER}"
        )
    return outcome.exit_code


def failures_by_cause(results: Iterable[SampleResult]) -> list[str]:
    """Return what samples failed of, the most frequent cause first, with one example each.

    Args:
        results: of a run, failed or not.
    """
    failed = [result for result in results if result.generation.error is not None]
    counts = Counter(_cause(result) for result in failed)
    examples = {_cause(result): result for result in reversed(failed)}
    return [
        f"{count} x {cause}; for instance sample {examples[cause].id}: "
        f"{examples[cause].generation.error}"
        for cause, count in counts.most_common()
    ]


def _cause(result: SampleResult) -> str:
    """Return a failure without what differs from sample to sample: paths, ids and numbers."""
    return _PARTICULARS.sub("...", result.generation.error or "")


class Progress:
    """Shows how far a run is: a bar on a terminal, otherwise a line now and then.

    Args:
        total: samples of the benchmark.
        finished: results that an earlier process left.
    """

    def __init__(self, total: int, finished: Sequence[SampleResult]) -> None:
        self._total = total
        self._num_before = len(finished)
        self._counts: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._score_sum = 0.0
        self._start = self._last_line = time.monotonic()
        self._next_share = 0.0
        for result in finished:
            self._count(result)
        is_quiet = logging.getLogger("llava_eval").level > logging.INFO
        self._bar = tqdm(
            total=total,
            initial=len(finished),
            disable=is_quiet or not sys.stderr.isatty(),
            dynamic_ncols=True,
            smoothing=0.1,
            mininterval=0.2,
            bar_format="{percentage:3.0f} % {remaining} left{postfix} |{bar}| "
            "{n_fmt}/{total_fmt} samples, {rate_fmt}{desc}",
            unit=" samples",
        )

    def add(self, result: SampleResult, *, decode_wait_seconds: float) -> None:
        """Count one more result.

        Args:
            result: of one sample.
            decode_wait_seconds: how long the model has waited for media, all in all.
        """
        self._count(result)
        self._counts["tokens"] += result.generation.num_output_tokens or 0
        seconds = max(time.monotonic() - self._start, 1e-9)
        speed = (
            f", {self._counts['tokens'] / seconds:.0f} tokens/s, "
            f"decode wait {decode_wait_seconds:.1f}s"
        )
        if not self._bar.disable:
            self._bar.set_description_str(speed, refresh=False)
            self._bar.set_postfix_str(self._state(), refresh=False)
            self._bar.update(1)
        self._write_line(seconds, speed)
        if result.generation.error is not None:
            cause = _cause(result)
            self._failures[cause] += 1
            is_known = self._failures[cause] > _NUM_SHOWN_OF_A_CAUSE
            log.warning(
                "sample %s failed: %s%s",
                result.id,
                result.generation.error,
                "; further ones of this cause go to run.log"
                if self._failures[cause] == _NUM_SHOWN_OF_A_CAUSE
                else "",
                extra={"is_for_file": is_known},
            )

    def _count(self, result: SampleResult) -> None:
        self._counts["done"] += 1
        self._counts["failed"] += result.generation.error is not None
        self._counts["unreadable"] += result.score.unreadable
        if result.score.value is not None:
            self._counts["scored"] += 1
            self._score_sum += result.score.value

    def _state(self) -> str:
        """Return score and what went wrong so far."""
        parts = []
        if self._counts["scored"]:
            parts.append(f"score {100 * self._score_sum / self._counts['scored']:.1f}")
        parts += [
            f"{self._counts[name]} {name}"
            for name in ("failed", "unreadable")
            if self._counts[name]
        ]
        return ", ".join(parts)

    def _write_line(self, seconds: float, speed: str) -> None:
        """Log a line: each 5 percent, but not more often than each 2 s, at least each 30 s."""
        done, now = self._counts["done"], time.monotonic()
        waited = now - self._last_line
        is_due = done / self._total >= self._next_share and waited >= _LEAST_SECONDS
        if not (is_due or waited >= _MOST_SECONDS or done == self._total):
            return
        self._last_line = now
        self._next_share = done / self._total + _SHARE
        rate = (done - self._num_before) / seconds
        left = str(timedelta(seconds=round((self._total - done) / max(rate, 1e-9))))
        log.info(
            "%d/%d samples (%.0f %%), %s left, %s, %.2f samples/s%s",
            done,
            self._total,
            100 * done / self._total,
            left,
            self._state() or "no score yet",
            rate,
            speed,
            extra={"is_for_file": not self._bar.disable},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
