"""MVBench (arXiv 2311.17005) and TVBench (arXiv 2410.07752): each task has a folder of videos."""

from __future__ import annotations

import dataclasses
import re
from pathlib import PurePosixPath

from llava_eval.benchmarks.adapters.options import AnswerForm, multiple_choice
from llava_eval.benchmarks.rows import Row
from llava_eval.benchmarks.sources import ROW_SET_COLUMN
from llava_eval.types import Sample

#: Columns that may name a row's task; the first that it has counts.
_TASK_COLUMNS = (ROW_SET_COLUMN, "task_type", "task")
#: MVBench's archive data0613.zip has further videos of CLEVRER and STAR in a separate folder.
_FURTHER = PurePosixPath("data0613")


def mvbench(
    row: Row,
    *,
    prompt: str,
    folders: dict[str, str],
    cut: list[str],
    answer_form: AnswerForm,
    option_format: str = "({letter}) {option}",
    strip_options_end: bool = False,
    strip_question: bool = False,
) -> Sample:
    """Make a sample with the facet ``task``.

    Real row, of action_sequence: ``{"video": "ZS9XR.mp4", "question": "What happened after the
    person took the food?", "candidates": ["Ate the medicine.", "Tidied up the blanket.", "Put down
    the cup/glass/bottle.", "Took the box."], "answer": "Ate the medicine.", "start": 11.1,
    "end": 30.4}``; most tasks have neither start nor end.

    Args:
        row: the row; its task is the name of its subset or file, or in a column task_type or task.
        prompt: template of the user's text, with ``{question}`` and ``{options}``.
        folders: by task, the folder of its videos.
        cut: tasks whose videos are cut to the row's start and end. A row whose task has no folder
            is cut if it has both.
        answer_form: how the answer names the right candidate.
        option_format, strip_options_end: see
            :func:`llava_eval.benchmarks.adapters.multiple_choice`.
        strip_question: strip the question of outer white space.
    """
    task = _task(row)
    folder = PurePosixPath(folders.get(task, ""))
    sample = multiple_choice(
        row,
        id=f"{task}/{{row_number}}",
        group="{video}",
        media=[str(folder / "{video}"), str(_FURTHER / folder / "{video}")],
        question="{question}",
        options="candidates",
        option_format=option_format,
        strip_options_end=strip_options_end,
        answer="{answer}",
        answer_form=answer_form,
        prompt=prompt,
        strip_question=strip_question,
    )
    has_both = row.optional("start") is not None and row.optional("end") is not None
    if task in cut or (has_both and task not in folders):
        start, end = row.number_of("start"), row.number_of("end")
        part = dataclasses.replace(sample.media[0], start_seconds=start, end_seconds=end)
        sample = dataclasses.replace(sample, content=(part, *sample.content[1:]))
    return dataclasses.replace(sample, facets={"task": task})


def _task(row: Row) -> str:
    """Return the task in the form "fine_grained_action", however the source writes it."""
    known = (value for value in map(row.optional, _TASK_COLUMNS) if value)
    return re.sub(r"[^a-z0-9]+", "_", str(next(known, "unknown")).lower())
