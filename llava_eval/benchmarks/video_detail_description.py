"""VideoDetailDescription as LLaVA-NeXT's script asks and judges it."""

from __future__ import annotations

import dataclasses

from llava_eval.benchmarks.adapters import open_ended
from llava_eval.benchmarks.rows import Row
from llava_eval.types import Sample


def first_line_is_the_reference(
    row: Row,
    *,
    id: str,
    group: str,
    media: list[str],
    question: str,
    answers: str,
    prompt: str,
) -> Sample:
    """Make a sample whose reference is the first line of the human description.

    The script reads one text file a video and keeps ``readlines()[0]``: the line feed that ends the
    first line stays, where there is one, and a byte order mark goes.

    Source: LLaVA-VL/LLaVA-NeXT, branch video_inference,
    llava/eval/model_video_detail_description.py.

    Args:
        row, id, group, media, question, answers, prompt: as in
            :func:`llava_eval.benchmarks.adapters.open_ended`.
    """
    sample = open_ended(
        row, id=id, group=group, media=media, question=question, answers=answers, prompt=prompt
    )
    first, line_feed, _ = sample.targets[0].removeprefix("\ufeff").partition("\n")
    return dataclasses.replace(sample, targets=(first + line_feed,))
