"""The kinds of scorers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from llava_eval.types import Generation, Sample, Score


@runtime_checkable
class SampleScorer(Protocol):
    """A rule that judges one text alone; scores are known while a run goes on."""

    def score(self, text: str, sample: Sample) -> Score:
        """Return the score of one generated text."""
        ...


@runtime_checkable
class GenerationScorer(Protocol):
    """A rule that needs more of a generation than its text, for instance option losses."""

    def score_generation(self, generation: Generation, sample: Sample) -> Score:
        """Return the score of one generation that did not fail."""
        ...


@runtime_checkable
class SetScorer(Protocol):
    """A rule whose scores depend on the whole set; scores are known when a run ends."""

    def score_set(self, texts: Sequence[str], samples: Sequence[Sample]) -> list[Score]:
        """Return one score per text; ``texts[i]`` answers ``samples[i]``."""
        ...


Scorer = SampleScorer | GenerationScorer | SetScorer
