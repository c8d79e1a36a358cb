"""MMVU (arXiv 2501.12380): expert questions of 27 subjects, with five options or a free answer."""

from __future__ import annotations

from typing import Literal

from llava_eval.benchmarks.adapters.options import Options
from llava_eval.benchmarks.image_rows import first_filled
from llava_eval.benchmarks.rows import UNKNOWN, Row, mapping_of
from llava_eval.types import Media, Sample

_DISCIPLINES = {
    "Science": (
        "Biology Chemistry Modern_Physics Astronomy Geography Materials_Science Neurobiology "
        "Electromagnetism Thermodynamics Mechanics"
    ),
    "Engineering": (
        "Civil_Engineering Electrical_Engineering Mechanical_Engineering Biomedical_Engineering "
        "Electronics_and_Communication Computer_Science"
    ),
    "Healthcare": "Clinical_Medicine Basic_Medicine Preventive_Medicine Pharmacy Dentistry",
    "Humanities_and_Social_Science": "Art Literature History Law Economics Management",
}
_DISCIPLINE_OF = {
    subject: name for name, listed in _DISCIPLINES.items() for subject in listed.split()
}


def mmvu(
    row: Row,
    *,
    media: list[str],
    choice_prompt: str,
    open_prompt: str,
    subject_from: Literal["metadata", "folder"] = "metadata",
    swap_red_blue: bool = False,
) -> Sample:
    """Make a sample with the facets question_type, subject and discipline.

    Real row, shortened: ``{"id": "validation_1", "video": "https://huggingface.co/datasets/yale-nlp/
    MMVU/resolve/main/videos/Chemistry/0.mp4", "question_type": "multiple-choice", "metadata":
    {"subject": "Chemistry", "textbook": ..., "rationale": ..., "knowledge": [...]}, "question":
    "Assume that 2.24 liters of gas fully participates ...", "choices": {"A": "10.0", "B": "5.0",
    "C": "12.0", "D": "15.0", "E": "20.0"}, "answer": "A"}``. The options of open questions are
    empty. lmms-eval's rows have, instead of ``video``, ``video_path`` with the same last two parts.

    Args:
        row: the row.
        media: templates of the video file, with ``{file}`` for "Chemistry/0.mp4".
        choice_prompt: template of the user's text, with ``{options}`` (one per line, "A: ...").
        open_prompt: the same for open questions.
        subject_from: the row's metadata, or the folder of its video; they differ in a few rows.
        swap_red_blue: see :class:`llava_eval.types.Media`.

    Raises:
        RowsError: a missing column, or a question of another type.
    """
    path = first_filled(row, ["{video_path}", "{video}"])
    file = "/".join(path.split("/")[-2:])
    kind = row.text("{question_type}")
    if kind not in ("multiple-choice", "open-ended"):
        raise row.error(f"question_type is {kind!r}, expected multiple-choice or open-ended")
    given = row.optional("choices")
    if kind == "multiple-choice" and not mapping_of(given):
        raise row.error(f"column 'choices' should hold options by letter, got {given!r:.60}")
    listed = Options(column="choices", form="{letter}: {option}")
    choices = listed.of(row) if kind == "multiple-choice" else ()
    named = row.level("metadata.subject") if subject_from == "metadata" else file.split("/")[0]
    if named is None:
        given = row.column("metadata")
        raise row.error(f"column 'metadata' should hold a subject, got {given!r:.60}")
    subject = named.replace(" ", "_")
    return Sample(
        id=row.text("{id}"),
        row=row.number,
        group=file,
        content=(
            Media("video", row.media_path(media, file=file), swap_red_blue=swap_red_blue),
            row.text(choice_prompt if choices else open_prompt, options=listed.written(choices)),
        ),
        targets=row.answers("answer", one=True),
        choices=choices,
        question=row.text("{question}"),
        facets={
            "question_type": kind,
            "subject": subject,
            "discipline": _DISCIPLINE_OF.get(subject, UNKNOWN),
        },
    )
