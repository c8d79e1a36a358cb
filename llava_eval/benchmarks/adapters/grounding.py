"""Find when something happens in a video: Charades-STA and TimeLens-Bench."""

from __future__ import annotations

from typing import Any

from llava_eval.benchmarks.rows import Row, as_list, list_items
from llava_eval.types import Media, Sample


def grounding(
    row: Row, *, id: str, group: str, media: list[str], query: str, span: str, prompt: str
) -> Sample:
    """Make a sample whose target is a start and an end in seconds, "24.3 30.4".

    Real row of Charades-STA (arXiv 1705.02101) as lmms-eval has it: ``{"video": "3MSZA.mp4",
    "caption": "person turn a light on.", "timestamp": [24.3, 30.4]}``; of TimeLens-Bench there:
    ``{"video_path": "...mp4", "query": "...", "span": [[24.3, 30.4]]}``.

    Args:
        row: the row.
        id: template of the sample's id.
        group: template of the group, by which errors are clustered.
        media: templates of the video file.
        query: template of the description of the event.
        span: name of the column with the start and the end, or with a list of one such pair.
        prompt: template of the user's text, with ``{query}``.

    Raises:
        RowsError: a missing column, or other than two numbers.
    """
    asked = row.text(query)
    return Sample(
        id=row.text(id),
        row=row.number,
        group=row.text(group),
        content=(Media("video", row.media_path(media)), row.text(prompt, query=asked)),
        targets=(_span(row, row.column(span)),),
        question=asked,
    )


def timelens(row: Row, *, media: list[str], prompt: str) -> tuple[Sample, ...]:
    """Make the samples of a video of TimeLens-Bench as its authors store it (arXiv 2512.14698).

    Real row, from memory, an entry of charades-timelens.json under the video's name: ``{"duration":
    30.96, "spans": [[24.3, 30.4], ...], "queries": ["A person turns a light on.", ...]}``.

    Args:
        row: the row of a video; ``row_key`` is its name.
        media: templates of the video file.
        prompt: template of the user's text, with ``{query}``, stripped of outer white space and
            full stops.

    Raises:
        RowsError: a missing column, or not one span for each query.
    """
    queries = row.texts("queries")
    spans = as_list(row.column("spans")) or ()
    if len(spans) != len(queries):
        raise row.error(f"{len(spans)} spans for {len(queries)} queries")
    samples = []
    for number, (query, span) in enumerate(zip(queries, spans, strict=True)):
        asked = " ".join(query.split()).strip(".").strip()
        samples.append(
            Sample(
                id=row.text("{row_set}/{row_key}/") + str(number),
                row=row.number,
                group=row.text("{row_key}"),
                content=(Media("video", row.media_path(media)), row.text(prompt, query=asked)),
                targets=(_span(row, span),),
                question=asked,
            )
        )
    return tuple(samples)


def _span(row: Row, value: Any) -> str:
    items = list_items(value)
    if items is not None and len(items) == 1:
        items = list_items(items[0])
    try:
        start, end = (float(str(item)) for item in items or ())
    except (TypeError, ValueError) as error:
        raise row.error(f"expected the start and the end of a span, got {value!r:.60}") from error
    return f"{start!r} {end!r}"
