"""Questions with a free answer, and captions, about a video or an image."""

from __future__ import annotations

import io

from llava_eval.benchmarks.adapters.options import ASK_WITHOUT_ANSWER, lettered
from llava_eval.benchmarks.rows import Row
from llava_eval.types import Media, MediaKind, Sample


def open_ended(
    row: Row,
    *,
    id: str,
    group: str,
    media: list[str],
    question: str,
    answers: str,
    prompt: str,
    media_kind: MediaKind = "video",
    options: str | None = None,
    first_line: bool = False,
    hidden_answers: bool = False,
) -> Sample:
    """Make a sample with a free answer.

    Real row of ActivityNet-QA (arXiv 1906.02467): ``{"video_name": "1QIUV7WYKXg", "question":
    "is the athlete wearing trousers", "question_id": "v_1QIUV7WYKXg_3", "answer": "yes",
    "type": "3"}``.

    Args:
        row: the row.
        id: template of the sample's id.
        group: template of the group, by which errors are clustered.
        media: templates of the media file; the first that exists is used.
        question: template of the bare question.
        answers: name of the column with the accepted answer, or a list of them.
        prompt: template of the user's text; in addition to the columns it may use ``{question}``,
            and ``{asked}``, the question as lmms-eval rewrites ActivityNet-QA's: "what color is the
            Guitar" becomes "What color is the guitar?".
        media_kind: video or image.
        options: name of the column with options to list below the question; rows may lack it, as
            LVBench's do in lmms-eval's tasks/lvbench/utils.py, lvbench_doc_to_text.
        first_line: use only an answer's first line, with its line feed and without a byte order
            mark, as ``readlines()[0]`` reads VideoDetailDescription's text files in
            LLaVA-VL/LLaVA-NeXT, branch video_inference.
        hidden_answers: ask rows without an answer, but do not score them.

    Raises:
        RowsError: a missing column, or no answer.
    """
    asked = row.text(question)
    if options is not None:
        listed = lettered(row.options(options, may_lack=True), "({letter}) {option}")
        asked = "\n".join([asked, *listed])
    targets = row.answers(answers)
    if hidden_answers and not any(targets):
        targets = ()
    elif not targets and row.column(answers, hint=ASK_WITHOUT_ANSWER) != "":
        raise row.error(f"column {answers!r} is an empty list{ASK_WITHOUT_ANSWER}")
    elif not targets:
        targets = ("",)
    if first_line:
        targets = tuple(io.StringIO(text.removeprefix("\ufeff")).readline() for text in targets)
    formed = {} if "asked" in row.columns else {"asked": f"{asked.capitalize()}?"}
    text = row.text(prompt, question=asked, **formed)
    return Sample(
        id=row.text(id),
        row=row.number,
        group=row.text(group),
        content=(Media(media_kind, row.media_path(media), upright=media_kind == "image"), text),
        targets=targets,
        question=asked,
    )


def caption(
    row: Row,
    *,
    id: str,
    group: str,
    media: list[str],
    references: str,
    prompt: str,
    media_kind: MediaKind = "video",
    hidden_answers: bool = False,
) -> Sample:
    """Make a sample whose targets are reference captions.

    Real row of VATEX (arXiv 1904.03493): ``{"videoID": "G9zN5TTuGO4_000179_000189", "enCap":
    ["A person is using a phone ...", ... ten captions]}``.

    Args:
        row: the row.
        id, group, media, media_kind, hidden_answers: as in :func:`open_ended`.
        references: name of the column with the reference captions.
        prompt: template of the user's text.

    Raises:
        RowsError: a missing column, or no caption.
    """
    return open_ended(
        row,
        id=id,
        group=group,
        media=media,
        question="",
        answers=references,
        prompt=prompt,
        media_kind=media_kind,
        hidden_answers=hidden_answers,
    )
