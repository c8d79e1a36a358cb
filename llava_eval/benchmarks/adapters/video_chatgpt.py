"""Video-ChatGPT's generative benchmark (arXiv 2306.05424), which a language model judges.

It has three sets of rows: two with one question each, and one with two wordings of the same
question.
"""

from __future__ import annotations

from llava_eval.benchmarks.image_rows import first_filled
from llava_eval.benchmarks.rows import Row
from llava_eval.benchmarks.sources import ROW_SET_COLUMN
from llava_eval.types import Media, Sample

#: The hub's rows have this in place of a pair's question that is in another row.
_NO_QUESTION = "None"


def video_chatgpt(row: Row, *, media: list[str], prompt: str) -> tuple[Sample, ...]:
    """Make one sample, or two if the row has both questions of a pair.

    Rows of the authors' files: ``{"Q": "What is happening in the video?", "A": "...",
    "video_name": "v_p1QGn0IzfW0"}`` and, for consistency, ``{"Q1": ..., "Q2": ..., "A": ...,
    "video_name": ...}``; the hub's rows name them ``question``, ``answer``, ``question_1`` and
    ``question_2``, with the two questions of a pair in two rows and "None" in place of the other.

    Rows with two questions are the consistency set; other rows belong to the set that their source
    names (see :func:`llava_eval.benchmarks.sources.read_rows`), or to the generic one if it names
    none. The sample's facet ``row_set`` is generic, temporal, consistency_1 or consistency_2.

    Args:
        row: the row.
        media: templates of the media file; the first that exists is used.
        prompt: template of the user's text, with ``{question}``.

    Raises:
        RowsError: a missing column, or a row set that does not exist.
    """
    video, answer = row.text("{video_name}"), first_filled(row, ["{A}", "{answer}"])
    content = Media("video", row.media_path(media))
    return tuple(
        Sample(
            id=f"{row_set}:{video}:{row.number}",
            row=row.number,
            group=video,
            content=(content, row.text(prompt, question=question)),
            targets=(answer,),
            question=question,
            facets={"row_set": row_set},
        )
        for row_set, question in _questions(row)
    )


def _questions(row: Row) -> list[tuple[str, str]]:
    """Return the row's questions with the row set that each belongs to."""
    for names in (("question_1", "question_2"), ("Q1", "Q2")):
        if all(name in row.columns for name in names):
            given = [row.level(name) for name in names]
            result = [
                (f"consistency_{number}", question)
                for number, question in enumerate(given, start=1)
                if question not in (None, _NO_QUESTION)
            ]
            if result:
                return result
            raise row.error(f"neither of {names} is a question")
    row_set = str(row.columns.get(ROW_SET_COLUMN, "generic")).lower()
    if row_set not in ("generic", "temporal"):
        raise row.error(
            f"one question, but the row set is {row_set!r}; expected generic or temporal"
        )
    return [(row_set, first_filled(row, ["{Q}", "{question}"]))]
