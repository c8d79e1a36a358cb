"""A batch on its way through the cluster."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from llava_eval.engine.batches import Batch, MediaGroup
from llava_eval.types import Sample


@dataclass(eq=False)
class BatchTask:
    """A batch on its way: its groups are decoded, then a worker is asked.

    Attributes:
        number: of the batch, in the order of the samples.
        groups: what is asked together.
        num_deaths: workers that died while they had it.
        num_losses: times that media were lost on the way to a worker.
        undecoded: indices of the groups that are not handed to a decode task yet.
        num_decoding: decode tasks under way.
        decoded: references to what was decoded, by index of the group.
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
        """All its samples."""
        return [sample for group in self.groups for sample in group.samples]

    @property
    def is_decoded(self) -> bool:
        """Whether nothing is left to decode."""
        return not self.undecoded and self.num_decoding == 0

    @property
    def runs_alone(self) -> bool:
        """Whether its worker gets nothing else: a worker died on it, and it may be the cause."""
        return self.num_deaths > 0

    def keep_decoded(self) -> list[Any]:
        """Drop the groups that could not be decoded, and return what the others became."""
        indices = sorted(self.decoded)
        self.groups = tuple(self.groups[index] for index in indices)
        return [self.decoded[index] for index in indices]

    def again(self) -> BatchTask:
        """Return the same batch from its start, after media were lost."""
        return BatchTask(self.number, self.groups, self.num_deaths, self.num_losses)

    def after_death(self, max_tries: int) -> tuple[list[BatchTask], list[Sample]]:
        """Return what to try after a worker died with the batch, and the samples given up.

        Most deaths are no batch's fault: at first the same batch is tried again, so that the same
        forward passes run. When it keeps ending its workers its samples are asked one by one, and
        only a sample that was alone is given up.

        Args:
            max_tries: deaths after which a sample counts as failed, at least 2.
        """
        num_deaths = self.num_deaths + 1
        if num_deaths >= max_tries:
            return [], self.samples
        batches = [self.groups]
        if num_deaths >= max_tries // 2:
            batches = [(MediaGroup((sample,)),) for sample in self.samples]
        return [BatchTask(self.number, batch, num_deaths) for batch in batches], []
