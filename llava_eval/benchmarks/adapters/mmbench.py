"""MMBench (arXiv 2307.06281): up to four options, asked once for every rotation of them."""

from __future__ import annotations

from typing import Any, Literal

from llava_eval.benchmarks.image_rows import row_facets, row_image
from llava_eval.benchmarks.rows import EMPTY_CELLS, Row, is_null
from llava_eval.types import Sample

#: The rotations of a question have its index plus multiples of this.
_CIRCULAR_STEP = 1_000_000

_LETTERS = "ABCD"


def mmbench(
    row: Row,
    *,
    media: list[str],
    prompt: str,
    hint_format: str,
    empty_cells: Literal["nan", "pandas"],
    image: str = "image",
    upright: bool = True,
    facets: dict[str, list[str]] | None = None,
) -> Sample:
    """Make a sample; the rotations of a question are one group, named by the question's index.

    Real row: ``{"index": 1000241, "question": "Identify the question that Madelyn and Tucker's
    experiment can best answer.", "hint": "The passage below describes an experiment. ...", "A":
    "...", "B": "...", "C": null, "D": null, "answer": "B", "category":
    "identity_reasoning", "L2-category": "attribute_reasoning", "source": "scienceqa", "split":
    "dev", "image": {"bytes": ...}}``.

    Args:
        row: the row.
        media, image, upright, facets: as in
            :func:`llava_eval.benchmarks.adapters.image.image_question`.
        prompt: template of the user's text; in addition to the columns it may use ``{hint}`` and
            ``{options}`` (one per line, "A. ...").
        hint_format: template of the hint if there is one, with ``{hint}``.
        empty_cells: which cells are no hint or option. "nan": as in lmms-eval, where the text "nan"
            is not shown, but still looked for in replies, and an empty text is a hint. "pandas":
            all that pandas reads as an empty cell; such an option is an empty choice.

    Raises:
        RowsError: a missing column, or an answer that is no letter.
    """
    cells = [_cell(row.columns.get(letter), empty_cells) for letter in _LETTERS]
    while cells and cells[-1] is None:
        cells.pop()
    shown = [
        f"{letter}. {cell}"
        for letter, cell in zip(_LETTERS, cells, strict=False)
        if cell not in (None, "", "nan")
    ]
    hint = _cell(row.columns.get("hint"), empty_cells)
    index = row.integer_of("index")
    answer = _cell(row.columns.get("answer"), "pandas")
    if answer is not None and (len(answer) != 1 or answer not in _LETTERS):
        raise row.error(f"the answer {answer!r} is no letter")
    text = row.text(
        prompt,
        options="\n".join(shown).rstrip("\n"),
        hint="" if hint in (None, "nan") else row.text(hint_format, hint=str(hint)),
    )
    return Sample(
        id=str(index),
        row=row.number,
        group=str(index % _CIRCULAR_STEP),
        content=(row_image(row, column=image, files=media, upright=upright).media, text),
        targets=() if answer is None else (answer,),
        choices=tuple(cell or "" for cell in cells),
        question=row.text("{question}"),
        facets=row_facets(row, facets),
    )


def _cell(value: Any, empty_cells: Literal["nan", "pandas"]) -> str | None:
    """Return the text of a cell, or None for an empty one."""
    if is_null(value):
        return None
    text = str(value)
    return None if empty_cells == "pandas" and text in EMPTY_CELLS else text
