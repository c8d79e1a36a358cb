"""Vinoground (arXiv 2410.02763): pairs of captions and videos that differ in the order of time."""

from __future__ import annotations

import re

from llava_eval.benchmarks.adapters.choice import Answer, Options, choice_sample
from llava_eval.benchmarks.rows import Row
from llava_eval.types import Sample

_INDEX = re.compile(r"(\d+)_\w+")


def vinoground(row: Row, *, media: list[str], prompt: str) -> Sample:
    """Make a sample whose group is the pair of captions.

    Real row of vinoground_textscore.json, from memory: ``{"idx": "0_pos", "video_name":
    "vinoground_videos/0_pos.mp4", "question": "Which caption best describes this video? A. ... B.
    ...", "GT": "A"}``; of vinoground_videoscore.json the video is ``vinoground_videos_concated/
    0_pos.mp4`` and the question asks which of its two parts a caption fits.

    Args:
        row: the row; its row set is textscore or videoscore.
        media: templates of the video file.
        prompt: template of the user's text.

    Raises:
        RowsError: a missing column, or an idx without a number.
    """
    index = _INDEX.fullmatch(row.text("{idx}"))
    if index is None:
        raise row.error(f"idx is {row.text('{idx}')!r}, expected one like 0_pos")
    columns = {**row.columns, "options": ["A", "B"], "pair": index[1]}
    return choice_sample(
        Row(row.number, columns, row.source, row.media_root),
        id="{row_set}/{idx}",
        group="{pair}",
        media=media,
        question="{question}",
        options=Options(column="options"),
        answer=Answer(template="{GT}"),
        prompt=prompt,
    )
