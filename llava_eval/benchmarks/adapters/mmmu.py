"""MMMU (arXiv 2311.16502): college subjects, several images per question, some open answers."""

from __future__ import annotations

import re

from llava_eval.benchmarks.adapters.options import lettered
from llava_eval.benchmarks.image_rows import row_image
from llava_eval.benchmarks.rows import Row
from llava_eval.types import Media, Sample

#: An id; its group is the subject.
ID = re.compile(r"[^_]*_(.+?)_\d+")
_IMAGE = re.compile(r"<image (\d+)>")
#: Placeholder of an image in a text.
_PLACE = re.compile(r"<image(?: [1-7])?>")
#: Mark of a hidden answer.
_HIDDEN = "?"
_SUBJECTS = {
    "Art and Design": "Art Art_Theory Design Music",
    "Business": "Accounting Economics Finance Manage Marketing",
    "Science": "Biology Chemistry Geography Math Physics",
    "Health and Medicine": (
        "Basic_Medical_Science Clinical_Medicine Diagnostics_and_Laboratory_Medicine Pharmacy "
        "Public_Health"
    ),
    "Humanities and Social Science": "History Literature Sociology Psychology",
    "Tech and Engineering": (
        "Agriculture Architecture_and_Engineering Computer_Science Electronics Energy_and_Power "
        "Materials Mechanical_Engineering"
    ),
}
DOMAIN_OF = {subject: name for name, listed in _SUBJECTS.items() for subject in listed.split()}


def mmmu(
    row: Row,
    *,
    media: list[str],
    choice_prompt: str,
    open_prompt: str = "{question}",
    image: str = "image_{}",
    upright: bool = True,
    interleaved: bool = False,
) -> Sample:
    """Make a sample with the images that its text mentions, in the order of their names.

    Real row: ``{"id": "validation_Accounting_1", "question": "<image 1> Baxter Company has a
    relevant range of production between 15,000 and 30,000 units. ...", "options": "['$6', '$7',
    '$8', '$9']", "question_type": "multiple-choice", "answer": "B", "image_1": {"bytes": ...},
    "image_2": null, ...}``.

    Args:
        row: the row.
        media: templates of an image's file, with ``{image}`` for "image_1", for rows without
            images.
        choice_prompt: template of the user's text, with ``{question}`` and ``{options}`` (one per
            line, "A. ...").
        open_prompt: the same for open questions, which have another question_type.
        image: name of the columns with images, with ``{}`` for their number.
        upright: see :func:`llava_eval.benchmarks.image_rows.row_image`.
        interleaved: put images where the text mentions them, instead of before it.

    Raises:
        RowsError: a missing column, or an id that names no subject.
    """
    kind = row.optional("question_type")  # MMMU-Pro, without it, has multiple choice only
    is_choice = kind in (None, "multiple-choice")
    choices = row.options("options") if is_choice else ()
    text = row.text(
        choice_prompt if is_choice else open_prompt, options="\n".join(lettered(choices))
    )
    subject = ID.fullmatch(row.text("{id}"))
    if subject is None:
        raise row.error(
            f"the id {row.text('{id}')!r} names no subject; "
            "expected one like validation_Accounting_1"
        )
    names = sorted({image.format(number) for number in _IMAGE.findall(text)})
    images = [
        row_image(
            row,
            column=name,
            files=[template.replace("{image}", name) for template in media],
            upright=upright,
        ).media
        for name in names
    ]
    targets = row.answers("answer", one=True)  # a list written as text stays a text
    return Sample(
        id=row.text("{id}"),
        row=row.number,
        group=row.text("{id}"),
        content=_interleaved(images, text) if interleaved else (*images, text),
        targets=() if targets == (_HIDDEN,) else targets,
        choices=choices,
        question=row.text("{question}"),
        facets={
            "domain": DOMAIN_OF.get(subject.group(1), "Other"),
            "subject": subject.group(1),
        },
    )


def _interleaved(images: list[Media], text: str) -> tuple[Media | str, ...]:
    """Replace the image placeholders of a text by the images.

    Images come in the order of their names, whatever number a placeholder has. If there are more
    placeholders than images ("<image 1>" twice), the text between the surplus ones is lost.

    Source: lmms-eval 0.7.3 (PyPI), tasks/mmmu/utils.py, mmmu_doc_to_messages.
    """
    *before, last = (piece.strip() for piece in _PLACE.split(text))
    pairs = zip(before, images, strict=False)
    placed = [piece for pair in pairs for piece in pair if piece]
    return (*placed, *images[len(before) :], last)
