"""Video-MMMU (arXiv 2501.13826): lectures, each with a question in three tracks."""

from __future__ import annotations

from llava_eval.benchmarks.adapters.mmmu import DOMAIN_OF, ID
from llava_eval.benchmarks.adapters.options import lettered
from llava_eval.benchmarks.rows import UNKNOWN, Row
from llava_eval.benchmarks.sources import ROW_SET_COLUMN
from llava_eval.types import Media, Sample

#: Video-MMMU's own names of some of MMMU's domains.
_CATEGORIES = {
    "Art and Design": "Art",
    "Health and Medicine": "Medicine",
    "Humanities and Social Science": "Humanities",
    "Tech and Engineering": "Engineering",
}
_CATEGORY_OF = {subject: _CATEGORIES.get(name, name) for subject, name in DOMAIN_OF.items()}
_ADAPTATION = "adaptation"


def videommmu(
    row: Row,
    *,
    media: list[str],
    prompt: str,
    choice_prompt: str | None = None,
    open_prompt: str | None = None,
) -> Sample:
    """Make a sample with the facets track, category, subject and question_type.

    Real row, of the track Adaptation: ``{"id": "dev_Biology_3", "link_selected":
    "https://www.youtube.com/watch?v=U7YqCUd_ZfA", "question": "<image 1> What kind of sugar is
    this, aldose or ketose?", "options": ["aldose", "ketose", ... ten of them], "answer": "A",
    "question_type": "multiple-choice"}``. The same video has a question in each track.

    Args:
        row: the row; its track is its row set.
        media: templates of the video file, with ``{category}``.
        prompt: template of the user's text, with ``{question}`` and ``{options}`` (one per line,
            with letters added unless they have theirs).
        choice_prompt: the same for multiple choice of the track Adaptation; null: ``prompt``.
        open_prompt: the same for its open questions.

    Raises:
        RowsError: a missing column, or an id that names no known subject.
    """
    subject = ID.fullmatch(row.text("{id}"))
    if subject is None or subject[1] not in _CATEGORY_OF:
        raise row.error(f"the id {row.text('{id}')!r} names no subject, as dev_Biology_3 does")
    track = (row.level(ROW_SET_COLUMN) or UNKNOWN).lower()
    kind = row.level("question_type") or "None"
    options = row.options("options", may_lack=True)
    carried = all(
        option.startswith(letter[:2])
        for option, letter in zip(options, lettered(options), strict=True)
    )
    if track == _ADAPTATION:
        prompt = (choice_prompt if kind == "multiple-choice" else open_prompt) or prompt
    return Sample(
        id=f"{track}/{row.text('{id}')}",
        row=row.number,
        group=row.text("{id}"),
        content=(
            Media("video", row.media_path(media, category=_CATEGORY_OF[subject[1]])),
            row.text(prompt, options="\n".join(options if carried else lettered(options))),
        ),
        targets=row.answers("answer", one=True),
        choices=options if kind == "multiple-choice" else (),
        question=row.text("{question}"),
        facets={
            "track": track,
            "category": _CATEGORY_OF[subject[1]],
            "subject": subject[1],
            "question_type": kind,
        },
    )
