"""The file for a benchmark's server, where the answers are hidden.

A maker is a function ``(results, *, parameters) -> JSON value`` named in a protocol's file; the
pipeline writes what it returns as submission.json into the run directory, or bytes as
submission.xlsx.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from typing import Any, Literal

from llava_eval.types import SampleResult

SubmissionMaker = Callable[[Sequence[SampleResult]], Any]


def answers_by_id(
    results: Sequence[SampleResult], *, form: Literal["index", "letter", "text"]
) -> dict[str, Any]:
    """Return the answers by sample id, in the order of the rows.

    Failed samples are left out: the server counts them as missing.

    Args:
        results: of all samples.
        form: the number of the option (-1 where no answer was read), its letter (empty where none
            was read), or the reply as it is.
    """
    written: dict[str, Callable[[SampleResult], Any]] = {
        "index": _index,
        "letter": lambda result: result.score.answer or "",
        "text": lambda result: result.generation.text,
    }
    ordered = sorted(results, key=lambda result: result.row)
    return {
        result.id: written[form](result) for result in ordered if result.generation.error is None
    }


def _index(result: SampleResult) -> int:
    answer = result.score.answer
    return string.ascii_uppercase.index(answer) if answer is not None else -1
