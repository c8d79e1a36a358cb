"""Questions about an image with a short answer: VQAv2 and its relatives, POPE, MME, ChartQA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from llava_eval.benchmarks.image_rows import UNKNOWN, first_filled, row_facets, row_image
from llava_eval.benchmarks.rows import Row
from llava_eval.errors import RowsError
from llava_eval.types import Sample

QuestionForm = Literal["as_is", "stripped", "capitalized"]

#: Facet of a prompt with OCR tokens: whether the row had any to give.
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
    one_answer: bool = False,
    lower_answers: bool = False,
    image: str = "image",
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
        group: templates of what errors cluster by, the first that the row can fill; ``{image}`` is
            a name of the picture itself.
        media: templates of the image's file, for rows that do not hold the image.
        prompt: template of the user's text; beside the columns it may use ``{question}`` and
            ``{ocr}``, the line of OCR tokens.
        question: template of the bare question.
        question_form: as it is, stripped of outer white space, or with a capital letter and the
            rest in lower case.
        delete_from_question: text that is deleted wherever it stands in the question.
        answers: name of the column with the accepted answers: one, a list, or a list of mappings
            with ``answer``; a row without any has hidden answers.
        one_answer: the column holds one answer, also where that looks like a written list.
        lower_answers: answers are lower-cased and stripped.
        image: name of the column that holds the image.
        ocr_tokens: name of the column with the tokens of ``{ocr}``. Rows without it (scoring alone)
            get no such line, and are told apart by the facet ``ocr_tokens``.
        facets: by facet, the columns whose first is its level; "unknown" where the row has none.

    Raises:
        RowsError: a missing column, or answers of another form.
    """
    asked = _formed(row.text(question), question_form).replace(delete_from_question or "\0", "")
    picture = row_image(row, column=image, files=media)
    tokens = row.optional(ocr_tokens) if ocr_tokens is not None else None
    line = "" if tokens is None else f"\nReference OCR token: {', '.join(map(str, tokens))}"
    levels = row_facets(row, facets)
    if ocr_tokens is not None:
        levels[OCR_FACET] = UNKNOWN if tokens is None else "given"
    targets = accepted_answers(row, answers, one_answer=one_answer)
    return Sample(
        id=row.text(id),
        row=row.number,
        group=first_filled(row, group, image=picture.name),
        content=(picture.media, row.text(prompt, question=asked, ocr=line)),
        targets=tuple(one.lower().strip() for one in targets) if lower_answers else targets,
        question=asked,
        facets=levels,
    )


def _formed(question: str, form: QuestionForm) -> str:
    if form == "stripped":
        return question.strip()
    return question.capitalize() if form == "capitalized" else question


def accepted_answers(row: Row, column: str, *, one_answer: bool = False) -> tuple[str, ...]:
    """Return the accepted answers of a column, in its order; none where they are hidden.

    A text that is the written form of a list (CSV files) is read, unless there is one answer.

    Raises:
        RowsError: the column holds something else.
    """
    value = row.optional(column)
    if value is None:
        return ()
    if isinstance(value, str) and (one_answer or not value.lstrip().startswith("[")):
        return (value,)
    found = row.texts(column) if isinstance(value, str) else value
    if isinstance(found, int | float):
        return (str(found),)
    if not isinstance(found, list | tuple):
        raise RowsError(
            f"{row.source}, row {row.number}: column {column!r} should hold answers, "
            f"got {type(value).__name__}"
        )
    return tuple(str(one["answer"]) if isinstance(one, Mapping) else str(one) for one in found)
