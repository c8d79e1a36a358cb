"""Rules that read a letter: values worked out by hand, hidden answers, guesses."""

from __future__ import annotations

import dataclasses

import pytest

from llava_eval.errors import ConfigError
from llava_eval.scoring import choice as rules
from llava_eval.scoring.choice import read_letter, unread
from llava_eval.scoring.scorer import ReplyScorer
from llava_eval.scoring.text import through_spreadsheet
from llava_eval.types import Sample
from tests.scoring.protocols import protocol

VIDEOMME_ROW = {
    "videoID": "v",
    "question_id": "1",
    "question": "q",
    "options": ["A. w", "B. x", "C. y", "D. z"],
    "answer": "B",
}


def sample(name: str = "1", targets: tuple[str, ...] = ("B",)) -> Sample:
    return Sample(
        id=name, row=0, group="v", content=("q",), targets=targets, choices=("w", "x", "y", "z")
    )


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        # Values worked out by hand from the published rule: prefixes deleted in order and
        # case-sensitively, then the first of A, B, C, D.
        ("C", "C"),
        ("C. Berries.", "C"),
        ("The best answer is: D", "D"),
        ("The best answer is D", "D"),
        ("Answer: D", "D"),
        ("Option: D", "D"),
        ("The correct option is D", "D"),
        # Two commas are missing in the original list, so these four are never deleted ...
        ("Best answer: C", "B"),
        ("Best option: C", "B"),
        ("The best option is D", "D"),
        # ... unless both stand together.
        ("Best answer:Best option: C", "C"),
        ("Based on the video, the answer is C", "B"),
        ("After watching, D", "A"),
        ("Cannot be determined", "C"),
        ("Certainly! The answer is B.", "C"),
        ("N/A", "A"),
        ("A man walks in", "A"),
        ("answer: d", None),
        ("c", None),
        ("", None),
        ("   ", None),
        ("one two three four five six seven eight nine ten eleven", None),
    ],
)
def test_the_official_videomme_rule(reply: str, letter: str | None) -> None:
    parts = protocol("videomme/official")
    score = parts.score(reply, parts.sample(VIDEOMME_ROW))
    assert (score.answer, score.unreadable) == (letter, letter is None)
    assert score.value == (None if letter is None else float(letter == "B"))


@pytest.mark.slow
def test_only_some_references_strip_replies() -> None:
    row = {"question": "q", "candidates": ["x", "y"], "answer": "y", "video": "v"}
    official, lmms_eval = protocol("mlvu/official"), protocol("mvbench/lmms_eval")
    assert official.score(" B", official.sample({**row, "question_type": "ego"})).value == 0.0
    assert official.score("B", official.sample({**row, "question_type": "ego"})).value == 1.0
    assert lmms_eval.score(" \n", lmms_eval.sample(row)).value is None


def test_an_answer_to_a_hidden_target_is_kept_and_not_scored() -> None:
    hidden = sample(targets=())
    assert (read_letter("C", hidden).value, read_letter("C", hidden).answer) == (None, "C")
    assert unread(hidden, "wrong").value is None
    guess = unread(hidden, "random")
    assert guess.value is None
    assert guess.answer in {"A", "B", "C", "D"}


def test_guesses_are_drawn_anew_for_each_sample_and_can_be_repeated() -> None:
    def draws(seed: int) -> list[str | None]:
        return [unread(sample(str(n)), "random", seed=seed).answer for n in range(400)]

    assert draws(0) == draws(0)
    assert draws(0) != draws(1)
    assert all(80 <= draws(0).count(letter) <= 120 for letter in "ABCD")
    guess = unread(sample(), "random")
    assert guess.details == {"chosen_at_random": True}
    assert not guess.unreadable


@pytest.mark.slow
def test_a_guess_is_among_the_options_that_there_are() -> None:
    parts = protocol("longvideobench/lmms_eval")
    row = {
        "video_path": "v.mp4",
        "question": "q",
        "correct_choice": 0,
        **{f"option{n}": text for n, text in enumerate(["x", "y", "z", "N/A", "N/A"])},
    }
    answers = {
        parts.score("no idea", parts.sample({**row, "id": str(n)})).answer for n in range(100)
    }
    assert answers == {"A", "B", "C"}


def test_a_guess_needs_options() -> None:
    bare = Sample("7", 0, "v", ("q",), ("a dog",))
    with pytest.raises(ConfigError, match="sample 7 has no options, and this scorer draws one"):
        unread(bare, "random")
    assert unread(bare, "wrong").value == 0.0


@pytest.mark.parametrize("choices", [(), ("a dog", "a cat")])
def test_a_letter_is_no_answer_where_the_right_one_is_a_text(choices: tuple[str, ...]) -> None:
    """A scorer of letters under a benchmark of one's own took every reply for wrong: 0.0."""
    rule = rules.BlinkLmmsEval()
    with pytest.raises(ConfigError, match="sample 7: the right answer 'a dog' is no letter, and"):
        rule.score("A", Sample("7", 0, "v", ("q",), ("a dog",), choices))
    assert rule.score("A", Sample("7", 0, "v", ("q",), (), choices)).value is None
    assert rule.score("A", Sample("7", 0, "v", ("q",), ("A",), choices)).value == 1.0


def test_blinks_rule_needs_options() -> None:
    """Its pattern of no letters was no pattern."""
    with pytest.raises(ConfigError, match="sample 7 has no options, whose letters BLINK's"):
        rules.BlinkStatedLetter().score("A", Sample("7", 0, "v", ("q",), ("A",)))


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("hmm", None),
        ("The answer is (H).", "H"),
        ("I", None),
        ("(B) as in the USA", "B"),  # the last letter counts where it is no part of a word
    ],
)
def test_the_ranked_rule_knows_a_to_h_without_options(reply: str, letter: str | None) -> None:
    """Worked out by hand from lmms-eval's ``choices or _DEFAULT_CHOICES``."""
    assert rules.ranked_letter(reply, "") == letter


@pytest.mark.slow
def test_an_empty_reply_is_right_under_mvbench_and_counted_as_unreadable() -> None:
    parts = protocol("mvbench/official")
    asked = parts.sample({"video": "v", "question": "q", "candidates": ["x", "y"], "answer": "y"})
    empty = parts.score("", asked)
    assert (empty.value, empty.answer, empty.unreadable) == (1.0, None, True)
    assert parts.score("B) y", asked).answer == "B"


def test_a_spreadsheet_keeps_what_a_cell_holds() -> None:
    assert through_spreadsheet("x" * 32_767 + "A") == "x" * 32_767
    assert through_spreadsheet("N/A") == "nan"


OPTIONS = ("a red ball", "the blue car", "two dogs", "none of these")


def question(target: str = "B") -> Sample:
    return Sample(
        id="1", row=0, group="v", content=("q",), targets=(target,), choices=OPTIONS, question="q"
    )


# Read by hand from each rule's description; the right letter is B. A dash stands for no answer.
READ_BY_HAND: list[tuple[ReplyScorer, str]] = [
    (rules.StandaloneLetter(), "It is B.=B|A dog=A|ABCD=-|(D)=D|E=-"),
    (rules.MlvuOfficial(), "B) the car=B|(B) x=B|B=B|B.=-| B=-|E=-|dog) B=-"),
    (rules.BlinkLmmsEval(), "(b) x=B| ((C=C|two=T|1 B=-|=-"),
    (
        rules.BlinkStatedLetter(),
        (
            "b=B|(c).=C|D: x\nthe answer is A=A|B\nnot (C)=B|the answer: (b)=B|Answers - d, so=D"
            "|answer is a cat=A|answer is E, so (C) or (D)=D|two (a) or (B)=B|((c x=C|Both=B|two=-"
            "|I think C=-|=-"
        ),
    ),
    # what lmms-eval 0.7.3 itself reads
    (
        rules.HrBenchLmmsEval(),
        (
            "B one two three four five=B|the answer is b=-|Cannot determine the answer, two dogs=-"
            "|Z two dogs=-|Z=-|I see Two Dogs=C|A or B=-|A, the blue car=A|two dogs, the blue car=-"
            f"|Failed to obtain answer via API B=-|two dogs{' x' * 60}=C|A B Z answer is B=-"
        ),
    ),
    (
        rules.BlinkStatedLetter(),
        (
            "(B)..\nor (C)=C|(B).\nor (C)=B|B    \nor (C)=B|(B\nnot (C)=B|B))\nnot (C)=B"
            "|B, \nnot (C)=B|the answers are b: answers B or (C)=B|answer b, not (C)=B"
            "|answer -b, (C)=B|answer is : (b) not (C)=B|answer Ba, (C)=C|(b) is the (C)=C"
            "|so answer B, answer C=C|(A) or (C)=C|x (B) or (a)=B|  (  d x=D|d dogs=D"
        ),
    ),
    (
        rules.VideoMmeV2Letter(["Final Answer:", "The best option is"]),
        (
            "b=B|(B)=-|no (A)\n **c** )=C|D) is not A=D|A\nis what I say=A|Based on it, B=-"
            "|Final Answer: G=G|The best option is b, the answer would be: **C**=C|answer A=-"
            "|the option is apt=-|the **B.** one=B|**A** or **B**=-|**Two dogs.**=C"
            "|a red ball, two dogs=-|=-"
        ),
    ),
    (
        rules.VideoMmeV2Letter(["Final Answer:", "The best option is"]),
        (
            "I say\n B=B|x\n** B ** .=B|x\nB)=B|x\n**B**. =B|B\r\nit is=B|** B **. x (two dogs)=B"
            "|\tB=B|C\n.=C|B\nC=C|The answer is *B*=B|x answer : B, two dogs=B|the option: *c* is=C"
            "|The best option would be: C=C|no option is Bx, two dogs=C|a subanswer is B=-"
            "|Answer is A, answer is B.=B|x **B) y** z=B|x **  B  ** z=B|of **a** and **A**: x=A"
            "|** b ** or **B.** are=B|a Red Ball=A|answer is C\n** B **=B|answer is C\nB )=B"
        ),
    ),
    (rules.VideoMmeV2Letter(["The answer", "Best (one):"]), "The answer B?=B|best (one): C, A=C"),
    (
        rules.VideoHolmesOfficial(),
        (
            "<answer>D. A book</answer>=A|<answer>C</answer> <answer>B</answer>=B|[C] or A=C|FED=D"
            "|A: x <answer>B</answer>=B|none=-"
        ),
    ),
    (
        rules.FirstAlphabetic(),
        (
            "The answer is (b)=B|so, Answer: C=C|12 d=D|123=-|so the option is A=A|é=-"
            "|The answer is C. Answer: D=C"
        ),
    ),
    (rules.LvBenchOfficial(), "(C) two=C|The answer is B=-|B. x=B|A) (C)=A|see (D), B=D|=-"),
    (rules.SeedBenchLmmsEval(), " b. x=B|Blue=B|D=D|x=-|=-"),
    (rules.FirstCharacter(), "b=B|Car=C| b=-|=-"),
    (rules.OnlyTheLetter(), "B=B|B.=B.|=-"),
    (
        rules.MotionBenchLmmsEval(),
        "A</think>The best answer is C=C|b)=B|a man, B=A|xB1=B|XC: ED=C|ED=E|xyz=-",
    ),
    (
        rules.RankedLetter(),
        (
            "B=B|'B'=B|C. because A=C|I think it is D=D|end1C=C|Both=B|xBx=B|none=-|=-"
            "|The answer is D because A is wrong=A|答案是C不是A吧=A|so (B) or (C) it=C"
            "|see A. and B: here=A|see B: A) x=B|see B) not A x=B|so D then, xAx=D|xA then D x=D"
        ),
    ),
    (rules.ScienceQaLmmsEval(), "b=B|B. blue=B|b. blue=-|B) x=-|E=-"),
    (
        rules.ScienceQaLlava(),
        (
            "B=B|B. blue car=B|B. =B|B.=-|The answer is B.=B|The answer is B. The answer is C.=-"
            "| B=-|The answer is F.=-"
        ),
    ),
    (rules.MvBenchOfficial(), "B=B|B) x=B|(B)=B|b. x=B|B\nC=B|Blue=-|D=D"),
    (rules.MvBenchLmmsEval(), "B. the blue=B|it is a car=A|none=-|'C'=C|(d)=D"),
    (
        rules.TvBenchLmmsEval(),
        "B=B|Both=B|I think B=-|the Two  Dogs there=C|(d) x=D|the blue car and two dogs=-",
    ),
    (
        rules.MmBenchLmmsEval(),
        (
            "B=B|B. x=B|(C).=C|A blue thing went by=-|A and B=-|I see the blue car=B"
            "|Failed to obtain answer via API B=-"
        ),
    ),
    (
        rules.MmBenchVlmEvalKit(),
        (
            "B=B|The answer is b=B|Cannot determine the answer B=-|N/A=-|Z=-"
            "|one two B three four five=B|B one two three four five=-|two dogs=C"
            "|Z two dogs=-|A B Z answer is B=B"
            f"|two dogs{' x' * 39}=C|two dogs{' x' * 39}x=-"  # twice the options' 43 characters
        ),
    ),
    (
        rules.NextQaLetter(),
        "(A) or (C)=C|(C) or (A)=A|x B y=B|it is B. ok=B|I think it is two dogs then=C|BBC A x=A",
    ),
    (rules.EgoSchemaLetter(), "(C) then A =C|A x (C)=A|well I think the blue car it is=B"),
    (rules.TomatoLmmsEval(), "B or A=A|A (C) B=C|it must be two dogs I think=C|none=-"),
]


@pytest.mark.parametrize(
    ("rule", "reply", "letter"),
    [(rule, *pair.rsplit("=", 1)) for rule, table in READ_BY_HAND for pair in table.split("|")],
)
def test_letters_read_by_hand(rule: ReplyScorer, reply: str, letter: str) -> None:
    score = rule.score(reply, question())
    assert (score.answer or "-", score.unreadable) == (letter, letter == "-")
    assert score.value == float(letter == "B")


@pytest.mark.parametrize("rule", [rules.NextQaLetter(), rules.EgoSchemaLetter()])
def test_a_letter_is_drawn_where_the_reference_draws_one(
    rule: rules.NextQaLetter | rules.EgoSchemaLetter,
) -> None:
    assert "chosen_at_random" not in rule.score("(A)", question()).details
    drawn = rule.score("two dogs", question())  # of five words and less no text is compared
    assert drawn.details["chosen_at_random"] is True
    assert drawn.value == float(drawn.answer == "B")
    others = [dataclasses.replace(question(), id=str(number)) for number in range(20)]
    by_seed = [
        [made.score("two dogs", other).answer for other in others]
        for made in (rule, type(rule)(seed=0), type(rule)(seed=1))
    ]
    assert by_seed[0] == by_seed[1] != by_seed[2]


def test_what_counts_beside_the_letter() -> None:
    assert rules.MotionBenchLmmsEval().score("B", question()).details == {"answered": 1.0}
    assert rules.MotionBenchLmmsEval().score("x", question()).details == {"answered": 0.0}
    # "xBx" has no letter as a word, but one somewhere.
    lmms_eval = rules.MmBenchLmmsEval().score("xBx", question())
    assert (lmms_eval.value, lmms_eval.details) == (0.0, {"static": 1.0})
    assert rules.MmBenchLmmsEval().score("D", question()).details == {"static": 0.0}
    assert rules.TomatoLmmsEval().score("none", question("A")).value == 1.0
    empty = rules.MvBenchLmmsEval().score("", question())
    assert (empty.value, empty.unreadable) == (None, True)
    fits_all = rules.MvBenchOfficial().score("", question())
    assert (fits_all.value, fits_all.unreadable) == (1.0, True)


def test_settings_of_rules_for_letters() -> None:
    small = question(" b ")
    assert rules.RankedLetter(upper_targets=True).score("B", small).value == 1.0
    assert rules.RankedLetter(upper_targets=True).score("A", small).value == 0.0
    assert rules.RankedLetter().score("B", question("b")).value == 0.0
    phrases = ["The answer is"]
    first = rules.FirstLetter(phrases, letters="ABC")
    assert first.score("The answer is C", question("C")).value == 1.0
    assert first.score("D", question("D")).unreadable
    assert rules.FirstLetter(phrases, empty_cells=True).score("N/A", question()).unreadable
    assert rules.FirstLetter(phrases).score("N/A", question()).answer == "A"
    # A carriage return comes back from the spreadsheet as "_x000D_".
    assert rules.FirstLetter(phrases, spreadsheet=True).score("\r", question()).answer == "D"
    assert rules.FirstLetter(phrases, when_unread="left_out").score("x", question()).value is None
    formed = rules.FirstLetter(phrases, forms=["(A)", "(B)"])
    assert [formed.score(text, question()).answer for text in ("b", "(", "", "x")] == [
        *("B", "A", "A", None)
    ]
    for form in ("A", ""):
        with pytest.raises(ConfigError, match=f"form '{form}' has no second character"):
            rules.FirstLetter(phrases, forms=["(A)", form])


def test_letters_and_texts_are_those_of_the_options_that_there_are() -> None:
    """As lmms-eval 0.7.3 reads them."""
    two = dataclasses.replace(question(), choices=("A Red Ball", "Two"))
    stated = rules.BlinkStatedLetter()
    assert [stated.score(text, two).answer for text in ("(C)", "D x", "(b)")] == [None, None, "B"]
    assert rules.HrBenchLmmsEval().score("a red ball", two).answer == "A"
    ended = dataclasses.replace(question(), choices=("A cat", "Two dogs. "))
    assert rules.VideoMmeV2Letter([]).score("I see two dogs here", ended).answer == "B"


def test_a_letter_by_patterns() -> None:
    patterns = [r"is\s([a-d])\b", "^([a-d])"]
    first, last = (rules.LetterByPattern(patterns, last=last) for last in (False, True))
    text = "A? It is C. No, it IS b."
    assert [rule.score(text, question()).answer for rule in (first, last)] == ["C", "B"]
    assert first.score(" dog ", question()).answer == "D"
    assert first.score("I see", question()).unreadable
    with pytest.raises(ConfigError, match=r"'\('"):
        rules.LetterByPattern(["("])


@pytest.mark.parametrize(
    ("target", "reply", "value", "answer"),
    [
        ("B", "The answer is B", 1.0, "B"),
        ("b ", "B", 1.0, "B"),
        ("B", "C", 0.0, "C"),
        ("B", "none", 0.0, None),
        ("Two", " two. ", 1.0, "two"),
        ("Two", "two dogs", 0.0, "two dogs"),
        ("E", "e", 1.0, "e"),
    ],
)
def test_realworldqa(target: str, reply: str, value: float, answer: str | None) -> None:
    score = rules.RealWorldQaLmmsEval().score(reply, question(target))
    assert (score.value, score.answer) == (value, answer)
