"""Rules for short free answers: values worked out by hand."""

from __future__ import annotations

import pytest

from llava_eval.errors import ConfigError
from llava_eval.scoring.scorer import ReplyScorer
from llava_eval.scoring.text import (
    Anls,
    ExactMatch,
    GqaLlava,
    LmmsEvalExactMatch,
    MmeLmmsEval,
    OcrBenchLmmsEval,
    PopeLlava,
    PopeLmmsEval,
    RelaxedAccuracy,
    VsiBench,
    edit_distance,
)
from llava_eval.types import Sample


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        ("red", 1.0),
        (" Red.\n", 1.0),
        ("dark  RED", 1.0),
        ("redder", 0.0),
        ("it is red", 0.0),
        ("red!", 0.0),
    ],
)
def test_exact_match(reply: str, value: float) -> None:
    sample = Sample(id="1", row=0, group="v", content=("q",), targets=("red", "dark red"))
    assert ExactMatch().score(reply, sample).value == value


@pytest.mark.parametrize("reply", ["", "  \n", "."])
def test_an_empty_reply_is_unreadable(reply: str) -> None:
    sample = Sample(id="1", row=0, group="v", content=("q",), targets=("red",))
    score = ExactMatch().score(reply, sample)
    assert (score.value, score.answer, score.unreadable) == (0.0, None, True)


@pytest.mark.parametrize(
    ("rule", "reply", "target", "value"),
    [
        (ExactMatch(), "cafe\u0301", "caf\u00e9", 1.0),
        (ExactMatch(), "红色。", "红色", 1.0),
        (LmmsEvalExactMatch(), "It's.", "its", 1.0),
        (LmmsEvalExactMatch(), "a cat", "cat", 0.0),
        (LmmsEvalExactMatch(), "B. x", "B", 0.0),
        (LmmsEvalExactMatch(cut_to_letter=True), " B. x", "B", 1.0),
        (LmmsEvalExactMatch(cut_to_letter=True), "b", "B", 1.0),
        (GqaLlava(), "Yes..", "yes", 1.0),
        (GqaLlava(), " yes", "yes", 0.0),
        (Anls(), "hallo", "hello", 0.8),  # one of five
        (Anls(), "ax", "ab", 0.5),
        (Anls(), "axy", "abc", 0.0),  # a third is below a half
        (Anls(), "A  b", "a b", 1.0),
        (Anls(), "", "", 1.0),
        (RelaxedAccuracy(), "104", "100", 1.0),
        (RelaxedAccuracy(), "105", "100", 1.0),
        (RelaxedAccuracy(), "106", "100", 0.0),
        (RelaxedAccuracy(), "94", "100", 0.0),
        (RelaxedAccuracy(), "-104", "-100", 1.0),
        (RelaxedAccuracy(), "57%", "56%", 1.0),
        (RelaxedAccuracy(), "57", "57%", 0.0),
        (RelaxedAccuracy(), "0.0", "0", 0.0),
        (RelaxedAccuracy(), "0", "0", 1.0),
        (RelaxedAccuracy(), "Cat", "cat", 1.0),
        (RelaxedAccuracy(), "1,000", "1000", 0.0),
        (VsiBench(), "10.", "10", 1.0),
        (VsiBench(), "8.8 m", "10", 0.8),  # 12 % off: within 50, 45, ... 15 %
        (VsiBench(), "20", "10", 0.0),
        (VsiBench(), "ten", "10", 0.0),
        (VsiBench(number_words=True), "about three hundred twenty one", "321", 1.0),
        (VsiBench(number_words=True), "two thousand and five m", "2005", 1.0),
        (VsiBench(number_words=True), "one thousand two hundred", "1200", 1.0),
        (VsiBench(number_words=True), "a hundred", "100", 1.0),
        (VsiBench(number_words=True), "twelve or 13", "12", 1.0),
        (VsiBench(number_words=True), "7 or twelve", "7", 1.0),
        (VsiBench(number_words=True), "five dogs, six cats", "5", 1.0),
        (VsiBench(number_words=True), "-3.5 m", "-3.5", 1.0),
        (VsiBench(number_words=True), "many", "1", 0.0),
    ],
)
def test_values_by_hand(rule: ReplyScorer, reply: str, target: str, value: float) -> None:
    sample = Sample(id="1", row=0, group="v", content=("q",), targets=(target,))
    assert rule.score(reply, sample).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("rule", "reply", "answer"),
    [
        (PopeLmmsEval(), "Yes ", "yes"),
        (PopeLmmsEval(), "Yes.", None),
        (PopeLlava(), "There is no dog. Yes", "no"),
        (PopeLlava(), "No, there is none", "no"),
        (PopeLlava(), "It is. Not", "yes"),
        (PopeLlava(), "nothing", "yes"),
        (PopeLlava(), " ", None),
        (MmeLmmsEval(), "Y.", "yes"),
        (MmeLmmsEval(), "n", "no"),
        (MmeLmmsEval(), "x", None),
        (MmeLmmsEval(), "I know", None),
        (MmeLmmsEval(), "know", "no"),
        (MmeLmmsEval(), "Yes, no", "yes"),
        (MmeLmmsEval(), "", None),
    ],
)
def test_yes_or_no(rule: ReplyScorer, reply: str, answer: str | None) -> None:
    for target in ("yes", "no"):
        sample = Sample(id="1", row=0, group="v", content=("q",), targets=(target,))
        score = rule.score(reply, sample)
        assert (score.answer, score.unreadable) == (answer, answer is None)
        counted_as = score.details.get("counted_as", answer)
        assert score.value == float(counted_as == target)


@pytest.mark.parametrize(
    ("word", "answer", "value"),
    [("b. blue", "B", 1.0), ("A", "A", 0.0), ("C", None, 0.0), ("Blue", None, 0.0)],
)
def test_an_option_of_vsibench(word: str, answer: str | None, value: float) -> None:
    two = Sample(id="1", row=0, group="v", content=("q",), targets=("B",), choices=("x", "y"))
    score = VsiBench().score(word, two)
    assert (score.answer, score.value) == (answer, value)


@pytest.mark.parametrize("target", ["blue", "", "0", "nan", "inf"])
def test_an_answer_that_is_no_number_is_told(target: str) -> None:
    sample = Sample(id="1", row=0, group="v", content=("q",), targets=(target,))
    with pytest.raises(ConfigError, match=f"sample 1: the right answer '{target}' should be a num"):
        VsiBench().score("3", sample)


@pytest.mark.parametrize(
    ("dataset", "reply", "target", "value"),
    [
        ("x", "The Ｃat\nsat", "cat sat", 1.0),  # noqa: RUF001
        ("x", "a b", "ab", 0.0),
        ("HME100k", "x = a b", "=ab", 1.0),
        ("HME100k", "A b", "ab", 0.0),
        ("Handwritten Mathematical Expression Recognition", "x = a b", "=ab", 1.0),
    ],
)
def test_ocrbench(dataset: str, reply: str, target: str, value: float) -> None:
    facets = {"dataset": dataset}
    sample = Sample(
        id="1", row=0, group="v", content=("q",), targets=("zzz", target), facets=facets
    )
    assert OcrBenchLmmsEval().score(reply, sample).value == value


@pytest.mark.parametrize(
    ("left", "right", "distance"),
    [
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("intention", "execution", 5),
        ("abc", "", 3),
        ("", "abc", 3),
        ("same", "same", 0),
        ("ab", "ba", 2),
    ],
)
def test_edit_distance(left: str, right: str, distance: int) -> None:
    assert edit_distance(left, right) == distance
