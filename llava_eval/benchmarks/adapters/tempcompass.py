"""TempCompass (arXiv 2403.00476): a set of rows for each of four tasks."""

from __future__ import annotations

import re

from llava_eval.benchmarks.image_rows import first_filled
from llava_eval.benchmarks.rows import Row
from llava_eval.benchmarks.sources import ROW_SET_COLUMN
from llava_eval.types import Media, Sample

TASKS = ("multi-choice", "yes_no", "caption_matching", "captioning")

_LABELLED_CAPTION = re.compile(r"(?:Caption|Option|Sentence) \S+: .")


def tempcompass(row: Row, *, media: list[str], prompts: dict[str, str]) -> Sample:
    r"""Make a sample with the facets ``task``, ``dim`` and ``task_dim``.

    Real row, of multi-choice: ``{"video_id": "1034419625", "question": "What is the man doing in
    the video?\nA. dunking a basketball\nB. dribbling a basketball\nC. passing a basketball",
    "answer": "A. dunking a basketball", "dim": "action"}``. Captioning rows also have
    ``mc_question`` and ``mc_answer``: the question that the caption should answer.

    Args:
        row: the row. Its task is the name of its subset; if it has none, its columns show the task.
        media: templates of the video file.
        prompts: by task, template of the user's text.

    Raises:
        RowsError: an unknown task, or a caption-matching row that is not "label: caption".
    """
    task = row.level(ROW_SET_COLUMN) or _task_of(row)
    if task not in TASKS:
        raise row.error(f"the task {task!r} is none of {', '.join(TASKS)}")
    asked = row.text("{question}")
    question = first_filled(row, ["{mc_question}", "{question}"])
    answer = first_filled(row, ["{mc_answer}", "{answer}"])
    options = question.split("\n")[1:] if task != "yes_no" else []
    if task == "caption_matching":
        for text in (*options, answer):
            if _LABELLED_CAPTION.match(text) is None:
                raise row.error(f"expected 'Caption A: ...', got {text!r}")
    dim = row.text("{dim}")
    return Sample(
        id=f"{task}/{row.number}",
        row=row.number,
        group=row.text("{video_id}"),
        content=(Media("video", row.media_path(media)), row.text(prompts[task], question=asked)),
        targets=(answer,),
        choices=() if task == "captioning" else tuple(options),
        question=question,
        facets={"task": task, "dim": dim, "task_dim": f"{task}/{dim}"},
    )


def _task_of(row: Row) -> str:
    if row.optional("mc_question") or row.text("{question}").endswith("Generated Caption:"):
        return "captioning"
    answer = row.text("{answer}")
    if answer in ("yes", "no"):
        return "yes_no"
    return "caption_matching" if _LABELLED_CAPTION.match(answer) else "multi-choice"
