"""Scores of whole groups of questions, in which one right answer counts for more after another."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from llava_eval.errors import RowsError
from llava_eval.metrics.intervals import clustered_mean
from llava_eval.types import MetricValue, SampleResult

_GROUP_SIZE = 4
#: By structure of a group: what so many right answers in a row are worth, in percent.
_BY_NUMBER = (0.0, 100 / 16, 400 / 16, 900 / 16, 100.0)
_BY_STRUCTURE = {
    "[1, 2, 3, 4]": _BY_NUMBER,
    "[1, [2, 3], 4]": (0.0, 100 / 12, 400 / 12, 700 / 12, 100.0),
    "[[1, 2], 3, 4]": (0.0, 10.0, 20.0, 50.0, 100.0),
}

#: What an answer in which no letter was read is worth: wrong, or -1 as the authors have it.
Unread = Literal["wrong", "minus_one"]

MetricT = TypeVar("MetricT", bound=Callable[..., MetricValue])


def of_whole_groups(metric: MetricT) -> MetricT:
    """Mark a metric of whole groups: by level, it is of the groups whose last row has the level."""
    metric.of_whole_groups = True  # type: ignore[attr-defined]
    return metric


def is_of_whole_groups(metric: Callable[..., MetricValue]) -> bool:
    """Return whether a metric, or the function that a configuration fills in, is marked so."""
    return getattr(getattr(metric, "func", metric), "of_whole_groups", False) is True


@of_whole_groups
def videomme_v2_rating(
    results: Sequence[SampleResult],
    *,
    unread: Unread,
    group_type: str | None = None,
    level: str | None = None,
    linear: bool = False,
    empty_as: float | None = None,
) -> MetricValue:
    """Return the mean score of Video-MME-v2's groups of four questions, in percent.

    A group of relevance is worth 0, 6.25, 25, 56.25 or 100 by its number of right answers; one of
    logic by how many are right from the first on, as its structure says: two that stand together
    may be answered in either order. Type, structure and level are those of the group's last row.
    Groups of other than four results, or with a failed one, are left out.

    The authors score an unread answer -1, which is true in Python: it continues a row of right
    answers, so that four unread ones of logic are worth 100, and it takes one from the sum of
    relevance, which is 0 where it is negative (but not in the linear score). With ``minus_one``
    this is reproduced.

    Source: MME-Benchmarks/Video-MME-v2 b24176a, evaluation/test_video_mme_v2.py, cal_relevance,
    cal_logic and get_final_rating; EvolvingLMMs-Lab/lmms-eval, tasks/videomme_v2/utils.py.

    Args:
        results: of the set; those of a group share ``group``.
        unread: what an unread answer is worth.
        group_type: "relevance" or "logic"; null for both.
        level: "1", "2" or "3"; null for all.
        linear: of relevance, 25 for each right answer.
        empty_as: what the reference prints where there is no such group; null leaves it open, as
            do groups that were left out.

    Raises:
        RowsError: a group of another type or structure.
    """
    values: dict[str, float] = {}
    num_left_out = 0
    for name, members in _groups(results).items():
        facets = members[-1].facets
        if group_type not in (None, facets["group_type"]) or level not in (None, facets["level"]):
            continue
        scores = [_score(result, unread) for result in members]
        known = [score for score in scores if score is not None]
        if len(known) != _GROUP_SIZE or len(scores) != _GROUP_SIZE:
            num_left_out += 1
        elif linear:
            values[name] = 25.0 * sum(known)
        else:
            values[name] = _value(name, known, facets["group_type"], facets["group_structure"])
    note = f"{num_left_out} incomplete groups left out" if num_left_out else ""
    if not values:  # what a reference prints is of no such group, not of those that failed
        value = empty_as if results and not num_left_out else None
        return MetricValue(value, None, None, None, 0, "percent", note)
    shares = [value / 100 for value in values.values()]
    return clustered_mean(shares, list(values), highest=1.0, scale=100.0, note=note)


def _groups(results: Sequence[SampleResult]) -> dict[str, list[SampleResult]]:
    """Return the results of each group, in the order of the rows."""
    groups: dict[str, list[SampleResult]] = defaultdict(list)
    for result in sorted(results, key=lambda result: result.row):
        groups[result.group].append(result)
    return groups


def _score(result: SampleResult, unread: Unread) -> int | None:
    if result.generation.error is not None:
        return None
    if result.score.unreadable:
        return -1 if unread == "minus_one" else 0
    return None if result.score.value is None else int(result.score.value)


def _value(name: str, scores: Sequence[int], group_type: str, structure: str) -> float:
    if group_type == "relevance":
        number = sum(scores)
        return _BY_NUMBER[number] if number >= 0 else 0.0
    try:
        written = str(ast.literal_eval(structure))
    except (ValueError, SyntaxError):
        written = structure
    if group_type != "logic" or written not in _BY_STRUCTURE:
        raise RowsError(
            f"Video-MME-v2: group {name} is of type {group_type!r} and structure {structure!r}; "
            f"expected relevance, or logic and one of {', '.join(_BY_STRUCTURE)}"
        )
    number = next((n for n, score in enumerate(scores) if not score), len(scores))
    together = {"[1, [2, 3], 4]": 1, "[[1, 2], 3, 4]": 0}.get(written)
    if number == together and scores[together + 1]:
        number += 1
    return _BY_STRUCTURE[written][number]


VinogroundPart = Literal["text", "video", "group"]
#: Rows of one caption pair: for each of both scores the original and its counterfactual.
_VINOGROUND_FACET = "row_set"


def vinoground_score(
    results: Sequence[SampleResult], *, part: VinogroundPart, empty_ends_pair: bool = False
) -> MetricValue:
    """Return the percentage of Vinoground's caption pairs that are right.

    The text score takes both questions with one video each, the video score both with the joined
    videos, the group score all four. Pairs with other than four results, or a failed one, are left
    out.

    Sources: Vinoground/Vinoground 1543a2a, get_score_all.py; EvolvingLMMs-Lab/lmms-eval 75571cf,
    tasks/vinoground/utils.py, vinoground_aggregate_results.

    Args:
        results: of the set; those of a pair share ``group``.
        part: which score.
        empty_ends_pair: an empty reply ends the evaluation of its pair, as an exception does in the
            authors' script: if one is met among the text questions, the video score is 0 too. The
            second of two questions is looked at only where the first is right.
    """
    pairs = _groups(results)
    values: dict[str, float] = {}
    for name, members in pairs.items():
        has_failed = any(result.generation.error is not None for result in members)
        if len(members) != _GROUP_SIZE or has_failed:
            continue
        text, text_met_empty = _both_right(members, "text")
        video, _ = _both_right(members, "video")
        if empty_ends_pair and text_met_empty:
            video = False
        values[name] = float({"text": text, "video": video, "group": text and video}[part])
    num_left_out = len(pairs) - len(values)
    note = f"{num_left_out} incomplete pairs left out" if num_left_out else ""
    if not values:
        return MetricValue.none(0, "percent", note)
    return clustered_mean(list(values.values()), list(values), scale=100.0, note=note)


def _both_right(members: Sequence[SampleResult], part: VinogroundPart) -> tuple[bool, bool]:
    """Return whether all questions of a part are right, and whether an empty reply ended it."""
    for question in members:
        if part not in question.facets[_VINOGROUND_FACET]:
            continue
        if not question.generation.text:
            return False, True
        if question.score.value != 1.0:
            return False, False
    return True, False


def cgbench_accuracy_at_iou(results: Sequence[SampleResult]) -> MetricValue:
    """Return CG-Bench's acc@IoU: how often both the letter and the clue's intervals are right.

    The mean over the thresholds 0.1, 0.2, ... 0.5 of the overlap, in percent, of the questions of
    which both replies were read.

    Source: CG-Bench/CG-Bench f826608, run/stat_with_key.py.

    Args:
        results: of the set; those of a question share what is before "/" in their ids.
    """
    parts: dict[tuple[str, str], dict[str, SampleResult]] = defaultdict(dict)
    for result in results:
        if result.score.value is not None and result.generation.error is None:
            question = result.id.rpartition("/")[0]  # of a resampled copy only the group says so
            parts[result.group, question][result.facets["task"]] = result
    both = [
        (part["long_acc"], part["miou"])
        for part in parts.values()
        if {"long_acc", "miou"} <= part.keys()
    ]
    if not both:
        return MetricValue.none(0, "percent")
    values = [
        float(str(overlap.score.details["rec@IoU"])) if letter.score.value == 1.0 else 0.0
        for letter, overlap in both
    ]
    groups = [letter.group for letter, _ in both]
    return clustered_mean(values, groups, highest=1.0, scale=100.0)


def hallusion_score(
    results: Sequence[SampleResult], *, part: Literal["all", "figure", "question"]
) -> MetricValue:
    """Return HallusionBench's accuracy of questions, of figures or of questions over figures.

    A figure is right where all questions about it are, a question where it is for all figures. Of
    the questions without a picture (VS, figure 0) unclear replies are right, and they belong to no
    figure. A figure or question of which a reply failed or was not judged is left out.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/hallusion_bench/utils.py, assign_correctness,
    get_eval_all, get_eval_fig and get_eval_pair_all.

    Args:
        results: of the set or of one level of a facet.
        part: which accuracy.
    """
    right: dict[tuple[str, str], list[bool | None]] = defaultdict(list)
    for result in results:
        facets = result.facets
        has_none = facets["category"] == "VS" and facets["figure_id"] == "0"
        if part == "figure" and has_none:
            continue
        number = {
            "all": result.id,
            "figure": f"figure {facets['figure_id']}",
            "question": f"question {facets['question_id']}",
        }[part]
        place = f"{facets['category']}/{facets['subcategory']}/{facets['set_id']}"
        name = (result.group, f"{place}/{number}")  # the group tells resampled copies apart
        is_known = result.generation.error is None and result.score.value is not None
        unclear = has_none and result.score.answer == "unclear"
        right[name].append((result.score.value == 1.0 or unclear) if is_known else None)
    kept = {name: answers for name, answers in right.items() if None not in answers}
    if not kept:
        return MetricValue.none(0, "percent")
    values = [float(all(answers)) for answers in kept.values()]
    return clustered_mean(values, [group for group, _ in kept], scale=100.0)
