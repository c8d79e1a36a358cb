"""Two runs side by side: which samples both hold, and whether they were asked the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import numpy as np
import numpy.typing as npt

from llava_eval.errors import ComparisonError
from llava_eval.metrics.intervals import number_clusters
from llava_eval.results.runs import Run
from llava_eval.results.table import printable
from llava_eval.types import SampleResult

#: Ids that a message names before it counts the rest.
_NAMED_IDS = 5


@dataclass(frozen=True, eq=False)
class Pairing:
    """The samples that two runs have in common.

    Attributes:
        first, second: the runs.
        firsts, seconds: results of the compared samples in the first run's order; both answered.
        membership: (N,) clusters of the compared samples, numbered from 0.
        first_only, second_only: ids that only one run holds.
        failed: ids whose generation failed in either run; they are not compared.
        differences: in what the two were not asked the same, in words.
    """

    first: Run
    second: Run
    firsts: Sequence[SampleResult]
    seconds: Sequence[SampleResult]
    membership: npt.NDArray[np.int64]
    first_only: Sequence[str]
    second_only: Sequence[str]
    failed: Sequence[str]
    differences: Sequence[str]

    @property
    def num_clusters(self) -> int:
        """Groups (videos) of the compared samples."""
        return int(self.membership.max()) + 1 if len(self.membership) else 0


def pair(first: Run, second: Run) -> Pairing:
    """Pair two runs by sample id.

    Raises:
        ComparisonError: they have no sample in common that both answered.
    """
    others = {result.id: result for result in second.results}
    both = [(one, others[one.id]) for one in first.results if one.id in others]
    ids = {one.id for one in first.results}
    answered = [
        (one, other)
        for one, other in both
        if one.generation.error is None and other.generation.error is None
    ]
    if not answered:
        reason = "no sample that both answered" if both else "no sample in common"
        labels = f": they are of {first.label} and {second.label}"
        raise ComparisonError(
            f"{first.name} and {second.name} have {reason}"
            f"{labels if first.label != second.label else ''}"
        )
    membership, _ = number_clusters([one.group for one, _ in answered])
    answered_ids = {one.id for one, _ in answered}
    return Pairing(
        first=first,
        second=second,
        firsts=[one for one, _ in answered],
        seconds=[other for _, other in answered],
        membership=membership,
        first_only=[one.id for one in first.results if one.id not in others],
        second_only=[other.id for other in second.results if other.id not in ids],
        failed=[one.id for one, _ in both if one.id not in answered_ids],
        differences=[*_protocol_differences(first, second), *_question_differences(both)],
    )


def _protocol_differences(first: Run, second: Run) -> list[str]:
    if first.benchmark != second.benchmark:
        return [f"benchmarks {first.benchmark} and {second.benchmark}"]
    if first.version != second.version:
        return [f"versions {first.version} and {second.version} of {first.benchmark}"]
    return []


def _question_differences(both: Sequence[tuple[SampleResult, SampleResult]]) -> list[str]:
    differ: Sequence[tuple[str, str, Callable[[SampleResult, SampleResult], bool]]] = (
        ("prompt", "prompts", lambda one, other: one.prompt != other.prompt),
        ("target", "targets", lambda one, other: one.target != other.target),
        ("medium", "media", lambda one, other: not _same_media(one, other)),
    )
    found = []
    for singular, plural, differs in differ:
        ids = [one.id for one, other in both if differs(one, other)]
        if ids:
            found.append(f"{len(ids)} {singular if len(ids) == 1 else plural} ({named(ids)})")
    return found


def _same_media(one: SampleResult, other: SampleResult) -> bool:
    """Media are the same by file name: folder and container of a data set may differ."""
    if one.media == other.media:
        return True
    ours, theirs = ([PurePath(path).stem for path in result.media] for result in (one, other))
    return ours == theirs


def named(ids: Sequence[str]) -> str:
    """Return the first ids, and how many more there are."""
    shown = ", ".join(printable(one) for one in ids[:_NAMED_IDS])
    return f"{shown} and {len(ids) - _NAMED_IDS} more" if len(ids) > _NAMED_IDS else shown
