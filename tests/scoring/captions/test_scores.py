"""BLEU, ROUGE-L and CIDEr: recorded values of the reference, values worked out by hand, errors."""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llava_eval.scoring.captions import bleu as bleu_scores
from llava_eval.scoring.captions import cider as cider_scores
from llava_eval.scoring.captions.corpus import score_captions
from llava_eval.scoring.captions.ngrams import Captions, CaptionScore
from llava_eval.scoring.captions.rouge_l import rouge_l

SETS = json.loads(
    lzma.decompress(Path(__file__).with_name("golden.json.xz").read_bytes()).decode("utf-8")
)["sets"]


def bleu(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[CaptionScore, ...]:
    return bleu_scores.bleu(Captions.of(hypotheses, references))


def cider(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> CaptionScore:
    return cider_scores.cider(Captions.of(hypotheses, references))


@pytest.mark.parametrize("golden", SETS, ids=lambda golden: f"{len(golden['hypotheses'])} samples")
def test_values_equal_the_reference(golden: dict[str, Any]) -> None:
    scores = score_captions(golden["hypotheses"], golden["references"])
    assert list(scores) == list(golden["scores"])
    for name, (corpus, per_sample) in golden["scores"].items():
        assert scores[name].corpus == pytest.approx(corpus, abs=1e-12), name
        np.testing.assert_allclose(scores[name].per_sample, per_sample, atol=1e-12, err_msg=name)


def test_equal_captions_score_one() -> None:
    captions = ["a b c d e", "f g h i"]
    references = [[caption, "x y"] for caption in captions]
    for score in bleu(captions, references):
        assert score.corpus == pytest.approx(1)
        np.testing.assert_allclose(score.per_sample, [1, 1])
    assert rouge_l(captions, references).corpus == 1
    # cosine 1 with one reference of two, times 10
    assert cider(captions, references).corpus == pytest.approx(5)


def test_bleu_by_hand() -> None:
    # "a" is clipped to 2; bigrams "a b" and "b a" match, "a a" and "a c" do not
    one, two, three, four = bleu(["a b a a c"], [["a b a", "b a x x x x"]])
    precisions = [3 / 5, 2 / 4, 1 / 3]
    # 3 and 6 words: 6 is closer to 5
    brevity = math.exp(1 - 6 / 5)
    assert one.corpus == pytest.approx(brevity * precisions[0])
    assert two.corpus == pytest.approx(brevity * math.prod(precisions[:2]) ** (1 / 2))
    assert three.corpus == pytest.approx(brevity * math.prod(precisions) ** (1 / 3))
    assert 0 < four.corpus < 1e-3  # nothing matches, but it is not quite 0


def test_bleu_of_the_set_is_not_the_mean() -> None:
    hypotheses, references = ["a b", "c d e f"], [["a b"], ["x x x x"]]
    score = bleu(hypotheses, references)[0]
    np.testing.assert_allclose(score.per_sample, [1, 0], atol=1e-6)
    assert score.corpus == pytest.approx(2 / 6)


def test_bleu_takes_the_shorter_of_two_equally_close_references() -> None:
    assert bleu(["a b c"], [["a b c d", "a b"]])[0].corpus == pytest.approx(1)


def test_rouge_l_by_hand() -> None:
    # common subsequences: "a c" with the first, "b" with the second
    precision, recall = 2 / 3, max(2 / 4, 1 / 1)
    expected = (1 + 1.44) * precision * recall / (recall + 1.44 * precision)
    assert rouge_l(["a b c"], [["a x c y", "b"]]).corpus == pytest.approx(expected)


def test_rouge_l_of_empty_captions() -> None:
    # an empty caption is one empty word
    np.testing.assert_array_equal(rouge_l(["", "", "a"], [[""], ["a"], [""]]).per_sample, [1, 0, 0])


def test_rouge_l_keeps_a_token_with_a_space_and_bleu_does_not() -> None:
    assert rouge_l(["1\u00a01/2"], [["1/2"]]).corpus == 0
    assert bleu(["1\u00a01/2"], [["1/2"]])[0].corpus == pytest.approx(1 / 2)


def test_cider_by_hand() -> None:
    # Two samples: words of one of them weigh log 2, "a" is in both and weighs nothing.
    score = cider(["a b", "a d"], [["a b"], ["a c"]])
    # orders 1 and 2 match in full, orders 3 and 4 do not exist
    np.testing.assert_allclose(score.per_sample, [10 * 2 / 4, 0])
    assert score.corpus == pytest.approx(2.5)


def test_cider_clips_and_punishes_length() -> None:
    score = cider(["b b", "z"], [["b"], ["c"]])
    # weights 2 and 1 (in units of log 2): min(2, 1) * 1 / (2 * 1); one bigram more: exp(-1 / 72)
    assert score.per_sample[0] == pytest.approx(10 / 4 * 0.5 * math.exp(-1 / 72))


def test_cider_of_one_sample_is_zero() -> None:
    score = cider(["a man"], [["a man", "a dog"]])
    assert score.corpus == 0
    np.testing.assert_array_equal(score.per_sample, [0])


def test_all_captions_empty() -> None:
    scores = score_captions(["", "."], [["", " "], ["..."]])
    assert scores["cider"].corpus == 0
    assert scores["bleu_4"].corpus == 0
    assert scores["rouge_l"].corpus == 1


def test_references_are_one_file_in_the_order_of_the_samples() -> None:
    first, second = ["at 20\u00b0C."], ["The end"]
    hypotheses = ["at 20\u00b0C. now", "the end"]
    forward = score_captions(hypotheses, [first, second])["rouge_l"].per_sample
    backward = score_captions(hypotheses[::-1], [second, first])["rouge_l"].per_sample
    # "c" and "c." are different words
    assert forward[0] < backward[1]


Metric = Callable[[list[str], list[list[str]]], object]


@pytest.mark.parametrize("metric", [bleu, rouge_l, cider, score_captions])
def test_refused_input(metric: Metric) -> None:
    with pytest.raises(ValueError, match="at least one sample, got none"):
        metric([], [])
    with pytest.raises(ValueError, match="got 2 hypotheses and 1 lists of references"):
        metric(["a", "b"], [["a"]])
    with pytest.raises(ValueError, match="sample 1 has none"):
        metric(["a", "b"], [["a"], []])
    with pytest.raises(ValueError, match="got one string for sample 0: 'a man'"):
        metric(["a"], ["a man"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="got one string: 'a man'"):
        metric("a man", [["a"]])  # type: ignore[arg-type]
