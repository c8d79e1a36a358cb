"""Numbers of yes-or-no questions, against counts by hand and scipy's intervals."""

from __future__ import annotations

import dataclasses
import math

import pytest
from scipy import stats

from llava_eval.metrics.yes_no import Measure, yes_no
from llava_eval.types import Generation, SampleResult, Score
from tests.results.helpers import make_result

#: What was right and what was said of ten images: 3 hits, 1 false alarm, 2 misses, 3 rejections,
#: and a reply to a question of either kind that was neither.
PAIRS = [
    ("yes", "yes"),
    ("yes", "yes"),
    ("yes", "yes"),
    ("no", "yes"),
    ("yes", "no"),
    ("yes", "no"),
    ("no", "no"),
    ("no", "no"),
    ("no", "no"),
    ("no", None),
]


def results(pairs: list[tuple[str, str | None]] = PAIRS) -> list[SampleResult]:
    return [
        make_result(
            row,
            id=str(row),
            group=str(row),
            target=(right,),
            facets={"category": "adversarial" if row % 2 else "random"},
            generation=Generation(said or "?"),
            score=Score(float(said == right), said, unreadable=said is None),
        )
        for row, (right, said) in enumerate(pairs)
    ]


@pytest.mark.parametrize(
    ("measure", "value"),
    [
        ("accuracy", 60.0),
        ("precision", 75.0),  # 3 of 4 that were said to be there
        ("recall", 60.0),  # 3 of 5 that were there and answered
        ("f1", 100 * 2 * 0.75 * 0.6 / (0.75 + 0.6)),
        ("yes_ratio", 40.0),
        ("yes_ratio_of_answers", 50.0),
    ],
)
def test_popes_numbers(measure: Measure, value: float) -> None:
    metric = yes_no(results(), measure=measure)
    assert metric.value == pytest.approx(value)
    assert (metric.num_samples, metric.unit) == (10, "percent")
    capitals = [(f"{right.capitalize()} ", said) for right, said in PAIRS]
    assert yes_no(results(capitals), measure=measure) == metric


def test_the_interval_of_an_accuracy_is_students() -> None:
    right = [float(one == other) for one, other in PAIRS]
    low, high = stats.t.interval(0.95, 9, loc=0.6, scale=stats.sem(right))
    metric = yes_no(results(), measure="accuracy")
    assert metric.stderr == pytest.approx(100 * float(stats.sem(right)))
    assert (metric.ci_low, metric.ci_high) == pytest.approx((100 * low, 100 * high))


def test_the_error_of_f1_is_that_of_a_ratio() -> None:
    # F1 = 2 TP / (2 TP + FP + FN) = 6 / 9. A hit adds (2 - 2 F1) / 9 to the error, a false alarm
    # or a miss -F1 / 9, anything else nothing; with G / (G - 1) for 10 images.
    f1 = 6 / 9
    squares = 3 * ((2 - 2 * f1) / 9) ** 2 + 3 * (f1 / 9) ** 2
    stderr = 100 * math.sqrt(10 / 9 * squares)
    metric = yes_no(results(), measure="f1")
    assert metric.stderr == pytest.approx(stderr)
    half = float(stats.t.ppf(0.975, 9)) * stderr
    assert (metric.ci_low, metric.ci_high) == pytest.approx(
        (100 * f1 - half, min(100.0, 100 * f1 + half))
    )


def test_questions_about_one_image_are_one_cluster() -> None:
    twice = [*results(), *results()]
    once, doubled = (yes_no(some, measure="f1") for some in (results(), twice))
    assert doubled.value == once.value
    assert doubled.stderr == pytest.approx(once.stderr)
    assert doubled.ci_low == pytest.approx(once.ci_low)


def test_the_interval_stays_within_0_and_100_and_never_has_no_width() -> None:
    right: list[tuple[str, str | None]] = [("yes", "yes"), ("no", "no")] * 5
    for measure in ("accuracy", "precision", "recall", "f1"):
        metric = yes_no(results(right), measure=measure)
        assert (metric.value, metric.ci_high) == (100.0, 100.0)
        # Wilson's lower end with nothing wrong: n / (n + quantile squared).
        assert metric.ci_low == pytest.approx(100 / (1 + float(stats.t.ppf(0.975, 9)) ** 2 / 10))
    almost = yes_no(results([*right[1:], ("yes", "no")]), measure="accuracy")
    assert almost.ci_high == 100.0


def test_a_mean_over_categories() -> None:
    # random: rows 0, 2, 4, 6, 8 (4 of 5 right); adversarial: 1, 3, 5, 7, 9 (2 of 5 right).
    metric = yes_no(results(), measure="accuracy", mean_over="category")
    assert metric.value == pytest.approx((80.0 + 40.0) / 2)
    variances = 5 * 0.8 * 0.2, 5 * 0.4 * 0.6
    stderr = 100 * math.sqrt(10 / 9 * sum(variances) / 5**2 / 4)
    assert metric.stderr == pytest.approx(stderr)


def test_what_has_no_denominator_is_left_open_or_stands_for_what_the_reference_says() -> None:
    never: list[tuple[str, str | None]] = [("no", "no"), ("no", None)]
    assert yes_no(results(never), measure="precision").value is None
    metric = yes_no(results(never), measure="precision", undefined_as=0.0)
    assert (metric.value, metric.stderr) == (0.0, None)
    assert yes_no([], measure="f1").value is None


def test_a_scorer_may_say_what_an_unreadable_reply_counts_as() -> None:
    counted = make_result(
        0,
        target=("yes",),
        generation=Generation(""),
        score=Score(1.0, None, unreadable=True, details={"counted_as": "yes"}),
    )
    assert yes_no([counted], measure="recall").value == 100.0


@pytest.mark.parametrize("num_groups", [1, 2])
def test_two_images_are_needed_for_an_interval(num_groups: int) -> None:
    kept = [
        make_result(
            n,
            group=f"image {n % num_groups}",
            target=("yes",),
            generation=Generation("x"),
            score=Score(float(n == 0), "yes" if n == 0 else "no"),
        )
        for n in range(2)
    ]
    metric = yes_no(kept, measure="accuracy")
    assert metric.value == 50.0
    # Two clusters of one: 2 / (2 - 1) times the sum of (1/4)^2 twice.
    assert metric.stderr == (None if num_groups == 1 else pytest.approx(100 * 0.5))


def test_failed_questions_and_hidden_answers_are_left_out() -> None:
    answered = results([("yes", "yes"), ("yes", "no")])
    hidden = dataclasses.replace(answered[0], target=())
    lost = dataclasses.replace(answered[0], generation=Generation(None, error="x"))
    metric = yes_no([*answered, hidden, lost], measure="recall")
    assert (metric.value, metric.num_samples) == (50.0, 2)


def test_a_sample_of_two_levels_counts_in_both() -> None:
    """Levels a (right, wrong) and b (right, right): the sample "a+b" is in both."""
    levels = ["a+b", "a", "b"]
    three = [
        dataclasses.replace(result, facets={"category": level})
        for result, level in zip(
            results([("yes", "yes"), ("yes", "no"), ("no", "no")]), levels, strict=True
        )
    ]
    metric = yes_no(three, measure="accuracy", mean_over="category")
    assert (metric.value, metric.num_samples) == (75.0, 3)
    # half of what each adds to the mean of a, (value - 1/2) / 2; to that of b they add nothing
    assert metric.stderr == pytest.approx(100 * math.sqrt(3 / 2 * 2 * (0.25 / 2) ** 2))
