"""An engine answers samples; a watch may end the run early."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol

from llava_eval.types import Sample, SampleResult


class Engine(Protocol):
    """Runs the stages between samples and results, and says how it did.

    It is opened before anything is written, so that a mistake leaves no run directory.
    """

    def identity(self) -> dict[str, Any]:
        """Return what about the model can change a generation."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the packages that generate."""
        ...

    def load(self) -> dict[str, Any]:
        """Load the model, and return the manifest's record of it.

        Raises:
            LlavaEvalError: it cannot be loaded.
        """
        ...

    def answer(self, samples: Sequence[Sample]) -> Generator[SampleResult, None, None]:
        """Yield a result for every sample, as they come; they are not scored yet.

        Raises:
            LlavaEvalError: no further sample can be answered.
        """
        ...

    def record(self) -> dict[str, Any]:
        """Return what the manifest holds of the generation, once there was some."""
        ...

    def work(self) -> dict[str, Any]:
        """Return what the manifest holds of this session's work."""
        ...

    def close(self) -> None:
        """Let go of everything; called once, whatever happened."""
        ...


class Watch(Protocol):
    """Watches a run, and may end it early; what is written here lets it answer every sample."""

    @property
    def is_done(self) -> bool:
        """Whether the results so far are enough, so that the run may end."""
        return False

    def begin(
        self, samples: Sequence[Sample], config: Mapping[str, Any], scorer: object, label: str
    ) -> None:
        """See what will run, before anything is written."""
        return

    def order(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return samples in the order in which they are to be answered."""
        return list(samples)

    def add(self, result: SampleResult) -> None:
        """Take a scored result."""
        return


class AnswerAll(Watch):
    """Watches nothing: every sample is answered, in the order of the rows."""
