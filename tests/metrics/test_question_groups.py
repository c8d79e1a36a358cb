"""Scores of groups of questions; whole sets stand in test_reference_sets."""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from scipy import stats

from llava_eval.metrics.question_groups import (
    VinogroundPart,
    cgbench_accuracy_at_iou,
    hallusion_score,
    videomme_v2_rating,
    vinoground_score,
)
from llava_eval.types import Generation, MetricValue, Sample, SampleResult, Score
from tests.results.helpers import make_result
from tests.scoring.protocols import protocol

GOLDEN = Path(__file__).parent / "hallusion_bench.json.gz"


def test_hallusion_bench_as_lmms_eval_counts_it() -> None:
    """By category, figure and question: 0 wrong, 1 right, 2 unclear, as its judge says."""
    content = json.loads(gzip.decompress(GOLDEN.read_bytes()))
    parts = protocol("hallusionbench/lmms_eval")
    words = {"0": "incorrect", "1": "correct", "2": "unclear"}
    results = []
    for row, code in zip(content["rows"], content["codes"], strict=True):
        score = Score(float(code == "1"), words[code])
        result = SampleResult.of(parts.sample(row), Generation("x"))
        results.append(with_score(result, score))
    found = {
        "aAcc": hallusion_score(results, part="all").value,
        "fAcc": hallusion_score(results, part="figure").value,
        "qAcc": hallusion_score(results, part="question").value,
    }
    assert found == pytest.approx(content["metrics"])


def with_score(result: SampleResult, score: Score) -> SampleResult:
    return dataclasses.replace(result, score=score)


def group(scores: list[Score], group_type: str, structure: str) -> list[SampleResult]:
    facets = {"group_type": group_type, "group_structure": structure, "level": "1"}
    samples = [
        Sample(f"001-{n}", n, "001", ("x",), ("A",), facets=facets) for n in range(len(scores))
    ]
    return [
        with_score(SampleResult.of(sample, Generation("x")), score)
        for sample, score in zip(samples, scores, strict=True)
    ]


UNREAD = Score(None, None, unreadable=True)
RIGHT, WRONG = Score(1.0, "A"), Score(0.0, "B")


@pytest.mark.parametrize(
    ("scores", "group_type", "structure", "official", "ours"),
    [
        ([UNREAD] * 4, "logic", "[1, 2, 3, 4]", 100.0, 0.0),
        ([RIGHT, UNREAD, WRONG, RIGHT], "logic", "[1, 2, 3, 4]", 25.0, 6.25),
        ([UNREAD] * 4, "relevance", "", 0.0, 0.0),
        ([RIGHT, RIGHT, UNREAD, WRONG], "relevance", "", 6.25, 25.0),
        ([RIGHT, WRONG, RIGHT, WRONG], "logic", "[1, [2, 3], 4]", 100 / 3, 100 / 3),
        ([WRONG, RIGHT, RIGHT, RIGHT], "logic", "[[1, 2], 3, 4]", 10.0, 10.0),
        ([RIGHT] * 4, "logic", "[[1,2],3,4]", 100.0, 100.0),
        ([RIGHT, RIGHT, RIGHT, WRONG], "logic", "[[1, 2], 3, 4]", 50.0, 50.0),
        ([RIGHT, WRONG, WRONG, RIGHT], "logic", "[1, [2, 3], 4]", 100 / 12, 100 / 12),
        ([RIGHT, RIGHT, RIGHT, WRONG], "logic", "[1, [2, 3], 4]", 700 / 12, 700 / 12),
        ([WRONG, RIGHT, RIGHT, RIGHT], "relevance", "", 56.25, 56.25),
    ],
)
def test_an_unread_answer_continues_a_chain_in_the_authors_script_alone(
    scores: list[Score], group_type: str, structure: str, official: float, ours: float
) -> None:
    results = group(scores, group_type, structure)
    minus_one = videomme_v2_rating(results, unread="minus_one")
    assert minus_one.value == pytest.approx(official)
    assert videomme_v2_rating(results, unread="wrong").value == pytest.approx(ours)


def test_four_unread_answers_take_a_linear_score_below_nothing() -> None:
    results = group([UNREAD] * 4, "relevance", "")
    assert videomme_v2_rating(results, unread="minus_one", linear=True).value == -100.0


def test_incomplete_groups_are_left_out_and_said() -> None:
    found = videomme_v2_rating(group([RIGHT] * 3, "relevance", ""), unread="wrong")
    assert (found.value, found.note) == (None, "1 incomplete groups left out")


def test_groups_that_failed_and_levels_without_a_group_are_not_worth_0() -> None:
    def total(results: list[SampleResult], **parts: Any) -> float | None:
        return videomme_v2_rating(results, unread="wrong", empty_as=0.0, **parts).value

    failed = [
        dataclasses.replace(result, generation=Generation(None, error="no file"))
        for result in group([UNREAD] * 4, "relevance", "")
    ]
    assert total(failed) is None
    assert total(failed[:3]) is None
    assert total([]) is None  # a level that no group's last row has
    assert total(failed, group_type="logic") == 0.0  # no such group, as the reference prints it
    assert total(group([UNREAD] * 4, "relevance", "")) == 0.0


def test_a_group_has_the_type_and_level_of_its_last_row() -> None:
    results = group([RIGHT, WRONG, WRONG, WRONG], "relevance", "")
    results[-1] = dataclasses.replace(results[-1], facets={**results[-1].facets, "level": "3"})
    (of_first, of_last) = (
        videomme_v2_rating(results[::-1], unread="wrong", level=level) for level in ("1", "3")
    )
    assert of_first.value is None
    assert of_last.value == pytest.approx(6.25)


PARTS: tuple[VinogroundPart, ...] = ("text", "video", "group")


def pair(*replies: str) -> list[SampleResult]:
    """Return a caption pair of Vinoground: two questions with one video, two with both."""
    results = []
    for row, (part, reply) in enumerate(
        zip(("text", "text", "video", "video"), replies, strict=True)
    ):
        sample = Sample(str(row), row, "p", ("x",), ("A",), facets={"row_set": f"{part} {row}"})
        score = RIGHT if reply == "A" else WRONG
        results.append(with_score(SampleResult.of(sample, Generation(reply)), score))
    return results


@pytest.mark.parametrize(
    ("replies", "text", "video", "together"),
    [
        ("AAAA", 100.0, 100.0, 100.0),
        ("ABAA", 0.0, 100.0, 0.0),
        ("AAAB", 100.0, 0.0, 0.0),
        ("A AA", 0.0, 100.0, 0.0),
    ],
)
def test_vinoground_counts_pairs(replies: str, text: float, video: float, together: float) -> None:
    results = pair(*(reply.strip() for reply in replies))
    values = [vinoground_score(results, part=part).value for part in PARTS]
    assert values == [text, video, together]
    ended = vinoground_score(results, part="video", empty_ends_pair=True).value
    assert ended == (0.0 if " " in replies else video)
    broken = dataclasses.replace(results[3], generation=Generation(None, error="no file"))
    for incomplete in (results[1:], [*results[:3], broken]):
        found = vinoground_score(incomplete, part="text")
        assert (found.value, found.note) == (None, "1 incomplete pairs left out")


def interval(metric: MetricValue) -> list[float | None]:
    return [metric.value, metric.stderr, metric.ci_low, metric.ci_high]


def students(values: list[float], *, highest: float = 100.0) -> Any:
    """Return mean, standard error and textbook interval of independent values, from 0 up."""
    mean, stderr = float(np.mean(values)), float(stats.sem(values))
    low, high = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=stderr)
    return pytest.approx([mean, stderr, max(0.0, low), min(highest, high)])


def wilsons(num_right: int, num: int) -> Any:
    """Return share, standard error and Wilson's interval for Student's quantile, in percent."""
    share = num_right / num
    # The variance is corrected, so it is that of one independent question less.
    size, square = num - 1, float(stats.t.ppf(0.975, num - 1)) ** 2
    half = math.sqrt(square * (share * (1 - share) / size + square / (4 * size**2)))
    ends = [share + square / (2 * size) - half, share + square / (2 * size) + half]
    stderr = math.sqrt(share * (1 - share) / size)
    return pytest.approx(
        [100 * n for n in (share, stderr, *(e / (1 + square / size) for e in ends))]
    )


def test_intervals_of_groups_of_four() -> None:
    groups: list[SampleResult] = []
    for number in range(1, 5):  # of one group one answer is right, of the next two, ...
        members = group([RIGHT] * number + [WRONG] * (4 - number), "relevance", "")
        groups += [dataclasses.replace(member, group=str(number)) for member in members]
    rating = videomme_v2_rating(groups, unread="wrong")
    assert interval(rating) == students([6.25, 25.0, 56.25, 100.0])
    linear = videomme_v2_rating(groups, unread="wrong", linear=True)
    assert interval(linear) == students([25.0, 50.0, 75.0, 100.0])
    assert (rating.num_samples, rating.unit, rating.note) == (4, "percent", "")


def test_intervals_of_caption_pairs() -> None:
    pairs: list[SampleResult] = []
    for number, replies in enumerate(("AAAA", "AAAB", "AAAA", "ABAA", "AABB")):
        pairs += [dataclasses.replace(member, group=str(number)) for member in pair(*replies)]
    found = [vinoground_score(pairs, part=part) for part in PARTS]
    assert [interval(metric) for metric in found] == [wilsons(4, 5), wilsons(3, 5), wilsons(2, 5)]
    assert [(metric.num_samples, metric.note) for metric in found] == [(5, "")] * 3


def test_cgbench_counts_the_overlap_where_the_letter_is_right() -> None:
    """Two questions about each of three videos; of a seventh only one reply was read."""
    questions = [(1.0, 0.4), (0.0, 1.0), (1.0, 1.0), (1.0, 0.6), (0.0, 0.2), (1.0, 0.0)]
    results = []
    for number, (letter, overlap) in enumerate(questions):
        name, video = f"001/{number}", f"video {number // 2}"
        score = Score(letter, "A")
        results.append(
            make_result(0, id=f"{name}/a", group=video, facets={"task": "long_acc"}, score=score)
        )
        score = Score(0.5, "B", details={"rec@IoU": overlap})
        results.append(
            make_result(0, id=f"{name}/b", group=video, facets={"task": "miou"}, score=score)
        )
    lonely = make_result(0, id="001/6/a", group="video 3", facets={"task": "long_acc"})
    metric = cgbench_accuracy_at_iou([*results, lonely])
    # As many questions for each video: the mean and its error are those of the videos' means.
    assert interval(metric) == students([20.0, 80.0, 0.0])
    assert (metric.num_samples, metric.unit) == (6, "percent")
    failed = dataclasses.replace(lonely, id="001/6/b", facets={"task": "miou"}, score=UNREAD)
    assert cgbench_accuracy_at_iou([lonely, failed]).value is None


def test_intervals_of_figures_and_questions_follow_the_set_of_figures() -> None:
    """Two questions about each of two figures in each of four sets; half of the sets are right."""
    results = [
        make_result(
            0,
            id=f"{number}/{figure}/{question}",
            group=f"set {number}",
            facets={
                "category": "VD",
                "subcategory": "map",
                "set_id": str(number),
                "figure_id": str(figure),
                "question_id": str(question),
            },
            score=Score(float(number % 2), "correct" if number % 2 else "incorrect"),
        )
        for number in range(4)
        for figure in (1, 2)
        for question in (0, 1)
    ]
    numbers: dict[Literal["all", "figure", "question"], int] = {
        "all": 16,
        "figure": 8,
        "question": 8,
    }
    for part, num in numbers.items():
        metric = hallusion_score(results, part=part)
        assert interval(metric) == wilsons(2, 4), part
        assert metric.num_samples == num


def test_only_questions_without_a_picture_may_be_unclear() -> None:
    """VS questions about figure 0 have none; figure 0 of VD, and other figures of VS, do."""
    unclear = Score(0.0, "unclear")

    def asked(category: str, figure: str) -> SampleResult:
        facets = {
            "category": category, "subcategory": "x", "set_id": "1", "figure_id": figure,
            "question_id": "1",
        }  # fmt: skip
        return make_result(0, id=f"{category}{figure}", facets=facets, score=unclear)

    for category, figure, right in (("VS", "0", True), ("VS", "1", False), ("VD", "0", False)):
        results = [asked(category, figure)]
        expected = 100.0 if right else 0.0
        assert hallusion_score(results, part="all").value == expected
        assert hallusion_score(results, part="question").value == expected
        # What has no picture belongs to no figure.
        assert hallusion_score(results, part="figure").value == (None if right else 0.0)


@pytest.mark.parametrize("error", [None, "the judge does not answer"])
def test_figures_and_questions_with_a_reply_that_nobody_judged_are_left_out(
    error: str | None,
) -> None:
    def asked(figure: str, question: str) -> SampleResult:
        facets = {
            "category": "VD", "subcategory": "x", "set_id": "1", "figure_id": figure,
            "question_id": question,
        }  # fmt: skip
        score = Score(1.0, "correct")
        return make_result(0, id=figure + question, facets=facets, score=score)

    open_one = dataclasses.replace(
        asked("1", "1"),
        generation=Generation("x" if error is None else None, error=error),
        score=Score(None, None),
    )
    results = [open_one, asked("1", "2"), asked("2", "1"), asked("2", "2")]
    parts: tuple[Literal["all", "figure", "question"], ...] = ("all", "figure", "question")
    metrics = [hallusion_score(results, part=part) for part in parts]
    found = [(metric.value, metric.num_samples) for metric in metrics]
    assert found == [(100.0, 3), (100.0, 1), (100.0, 1)]
