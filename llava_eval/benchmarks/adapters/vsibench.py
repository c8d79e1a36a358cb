"""VSI-Bench (arXiv 2412.14171): spaces seen in a video; options or a number to be estimated."""

from __future__ import annotations

import re

from llava_eval.benchmarks.adapters.options import check_letters, right_letters
from llava_eval.benchmarks.rows import Row
from llava_eval.types import Media, Sample

_NUMBERS = (
    "object_abs_distance",
    "object_counting",
    "object_size_estimation",
    "room_size_estimation",
)
_CHOICES = (
    "object_rel_direction_easy",
    "object_rel_direction_medium",
    "object_rel_direction_hard",
    "object_rel_distance",
    "route_planning",
    "obj_appearance_order",
)
_DIFFICULTY = re.compile(r"_(?:easy|medium|hard)$")


def vsibench(row: Row, *, media: list[str], choice_prompt: str, number_prompt: str) -> Sample:
    """Make a sample with the facets task (one for directions of any difficulty) and question_type.

    Real row, shortened: ``{"id": 0, "dataset": "arkitscenes", "scene_name": "41069025",
    "question_type": "object_rel_distance", "question": "Measuring from the closest point ...",
    "options": ["A. sofa", "B. table", ...], "ground_truth": "C"}``; numbers have null options and
    ``"ground_truth": "4"``.

    Args:
        row: the row.
        media: templates of the video file.
        choice_prompt: template of the user's text, with ``{options}`` (one per line).
        number_prompt: the same for questions about a number.

    Raises:
        RowsError: a missing column, another question_type, or an answer that is no option or is 0.
    """
    kind = row.text("{question_type}")
    if kind not in (*_NUMBERS, *_CHOICES):
        raise row.error(
            f"question_type is {kind!r}, expected one of {', '.join((*_NUMBERS, *_CHOICES))}"
        )
    is_number = kind in _NUMBERS
    if is_number and row.number_of("ground_truth") == 0:
        raise row.error("the right number is 0, of which there is no relative accuracy")
    options = () if is_number else row.options("options")
    targets: tuple[str, ...] = (row.text("{ground_truth}"),)
    if options:
        check_letters(row, options)
        targets = right_letters(row, options, "{ground_truth}")
    return Sample(
        id=row.text("{id}") if row.optional("id") is not None else str(row.number),
        row=row.number,
        group=row.text("{dataset}/{scene_name}"),
        content=(
            Media("video", row.media_path(media)),
            row.text(number_prompt if is_number else choice_prompt, options="\n".join(options)),
        ),
        targets=targets,
        choices=tuple(option.partition(". ")[2] or option for option in options),
        question=row.text("{question}"),
        facets={"task": _DIFFICULTY.sub("", kind), "question_type": kind},
    )
