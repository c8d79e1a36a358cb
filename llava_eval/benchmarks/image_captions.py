"""Captions of images: COCO, NoCaps, Flickr30k."""

from __future__ import annotations

from llava_eval.benchmarks.image_questions import accepted_answers
from llava_eval.benchmarks.image_rows import row_facets, row_image
from llava_eval.benchmarks.rows import Row
from llava_eval.types import Sample


def image_caption(
    row: Row,
    *,
    id: str,
    media: list[str],
    references: str,
    prompt: str,
    image: str = "image",
    facets: dict[str, list[str]] | None = None,
) -> Sample:
    """Make a sample of an image and its reference captions.

    Real row of COCO (arXiv 1504.00325) as lmms-eval has it: ``{"question_id":
    "COCO_val2014_000000391895.jpg", "id": 391895, "answer": ["A man with a red helmet on a small
    moped on a dirt road. ", ... five captions], "image": {"bytes": ...}}``.

    Args:
        row: the row.
        id: template of the sample's id.
        media: templates of the image's file, for rows that do not hold the image.
        references: name of the column with the captions; a row without any has hidden ones.
        prompt: template of the user's text.
        image: name of the column that holds the image, or its address.
        facets: as in :func:`llava_eval.benchmarks.image_questions.image_question`.
    """
    return Sample(
        id=row.text(id),
        row=row.number,
        group=row.text(id),
        content=(row_image(row, column=image, files=media).media, row.text(prompt)),
        targets=accepted_answers(row, references),
        facets=row_facets(row, facets),
    )
