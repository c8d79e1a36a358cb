"""What becomes of the results of a set: their order, and what failed, is missing or reasons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from llava_eval.config.schema import ReplyConfig
from llava_eval.errors import ConfigError
from llava_eval.results.ledger import from_line, to_line
from llava_eval.scoring.evaluation import Evaluation
from llava_eval.scoring.scorer import SampleScorer, Scorer, checked_scorer
from llava_eval.scoring.text import ExactMatch
from llava_eval.types import NOT_SCORED, Generation, MediaInput, Sample, SampleResult, Score

SAMPLES = [Sample(name, row, "v", ("?",), (name,)) for row, name in enumerate("abcd")]
#: Of c nothing is there; the others come in another order than their rows.
TEXTS = {"d": "<think>so</think> d", "b": None, "a": "d"}
#: What was read of their medium.
READ = (MediaInput(pts_seconds=(0.5, 1.0)),)


@dataclass(frozen=True)
class Longest:
    """A rule for whole sets: the longest text is worth 1."""

    def score_all(
        self, generations: Sequence[Generation], samples: Sequence[Sample]
    ) -> list[Score]:
        texts = [str(generation.text) for generation in generations]
        assert len(texts) == len(samples)
        return [
            Score(float(text == max(texts, key=len)), f"{sample.id}: {text}")
            for text, sample in zip(texts, samples, strict=True)
        ]


def results() -> list[SampleResult]:
    by_id = {sample.id: sample for sample in SAMPLES}
    return [
        replace(
            SampleResult.of(
                by_id[name], Generation(text, error=None if text else "MediaError: broken")
            ),
            frame_indices=((3, 4),),
            inputs=READ,
        )
        for name, text in TEXTS.items()
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (Longest(), [("a", 0.0, "a: d"), ("b", None, None), ("d", 1.0, "d: <think>so</think> d")]),
        (ExactMatch(), [("a", 0.0, "d"), ("b", None, None), ("d", 1.0, "d")]),
    ],
)
def test_results_are_scored_anew_in_the_order_of_rows(
    rule: Scorer, expected: list[tuple[str, float | None, str | None]], tmp_path: Path
) -> None:
    stale = [SampleResult.failed(SAMPLES[0], ValueError("old")), *results()]
    scored = Evaluation(SAMPLES, rule).rescored(stale, tmp_path)
    assert scored.judge is None
    found = [(item.id, item.score.value, item.score.answer) for item in scored.results]
    assert found == expected
    assert [item.frame_indices for item in scored.results] == [((3, 4),)] * 3
    assert [item.inputs for item in scored.results] == [READ] * 3
    assert scored.results[1].score == NOT_SCORED
    assert [item.flags for item in scored.results] == [(), (), ("has_reasoning",)]


def test_reasoning_that_a_server_returns_beside_the_text_is_counted(tmp_path: Path) -> None:
    apart = Generation("d", has_reasoning_apart=True)
    of_server = [replace(one, generation=apart) if one.id == "a" else one for one in results()]
    scored = Evaluation(SAMPLES, ExactMatch()).rescored(of_server, tmp_path)
    assert [item.flags for item in scored.results] == [("has_reasoning",), (), ("has_reasoning",)]
    assert [item.score.answer for item in scored.results] == ["d", None, "d"]
    assert from_line(to_line(scored.results[0])) == scored.results[0]


def test_a_rule_sees_replies_as_its_protocol_hands_them_on(tmp_path: Path) -> None:
    reply = ReplyConfig(reasoning="lmms_eval", strip=True)
    scored = Evaluation(SAMPLES, Longest(), reply=reply).rescored(results(), tmp_path)
    assert [item.score.answer for item in scored.results] == ["a: d", None, "d: d"]
    assert [item.generation.text for item in scored.results] == ["d", None, TEXTS["d"]]


def test_a_rule_for_whole_sets_waits_for_them() -> None:
    waiting = [Evaluation(SAMPLES, Longest()).scored(result).score for result in results()]
    assert [score.value for score in waiting] == [None] * 3
    assert [score == NOT_SCORED for score in waiting] == [False, True, False]
    assert not isinstance(Longest(), SampleScorer)
    scored = [Evaluation(SAMPLES, ExactMatch()).scored(result).score for result in results()]
    assert [score.value for score in scored] == [1.0, None, 0.0]


@dataclass(frozen=True)
class Same:
    """A rule that gives one thing for everything."""

    scores: Sequence[object]

    def score_all(
        self, generations: Sequence[Generation], samples: Sequence[Sample]
    ) -> list[Score]:
        return list(self.scores)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([None, None], "of sample a Same gave a NoneType, expected a Score"),
        ([Score(1.0, "a")], "Same gave 1 scores of 2 generations"),
        ([Score(True, "a")] * 2, "a Score with value=True; expected a plain number"),
        ([Score(1.0, 3)] * 2, "a Score with answer=3; expected"),  # type: ignore[arg-type]
        ([Score(1.0, "a", explanation=3)] * 2, "with explanation=3; expected"),  # type: ignore[arg-type]
        ([Score(1.0, "a", details={"b": {1}})] * 2, "details that JSON does not hold .*set"),
        ([Score(1.0, "a", details={"value": 0.5})] * 2, "a detail called 'value'"),
        ([Score(1.0, "a", details={"b": math.nan})] * 2, "details that JSON does not hold .*float"),
    ],
)
def test_what_a_ledger_cannot_hold_is_no_score(
    scores: Sequence[object], message: str, tmp_path: Path
) -> None:
    """A ledger with it could be written, and not be read any more."""
    with pytest.raises(ConfigError, match=message):
        Evaluation(SAMPLES, Same(scores)).rescored(results(), tmp_path)


def test_a_scorer_with_score_alone_is_named_in_messages(tmp_path: Path) -> None:
    class Mine:
        def score(self, reply: str, sample: Sample) -> None:
            """Forget to return a score."""

    with pytest.raises(ConfigError, match="of sample a Mine gave a NoneType"):
        Evaluation(SAMPLES, checked_scorer(Mine())).rescored(results(), tmp_path)
