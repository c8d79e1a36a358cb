"""Vinoground (arXiv 2410.02763): pairs of captions and videos that differ in the order of time."""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
import re

from llava_eval.benchmarks.adapters.options import multiple_choice
from llava_eval.benchmarks.rows import UNKNOWN, Row
from llava_eval.borders.paths import local_path, names_file, open_file
from llava_eval.types import Sample

_INDEX = re.compile(r"(\d+)_\w+")
#: The authors' table in the folder of the rows; its row i describes pair i.
_TABLE = "vinoground.csv"


def vinoground(row: Row, *, media: list[str], prompt: str) -> Sample:
    r"""Make a sample whose group is the pair of captions.

    Its facets major and minor are the pair's categories; there may be several minor ones
    ("cyclical+spatial"). They come from columns of these names, as in lmms-eval's rows, or from the
    second and third column of vinoground.csv in the folder that the rows are read from
    (get_score_all.py).

    Row of vinoground_textscore.json (a third party's notes on the set): ``{"idx": "0_pos",
    "video_name": "vinoground_videos/0_pos.mp4", "question": "Which caption best describes this
    video?\nA. ...\nB. ...", "GT": "B"}``; of vinoground_videoscore.json the video is
    ``vinoground_videos_concated/0.mp4`` and the question asks which of its two parts fits.

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
    sample = multiple_choice(
        dataclasses.replace(row, columns=columns),
        id="{row_set}/{idx}",
        group="{pair}",
        media=media,
        question="{question}",
        options="options",
        answer="{GT}",
        prompt=prompt,
    )
    categories = {name: row.level(name) for name in ("major", "minor")}
    if not any(categories.values()):
        categories = dict(zip(categories, _table(row.source).get(int(index[1]), ()), strict=False))
    levels = {
        name: "+".join(part for part in (value or "").split(";") if part) or UNKNOWN
        for name, value in categories.items()
    }
    return dataclasses.replace(sample, facets={"major": UNKNOWN, "minor": UNKNOWN, **levels})


@functools.lru_cache(maxsize=1)
def _table(source: str) -> dict[int, list[str]]:
    """Return the categories of each pair, by its number; nothing if there is no table."""
    path = local_path(source) / _TABLE
    if not names_file(path):
        return {}
    with io.TextIOWrapper(open_file(path), encoding="utf-8", newline="") as lines:
        return {number: line[1:3] for number, line in enumerate(list(csv.reader(lines))[1:])}
