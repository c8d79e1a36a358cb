"""Multiple-choice rules on replies as models write them."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from llava_eval.errors import ConfigError
from llava_eval.scoring import choice
from llava_eval.scoring.choice import StrictChoice
from llava_eval.scoring.choice.tokens import Lexer
from llava_eval.scoring.choice.words import _WORDS
from llava_eval.types import Sample
from tests.conftest import slow
from tests.scoring.protocols import protocol


def read_choice(reply: str, choices: Sequence[str]) -> str | None:
    return choice.read_choice(reply, choices)[0]


CHOICES = ("a red circle", "A blue square", "both of them", "none")


def sample(target: str = "B") -> Sample:
    return Sample(id="1", row=0, group="v", content=("q",), targets=(target,), choices=CHOICES)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("B", "B"),
        (" b \n", "B"),
        ("(B)", "B"),
        ("B.", "B"),
        ("**B**", "B"),
        ("[b].", "B"),
        ("B. A blue square", "B"),
        ("B) a blue square.", "B"),
        ("(B) A blue square", "B"),
        ("a blue square", "B"),
        ("A blue square.", "B"),
        ("A red circle", "A"),
        ("The answer is B", "B"),
        ("The answer is (B) because the square is blue.", "B"),
        ("Answer: B", "B"),
        ("the best answer is: **B**", "B"),
        ("Option B", "B"),
        ("The correct option is option B.", "B"),
        ("B. The square moves last. The answer is B.", "B"),
        ("B: because it is blue", "B"),
        # Names none, or more than one: never a guess.
        ("", None),
        ("E", None),
        ("A or B", None),
        ("Both A and B", None),
        ("A man walks by", None),
        ("I cannot tell.", None),
        ("Certainly! It is blue.", None),
        ("The answer is A. No, the answer is B.", None),
        ("A. The answer is B.", None),
        ("A\nB\nC\nD", None),
        ("The answer is E", None),
        ("Based on the video, it is unclear", None),
        ("answer", None),
        ("The answer is a blue car", None),
        ("The answer is A blue car", None),
        ("answer: b", None),
        ("The answer is B because A is wrong", "B"),
        ("the Answer is: B, as the square is blue", "B"),
        # A letter in brackets, and a sentence that rules another one out.
        ("(B) A is wrong", "B"),
        ("(B) A does not match.", "B"),
        ("(B) A is right", None),
        ("(B) A seems likely", None),
        ("(A) (B) are wrong", None),
        ("(B), A is wrong", "B"),
        ("A, B are wrong", None),
        ("A, B do not match.", None),
        ("I think A, B are wrong", None),
        ("I think A and B wrong", None),
        ("A, B, C, D are all shown", None),
        ("Unlike A, B is correct", "B"),
        # What is said after a text with its full stop, and keys that copy the options.
        ("A. A red circle. - Incorrect\nB. A blue square. - Correct", "B"),
        ("A. A red circle. (Incorrect)\nB. A blue square. (Correct)", "B"),
        ('{"options": ["A. A red circle", "B. A blue square"], "answer": "B"}', "B"),
        ("1st choice: A; 2nd choice: B", None),
        # Letters in an order are no answer, one after an arrow is.
        ("The order is A -> B.", None),
        ("The answer is A → B → A", None),
        ("The square is blue → B", "B"),
        # Ticks, crosses and boxes before options, as after them; all letters copied, then one.
        ("✗ A ✓ B ✗ C", "B"),
        ("❌ A. a red circle\n✅ B. a blue square", "B"),
        ("- [ ] A. a red circle\n- [x] B. a blue square\n- [ ] C. a tree", "B"),
        ("☐ A\n☑ B\n☐ C\n☐ D", "B"),
        ("❌ B, since she walks", None),
        ("❌ (B)", None),
        ("✅ A red car is seen\nAnswer: B", "B"),
        ("☐ A\n☐ B\n☐ C\n☐ D", None),
        ("A\nB\nC\nD\n\nAnswer: B", "B"),
        # Two answers on one line are two, also where the first is "A"; a heading ends an answer.
        ("Answer: A Answer: B", None),
        ("The answer is A Answer: B", None),
        ("A Answer: B", None),
        ("Answer: A The answer is B", None),
        ("Answer: A Final answer: B", None),
        ("Answer: B Answer: B", "B"),
        ("Answer: A Explanation: the circle is red.", "A"),
        ("Answer: B Explanation: the square is blue.", "B"),
        ("Answer: A man: he walks", None),
        ("A resposta é B", "B"),
        ("First he takes A and finally B", None),
        ("My top choice is B", "B"),
        ("A\nB\nC\nD\n\nB", "B"),
        ("A\nB\nC\nD\nA", None),
        # Two letters that marks or a correction part are two; a dash parts sentences.
        ("A||B", None),
        ("A,, B", None),
        ("A, sorry, B", None),
        ("A. I mean B.", None),
        ("A. On second thought, B.", None),
        ("A. My mistake, it's B.", None),
        ("It is B — A and C can be excluded.", "B"),
        ("B — A is not shown", "B"),
        ("A — B is correct", None),
        ("A — B", None),
        # One option's text and another's letter contradict each other in either order.
        ("a red circle (B)", None),
        ("B (a red circle)", None),
        ("a red circle: B", None),
        ("a blue square (B)", "B"),
        ("It has a red circle (B)", "B"),
        # A text that is joined to something else, or comes before or after it, is not the answer.
        ("Yes, and a blue square.", None),
        ("It is after a blue square.", None),
        # Three letters are a list, whatever stands before them.
        ("Answer: A/B/C\nAnswer: B", "B"),
    ],
)
def test_our_own_rule(reply: str, answer: str | None) -> None:
    assert read_choice(reply, CHOICES) == answer


def test_a_question_without_options_is_no_question_of_this_rule() -> None:
    open_question = Sample(id="7", row=0, group="v", content=("q",), targets=("two",))
    with pytest.raises(ConfigError, match=r"sample 7 has no options.*scorer=exact_match"):
        StrictChoice().score("two", open_question)


@pytest.mark.parametrize(
    ("reply", "quoted"),
    [
        ("B.", "'B.'"),
        (
            "Says that the answer is B because nothing else is",
            "'Says that the answer is B because'",
        ),
        ("Nobody's circle isn't red. The answer is B", "'red. The answer is B'"),
        ("Unquestionably-as-anybody-sees: (B), undoubtedly", "'-as-anybody-sees: (B),'"),
    ],
)
def test_an_explanation_quotes_whole_words(reply: str, quoted: str) -> None:
    assert (
        StrictChoice().score(reply, sample()).explanation == f"read 'B', stated in {quoted}; right"
    )


def test_letters_beyond_the_options_are_not_read() -> None:
    assert read_choice("C", ("x", "y")) is None
    assert read_choice("C", ("x", "y", "z")) == "C"


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("A. F", "A"),
        ("The correct answer is (B) A.", "B"),
        ("B. a, the arrow's tip", "B"),
        ("Not B. A", None),
        ("A. F\nB. A\nC. K\n\nAnswer: C", "C"),
        ("B. F", None),
        ("A. K", None),
        ("F", "A"),
        ("A or B. A", None),
    ],
)
def test_an_options_text_may_be_a_letter(reply: str, answer: str | None) -> None:
    """As labels in a diagram are: an own text after its letter is no second letter."""
    assert read_choice(reply, ("F", "A", "K")) == answer


def test_equal_option_texts_are_not_told_apart() -> None:
    assert read_choice("x", ("x", "x")) is None
    assert read_choice("B. x", ("x", "x")) == "B"


def test_strict_choice_counts_the_unreadable_as_wrong() -> None:
    assert StrictChoice().score("B", sample()).value == 1.0
    assert StrictChoice().score("(A)", sample()).value == 0.0
    unread = StrictChoice().score("who knows", sample())
    assert (unread.value, unread.answer, unread.unreadable) == (0.0, None, True)


def table() -> list[tuple[str, tuple[str, ...], str | None]]:
    """Return replies with their options and the letter that a reader finds in them, or None.

    Written by hand from the forms in which models reply: letters with and without their text,
    phrases of some thirty languages, boxes, tags and JSON, reasoning, options that are ruled out,
    copied or several, and words that only look like a letter.
    """
    lines = [
        json.loads(line)
        for line in Path(__file__).with_name("choice_replies.jsonl").read_text("utf-8").splitlines()
    ]
    choices = {line["options"]: tuple(line["choices"]) for line in lines if "choices" in line}
    return [
        (line["reply"], choices[line["options"]], line["answer"])
        for line in lines
        if "reply" in line
    ]


@functools.cache
def readings(part: int) -> list[tuple[str, str | None, str | None]]:
    """Return each eighth reply of the table with its letter and the one that is read."""
    return [
        (reply, letter, read_choice(reply, choices)) for reply, choices, letter in table()[part::8]
    ]


@pytest.mark.slow
@pytest.mark.parametrize("part", [0, *map(slow, range(1, 8))])
def test_no_letter_is_read_that_a_reply_does_not_give(part: int) -> None:
    wrong = [entry for entry in readings(part) if entry[2] not in (None, entry[1])]
    assert wrong == []


@pytest.mark.parametrize("part", [0, *map(slow, range(1, 8))])
def test_clear_answers_are_read(part: int) -> None:
    unread = [
        reply for reply, letter, read in readings(part) if letter is not None and read is None
    ]
    assert unread == []


def test_the_table_holds_thousands_of_clear_answers() -> None:
    assert len([letter for _, _, letter in table() if letter is not None]) >= 2000


@pytest.mark.parametrize(
    "reply",
    [
        "B " * 40_000,
        "(A" * 30_000,
        slow("the answer is " * 9000),
        slow("{" * 60_000),
        "<think>" * 9000,
    ],
)
def test_replies_without_end_are_read_in_bounded_time(reply: str) -> None:
    assert read_choice(reply, CHOICES) in (None, "B")


def test_letters_that_grow_in_lower_case_move_nothing() -> None:
    assert read_choice("İİİ. The answer is B", CHOICES) == "B"
    assert read_choice("Straße İ: (C) İ", ("x", "y", "ß")) == "C"
    assert read_choice("probably the İ ", ("İ", "ß")) is None


def test_the_explanation_quotes_what_states_the_letter() -> None:
    assert StrictChoice().score("I see it. The answer is B.", sample()).explanation == (
        "read 'B', stated in 'I see it. The answer is B.'; right"
    )
    several = StrictChoice().score("A or B", sample()).explanation
    assert several == "no answer: the reply states A, B; wrong"
    unended = StrictChoice().score("<think>The answer is B", sample()).explanation
    assert unended == "no answer: its reasoning does not end; wrong"


def test_a_word_has_one_kind() -> None:
    words = [" ".join(word.split()) for words in _WORDS.values() for word in words.split(",")]
    assert sorted(words) == sorted(set(words))
    assert "" not in words


def test_mmstar_takes_right_letters_in_either_case() -> None:
    """As lmms-eval 75571cf, tasks/mmstar/utils.py, exact_match, which was run for these."""
    scorer = protocol("mmstar/lmms_eval").scorer
    replies = ("B", "(B) A blue square", "b", "A")
    assert [scorer.score(reply, sample(" b")).value for reply in replies] == [1.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "choices", "kinds", "letters"),
    [
        ("No, it is", ["No", "Maybe"], "n,", "A"),
        ("right", ["left", "right"], "r", "B"),
        ("no red box", ["no red box", "a cat"], "T", "A"),
        ("a cat", ["no red box", "a cat"], "T", "B"),
        ("red, red box", ["red box", "red"], "T,T", "BA"),
        ("red", ["red", "red"], "T", ""),
        ("redder", ["red", "blue"], "x", ""),
        ("the red box.", ["red box", "red"], "fT.", "A"),
    ],
)
def test_an_options_text_that_is_a_word_of_a_kind_keeps_it(
    text: str, choices: list[str], kinds: str, letters: str
) -> None:
    tokens = list(Lexer(text, choices).tokens())
    assert "".join(token.kind for token in tokens).startswith(kinds)
    assert "".join(token.letter for token in tokens) == letters


@pytest.mark.parametrize(
    ("reply", "choices", "answer"),
    [
        ("A", ("B", "A"), "A"),  # a letter alone is one, whatever an option's text is
        ("z w", ("x y", "z w"), "B"),
        ("14", ("14", "2", "14"), None),
        ("14", ("2", "14"), "B"),
    ],
)
def test_a_reply_that_is_the_text_of_an_option(
    reply: str, choices: tuple[str, ...], answer: str | None
) -> None:
    assert read_choice(reply, choices) == answer


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("accurately", "f"),  # an adverb fills
        ("family", "x"),
        ("quickly", "f"),
        ("100% 50 %", "ff"),
        ("50", "x"),
        ("mustn't", "n"),
        ("(B) -> ✅?", "L>V?"),
        ("1. B 2. C", "x.LxL"),
        ("b c", "lx"),
        ("(so B)", "(SL)"),  # its bracket was opened before the letter
    ],
)
def test_kinds_of_tokens(text: str, kinds: str) -> None:
    tokens = Lexer(text, ("up", "down")).tokens()
    assert "".join(token.kind for token in tokens) == kinds
