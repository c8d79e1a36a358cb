"""Scoring of generations: each one as it comes in, and the whole set at the end."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from llava_eval.config.schema import JudgeConfig, ReplyConfig
from llava_eval.errors import ConfigError
from llava_eval.scoring.judge.judge import RecordedJudge
from llava_eval.scoring.judge.report import JudgeReport
from llava_eval.scoring.reply import HAS_REASONING, cleaned, holds_reasoning
from llava_eval.scoring.scorer import JudgedScorer, SampleScorer, Scorer, scorer_name
from llava_eval.types import NOT_SCORED, Generation, Sample, SampleResult, Score

#: The score of a sample while a rule waits for the rest of the set.
_AWAITS_SET = Score(None, None, explanation="scored once all samples are answered")


class Scored(NamedTuple):
    """Results with their scores, and a report on the judge if there is one."""

    results: list[SampleResult]
    judge: JudgeReport | None


@dataclass(frozen=True)
class Evaluation:
    """Samples and the rule that scores them.

    Attributes:
        samples: samples in the order of the source rows.
        scorer: the rule.
        judge: settings of the judge, if the scorer needs one.
        reply: the cleaning of a reply before the scorer sees it, as the reference does it.
    """

    samples: Sequence[Sample]
    scorer: Scorer | JudgedScorer
    judge: JudgeConfig | None = None
    reply: ReplyConfig = field(default_factory=ReplyConfig)

    def scored(self, result: SampleResult) -> SampleResult:
        """Return a result with its score, if the rule scores each sample by itself.

        Args:
            result: result of one of the samples.
        """
        generation = result.generation
        if generation.text is None:
            score = NOT_SCORED
        elif isinstance(self.scorer, SampleScorer):
            sample = self._sample_of[result.id]
            score = self.scorer.score_generation(self._cleaned(generation), sample)
            score = self._checked(score, sample, generation)
        else:
            score = _AWAITS_SET
        return dataclasses.replace(result, score=score)

    @functools.cached_property
    def _sample_of(self) -> Mapping[str, Sample]:
        return {sample.id: sample for sample in self.samples}

    def rescored(
        self, results: Iterable[SampleResult], directory: Path, others: Iterable[Path] = ()
    ) -> Scored:
        """Return results with current targets, facets and scores, in the order of the samples.

        A resumed or corrected run must not mix scores of two rules, so every text is rescored.

        Args:
            results: results of the samples.
            directory: the run directory, where the judge's replies are recorded.
            others: other run directories whose recorded replies may be reused.

        Raises:
            ConfigError: a judge must be asked, and its API key is missing.
            RunDirectoryError, StorageError: the judge's replies cannot be read or written.
        """
        by_id = {result.id: result for result in results}
        pairs = [(sample, by_id[sample.id]) for sample in self.samples if sample.id in by_id]
        fresh = [
            self.scored(
                dataclasses.replace(
                    SampleResult.of(sample, old.generation),
                    prompt=old.prompt,
                    frame_indices=old.frame_indices,
                    inputs=old.inputs,
                )
            )
            for sample, old in pairs
        ]
        if isinstance(self.scorer, SampleScorer):
            return Scored(fresh, None)
        answered = [
            (result, sample)
            for result, (sample, _) in zip(fresh, pairs, strict=True)
            if result.generation.text is not None
        ]
        generations = [self._cleaned(result.generation) for result, _ in answered]
        samples = [sample for _, sample in answered]
        judge = None
        if isinstance(self.scorer, JudgedScorer):
            assert self.judge is not None
            judge = RecordedJudge(self.judge, directory, others)
            scores = self.scorer.score_asking(judge.ask, generations, samples)
        else:
            scores = self.scorer.score_all(generations, samples)
        if len(scores) != len(answered):
            raise ConfigError(
                f"scorer: {scorer_name(self.scorer)} gave {len(scores)} scores of "
                f"{len(answered)} generations"
            )
        scored = {result.id: result for result in fresh}
        for (result, sample), score in zip(answered, scores, strict=True):
            checked = self._checked(score, sample, result.generation)
            scored[result.id] = dataclasses.replace(result, score=checked)
        return Scored([*scored.values()], None if judge is None else judge.report)

    def without_reasoning(self, results: Iterable[SampleResult]) -> list[SampleResult]:
        """Return results without the reasoning that the protocol's reference removes."""
        return [
            dataclasses.replace(result, generation=self._cleaned(result.generation))
            if result.score.details.get(HAS_REASONING)
            else result
            for result in results
        ]

    def _cleaned(self, generation: Generation) -> Generation:
        """Return a generation with its text cleaned as the protocol requires."""
        return dataclasses.replace(generation, text=cleaned(str(generation.text), self.reply))

    def _checked(self, score: object, sample: Sample, generation: Generation) -> Score:
        """Return a score that the ledger can store, with a detail if the reply has reasoning.

        Raises:
            ConfigError: the scorer, which may be the user's own, returned something else.
        """
        given = f"scorer: of sample {sample.id} {scorer_name(self.scorer)} gave"
        if not isinstance(score, Score):
            raise ConfigError(
                f"{given} a {type(score).__name__}, expected a Score (llava_eval.types)"
            )
        faults = _faults(score)
        if faults:
            raise ConfigError(
                f"{given} a Score with {', '.join(faults)}; expected a plain number or None as "
                "value, a text or None as answer and explanation, a bool as unreadable and plain "
                "numbers and texts as details"
            )
        if not (generation.has_reasoning_apart or holds_reasoning(str(generation.text))):
            return score
        return dataclasses.replace(score, details={**score.details, HAS_REASONING: True})


def _faults(score: Score) -> list[str]:
    """Return the parts of a score that the ledger cannot store and restore."""
    faults = []
    value: object = score.value
    if isinstance(value, bool) or not isinstance(value, float | int | None):
        faults.append(f"value={value!r}")
    if not isinstance(score.answer, str | None):
        faults.append(f"answer={score.answer!r}")
    if not isinstance(score.unreadable, bool):
        faults.append(f"unreadable={score.unreadable!r}")
    if not isinstance(score.explanation, str | None):
        faults.append(f"explanation={score.explanation!r}")
    try:
        json.dumps(dict(score.details), allow_nan=False)
    except (TypeError, ValueError) as error:
        faults.append(f"details that JSON does not hold ({error})")
    # details share a JSON object with these names in the ledger
    names = ("value", "answer", "unreadable", "explanation")
    return faults + [f"a detail called {name!r}" for name in names if name in score.details]
