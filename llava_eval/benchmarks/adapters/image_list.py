"""Multiple choice about several images of a row, as in SEED-Bench and BLINK."""

from __future__ import annotations

import dataclasses
import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from llava_eval.benchmarks.adapters.options import Options, advice_of_hidden, answer_of
from llava_eval.benchmarks.image_rows import can_fill, row_facets, row_image
from llava_eval.benchmarks.rows import Row, as_list, is_null
from llava_eval.types import Media, Sample

_NUMBERED = re.compile(r"image_(\d+)")


def image_list_choice(
    row: Row,
    *,
    id: str,
    media: list[str],
    prompt: str,
    options: str | None = None,
    option_columns: list[str] | None = None,
    question: str = "{question}",
    answer: str = "{answer}",
    hidden_answers: bool = False,
    images: str | None = None,
    image_mark: str | None = None,
    group: str | None = None,
    upright: bool = True,
    facets: dict[str, list[str]] | None = None,
) -> Sample:
    """Make a sample of all images in a row and lettered options.

    Real row of SEED-Bench (arXiv 2307.16125) as lmms-eval has it: ``{"question_id": "101669",
    "data_type": "image", "image": [{"bytes": ...}], "question": "How many towels are in the
    image?", "choice_a": "One", ... "choice_d": "Four", "answer": "A", ...}``; of BLINK (arXiv
    2404.12390): ``{"idx": "val_Counting_1", "sub_task": "Counting", "prompt": "How many blue floats
    are there? Select from the following choices. (A) 0 (B) 3 ...", "choices": ["0", "3", "2", "1"],
    "answer": "(D)", "image_1": {"bytes": ...}, "image_2": null, ...}``.

    Args:
        row: the row.
        id: template of the sample's id.
        media: templates of an image's file for rows without images, with ``{number}``, which is 1.
        prompt: template of the user's text, with ``{question}``, ``{options}`` (one per line) and
            ``{letters}`` ("A, B, C").
        options: name of the column that lists the options.
        option_columns: instead of it, names of columns with one option each.
        question: template of the bare question.
        answer: template of the right letter; brackets around it are ignored.
        hidden_answers: ask rows without an answer, but do not score them.
        images: name of a column with a list of images; null uses image_1, image_2, ...
        image_mark: placeholder of an image in the text; null shows all images before the text.
        group: template of the group, by which errors are clustered, if questions share their
            images; null uses the id.
        upright: see :func:`llava_eval.benchmarks.image_rows.row_image`.
        facets: as in :func:`llava_eval.benchmarks.adapters.image.image_question`.

    Raises:
        RowsError: a missing column, or an answer that is not the letter of an option.
    """
    listed = Options(column=options, columns=option_columns)
    choices = listed.of(row)
    letters = string.ascii_uppercase[: len(choices)]
    letter = answer_of(row, answer, may_be_hidden=hidden_answers)
    if letter is not None:
        letter = letter.strip("()")
        if letter not in tuple(letters):
            of = f" of A to {letters[-1]}" if len(letter) == 1 else ""
            raise row.error(f"the answer {letter!r} is no letter{of}{advice_of_hidden(letter)}")
    text = row.text(
        prompt,
        question=row.text(question),
        options=listed.written(choices),
        letters=", ".join(letters),
    )
    return Sample(
        id=row.text(id),
        row=row.number,
        group=row.text(id if group is None else group),
        content=_content(_images(row, images, media, upright=upright), text, image_mark),
        targets=() if letter is None else (letter,),
        choices=choices,
        question=row.text(question),
        facets=row_facets(row, facets),
    )


def _content(images: Sequence[Media], text: str, mark: str | None) -> tuple[Media | str, ...]:
    """Replace the marks in a text by the images; if their numbers differ, put images before it.

    Source: lmms-eval 0.7.3, models/simple/llava_hf.py and internvl3.py; the rule for other numbers
    of marks is the latter's, as the former's models refuse them.
    """
    first, *others = [text] if mark is None else text.split(mark)
    if len(others) != len(images):
        return (*images, text)
    placed = (piece for pair in zip(images, others, strict=True) for piece in pair)
    return tuple(piece for piece in (first, *placed) if piece)


def _images(
    row: Row, column: str | None, files: Sequence[str], *, upright: bool
) -> tuple[Media, ...]:
    """Return the images in a row, in order, or else the first file that a template names."""
    value: Any = None if column is None else row.optional(column)
    items = as_list(value)
    if items is not None:
        held = {f"{column}_{number}": item for number, item in enumerate(items, start=1)}
    elif column is None:
        matches = [match for match in map(_NUMBERED.fullmatch, row.columns) if match is not None]
        matches.sort(key=lambda match: int(match[1]))
        held = {match[0]: row.columns[match[0]] for match in matches}
    else:
        held = {} if value is None else {column: value}
    held = {name: item for name, item in held.items() if _is_there(item)}
    inner = dataclasses.replace(row, columns={**row.columns, **held})
    shown = tuple(
        row_image(inner, column=name, files=files, upright=upright).media for name in held
    )
    if shown:
        return shown
    usable = [name for name in files if can_fill(row, name, {"number": 1})]
    if not usable:
        where = "in image_1, image_2, ..." if column is None else f"in column {column!r}"
        instead = f", and none of {', '.join(files)} can be filled" if files else ""
        raise row.error(f"there is no image {where}{instead}")
    path = row.media_path(usable, number="1")
    return (Media("image", path, upright=upright),)


def _is_there(item: Any) -> bool:
    """Return whether a cell has an image; libraries write null in several ways."""
    if isinstance(item, Mapping):
        return any(item.values())
    return not is_null(item) and item != ""
