"""The progress bar of a run."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

from llava_eval.types import SampleResult


class ProgressBar:
    """Shows samples done, their rate, generated tokens a second, the wait for decode, the score.

    Args:
        total: samples of the benchmark.
        finished: results that an earlier process left.
    """

    def __init__(self, total: int, finished: list[SampleResult]) -> None:
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
