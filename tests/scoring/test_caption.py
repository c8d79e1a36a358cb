"""Captions are scored as a set."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from llava_eval.metrics.means import mean_score
from llava_eval.scoring.captions.corpus import CaptionScorer, caption_values, corpus_bleu
from llava_eval.scoring.captions.ngrams import Captions
from llava_eval.scoring.captions.ptb_tokenizer import tokenize_set
from llava_eval.scoring.choice import StrictChoice
from llava_eval.scoring.scorer import SampleScorer
from llava_eval.types import NOT_SCORED, Generation, Sample
from tests.results.helpers import make_result

REFERENCES = {
    "a": ("a red circle moves left", "the red circle goes to the left"),
    "b": ("a blue square blinks twice", "the square blinks two times"),
    "c": ("nothing happens", "an empty scene"),
}
TEXTS = {"a": "a red circle moves left", "b": "a green star", "c": ""}


def samples() -> list[Sample]:
    return [
        Sample(id=name, row=row, group=name, content=("Describe.",), targets=REFERENCES[name])
        for row, name in enumerate(REFERENCES)
    ]


def values_of(*names: str) -> dict[str, list[float]]:
    texts, references = [TEXTS[name] for name in names], [REFERENCES[name] for name in names]
    values = caption_values(Captions.of(*tokenize_set(texts, references)))
    return {name: of_each.tolist() for name, of_each in values.items()}


def test_values_are_those_of_the_metric() -> None:
    scores = CaptionScorer().score_all([*map(Generation, TEXTS.values())], samples())
    expected = values_of("a", "b", "c")
    assert [score.value for score in scores] == expected["cider"]
    assert [score.details["rouge_l"] for score in scores] == expected["rouge_l"]
    perfect, wrong, empty = scores
    assert perfect.details["bleu_4"] == pytest.approx(1.0, abs=1e-6)
    assert wrong.details["bleu_4"] == pytest.approx(0.0, abs=1e-3)
    assert (empty.value, empty.answer, empty.unreadable) == (0.0, "", False)


def test_cider_of_a_single_video_is_not_available_and_says_why() -> None:
    (score,) = CaptionScorer().score_all([Generation(TEXTS["a"])], samples()[:1])
    assert (score.value, score.details["cider"]) == (None, None)
    assert score.details["rouge_l"] == pytest.approx(1.0)
    assert score.details["bleu_counts"] == [5, 4, 3, 2, 5, 5]
    result = make_result(0, generation=Generation(TEXTS["a"]), score=score)
    cider = mean_score([result], detail="cider", unit="points")
    assert cider.value is None
    assert "not available: CIDEr weighs words" in cider.note
    assert mean_score([result], detail="rouge_l", unit="points").value == pytest.approx(100.0)


def test_cider_of_videos_with_the_same_references_is_not_available() -> None:
    same = [replace(sample, targets=REFERENCES["a"]) for sample in samples()]
    scores = CaptionScorer().score_all([*map(Generation, TEXTS.values())], same)
    assert [score.value for score in scores] == [None] * 3
    assert "all have the same references" in scores[0].explanation


def test_captions_with_hidden_references_stand_beside_the_others() -> None:
    hidden = replace(samples()[1], targets=())
    mixed = [samples()[0], hidden, samples()[2]]
    first, kept, third = CaptionScorer().score_all([*map(Generation, TEXTS.values())], mixed)
    assert (kept.value, kept.answer) == (None, "a green star")
    assert [first.value, third.value] == values_of("a", "c")["cider"]


def test_nothing_to_score() -> None:
    assert CaptionScorer().score_all([], []) == []


def test_the_two_kinds_of_scorers_are_told_apart() -> None:
    assert not isinstance(CaptionScorer(), SampleScorer)
    assert isinstance(StrictChoice(), SampleScorer)


def test_corpus_bleu_adds_counts_up_and_leaves_failures_out() -> None:
    results = [
        make_result(row, target=REFERENCES[name], generation=Generation(TEXTS[name]))
        for row, name in enumerate(REFERENCES)
    ]
    failed = make_result(3, generation=Generation(None, error="x"), score=NOT_SCORED)
    metric = corpus_bleu([*results, failed], order=1)
    # 5 of 5 words match in the first caption, "a" of 3 in the second; lengths 5 + 3 + 0 against
    # the closest references 5 + 5 + 2, so precision 6/8 and brevity exp(1 - 12/8).
    assert metric.value == pytest.approx(100 * 6 / 8 * 2.718281828459045 ** (1 - 12 / 8), rel=1e-4)
    assert (metric.num_samples, metric.stderr) == (3, None)
    assert corpus_bleu([failed]).value is None


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_counts_that_the_scorer_left_give_the_same_bleu(order: Literal[1, 2, 3, 4]) -> None:
    plain = [
        make_result(row, target=REFERENCES[name], generation=Generation(TEXTS[name]))
        for row, name in enumerate(REFERENCES)
    ]
    scores = CaptionScorer().score_all([*map(Generation, TEXTS.values())], samples())
    # 5, 4, 3 and 2 n-grams of the first caption are right, its length is its reference's.
    assert scores[0].details["bleu_counts"] == [5, 4, 3, 2, 5, 5]
    scored = [replace(result, score=score) for result, score in zip(plain, scores, strict=True)]
    assert corpus_bleu(scored, order=order) == corpus_bleu(plain, order=order)
