"""The state of a batch while the cluster processes it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from llava_eval.engine.batches import Batch, MediaGroup
from llava_eval.types import Sample


@dataclass(eq=False)
class BatchTask:
    """A batch in progress: its groups are decoded, then a worker answers it.

    Attributes:
        number: number of the batch, in the order of the samples.
        groups: groups that are answered together.
        num_deaths: number of workers that died while they had the batch.
        num_losses: number of times that media were lost on the way to a worker.
        undecoded: indices of the groups that no decode task has received yet.
        num_decoding: number of running decode tasks.
        decoded: references to the decoded clips, by index of the group.
    """

    number: int
    groups: Batch
    num_deaths: int = 0
    num_losses: int = 0
    undecoded: deque[int] = field(init=False)
    num_decoding: int = field(init=False, default=0)
    decoded: dict[int, Any] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self.undecoded = deque(range(len(self.groups)))

    @property
    def samples(self) -> list[Sample]:
        """All samples of the batch."""
        return [sample for group in self.groups for sample in group.samples]

    @property
    def is_decoded(self) -> bool:
        """Whether nothing is left to decode."""
        return not self.undecoded and self.num_decoding == 0

    @property
    def runs_alone(self) -> bool:
        """Whether its worker gets no other batch, because this one may have killed a worker."""
        return self.num_deaths > 0

    def keep_decoded(self) -> list[Any]:
        """Drop the groups that could not be decoded, and return references to the others' clips."""
        indices = sorted(self.decoded)
        self.groups = tuple(self.groups[index] for index in indices)
        return [self.decoded[index] for index in indices]

    def again(self) -> BatchTask:
        """Return the same batch, to be started again after media were lost."""
        return BatchTask(self.number, self.groups, self.num_deaths, self.num_losses)

    def after_death(self, max_tries: int) -> tuple[list[BatchTask], list[Sample]]:
        """Return the batches to try after a worker died with this one, and the samples to give up.

        Most deaths are not caused by a batch, so the same batch is tried again first, with the same
        forward passes. If it keeps killing workers, its samples are tried one by one, and only a
        sample that was alone is given up.

        Args:
            max_tries: number of deaths after which a sample counts as failed, at least 2.
        """
        num_deaths = self.num_deaths + 1
        if num_deaths >= max_tries:
            return [], self.samples
        batches = [self.groups]
        if num_deaths >= max_tries // 2:
            batches = [(MediaGroup((sample,)),) for sample in self.samples]
        return [BatchTask(self.number, batch, num_deaths) for batch in batches], []
