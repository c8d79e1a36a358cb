"""Interfaces of an engine, which answers samples, and of a watch, which may stop a run early."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

from llava_eval.types import Sample, SampleResult


class Engine(Protocol):
    """Runs the stages between samples and results, and reports on its work.

    It is opened before anything is written, so that a mistake leaves no run directory behind.
    """

    def identity(self) -> dict[str, Any]:
        """Return everything about the model that can change a generation."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the packages used for generation."""
        ...

    def load(self) -> dict[str, Any]:
        """Load the model, and return the manifest's record of it.

        Raises:
            LlavaEvalError: the model cannot be loaded.
        """
        ...

    def answer(self, samples: Sequence[Sample]) -> Generator[SampleResult, None, None]:
        """Yield an unscored result for every sample, in the order in which they finish.

        Raises:
            LlavaEvalError: no further sample can be answered.
        """
        ...

    def record(self) -> dict[str, Any]:
        """Return the manifest's record of the generation, after samples were answered."""
        ...

    def work(self) -> dict[str, Any]:
        """Return the manifest's record of this session's work."""
        ...

    def close(self) -> None:
        """Release all resources; called exactly once, also after an error."""
        ...


class Watch(Protocol):
    """Observes a run and may stop it early; the default methods let it answer every sample."""

    @property
    def is_done(self) -> bool:
        """Whether the results so far suffice, so that the run may stop."""
        return False

    def begin(
        self, samples: Sequence[Sample], config: Mapping[str, Any], scorer: object, label: str
    ) -> None:
        """Inspect the run before anything is written."""
        return

    def order(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return the samples in the order in which they are to be answered."""
        return list(samples)

    def add(self, result: SampleResult) -> None:
        """Receive a scored result."""
        return


class AnswerAll(Watch):
    """Never stops a run: every sample is answered, in the order of the rows."""
