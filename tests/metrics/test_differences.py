"""The three ways to compare a metric: from values, from sums, and by calling it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from llava_eval.metrics.differences import (
    Metric,
    NoDifference,
    PairedBleu,
    PairedFunction,
    PairedMean,
    paired_metric,
)
from llava_eval.metrics.groups import part_mean
from llava_eval.metrics.means import mean_score
from llava_eval.metrics.question_groups import cgbench_accuracy_at_iou, hallusion_score
from llava_eval.metrics.yes_no import yes_no
from llava_eval.scoring.captions.corpus import corpus_bleu
from llava_eval.scoring.captions.java import meteor, spice
from llava_eval.types import NOT_SCORED, Generation, MetricValue, SampleResult, Score
from tests.conftest import slow
from tests.results.helpers import make_result

WORDS = ("a", "red", "car", "drives", "down", "the", "long", "road", "past", "two", "houses")


def captions(seed: int, num_samples: int = 40) -> list[SampleResult]:
    random = np.random.default_rng(seed)
    fixed = np.random.default_rng(0)
    results = []
    for number in range(num_samples):
        references = tuple(" ".join(fixed.choice(WORDS, 8)) for _ in range(3))
        text = " ".join([*references[0].split()[: random.integers(2, 8)], *random.choice(WORDS, 2)])
        results.append(
            make_result(number, target=references, generation=Generation(text, 1, 1, "eos"))
        )
    return results


def answers(seed: int, num_samples: int = 90) -> list[SampleResult]:
    random = np.random.default_rng(seed)
    return [
        make_result(number, score=Score(float(random.random() < 0.6), "A"))
        for number in range(num_samples)
    ]


def test_a_metric_that_most_resamples_lack_a_part_of_has_no_interval() -> None:
    results = [make_result(n, group=f"v{n}", score=Score(float(n > 3), "A")) for n in range(12)]

    def of_all(kept: Sequence[SampleResult]) -> MetricValue:
        if len({item.group.partition("#")[0] for item in kept}) < 12:
            return MetricValue.none(len(kept), "percent")
        return mean_score(kept)

    found = paired_metric(of_all, results, results).difference(np.arange(12), np.arange(12), 0.95)
    assert found is not None
    assert (found.low, found.high, found.p_value, found.smallest_detectable) == (None,) * 4


def test_no_interval_in_percent_ends_beyond_100() -> None:
    first, second = np.array([0.9, *[1.0] * 5]), np.zeros(6)  # Student's would end at -102.7
    paired = PairedMean(first, second)
    found = paired.difference(np.arange(6), np.arange(6), 0.95)
    assert found is not None
    assert found.low == -100.0
    assert found.high == pytest.approx(-94.0, abs=0.1)
    grades = PairedMean(1 + 4 * first, 1 + second, 1.0, "1-5")  # which differ by 4 at most
    graded = grades.difference(np.arange(6), np.arange(6), 0.95)
    assert graded is not None
    assert graded.low == -4.0
    points = PairedMean(first, second, 100.0, "points").difference(np.arange(6), np.arange(6), 0.95)
    assert points is not None
    assert points.low == pytest.approx(-102.7, abs=0.1)
    assert points.smallest_detectable == found.smallest_detectable


def all_rows(results: Sequence[SampleResult]) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(len(results))
    return rows, rows // 3


def test_a_mean_is_compared_by_its_values() -> None:
    first, second = answers(1), answers(2)
    paired = paired_metric(functools.partial(mean_score, scale=10.0), first, second)
    assert isinstance(paired, PairedMean)
    found = paired.difference(*all_rows(first), 0.95)
    assert found is not None
    assert found.first == pytest.approx(mean_score(first, scale=10.0).value)
    assert found.second == pytest.approx(mean_score(second, scale=10.0).value)
    assert isinstance(paired_metric(mean_score, first, second), PairedMean)


def test_parameters_of_the_mean_are_kept() -> None:
    left_out = Score(None, None, unreadable=True)
    first = [make_result(0, score=left_out), *answers(1)[1:]]
    second = answers(2)
    for metric in (
        functools.partial(mean_score),
        functools.partial(mean_score, denominator="all"),
        functools.partial(mean_score, denominator="strict"),
    ):
        found = paired_metric(metric, first, second).difference(*all_rows(first), 0.95)
        assert found is not None
        assert found.first == pytest.approx(metric(first).value)


def test_corpus_bleu_is_compared_by_its_sums() -> None:
    first, second = captions(1), captions(2)
    metric = functools.partial(corpus_bleu, order=2)
    paired = paired_metric(metric, first, second)
    assert isinstance(paired, PairedBleu)
    found = paired.difference(*all_rows(first), 0.95)
    assert found is not None
    assert found.first == pytest.approx(metric(first).value)
    assert found.second == pytest.approx(metric(second).value)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.difference < found.high
    some = np.arange(12)
    part = paired.difference(some, some // 3, 0.95)
    assert part is not None
    assert part.first == pytest.approx(metric(first[:12]).value)
    # Of 14 equal pairs the score test rejects a share a where a / sqrt(a * (1 - a) / 14) is q.
    same = paired_metric(metric, first, first).difference(*all_rows(first), 0.95)
    assert same is not None
    square = float(stats.t.ppf(0.975, 13)) ** 2
    assert same.high == pytest.approx(100 * square / (14 + square))


def test_a_failed_caption_adds_nothing_to_bleu() -> None:
    first, second = captions(1), captions(2)
    broken = make_result(3, generation=Generation(None, error="x"), score=NOT_SCORED)
    first[3] = broken
    found = paired_metric(corpus_bleu, first, second).difference(*all_rows(first), 0.95)
    assert found is not None
    assert found.first == pytest.approx(corpus_bleu(first).value)
    only_broken = [broken]
    assert (
        paired_metric(corpus_bleu, only_broken, only_broken).difference(
            np.arange(1), np.zeros(1, np.int64), 0.95
        )
        is None
    )


def share_of_right_groups(results: Sequence[SampleResult]) -> MetricValue:
    """Return how many groups have only right answers, as MME's acc+ does."""
    groups: dict[str, bool] = {}
    for result in results:
        groups[result.group] = groups.get(result.group, True) and result.score.value == 1.0
    value = 100 * sum(groups.values()) / len(groups)
    return MetricValue(value, None, None, None, len(results), "percent")


def test_any_other_function_is_called_on_resampled_groups() -> None:
    first, second = answers(1), answers(2)
    paired = paired_metric(share_of_right_groups, first, second)
    assert isinstance(paired, PairedFunction)
    found = paired.difference(*all_rows(first), 0.95)
    assert found is not None
    assert found.first == share_of_right_groups(first).value
    # Whole groups are right or wrong, so it is the mean of one value per group.
    per_group = [
        [
            float(all(one.score.value == 1 for one in run[start : start + 3]))
            for start in range(0, 90, 3)
        ]
        for run in (first, second)
    ]
    by_mean = PairedMean(np.array(per_group[0]), np.array(per_group[1])).difference(
        np.arange(30), np.arange(30), 0.95
    )
    assert by_mean is not None
    assert found.difference == pytest.approx(by_mean.difference)
    assert found.low == pytest.approx(by_mean.low, abs=4.0)
    assert found.high == pytest.approx(by_mean.high, abs=4.0)


def test_a_java_program_is_not_called_thousands_of_times() -> None:
    first, second = captions(1), captions(2)
    for metric in (meteor, spice):
        paired = paired_metric(metric, first, second)
        assert isinstance(paired, NoDifference)
        assert paired.difference(*all_rows(first), 0.95) is None


def test_failed_captions_shift_no_references() -> None:
    first, second = captions(1), captions(2)
    first[3] = make_result(3, generation=Generation(None, error="x"), score=NOT_SCORED)
    found = paired_metric(corpus_bleu, first, second).difference(*all_rows(first), 0.95)
    assert found is not None
    assert found.second == pytest.approx(corpus_bleu(second).value)


def test_a_function_without_a_value_in_one_run_has_no_difference() -> None:
    def of_right(results: Sequence[SampleResult]) -> MetricValue:
        value = 1.0 if any(result.score.value for result in results) else None
        return MetricValue(value, None, None, None, 0, "points")

    right, wrong = (
        [make_result(n, score=Score(value, "A")) for n in range(9)] for value in (1.0, 0.0)
    )
    for first, second in ((wrong, wrong), (right, wrong), (wrong, right)):
        assert paired_metric(of_right, first, second).difference(*all_rows(first), 0.95) is None
    same = paired_metric(of_right, right, right).difference(*all_rows(right), 0.95)
    assert same is not None
    square = float(stats.t.ppf(0.975, 2)) ** 2  # three equal pairs, in a unit of which 1 is most
    assert same.high == pytest.approx(square / (3 + square))


@pytest.mark.parametrize("num_clusters", [1, 2])
def test_two_clusters_are_needed_to_resample(num_clusters: int) -> None:
    first = [make_result(n, score=Score(0.0, "A")) for n in range(4)]
    second = [make_result(n, score=Score(1.0, "A")) for n in range(4)]
    membership = np.arange(4) % num_clusters
    found = paired_metric(share_of_right_groups, first, second).difference(
        np.arange(4), membership, 0.95
    )
    assert found is not None
    assert (found.first, found.second, found.num_clusters) == (0.0, 100.0, num_clusters)
    ends = (None, None) if num_clusters == 1 else (100.0, 100.0)  # every resample says the same
    assert (found.low, found.high) == ends


def test_resamples_without_a_value_do_not_count() -> None:
    def known(results: Sequence[SampleResult]) -> MetricValue:
        """Return the mean of answers A; none where a resample has drawn none of them."""
        values = [one.score.value or 0.0 for one in results if one.score.answer == "A"]
        value = sum(values) / len(values) if values else None
        return MetricValue(value, None, None, None, len(values), "percent")

    first = [make_result(n, score=Score(0.25, "AB"[n % 2])) for n in range(4)]
    second = [make_result(n, score=Score(0.75, "A")) for n in range(4)]
    for left, right, sign in ((first, second, 1), (second, first, -1)):
        found = paired_metric(known, left, right).difference(np.arange(4), np.arange(4), 0.95)
        assert found is not None
        assert (found.difference, found.low, found.high) == (0.5 * sign,) * 3


@pytest.mark.parametrize("num_clusters", [1, 2])
@pytest.mark.parametrize("name", ["mean", "bleu", "function"])
def test_two_clusters_are_the_least_that_have_an_interval(name: str, num_clusters: int) -> None:
    metrics: dict[str, Metric] = {
        "mean": mean_score,
        "bleu": corpus_bleu,
        "function": share_of_right_groups,
    }
    make = captions if name == "bleu" else answers
    first, second = make(1)[:12], make(2)[:12]
    membership = np.arange(12) % num_clusters
    found = paired_metric(metrics[name], first, second).difference(np.arange(12), membership, 0.95)
    assert found is not None
    assert (found.num_samples, found.num_clusters) == (12, num_clusters)
    bounds = (found.low, found.high, found.p_value, found.smallest_detectable)
    assert [bound is None for bound in bounds] == [num_clusters == 1] * 4


@pytest.mark.slow
def test_a_group_that_is_drawn_twice_counts_twice_whatever_a_metric_joins() -> None:
    def figures(seed: int) -> list[SampleResult]:
        """Make one question about each of two figures in a set: both accuracies are the same."""
        random = np.random.default_rng(seed)
        return [
            make_result(
                number,
                group=f"VD_chart_{number // 2}",
                score=Score(float(random.random() < 0.6), "A"),
                facets={
                    "category": "VD",
                    "subcategory": "chart",
                    "set_id": f"{number // 2}",
                    "figure_id": f"{number % 2}",
                    "question_id": f"{number % 2}",
                },
            )
            for number in range(80)
        ]

    def clues(seed: int) -> list[SampleResult]:
        """Make half of the overlap right everywhere: the score is half of the accuracy."""
        random = np.random.default_rng(seed)
        return [
            make_result(
                2 * question + is_span,
                id=f"{question}/{'miou' if is_span else 'long_acc'}",
                group=f"video {question // 2}",
                facets={"task": "miou" if is_span else "long_acc"},
                score=Score(float(random.random() < 0.6), "A", details={"rec@IoU": 0.5}),
            )
            for question in range(60)
            for is_span in (0, 1)
        ]

    accuracy = functools.partial(part_mean, facet="task", levels=["long_acc"], scale=50.0)
    pairs: list[tuple[Metric, Metric, list[SampleResult], list[SampleResult], int]] = [
        (
            functools.partial(hallusion_score, part=part),
            lambda results: mean_score(results),
            figures(1),
            figures(2),
            2,
        )
        for part in ("figure", "question")
    ]
    pairs.append((cgbench_accuracy_at_iou, accuracy, clues(1), clues(2), 4))
    for joined, plain, first, second, size in pairs:
        rows = np.arange(len(first))
        found, expected = (
            paired_metric(metric, first, second).difference(rows, rows // size, 0.95)
            for metric in (joined, plain)
        )
        assert found is not None
        assert expected is not None
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.slow
@pytest.mark.parametrize("num_groups", [slow(2), 4, slow(8)])
def test_a_function_of_groups_that_differ_alike_proves_little(num_groups: int) -> None:
    """One of two questions about each image is answered yes, then both: F1 falls from 1 to 2/3."""
    asked = [
        make_result(n, group=f"image {n // 2}", target=("no" if n % 2 else "yes",))
        for n in range(2 * num_groups)
    ]
    first = [dataclasses.replace(item, score=Score(1.0, item.target[0])) for item in asked]
    second = [
        dataclasses.replace(item, score=Score(1.0 - n % 2, "yes")) for n, item in enumerate(asked)
    ]
    paired = paired_metric(functools.partial(yes_no, measure="f1"), first, second)
    rows = np.arange(2 * num_groups)
    found = paired.difference(rows, rows // 2, 0.95)
    assert found is not None
    assert found.difference == pytest.approx(-100 / 3)
    # None of 2000 resamples differs, which tells no tail below 1 / 2001.
    tail = stats.norm.ppf(1 / 2001) * (1 - 1 / num_groups) ** 0.5
    assert found.p_value == pytest.approx(2 * stats.t.cdf(tail, num_groups - 1))


def test_of_an_error_in_negative_what_grows_is_worse() -> None:
    errors = [[0.1, 0.2, 0.0, 0.3], [0.5, 0.9, 0.7, 0.8]]
    runs = [
        [make_result(n, score=Score(value, "A")) for n, value in enumerate(values)]
        for values in errors
    ]
    plain, negative = (
        paired_metric(functools.partial(mean_score, scale=scale, unit="m"), *runs).difference(
            np.arange(4), np.arange(4), 0.95
        )
        for scale in (1.0, -1.0)
    )
    assert plain is not None
    assert negative is not None
    assert negative.difference == pytest.approx(-0.575)
    assert negative.low is not None
    assert negative.high is not None
    assert negative.low < negative.difference < negative.high < 0
    assert (negative.smallest_detectable or 0) > 0
