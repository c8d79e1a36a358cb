"""Metrics that score whole groups of related questions."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

from llava_eval.errors import RowsError
from llava_eval.metrics.intervals import clustered_mean
from llava_eval.types import MetricValue, SampleResult

_GROUP_SIZE = 4
#: Scores in percent by number of right answers in a row, for each structure of a group.
_BY_NUMBER = (0.0, 100 / 16, 400 / 16, 900 / 16, 100.0)
_BY_STRUCTURE = {
    "[1, 2, 3, 4]": _BY_NUMBER,
    "[1, [2, 3], 4]": (0.0, 100 / 12, 400 / 12, 700 / 12, 100.0),
    "[[1, 2], 3, 4]": (0.0, 10.0, 20.0, 50.0, 100.0),
}

#: Score of an unreadable answer: wrong (0), or -1 as in the authors' code.
Unread = Literal["wrong", "minus_one"]

MetricT = TypeVar("MetricT", bound=Callable[..., MetricValue])


def of_whole_groups(metric: MetricT) -> MetricT:
    """Mark a metric of whole groups: a level of a facet has the groups whose last row is in it."""
    metric.of_whole_groups = True  # type: ignore[attr-defined]
    return metric


def is_of_whole_groups(metric: Callable[..., MetricValue]) -> bool:
    """Return whether a metric, or the function inside a partial, is marked as of whole groups."""
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

    A relevance group scores 0, 6.25, 25, 56.25 or 100 by its number of right answers. A logic group
    scores by the number of right answers in a row from the first one on, as its structure says; two
    questions bracketed in the structure may be right in either order. Type, structure and level are
    those of the group's last row. Groups that do not have four results, or have a failed one, are
    left out.

    The authors score an unreadable answer -1, which is true in Python: it continues a row of right
    answers, so that four unreadable answers of a logic group give 100, and it is subtracted in the
    sum of a relevance group, where a negative sum counts as 0 (but not in the linear score). This
    is reproduced with ``minus_one``.

    Source: MME-Benchmarks/Video-MME-v2 b24176a, evaluation/test_video_mme_v2.py, cal_relevance,
    cal_logic and get_final_rating; EvolvingLMMs-Lab/lmms-eval, tasks/videomme_v2/utils.py.

    Args:
        results: results of the set; those of a group share ``group``.
        unread: score of an unreadable answer.
        group_type: "relevance" or "logic"; null for both.
        level: "1", "2" or "3"; null for all.
        linear: score relevance groups 25 for each right answer.
        empty_as: the value that the reference prints if there is no such group; null, or groups
            that were left out, give no value.

    Raises:
        RowsError: a group has another type or structure.
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
    if not values:  # the reference prints its value if there are no groups, not if they failed
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
#: Facet of the rows of one caption pair: for each score the original and its counterfactual.
_VINOGROUND_FACET = "row_set"


def vinoground_score(
    results: Sequence[SampleResult], *, part: VinogroundPart, empty_ends_pair: bool = False
) -> MetricValue:
    """Return the percentage of Vinoground's caption pairs that are right.

    The text score needs both questions with one video each, the video score both questions with the
    joined videos, the group score all four. Pairs that do not have four results, or have a failed
    one, are left out.

    Sources: Vinoground/Vinoground 1543a2a, get_score_all.py; EvolvingLMMs-Lab/lmms-eval 75571cf,
    tasks/vinoground/utils.py, vinoground_aggregate_results.

    Args:
        results: results of the set; those of a pair share ``group``.
        part: which score.
        empty_ends_pair: let an empty reply end the evaluation of its pair, as an exception does in
            the authors' script: after one among the text questions the video score is 0 too. The
            second of two questions is evaluated only if the first is right.
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

    It is the mean over the overlap thresholds 0.1, 0.2, ... 0.5, in percent, over the questions for
    which both replies could be read.

    Source: CG-Bench/CG-Bench f826608, run/stat_with_key.py.

    Args:
        results: results of the set; those of a question share the part of their ids before "/".
    """
    parts: dict[tuple[str, str], dict[str, SampleResult]] = defaultdict(dict)
    for result in results:
        if result.score.value is not None and result.generation.error is None:
            question = result.id.rpartition("/")[0]  # resampled copies differ in the group only
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
    """Return HallusionBench's accuracy over questions, figures, or question pairs.

    A figure is right if all questions about it are right; a question is right if it is right for
    all figures. For questions without a picture (VS, figure 0) unclear replies are right too, and
    they belong to no figure. A figure or question with a failed or unjudged reply is left out.

    Source: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/hallusion_bench/utils.py, assign_correctness,
    get_eval_all, get_eval_fig and get_eval_pair_all.

    Args:
        results: results of the set or of one level of a facet.
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
