"""ActivityNet-QA under lmms-eval's prompt, which rewrites the question."""

from __future__ import annotations

import dataclasses

from llava_eval.benchmarks.adapters import open_ended
from llava_eval.benchmarks.rows import Row
from llava_eval.types import Sample


def capitalised_question(
    row: Row,
    *,
    id: str,
    group: str,
    media: list[str],
    question: str,
    answers: str,
    prompt: str,
) -> Sample:
    """Make a sample whose prompt holds the question with a capital and a question mark.

    "what color is the Guitar" becomes "What color is the guitar?": ``str.capitalize`` lower-cases
    the rest. The judge still sees the question of the row.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/activitynetqa/utils.py, activitynetqa_doc_to_text.

    Args:
        row: as in :func:`llava_eval.benchmarks.adapters.open_ended`.
        id, group, media, question, answers: likewise.
        prompt: template of the user's text; beside the columns it may use ``{asked}``.
    """
    sample = open_ended(
        row, id=id, group=group, media=media, question=question, answers=answers, prompt=question
    )
    text = row.text(prompt, asked=sample.question.capitalize() + "?")
    return dataclasses.replace(sample, content=(*sample.media, text))
