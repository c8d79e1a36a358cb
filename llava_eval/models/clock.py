"""Seconds per stage, with a separate record of the warm-up."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

#: Stages in which the model works. A served model has only "server_wait", a user's own "generate".
MODEL_STAGES: Final = ("vision", "prefill", "decode", "server_wait", "generate")
#: The stage of reading, decoding and resizing media, summed over all threads. It overlaps with the
#: model's stages; the time for which the model waits is "decode_wait".
PREPARE_STAGE: Final = "prepare"


class StageClock:
    """Adds up the wall time of named stages, for instance "decode_wait" or "prefill".

    Attributes:
        seconds: seconds by stage.
        warm_up: for the manifest, the number of samples in the first batch and the model's seconds
            until its end; empty until then.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.warm_up: Mapping[str, Any] = {}

    def end_warm_up(self, num_generated: int) -> None:
        """Record the first batch of a process, which includes one-time work: checks, tuning.

        Args:
            num_generated: number of answered samples in the batch; with 0 it is no warm-up.
        """
        if num_generated and not self.warm_up:
            seconds = {stage: round(self.seconds.get(stage, 0.0), 6) for stage in MODEL_STAGES}
            self.warm_up = {"num_generated": num_generated, "stage_seconds": seconds}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the block's wall time to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start


def joint_warm_up(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sum of several workers' warm-ups; empty if there is none.

    Args:
        parts: values of :attr:`StageClock.warm_up`.
    """
    begun = [part for part in parts if part]
    if not begun:
        return {}
    seconds = {stage: sum(part["stage_seconds"][stage] for part in begun) for stage in MODEL_STAGES}
    num_generated = sum(part["num_generated"] for part in begun)
    return {"num_generated": num_generated, "stage_seconds": seconds}
