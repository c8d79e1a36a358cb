"""BLEU, ROUGE-L and CIDEr: recorded values of the reference, and values worked out by hand."""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llava_eval.scoring.captions import cider as cider_scores
from llava_eval.scoring.captions.bleu import bleu_of_parts, expand_counts, sample_counts
from llava_eval.scoring.captions.corpus import caption_values
from llava_eval.scoring.captions.ngrams import Captions, FloatArray
from llava_eval.scoring.captions.ptb_tokenizer import tokenize_set
from llava_eval.scoring.captions.rouge_l import rouge_l

SETS = json.loads(
    lzma.decompress(Path(__file__).with_name("golden.json.xz").read_bytes()).decode("utf-8")
)["sets"]


def bleu_of_set(captions: Captions) -> FloatArray:
    """Return (4,) BLEU of the whole set."""
    parts = expand_counts(sample_counts(captions))
    of_set: FloatArray = bleu_of_parts(parts.sum(axis=0, keepdims=True))[0]
    return of_set


def bleu(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> FloatArray:
    return bleu_of_set(Captions.of(hypotheses, references))


def cider(hypotheses: Sequence[str], references: Sequence[Sequence[str]]) -> FloatArray:
    return cider_scores.cider(Captions.of(hypotheses, references))


def values_of(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]]
) -> dict[str, tuple[float, FloatArray]]:
    """Return by metric the value of a set and those of its samples, from untokenized captions."""
    captions = Captions.of(*tokenize_set(hypotheses, references))
    values = caption_values(captions)
    of_set = {name: float(of_each.mean()) for name, of_each in values.items()}
    of_set |= {f"bleu_{order}": float(v) for order, v in enumerate(bleu_of_set(captions), start=1)}
    return {name: (of_set[name], of_each) for name, of_each in values.items()}


@pytest.mark.parametrize("golden", SETS, ids=lambda golden: f"{len(golden['hypotheses'])} samples")
def test_values_equal_the_reference(golden: dict[str, Any]) -> None:
    scores = values_of(golden["hypotheses"], golden["references"])
    assert list(scores) == list(golden["scores"])
    for name, (corpus, per_sample) in golden["scores"].items():
        assert scores[name][0] == pytest.approx(corpus, abs=1e-12), name
        np.testing.assert_allclose(scores[name][1], per_sample, atol=1e-12, err_msg=name)


def test_equal_captions_score_one() -> None:
    captions = ["a b c d e", "f g h i"]
    references = [[caption, "x y"] for caption in captions]
    assert bleu(captions, references) == pytest.approx([1] * 4)
    values = caption_values(Captions.of(captions, references))
    for order in range(1, 5):
        np.testing.assert_allclose(values[f"bleu_{order}"], [1, 1])
    np.testing.assert_array_equal(rouge_l(captions, references), [1, 1])
    # cosine 1 with one reference of two, times 10
    assert cider(captions, references).mean() == pytest.approx(5)


def test_bleu_by_hand() -> None:
    # "a" is clipped to 2; bigrams "a b" and "b a" match, "a a" and "a c" do not
    one, two, three, four = bleu(["a b a a c"], [["a b a", "b a x x x x"]])
    precisions = [3 / 5, 2 / 4, 1 / 3]
    # 3 and 6 words: 6 is closer to 5
    brevity = math.exp(1 - 6 / 5)
    assert one == pytest.approx(brevity * precisions[0])
    assert two == pytest.approx(brevity * math.prod(precisions[:2]) ** (1 / 2))
    assert three == pytest.approx(brevity * math.prod(precisions) ** (1 / 3))
    assert 0 < four < 1e-3  # nothing matches, but it is not quite 0


def test_bleu_of_the_set_is_not_the_mean() -> None:
    captions = Captions.of(["a b", "c d e f"], [["a b"], ["x x x x"]])
    np.testing.assert_allclose(caption_values(captions)["bleu_1"], [1, 0], atol=1e-6)
    assert bleu_of_set(captions)[0] == pytest.approx(2 / 6)


def test_bleu_takes_the_shorter_of_two_equally_close_references() -> None:
    assert bleu(["a b c"], [["a b c d", "a b"]])[0] == pytest.approx(1)


def test_rouge_l_by_hand() -> None:
    # common subsequences: "a c" with the first, "b" with the second
    precision, recall = 2 / 3, max(2 / 4, 1 / 1)
    expected = (1 + 1.44) * precision * recall / (recall + 1.44 * precision)
    assert rouge_l(["a b c"], [["a x c y", "b"]]) == pytest.approx([expected])


def test_rouge_l_of_empty_captions() -> None:
    # an empty caption is one empty word
    np.testing.assert_array_equal(rouge_l(["", "", "a"], [[""], ["a"], [""]]), [1, 0, 0])


def test_rouge_l_keeps_a_token_with_a_space_and_bleu_does_not() -> None:
    assert rouge_l(["1\u00a01/2"], [["1/2"]]) == [0]
    assert bleu(["1\u00a01/2"], [["1/2"]])[0] == pytest.approx(1 / 2)


def test_cider_by_hand() -> None:
    # Two samples: words of one of them weigh log 2, "a" is in both and weighs nothing.
    values = cider(["a b", "a d"], [["a b"], ["a c"]])
    # orders 1 and 2 match in full, orders 3 and 4 do not exist
    np.testing.assert_allclose(values, [10 * 2 / 4, 0])


def test_cider_clips_and_punishes_length() -> None:
    values = cider(["b b", "z"], [["b"], ["c"]])
    # weights 2 and 1 (in units of log 2): min(2, 1) * 1 / (2 * 1); one bigram more: exp(-1 / 72)
    assert values[0] == pytest.approx(10 / 4 * 0.5 * math.exp(-1 / 72))


def test_cider_of_one_sample_is_zero() -> None:
    np.testing.assert_array_equal(cider(["a man"], [["a man", "a dog"]]), [0])


def test_all_captions_empty() -> None:
    scores = values_of(["", "."], [["", " "], ["..."]])
    assert scores["cider"][0] == 0
    assert scores["bleu_4"][0] == 0
    assert scores["rouge_l"][0] == 1


def test_references_are_one_file_in_the_order_of_the_samples() -> None:
    first, second = ["at 20\u00b0C."], ["The end"]
    hypotheses = ["at 20\u00b0C. now", "the end"]
    _, forward = values_of(hypotheses, [first, second])["rouge_l"]
    _, backward = values_of(hypotheses[::-1], [second, first])["rouge_l"]
    # "c" and "c." are different words
    assert forward[0] < backward[1]
