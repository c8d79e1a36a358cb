"""NExT-QA (arXiv 2105.08276): rows with types of questions that form groups."""

from __future__ import annotations

import dataclasses
import logging

from llava_eval.benchmarks.adapters.open import open_ended
from llava_eval.benchmarks.adapters.options import multiple_choice
from llava_eval.benchmarks.rows import Row
from llava_eval.types import Sample

log = logging.getLogger(__name__)

#: Causal why and how; temporal next, previous and current; descriptive counting, location, binary
#: (yes or no) and other.
TYPES = ("CW", "CH", "TN", "TP", "TC", "DC", "DL", "DB", "DO")
GROUPS = {"C": "causal", "T": "temporal", "D": "descriptive"}


def with_types(
    row: Row, *, media: list[str], prompt: str, options: list[str], merge_previous: bool = False
) -> Sample:
    """Make a multiple-choice sample with the facets ``type`` and ``type_group``.

    Real row: ``{"video": "4010069381", "frame_count": 369, "width": 640, "height": 480,
    "question": "how do the two man play the instrument", "answer": 0, "qid": 6, "type": "CH",
    "a0": "roll the handle", "a1": "tap their feet", "a2": "strum the string", "a3": "hit with
    sticks", "a4": "pat with hand"}``.

    Args:
        row: the row.
        media: templates of the video file.
        prompt: template of the user's text, with ``{question}`` and ``{options}``, both stripped.
        options: the columns of the options.
        merge_previous: see :func:`open_answer`.
    """
    sample = multiple_choice(
        row,
        id="{video}_{qid}",
        group="{video}",
        media=media,
        question="{question}",
        option_columns=options,
        strip_texts=True,
        answer="{answer}",
        answer_form="index",
        prompt=prompt,
    )
    return dataclasses.replace(sample, facets=_types(row, merge_previous=merge_previous))


def open_answer(
    row: Row,
    *,
    media: list[str],
    prompt: str,
    additional_answer: str = "additional_ref_answer",
    strip_question: bool = False,
    merge_previous: bool = True,
) -> Sample:
    """Make an open-ended sample with the facets ``type`` and ``type_group``.

    Real row: ``{"video": "4924794333", "frame_count": 1058, "width": 640, "height": 360,
    "question": "is the baby old enough to converse", "answer": "no", "qid": 4, "type": "DB"}``;
    the hub's rows also have ``additional_ref_answer``, a second accepted answer or nothing.

    Args:
        row: the row.
        media: templates of the video file.
        prompt: template of the user's text, with ``{question}``.
        additional_answer: column of the second answer; rows may lack it.
        strip_question: strip the question of outer white space.
        merge_previous: count "temporal previous" as "temporal next", as in the published
            open-ended results.
    """
    sample = open_ended(
        row,
        id="{video}_{qid}",
        group="{video}",
        media=media,
        question="{question}",
        answers="answer",
        prompt="{question}",
    )
    question = sample.question.strip() if strip_question else sample.question
    if row.number == 0 and additional_answer not in row.columns:
        text = "%s has no column %r, the test set's second answers, without which WUPS is lower"
        log.warning(text, row.source, additional_answer)
    further = row.level(additional_answer)
    return dataclasses.replace(
        sample,
        content=(*sample.media, row.text(prompt, question=question)),
        targets=sample.targets if further is None else (*sample.targets, further),
        facets=_types(row, merge_previous=merge_previous),
    )


def _types(row: Row, *, merge_previous: bool) -> dict[str, str]:
    kind = row.text("{type}")
    if kind not in TYPES:
        raise row.error(f"the type {kind!r} is none of {', '.join(TYPES)}")
    merged = "TN" if merge_previous and kind == "TP" else kind
    return {"type": merged, "type_group": GROUPS[kind[0]]}
