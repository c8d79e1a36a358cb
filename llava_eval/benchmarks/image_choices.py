"""Multiple choice about an image: ScienceQA and AI2D."""

from __future__ import annotations

import string

from llava_eval.benchmarks.adapters import lettered
from llava_eval.benchmarks.image_rows import first_filled, row_facets, row_image
from llava_eval.benchmarks.rows import Row
from llava_eval.errors import RowsError
from llava_eval.types import Sample


def image_choice(
    row: Row,
    *,
    id: str,
    group: list[str],
    media: list[str],
    options: str,
    prompt: str,
    question: str = "{question}",
    answer: str = "{answer}",
    hint: str | None = None,
    hint_format: str = "",
    image: str = "image",
    facets: dict[str, list[str]] | None = None,
) -> Sample:
    """Make a sample of an image, a question and lettered options.

    Real row of ScienceQA (arXiv 2209.09513): ``{"question": "Which of these states is farthest
    north?", "choices": ["West Virginia", "Louisiana", "Arizona", "Oklahoma"], "answer": 0, "hint":
    "", "image": {"bytes": ...}, "subject": "social science", "grade": "grade2", ...}``.

    Args:
        row: the row.
        id, group, media, question, image, facets: as in
            :func:`llava_eval.benchmarks.image_questions.image_question`.
        options: name of the column that lists the options.
        prompt: template of the user's text; beside the columns it may use ``{question}``,
            ``{options}`` (one a line, "A. ...") and ``{hint}``.
        answer: template of the right option's zero-based number.
        hint: name of the column with a hint.
        hint_format: template of the hint where there is one, with ``{hint}``.

    Raises:
        RowsError: a missing column, or an answer that is none of the options.
    """
    choices = row.texts(options)
    asked = row.text(question)
    given = row.optional(hint) if hint is not None else None
    picture = row_image(row, column=image, files=media)
    text = row.text(
        prompt,
        question=asked,
        options="\n".join(lettered(choices)),
        hint="" if given is None else row.text(hint_format, hint=str(given)),
    )
    return Sample(
        id=row.text(id),
        row=row.number,
        group=first_filled(row, group, image=picture.name),
        content=(picture.media, text),
        targets=(_right_letter(row, row.text(answer), len(choices)),),
        choices=choices,
        question=asked,
        facets=row_facets(row, facets),
    )


def _right_letter(row: Row, answer: str, num_choices: int) -> str:
    if not answer.isdecimal() or int(answer) >= num_choices:
        raise RowsError(
            f"{row.source}, row {row.number}: the answer {answer!r} is not the number of one of "
            f"{num_choices} options"
        )
    return string.ascii_uppercase[int(answer)]
