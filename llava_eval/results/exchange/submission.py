"""The submission file for a benchmark's server, which has the hidden answers.

A maker is a function ``(results, *, parameters) -> JSON value`` named in a protocol's file. Its
result is written to the run directory as submission.json, or bytes as submission.xlsx. Replies
come without reasoning if the protocol's reference removes it.
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
        results: results of all samples.
        form: the number of the option from 0 (-1 if no answer was read), its letter (empty if none
            was read), or the unchanged reply.
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
    """Return an object with an id and an answer for each sample, in the order of the rows.

    Args:
        results: results of all samples.
        id_key: key of the id in the objects.
        answer_key: key of the answer in the objects.
        answer: "text" for the unchanged reply, "read" for the answer that the scorer read (empty if
            none), or "detail:NAME" for a text in the scorer's details.
        id_format: template of the id, with ``{id}``.
        id_form: "text", "integer" or "trailing_number" (that of "COCO_val2014_000000391895.jpg");
            an id that is not a number stays text.
        failed_as: the answer of a failed sample; null leaves the sample out.

    Raises:
        ConfigError: ``answer`` is none of these.
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
    """Return a sample's id in the form that :func:`answer_list` writes."""
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
    """Return an .xlsx file in the format of MMBench's server.

    The columns are index, question, the options, prediction and the facets. The prediction is the
    unchanged reply, empty for a failed sample.

    Args:
        results: results of all samples.
        letters: headers of the options' columns.
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
    """Return an .xlsx file with one sheet; equal rows give equal bytes.

    Args:
        rows: cells; a text too long for a cell is cut (by the library), and none becomes a
            formula.
    """
    from xlsxwriter import Workbook

    stream = io.BytesIO()
    # With constant_memory texts are stored in their cells, not in a table of shared strings.
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
