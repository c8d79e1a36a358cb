"""VQA's accuracy and its ways to normalise a text: values worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llava_eval.cli import run_command
from llava_eval.scoring.vqa import (
    VqaNormalised,
    VqaOfficial,
    evalai_text,
    leave_one_out,
    official_text,
    without_punctuation,
)
from llava_eval.types import Sample
from tests.conftest import slow


def sample(*targets: str) -> Sample:
    return Sample(id="1", row=0, group="v", content=("q",), targets=targets)


@pytest.mark.parametrize(
    ("num_same", "accuracy"),
    # Of ten people each is left out once: (3 * 2/3 + 7 * 1) / 10 for three who agree.
    [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)],
)
def test_the_accuracy_leaves_one_person_out(num_same: int, accuracy: float) -> None:
    answers = ["yes"] * num_same + ["no"] * (10 - num_same)
    assert leave_one_out("yes", answers) == pytest.approx(accuracy)


def test_without_people_the_accuracy_is_0() -> None:
    assert leave_one_out("yes", []) == 0.0


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a, b", "a b"),
        ("a/b", "a b"),
        ("a/b 1,000", "ab 1000"),
        ("3.5 x. y", "3.5 x y"),
        ("a - b-c", "a  bc"),  # a mark that touches a space anywhere goes everywhere
    ],
)
def test_marks_go_or_become_spaces(text: str, plain: str) -> None:
    assert without_punctuation(text) == plain


def test_words_are_put_right() -> None:
    assert official_text("The arent TWO a dont") == "aren't 2 don't"
    assert evalai_text("What's, two?") == "what 's 2"


def test_texts_are_normalised_only_where_people_differ() -> None:
    alike = VqaOfficial().score("two", sample(*["2"] * 10))
    assert (alike.value, alike.answer) == (0.0, "two")
    assert alike.details == {"evalai_accuracy": 1.0, "evalai_answer": "2"}
    differ = VqaOfficial().score("two", sample(*["2"] * 9, "3"))
    assert (differ.value, differ.answer) == (1.0, "2")
    hidden = VqaOfficial().score("two", sample())
    assert (hidden.value, hidden.details) == (None, {"evalai_answer": "2"})


def test_a_reply_to_hidden_answers_stays_as_it_is_in_lmms_eval_alone() -> None:
    assert VqaNormalised("lmms_eval").score("The Two", sample()).answer == "The Two"
    assert VqaNormalised("lmms_eval").score("The Two", sample("2")).answer == "2"
    assert VqaNormalised("evalai").score("The Two", sample()).answer == "2"
    # Only EvalAI's first step makes a word of "'s".
    assert VqaNormalised("evalai").score("dog's", sample("x")).answer == "dog 's"
    assert VqaNormalised("lmms_eval").score("dog's", sample("x")).answer == "dog's"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_people", "accuracy"),
    # All say the same, and so does the reply: of the others, one less, three are needed.
    [slow(1, 0.0), (3, 200 / 3), slow(4, 100.0)],
)
def test_rows_with_too_few_answers_are_counted_below_the_table(
    num_people: int, accuracy: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"question_id": 1, "image_id": 1, "question": "Which?", "answers": ["red"] * num_people}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row))
    (tmp_path / "texts.jsonl").write_text('{"row": 0, "text": "Red."}')
    words = [
        *("score", "benchmark=textvqa/lmms_eval", f"benchmark.source={tmp_path / 'rows.jsonl'}"),
        *(f"generations={tmp_path / 'texts.jsonl'}", f"output_dir={tmp_path / 'run'}"),
    ]
    assert run_command(words) == 0
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["metrics"]["accuracy"]["value"] == pytest.approx(accuracy)
    said = ", 1 with too few answers for full VQA accuracy" in capsys.readouterr().out
    assert said == (num_people < 4)
