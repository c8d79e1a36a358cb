"""Adapters: one row of a data set becomes one sample.

An adapter is a function ``(row, *, parameters) -> Sample``; its parameters come from the
``benchmark.adapter`` node of a protocol's file. Templates such as ``"{videoID}.mp4"`` are filled
from the row's own columns. Rows that fit none of these families get a function of their own in a
module named after the benchmark.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Literal

from llava_eval.benchmarks.rows import Row
from llava_eval.errors import RowsError
from llava_eval.types import Media, MediaKind, Sample

AnswerForm = Literal["letter", "index", "text"]


def multiple_choice(
    row: Row,
    *,
    id: str,
    group: str,
    media: list[str],
    question: str,
    options: str,
    answer: str,
    prompt: str,
    media_kind: MediaKind = "video",
    options_carry_letters: bool = False,
    option_format: str = "{letter}. {option}",
    option_separator: str = "\n",
    answer_form: AnswerForm = "letter",
) -> Sample:
    """Make a multiple-choice sample.

    Real row of Video-MME (arXiv 2405.21075): ``{"video_id": "001", "duration": "short",
    "videoID": "fFjv93ACGo8", "question_id": "001-1", "task_type": "Counting Problem",
    "question": "When demonstrating ...?", "options": ["A. Apples.", "B. Candles.", "C. Berries.",
    "D. The three kinds are of the same number."], "answer": "C", ...}``.

    Args:
        row: the row.
        id: template of the sample's id.
        group: template of what errors cluster by.
        media: templates of the media file; the first that exists is taken.
        question: template of the bare question.
        options: name of the column that lists the options.
        answer: template of the right answer.
        prompt: template of the user's text; beside the columns it may use ``{question}``,
            ``{options}`` (formatted and joined) and ``{options_repr}`` (the Python list's own
            written form, as lmms-eval 0.2 prints it).
        media_kind: video or image.
        options_carry_letters: the options already begin with "A. ", "B. ", ...
        option_format: template of one option, with ``{letter}`` and ``{option}``.
        option_separator: what joins the options.
        answer_form: whether the answer is a letter, a zero-based index, or the option's text.

    Raises:
        RowsError: a missing column, no options, or an answer that is none of them.
    """
    given = row.texts(options)
    if not 2 <= len(given) <= len(string.ascii_uppercase):
        raise RowsError(f"{row.source}, row {row.number}: {len(given)} options, expected 2 to 26")
    choices = tuple(_without_letter(option) for option in given) if options_carry_letters else given
    letters = string.ascii_uppercase[: len(given)]
    lines = (
        given
        if options_carry_letters
        else [
            option_format.format(letter=letter, option=option)
            for letter, option in zip(letters, choices, strict=True)
        ]
    )
    bare_question = row.text(question)
    text = row.text(
        prompt,
        question=bare_question,
        options=option_separator.join(lines),
        options_repr=repr(list(given)),
    )
    return Sample(
        id=row.text(id),
        row=row.number,
        group=row.text(group),
        content=(Media(media_kind, row.media_path(media)), text),
        targets=(_right_letter(row, row.text(answer), choices, answer_form),),
        choices=choices,
        question=bare_question,
    )


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
) -> Sample:
    """Make a sample with a free answer.

    Real row of ActivityNet-QA (arXiv 1906.02467): ``{"video_name": "1QIUV7WYKXg", "question":
    "is the athlete wearing trousers", "question_id": "v_1QIUV7WYKXg_3", "answer": "yes",
    "type": "3"}``.

    Args:
        row: the row.
        id, group, media, question, media_kind: as in :func:`multiple_choice`.
        answers: name of the column with the accepted answer, or a list of them.
        prompt: template of the user's text; beside the columns it may use ``{question}``.
    """
    bare_question = row.text(question)
    return Sample(
        id=row.text(id),
        row=row.number,
        group=row.text(group),
        content=(
            Media(media_kind, row.media_path(media)),
            row.text(prompt, question=bare_question),
        ),
        targets=_one_or_more(row, answers),
        question=bare_question,
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
) -> Sample:
    """Make a sample whose targets are reference captions.

    Real row of VATEX (arXiv 1904.03493): ``{"videoID": "G9zN5TTuGO4_000179_000189", "enCap":
    ["A person is using a phone ...", ... ten captions]}``.

    Args:
        row: the row.
        id, group, media, media_kind: as in :func:`multiple_choice`.
        references: name of the column with the reference captions.
        prompt: template of the user's text.
    """
    return Sample(
        id=row.text(id),
        row=row.number,
        group=row.text(group),
        content=(Media(media_kind, row.media_path(media)), row.text(prompt)),
        targets=_one_or_more(row, references),
    )


def _one_or_more(row: Row, name: str) -> tuple[str, ...]:
    value = row.column(name)
    found = row.texts(name) if isinstance(value, list | tuple) else (str(value),)
    if not found:
        raise RowsError(f"{row.source}, row {row.number}: column {name!r} is an empty list")
    return found


def _without_letter(option: str) -> str:
    """Return "A. Apples." without its letter, and anything else as it is."""
    head, separator, rest = option.partition(". ")
    return rest if separator and len(head) == 1 and head.isupper() else option


def _right_letter(row: Row, answer: str, choices: Sequence[str], form: AnswerForm) -> str:
    letters = string.ascii_uppercase[: len(choices)]
    if form == "letter" and answer in letters and len(answer) == 1:
        return answer
    if form == "index" and answer.isdecimal() and int(answer) < len(choices):
        return letters[int(answer)]
    if form == "text" and list(choices).count(answer) == 1:
        return letters[list(choices).index(answer)]
    raise RowsError(
        f"{row.source}, row {row.number}: the answer {answer!r} is not the {form} of one of "
        f"{len(choices)} options {list(choices)}"
    )
