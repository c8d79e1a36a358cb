"""Seconds by stage, with those of the warm-up apart."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

#: Stages in which the model works; "server_wait" is all that is seen of a served one, "generate" of
#: a user's own.
MODEL_STAGES: Final = ("vision", "prefill", "decode", "server_wait", "generate")
#: The stage of reading, decoding and resizing media, added up over all threads. It overlaps with
#: the model's stages, which only wait for it in "decode_wait".
PREPARE_STAGE: Final = "prepare"


class StageClock:
    """Adds up the wall time of named stages, for instance "decode_wait" or "prefill".

    Attributes:
        seconds: by stage.
        warm_up: the samples of the first batch and the model's seconds until its end, for the
            manifest; empty until then.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.warm_up: Mapping[str, Any] = {}

    def end_warm_up(self, num_generated: int) -> None:
        """Note the first batch of a process, which includes what is done once: checks, tuning.

        Args:
            num_generated: samples of that batch that were answered; 0 is no warm-up.
        """
        if num_generated and not self.warm_up:
            seconds = {stage: round(self.seconds.get(stage, 0.0), 6) for stage in MODEL_STAGES}
            self.warm_up = {"num_generated": num_generated, "stage_seconds": seconds}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the block's wall time towards a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - start


def joint_warm_up(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the warm-ups of several workers as one; empty where there is none.

    Args:
        parts: as :attr:`StageClock.warm_up` gives them.
    """
    begun = [part for part in parts if part]
    if not begun:
        return {}
    seconds = {stage: sum(part["stage_seconds"][stage] for part in begun) for stage in MODEL_STAGES}
    num_generated = sum(part["num_generated"] for part in begun)
    return {"num_generated": num_generated, "stage_seconds": seconds}
