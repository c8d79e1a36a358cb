"""Rows that contain an image: captions, multiple choice, and questions with a short answer.

Captions: COCO, NoCaps and Flickr30k. Multiple choice: ScienceQA, AI2D, V*, HR-Bench and
MME-RealWorld. Questions with a short answer: VQAv2 and similar data sets, POPE, MME and ChartQA.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Literal

from llava_eval.benchmarks.adapters.options import (
    LETTER_AND_OPTION,
    AnswerForm,
    Options,
    right_letters,
)
from llava_eval.benchmarks.image_rows import first_filled, row_facets, row_image
from llava_eval.benchmarks.rows import UNKNOWN, Row
from llava_eval.types import Sample

QuestionForm = Literal["as_is", "stripped", "capitalized"]
_FORMED: dict[QuestionForm, Callable[[str], str]] = {
    "as_is": str,
    "stripped": str.strip,
    "capitalized": str.capitalize,
}


def image_caption(
    row: Row,
    *,
    id: str,
    media: list[str],
    references: str,
    prompt: str,
    image: str = "image",
    upright: bool = True,
    facets: dict[str, list[str]] | None = None,
) -> Sample:
    """Make a sample of an image and its reference captions.

    Real row of COCO (arXiv 1504.00325) as lmms-eval has it: ``{"question_id":
    "COCO_val2014_000000391895.jpg", "id": 391895, "answer": ["A man with a red helmet on a small
    moped on a dirt road. ", ... five captions], "image": {"bytes": ...}}``.

    Args:
        row: the row.
        id: template of the sample's id.
        media: templates of the image's file, for rows without the image itself.
        references: name of the column with the captions; if a row has none, they are hidden.
        prompt: template of the user's text.
        image: name of the column with the image or its address.
        upright: see :func:`llava_eval.benchmarks.image_rows.row_image`.
        facets: as in :func:`llava_eval.benchmarks.adapters.image.image_question`.
    """
    return image_question(
        row,
        id=id,
        group=[id],
        media=media,
        prompt=prompt,
        question="",
        answers=references,
        image=image,
        upright=upright,
        facets=facets,
    )


def image_choice(
    row: Row,
    *,
    id: str,
    group: list[str],
    media: list[str],
    prompt: str,
    options: str | None = None,
    option_columns: list[str] | None = None,
    option_pattern: str | None = None,
    option_format: str = LETTER_AND_OPTION,
    question: str = "{question}",
    question_form: QuestionForm = "as_is",
    question_ends_before: str | None = None,
    answer: str = "{answer}",
    answer_form: AnswerForm = "index",
    hidden_answers: bool = False,
    hint: str | None = None,
    hint_format: str = "",
    image: str = "image",
    upright: bool = True,
    facets: dict[str, list[str]] | None = None,
) -> Sample:
    """Make a sample of an image, a question and lettered options.

    Real row of ScienceQA (arXiv 2209.09513): ``{"question": "Which of these states is farthest
    north?", "choices": ["West Virginia", "Louisiana", "Arizona", "Oklahoma"], "answer": 0, "hint":
    "", "image": {"bytes": ...}, "subject": "social science", "grade": "grade2", ...}``.

    Args:
        row: the row.
        id, group, media, question, question_form, image, upright, facets: as in
            :func:`llava_eval.benchmarks.adapters.image.image_question`.
        options, option_columns, option_pattern, option_format: see
            :class:`llava_eval.benchmarks.adapters.options.Options`.
        prompt: template of the user's text; in addition to the columns it may use ``{question}``,
            ``{options}`` (one per line), ``{letters}`` ("A, B, C") and ``{hint}``.
        question_ends_before: text before which the question ends, for instance "(A)" if its
            options follow in the same column.
        answer, answer_form, hidden_answers: see
            :func:`llava_eval.benchmarks.adapters.options.right_letters`.
        hint: name of the column with a hint.
        hint_format: template of the hint if there is one, with ``{hint}``.

    Raises:
        RowsError: a missing column, or an answer that is none of the options.
    """
    listed = Options(
        column=options, columns=option_columns, pattern=option_pattern, form=option_format
    )
    choices = listed.of(row)
    asked = row.text(question)
    if question_ends_before:
        asked = asked.partition(question_ends_before)[0]
    asked = _FORMED[question_form](asked)
    picture = row_image(row, column=image, files=media, upright=upright)
    text = row.text(
        prompt,
        question=asked,
        options=listed.written(choices),
        letters=", ".join(string.ascii_uppercase[: len(choices)]),
        hint=_hint(row, hint, hint_format),
    )
    return Sample(
        id=row.text(id),
        row=row.number,
        group=first_filled(row, group, image=picture.name),
        content=(picture.media, text),
        targets=right_letters(row, choices, answer, answer_form, may_be_hidden=hidden_answers),
        choices=choices,
        question=asked,
        facets=row_facets(row, facets),
    )


def _hint(row: Row, column: str | None, form: str) -> str:
    """Return the hint in a column, filled into its template; "" if the row has none."""
    given = row.optional(column) if column is not None else None
    return "" if given is None else row.text(form, hint=str(given))


#: Facet of a prompt with OCR tokens: whether the row had any.
OCR_FACET = "ocr_tokens"


def image_question(
    row: Row,
    *,
    id: str,
    group: list[str],
    media: list[str],
    prompt: str,
    question: str = "{question}",
    question_form: QuestionForm = "as_is",
    delete_from_question: str | None = None,
    answers: str = "answers",
    other_answers: str | None = None,
    one_answer: bool = False,
    lower_answers: bool = False,
    hint: str | None = None,
    hint_format: str = "",
    image: str = "image",
    upright: bool = True,
    ocr_tokens: str | None = None,
    facets: dict[str, list[str]] | None = None,
) -> Sample:
    """Make a sample of an image and a question.

    Real row of VQAv2 (arXiv 1612.00837): ``{"image_id": 262148, "question_id": 262148000,
    "question": "Where is he looking?", "question_type": "none of the above", "answer_type":
    "other", "multiple_choice_answer": "down", "answers": [{"answer": "down", "answer_confidence":
    "yes", "answer_id": 1}, ... ten of them], "image": {"bytes": ...}}``; of POPE (arXiv
    2305.10355): ``{"question_id": "1", "question": "Is there a snowboard in the image?", "answer":
    "yes", "image_source": "COCO_val2014_000000310196", "category": "adversarial", "image": ...}``.

    Args:
        row: the row.
        id: template of the sample's id.
        group: templates of the group, by which errors are clustered; the first that the row can
            fill is used. ``{image}`` is a name of the picture itself.
        media: templates of the image's file, for rows without the image itself.
        prompt: template of the user's text; in addition to the columns it may use ``{question}``,
            ``{hint}`` and ``{ocr}``, the line of OCR tokens.
        question: template of the bare question.
        question_form: as it is, stripped of outer white space, or with a capital letter and the
            rest in lower case.
        delete_from_question: text that is deleted everywhere in the question.
        answers: name of the column with the accepted answers: one, a list, or a list of mappings
            with ``answer``; if a row has none, they are hidden.
        other_answers: another name of that column, in some files of the data set.
        one_answer: the column has one answer, even if that looks like a list written as text.
        lower_answers: lower-case and strip answers, and refuse true and false.
        hint, hint_format: as in :func:`image_choice`.
        image: name of the column with the image.
        upright: see :func:`llava_eval.benchmarks.image_rows.row_image`.
        ocr_tokens: name of the column with the tokens of ``{ocr}``. Rows without it (only scored)
            get no such line; the facet ``ocr_tokens`` distinguishes them.
        facets: by facet, columns of which the first that a row has gives the level; "unknown" if
            it has none.

    Raises:
        RowsError: a missing column, answers of another form, or an answer that is the letter of a
            column whose option is not in the prompt, as with VLMEvalKit's tables.
    """
    asked = _FORMED[question_form](row.text(question))
    if delete_from_question:
        asked = asked.replace(delete_from_question, "")
    picture = row_image(row, column=image, files=media, upright=upright)
    has_tokens = ocr_tokens is not None and row.optional(ocr_tokens) is not None
    tokens = row.texts(ocr_tokens) if ocr_tokens is not None and has_tokens else ()
    line = f"\nReference OCR token: {', '.join(tokens)}" if has_tokens else ""
    levels = row_facets(row, facets)
    if ocr_tokens is not None:
        levels[OCR_FACET] = "given" if has_tokens else UNKNOWN
    targets = row.answers(answers, one=one_answer)
    targets = targets or row.answers(other_answers or answers, one=one_answer)
    if lower_answers:
        targets = tuple(target.lower().strip() for target in targets)
        if {"true", "false"} & set(targets):  # from a user's own JSON; replies say yes or no
            raise row.error(f"the answer {targets[0]!r} is neither yes nor no")
    text = row.text(prompt, question=asked, ocr=line, hint=_hint(row, hint, hint_format))
    for name in targets if "{question}" in prompt else ():
        if len(name) == 1 and str(row.optional(name) or "") not in text:
            raise row.error(
                f"the answer is the option of column {name!r}, and the prompt shows no options: "
                "they should stand in the question"
            )
    return Sample(
        id=row.text(id),
        row=row.number,
        group=first_filled(row, group, image=picture.name),
        content=(picture.media, text),
        targets=targets,
        question=asked,
        facets=levels,
    )
