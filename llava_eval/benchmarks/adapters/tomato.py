"""TOMATO (arXiv 2410.23266): motion that needs several frames."""

from __future__ import annotations

import dataclasses
import string

from llava_eval.benchmarks.adapters.options import Options, multiple_choice
from llava_eval.benchmarks.rows import Row
from llava_eval.types import Sample


def tomato(
    row: Row, *, media: list[str], prompt: str, id: str, group: str, frames: int | None = None
) -> Sample:
    """Make a sample; ``{options_by_letter}`` in its prompt is a printed Python dictionary.

    Real row: ``{"question": "How many trapezoid(s) does the person draw in the air throughout the
    entire video?", "options": ["2", "1", "3", "4", "5", "0"], "answer": 2, "key": "0209-03",
    "motion_type": "count", "demonstration_type": "human", "variation": {"counterfactual": 0, ...},
    ...}``.

    Args:
        row: the row.
        media: templates of the video file.
        prompt: template of the user's text.
        id: template of the sample's id.
        group: template of the group, by which errors are clustered.
        frames: the number of frames that replaces ``{frames}`` in the prompt.

    Raises:
        RowsError: a missing column, or an answer that is none of the options.
    """
    options = Options(column="options").of(row)
    listed = dict(zip(string.ascii_uppercase, options, strict=False))
    columns = {**row.columns, "options_by_letter": repr(listed), "frames": frames}
    return multiple_choice(
        dataclasses.replace(row, columns=columns),
        id=id,
        group=group,
        media=media,
        question="{question}",
        options="options",
        answer="{answer}",
        answer_form="index",
        prompt=prompt,
    )
