"""The samples of a report, packed for the page: a small index, and details in chunks.

Every part is compressed JSON in base64, so that no text can end the HTML element around it. The
page reads a chunk only when one of its samples is shown or searched.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from llava_eval.results.columns import FLAG_WORDS
from llava_eval.results.formatting import cut
from llava_eval.results.runs import Run
from llava_eval.types import SampleResult

#: Number of samples in one chunk of details.
CHUNK_SIZE = 250
#: Most characters of a question in the list of samples.
_SNIPPET = 110

RIGHT, WRONG, PARTLY, UNREADABLE, FAILED, NOT_SCORED, MISSING = "rwpuenm"
#: States of samples for which the page has a filter, by the words that it shows.
STATES = {
    WRONG: "wrong",
    PARTLY: "partly",
    UNREADABLE: "unreadable",
    FAILED: "failed",
    RIGHT: "right",
}


@dataclass(frozen=True, eq=False)
class SampleSet:
    """The runs of one benchmark, joined by sample.

    Attributes:
        runs: at least one run.
        results: for each sample of any run, its result in each run; None if a run lacks it.
    """

    runs: Sequence[Run]
    results: Sequence[Sequence[SampleResult | None]]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> SampleSet:
        """Join runs by sample id, in the order of the first run."""
        rows: dict[str, list[SampleResult | None]] = {}
        for column, run in enumerate(runs):
            for result in run.results:
                rows.setdefault(result.id, [None] * len(runs))[column] = result
        return cls(runs, list(rows.values()))

    @property
    def questions(self) -> Iterator[SampleResult]:
        """The first result of each sample, for the fields of its question."""
        return (next(item for item in row if item is not None) for row in self.results)


def state_of(result: SampleResult | None, full_score: float = 1.0) -> str:
    """Return the state of a sample as one letter.

    Args:
        result: the sample's result; None if the run lacks it.
        full_score: the score of a perfect answer; 0 if the score is an error measure.
    """
    if result is None:
        return MISSING
    if result.generation.error is not None:
        return FAILED
    if result.score.unreadable:
        return UNREADABLE
    value = result.score.value
    if value is None:
        return NOT_SCORED
    if full_score == 0:
        return RIGHT if value <= 0 else PARTLY
    if value >= full_score:
        return RIGHT
    return PARTLY if value > 0 else WRONG


def address_text(text: str) -> str:
    """Return text escaped as in the page's own addresses: a lone surrogate becomes U+FFFD."""
    return quote(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace"), safe="")


def index_of(samples: SampleSet, thumbnails: Mapping[str, int]) -> dict[str, Any]:
    """Return the data of the list of samples.

    Args:
        samples: the samples.
        thumbnails: the number of each sample's strip of frames, by id.
    """
    questions = list(samples.questions)
    asked = (item.question or item.prompt for item in questions)
    full_scores = [run.full_score for run in samples.runs]
    results = [item for row in samples.results for item in row if item is not None]
    is_graded = any(
        state_of(item, full_scores[0]) == PARTLY or (item.score.value or 0) > 1 for item in results
    )
    columns = [[row[number] for row in samples.results] for number in range(len(samples.runs))]
    names = dict.fromkeys(name for run in samples.runs for name in run.parts.benchmark.facets)
    return {
        "ids": [item.id for item in questions],
        "snippets": [cut(" ".join(text.split()), _SNIPPET) for text in asked],
        "facets": [_facet(name, questions) for name in names],
        "states": [
            "".join(state_of(item, full_score) for item in column)
            for column, full_score in zip(columns, full_scores, strict=True)
        ],
        "values": [
            [_value(item, is_error=full_score == 0) for item in column]
            for column, full_score in zip(columns, full_scores, strict=True)
        ]
        if is_graded
        else None,
        "thumbnails": {
            str(index): thumbnails[item.id]
            for index, item in enumerate(questions)
            if item.id in thumbnails
        },
        "chunkSize": CHUNK_SIZE,
    }


def _facet(name: str, questions: Sequence[SampleResult]) -> dict[str, Any]:
    levels: dict[str, int] = {}
    values = [levels.setdefault(str(item.facets.get(name, "")), len(levels)) for item in questions]
    return {"name": name, "levels": list(levels), "values": values}


def _value(result: SampleResult | None, *, is_error: bool) -> float | None:
    """Return the score by which the page sorts; higher is better."""
    value = None if result is None else result.score.value
    return None if value is None else float(f"{-value if is_error else value:.4g}")


def chunks_of(samples: SampleSet) -> Iterator[list[dict[str, Any]]]:
    """Yield the details of the samples in chunks of :data:`CHUNK_SIZE`."""
    details = map(_details, samples.questions, samples.results)
    while chunk := list(itertools.islice(details, CHUNK_SIZE)):
        yield chunk


def _details(question: SampleResult, row: Sequence[SampleResult | None]) -> dict[str, Any]:
    return {
        "group": question.group,
        "question": question.question,
        "choices": question.choices,
        "prompt": question.prompt,
        "media": question.media,
        "target": question.target,
        "runs": [None if item is None else _run_details(item, question) for item in row],
    }


def _run_details(result: SampleResult, question: SampleResult) -> dict[str, Any]:
    generation, score = result.generation, result.score
    content: dict[str, Any] = {
        "text": generation.text,
        "error": generation.error,
        "answer": score.answer,
        "value": score.value,
        "input": generation.num_input_tokens,
        "output": generation.num_output_tokens,
        "stop": generation.stop_reason,
        "frames": result.frame_indices,
    }
    problems = [problem.detail for medium in result.inputs for problem in medium.problems]
    if result.flags:
        content["flags"] = [FLAG_WORDS.get(flag, flag) for flag in result.flags]
    if problems:
        content["problems"] = problems
    if score.details:
        content["details"] = dict(score.details)
    if generation.option_losses is not None:
        content["losses"] = generation.option_losses
    # A prompt or target that differs from the displayed question is shown with the run.
    if result.prompt != question.prompt:
        content["prompt"] = result.prompt
    if result.target != question.target:
        content["target"] = result.target
    return content


def packed(content: Any) -> str:
    """Return compressed JSON in base64."""
    text = json.dumps(content, ensure_ascii=True, separators=(",", ":"), default=str)
    # No time in the header, so that the same runs give the same page.
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=6, mtime=0)).decode()
