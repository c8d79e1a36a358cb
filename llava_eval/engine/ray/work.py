"""What is handed out, and what becomes of it when a worker dies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llava_eval.engine.batches import Batch, MediaGroup
from llava_eval.types import Sample


@dataclass(frozen=True, eq=False)
class Work:
    """A batch on its way.

    Attributes:
        number: of the batch, in the order of the samples.
        groups: what is asked together.
        num_deaths: workers that died while they had it.
    """

    number: int
    groups: Batch
    num_deaths: int = 0

    @property
    def samples(self) -> list[Sample]:
        """All its samples."""
        return [sample for group in self.groups for sample in group.samples]

    @property
    def wants_to_be_alone(self) -> bool:
        """Whether a worker should have nothing else, so that its death can be laid to this."""
        return self.num_deaths > 0


def again(work: Work, max_tries: int) -> tuple[list[Work], list[Sample]]:
    """Return what to try once more after a worker died with a batch, and the samples given up.

    Most deaths are no batch's fault: at first the same batch is tried again, so that the same
    forward passes run. When it keeps ending its workers its samples are asked one by one, and only
    a sample that was alone is given up.

    Args:
        work: the batch.
        max_tries: deaths after which a sample counts as failed, at least 2.
    """
    work = replace(work, num_deaths=work.num_deaths + 1)
    if work.num_deaths >= max_tries:
        return [], work.samples
    if work.num_deaths >= max_tries // 2:
        return [
            replace(work, groups=(MediaGroup(group.media, (sample,)),))
            for group in work.groups
            for sample in group.samples
        ], []
    return [work], []


def as_work(batches: Sequence[Batch]) -> list[Work]:
    """Number batches."""
    return [Work(number, batch) for number, batch in enumerate(batches)]
