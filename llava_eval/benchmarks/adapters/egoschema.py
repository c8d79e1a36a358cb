"""EgoSchema (arXiv 2308.09126) answered by likelihood."""

from __future__ import annotations

import dataclasses

from llava_eval.benchmarks.adapters.options import Options, multiple_choice
from llava_eval.benchmarks.rows import Row
from llava_eval.types import Sample


def by_likelihood(row: Row, *, media: list[str], prompt: str, option_delimiter: str = "") -> Sample:
    """Make a sample that asks for the likelihood of each option's text instead of a reply.

    The text of an option is the part between its first and its second full stop: of "A. C opens
    the drawer. C takes a knife." it is "C opens the drawer".

    Real row, shortened: ``{"video_idx": "0074f737-11cb-497d-8d07-77c3a8127391", "question": "Taking
    into account all the actions performed by c, ...?", "option": ["A. C is cooking.", "B. C is
    doing laundry.", "C. C is cleaning the kitchen.", ...], "answer": "3"}``; without ``answer``
    outside the subset of 500.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/egoschema/utils.py, egoschema_doc_to_choice.

    Args:
        row: the row.
        media: templates of the video file.
        prompt: template of the user's text.
        option_delimiter: text that the reference puts before each option's text.

    Raises:
        RowsError: a missing column, or an option of another form.
    """
    sample = multiple_choice(
        row,
        id="{video_idx}",
        group="{video_idx}",
        media=media,
        question="{question}",
        options="option",
        options_carry_letters=True,
        answer="{answer}",
        answer_form="index",
        hidden_answers=True,
        prompt=prompt,
    )
    texts = []
    for option in Options(column="option").of(row):
        parts = option.split(".")
        if len(parts) < 2:
            raise row.error(f"the option {option!r} should begin with a letter and a full stop")
        texts.append(option_delimiter + parts[1].strip())
    return dataclasses.replace(sample, options=tuple(texts))
