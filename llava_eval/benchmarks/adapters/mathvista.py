"""MathVista (arXiv 2310.02255): mathematics in pictures, with options or an answer of a type."""

from __future__ import annotations

from llava_eval.benchmarks.adapters.options import lettered
from llava_eval.benchmarks.image_rows import row_image
from llava_eval.benchmarks.rows import Row
from llava_eval.types import Sample

_LETTER = "Answer with the option's letter from the given choices directly."
_FLOATING = "Answer the question using a single floating-point number with {} decimal place{}."
_INSTRUCTIONS = {
    "integer": "Answer the question using a single integer number.",
    "list": "Answer the question using a Python list.",
    "float/1": _FLOATING.format("one", ""),
    "float/2": _FLOATING.format("two", "s"),
}


def mathvista(row: Row, *, media: list[str], image: str = "decoded_image") -> Sample:
    """Make a sample whose bare question is the data set's own query, which the judge reads.

    Real row, shortened: ``{"pid": "1", "question": "When a spring does work on an object, ...",
    "choices": null, "unit": null, "precision": 1.0, "answer": "1.2", "question_type":
    "free_form", "answer_type": "float", "query": "Hint: Please answer the question requiring a
    floating-point number with one decimal place ...", "decoded_image": {"bytes": ...},
    "metadata": {...}}``.

    Source of the prompt: EvolvingLMMs-Lab/lmms-eval 75571cf, tasks/mathvista/mathvista_evals.py,
    create_one_query, its shot_type format-prompt.

    Args:
        row: the row.
        media: templates of the image's file, for rows without the image itself.
        image: name of the column with the image.

    Raises:
        RowsError: a missing column, a type of answer without an instruction, or missing choices.
    """
    kind, answer_type = row.text("{question_type}"), row.text("{answer_type}")
    precision = row.columns.get("precision")
    choices = row.options("choices", may_lack=True)
    if kind == "multi_choice":
        if not choices:
            raise row.error("question_type is 'multi_choice', and there are no choices")
        instruction: str | None = _LETTER
    elif answer_type == "float" and precision in (1, 2):
        instruction = _INSTRUCTIONS[f"float/{int(precision)}"]
    else:
        instruction = _INSTRUCTIONS.get(answer_type)
    if instruction is None:
        raise row.error(f"there is no instruction for {answer_type!r} with precision {precision!r}")
    unit = row.level("unit")
    question = row.text("{question}") + (f" (Unit: {unit})" if unit else "")
    text = "\n".join([question, *lettered(choices), instruction]).strip()
    return Sample(
        id=row.text("{pid}"),
        row=row.number,
        group=row.text("{pid}"),
        content=(row_image(row, column=image, files=media).media, text),
        targets=row.answers("answer", one=True),
        choices=choices,
        question=row.text("{query}"),
        facets={
            "question_type": kind,
            "answer_type": answer_type,
            "precision": repr(precision),
        },
    )
