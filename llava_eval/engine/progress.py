"""Progress of a run: a bar on a terminal, otherwise an occasional log line."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Self

from tqdm import tqdm

from llava_eval.results import files
from llava_eval.results.summary import cause_of
from llava_eval.types import SampleResult

log = logging.getLogger(__name__)

#: Without a terminal: log a line after this share of the samples, within these bounds of seconds.
_SHARE = 0.05
_LEAST_SECONDS = 2.0
_MOST_SECONDS = 30.0

#: Number of failures of one cause that are shown during a run.
_NUM_SHOWN_OF_A_CAUSE = 3


class Progress:
    """Shows the progress of a run: a bar on a terminal, otherwise an occasional log line.

    Args:
        total: number of samples of the benchmark.
        finished: results of an earlier process.
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
            result: result of one sample.
            decode_wait_seconds: total time for which the model has waited for media.
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
            self._write_failure(result)

    def _write_failure(self, result: SampleResult) -> None:
        """Log why a sample failed; after the first few of a cause, only to the run's file."""
        cause = cause_of(result)
        self._failures[cause] += 1
        is_known = self._failures[cause] > _NUM_SHOWN_OF_A_CAUSE
        more = ""
        if self._failures[cause] == _NUM_SHOWN_OF_A_CAUSE:
            # A quiet run, or one started from a script, has no run.log with these failures.
            place = "run.log" if log.isEnabledFor(logging.INFO) else files.LEDGER
            more = f"; further ones of this cause go to {place}"
        log.log(
            logging.INFO if is_known else logging.WARNING,
            "sample %s failed: %s%s",
            result.id,
            result.generation.error,
            more,
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
        """Return the score and the counts of failed and unreadable samples so far."""
        parts = []
        if self._counts["scored"]:
            parts.append(f"score {100 * self._score_sum / self._counts['scored']:.1f}")
        parts += [f"{self._counts[n]} {n}" for n in ("failed", "unreadable") if self._counts[n]]
        return ", ".join(parts)

    def _write_line(self, seconds: float, speed: str) -> None:
        """Log a line every 5 percent, but at most every 2 s and at least every 30 s."""
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

    def __exit__(self, *_: object) -> None:
        self._bar.close()
