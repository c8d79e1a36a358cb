"""The file for a benchmark's server, which knows the hidden answers.

A maker is a function ``(results, *, parameters) -> JSON value`` named in a protocol's file; the
pipeline writes what it returns as submission.json into the run directory, or bytes as
submission.xlsx. Replies come without reasoning where the protocol's reference cuts it out.
"""

from __future__ import annotations

import datetime
import io
import string
from collections.abc import Callable, Sequence
from typing import Any, Literal

from llava_eval.errors import ConfigError
from llava_eval.types import SampleResult

SubmissionMaker = Callable[[Sequence[SampleResult]], Any]


def answers_by_id(
    results: Sequence[SampleResult], *, form: Literal["index", "letter", "text"]
) -> dict[str, Any]:
    """Return the answers by sample id, in the order of the rows.

    Failed samples are left out: the server counts them as missing.

    Args:
        results: of all samples.
        form: the number of the option (-1 where no answer was read), its letter (empty where none
            was read), or the reply as it is.
    """
    read = "read" if form == "letter" else form
    return {
        result.id: _index(result) if form == "index" else _answer(result, read)
        for result in sorted(results, key=lambda result: result.row)
        if result.generation.error is None
    }


def _index(result: SampleResult) -> int:
    answer = result.score.answer
    return string.ascii_uppercase.index(answer) if answer is not None else -1


IdForm = Literal["text", "integer", "trailing_number"]

_DETAIL = "detail:"


def answer_list(
    results: Sequence[SampleResult],
    *,
    id_key: str,
    answer: str,
    id_format: str = "{id}",
    id_form: IdForm = "text",
    answer_key: str = "answer",
    failed_as: str | None = None,
) -> list[dict[str, Any]]:
    """Return one object with an id and an answer per sample, in the order of the rows.

    Args:
        results: of all samples.
        id_key: name of the id in the objects.
        answer_key: name of the answer in the objects.
        answer: "text" for the reply as it is, "read" for what the rule read of it (empty where that
            was nothing), or "detail:NAME" for a text among the scorer's details.
        id_format: template of the id, with ``{id}``.
        id_form: whether it is written as text or, where it is one, as an integer; a trailing number
            is that of "COCO_val2014_000000391895.jpg".
        failed_as: the answer of a failed sample; null leaves it out.

    Raises:
        ConfigError: another form of answer.
    """
    return [
        {
            id_key: written_id(result.id, id_format, id_form),
            answer_key: failed_as if result.generation.error else _answer(result, answer),
        }
        for result in sorted(results, key=lambda result: result.row)
        if result.generation.error is None or failed_as is not None
    ]


def written_id(name: str, template: str, form: IdForm) -> str | int:
    """Return the id of a sample as :func:`answer_list` writes it."""
    text = template.format(id=name)
    number = text.split("_")[-1].split(".")[0] if form == "trailing_number" else text
    return int(number) if form != "text" and number.isdecimal() else text


def _answer(result: SampleResult, form: str) -> str:
    if form == "text":
        return str(result.generation.text)
    if form == "read":
        return result.score.answer or ""
    if form.startswith(_DETAIL):
        return str(result.score.details[form.removeprefix(_DETAIL)])
    raise ConfigError(
        f"benchmark.submission.answer: got {form!r}, expected text, read or {_DETAIL}NAME"
    )


def choice_sheet(results: Sequence[SampleResult], *, letters: str) -> bytes:
    """Return an .xlsx file as MMBench's server reads it.

    The columns are index, question, the options, prediction and the facets. The prediction is the
    reply as it is, empty for a failed sample.

    Args:
        results: of all samples.
        letters: columns of the options.
    """
    ordered = sorted(results, key=lambda result: result.row)
    facets = list(ordered[0].facets) if ordered else []
    header = ["index", "question", *letters, "prediction", *facets]
    rows = [
        [
            int(result.id) if result.id.isdecimal() else result.id,
            result.question,
            *(*result.choices, *[""] * len(letters))[: len(letters)],
            result.generation.text or "",
            *result.facets.values(),
        ]
        for result in ordered
    ]
    return sheet([header, *rows])


def sheet(rows: Sequence[Sequence[str | int]]) -> bytes:
    """Return an .xlsx file with one sheet; the same rows are the same bytes.

    Args:
        rows: cells; texts that are too long for a cell are cut (by the library), and none is taken
            for a formula.
    """
    from xlsxwriter import Workbook

    stream = io.BytesIO()
    # Rows written one by one keep their texts in place, not in a table of shared strings.
    workbook = Workbook(stream, {"constant_memory": True, "in_memory": False})
    workbook.set_properties({"created": datetime.datetime(1980, 1, 1)})
    worksheet = workbook.add_worksheet()
    for row, cells in enumerate(rows):
        for column, value in enumerate(cells):
            if isinstance(value, int):
                worksheet.write_number(row, column, value)
            elif value:
                text = value.encode(errors="backslashreplace").decode()
                worksheet.write_string(row, column, text)
    workbook.close()
    return stream.getvalue()
