"""LVBench and MotionBench: each row is a video with a list of questions, or one question."""

from __future__ import annotations

import dataclasses
import re
import string
from collections.abc import Iterator, Mapping, Sequence

from llava_eval.benchmarks.image_rows import first_filled
from llava_eval.benchmarks.rows import Row, as_list, is_null, list_items, mapping_of
from llava_eval.types import Media, Sample

_QUESTIONS = "qa"
#: An option of LVBench on its own line: "(A) a hat".
_BRACKETED = re.compile(r"^\s*\(([A-Z])\)\s*(.*?)\s*$", re.MULTILINE)
#: An option of MotionBench: a letter and one of ".):" at the start of a line, up to the next such.
_MARKED = re.compile(r"(?:^|\n)\s*([A-F])[.):]\s*(.*?)\s*(?=\n\s*[A-F][.):]\s|$)", re.DOTALL)


def lvbench(row: Row, *, media: list[str], prompt: str) -> tuple[Sample, ...]:
    r"""Make the samples of a video; their facet question_type joins several types by "+".

    Real row (arXiv 2406.08035), shortened: ``{"key": "Cm73ma6Ibcs", "type": "cartoon", "qa":
    [{"uid": "1", "question": "What year appears in the opening caption of the video?\n(A) 1636\n
    (B) 1366\n(C) 1363\n(D) 1633", "answer": "D", "question_type": ["key information
    retrieval"], "time_reference": "00:15-00:19"}, ...]}``.

    Args:
        row: the row of a video.
        media: templates of the video file.
        prompt: template of the user's text, with ``{question}``, which includes the options.

    Raises:
        RowsError: a missing column, or a question without options or an answer.
    """
    samples = []
    for question in _questions(row):
        identifier, asked = question.text("{uid}"), question.text("{question}")
        types = list_items(question.column("question_type")) or ()
        sample = _sample(
            row,
            identifier=identifier,
            media=media,
            prompt=row.text(prompt, question=asked),
            asked=asked,
            options=_BRACKETED.findall(asked),
            answer=question.text("{answer}"),
            question_type="+".join(item for item in types if item),
        )
        samples.append(sample)
    return tuple(samples)


def motionbench(row: Row, *, media: list[str], prompt: str) -> tuple[Sample, ...]:
    r"""Make a sample of each question about a video that has options and a known answer.

    Real row (arXiv 2501.02955), shortened: ``{"key": "...", "video_path": "....mp4", "video_type":
    "...", "question_type": "Motion Recognition", "qa": [{"uid": "...", "question": "What does the
    man do?\nA. He waves.\nB. He sits.\nC. ...\nD. ...", "answer": "B"}]}``; in the hidden test set
    the answer is "NA". A row may also be one question itself, which may list its options:
    ``{"id": "...", "question": "...", "options": [{"label": "A", "text": "He waves."}, ...]}``.

    Source of the splitting: EvolvingLMMs-Lab/lmms-eval, tasks/motionbench/utils.py,
    _split_question_and_options: a question that begins with its options keeps them in its text.
    There and here, a question is left out if it has no options or its answer is not one's letter.

    Args:
        row: the row of a video or of one question.
        media: templates of the video file.
        prompt: template of the user's text, with ``{question}`` and ``{options}`` (one per line).

    Raises:
        RowsError: a missing column.
    """
    samples = []
    for number, question in enumerate(_questions(row)):
        answer = str(question.columns.get("answer") or "").strip().upper()
        text = str(question.columns.get("question") or "").strip()
        options = _listed_options(question)
        marks = [] if options else list(_MARKED.finditer(text))
        options += [(mark[1], _flat(mark[2])) for mark in marks if _flat(mark[2])]
        if answer not in {letter for letter, _ in options}:
            continue
        before_options = _flat(text[: marks[0].start()]) if marks else ""
        asked = before_options or _flat(text)
        listed = "\n".join(f"{letter}. {option}" for letter, option in options)
        name = question.optional("uid") or question.optional("id")
        sample = _sample(
            row,
            identifier=str(name or f"{_video(row)}_{number}"),
            media=media,
            prompt=row.text(prompt, question=asked, options=listed).strip(),
            asked=asked,
            options=options,
            answer=answer,
            question_type=row.level("question_type") or "Unknown",
        )
        samples.append(sample)
    return tuple(samples)


def _listed_options(question: Row) -> list[tuple[str, str]]:
    """Return (letter, text) of the options in a question's list of mappings or texts."""
    pairs = []
    listed = list_items(question.optional("options")) or ()
    for letter, option in zip(string.ascii_uppercase, listed, strict=False):
        own = mapping_of(option)
        if own is None:
            marked = _MARKED.fullmatch(option or "")
            letter, text = marked.groups() if marked else (letter, option)
            own = {"label": letter, "text": text or ""}
        text = "" if is_null(own.get("text")) else _flat(str(own["text"]))
        pairs.append((str(own.get("label", "")).strip().upper(), text or None))
    texts = question.in_place([text for _, text in pairs])
    return [(label, text) for (label, _), text in zip(pairs, texts, strict=False) if label]


def _questions(row: Row) -> Iterator[Row]:
    """Yield a row for every question of a video, or the row itself if it is one question."""
    if row.optional(_QUESTIONS) is None and row.optional("question") is not None:
        yield row
        return
    questions = as_list(row.column(_QUESTIONS))
    if questions is None:
        raise row.error(f"column {_QUESTIONS!r} should hold a list of questions")
    for question in questions:
        if not isinstance(question, Mapping):
            raise row.error(f"column {_QUESTIONS!r} holds {question!r:.60}, no question")
        yield dataclasses.replace(row, columns=question)


def _sample(
    row: Row,
    *,
    identifier: str,
    media: Sequence[str],
    prompt: str,
    asked: str,
    options: Sequence[tuple[str, str]],
    answer: str,
    question_type: str,
) -> Sample:
    if answer not in {letter for letter, _ in options}.intersection(string.ascii_uppercase):
        raise row.error(f"question {identifier}: {len(options)} options and the answer {answer!r}")
    return Sample(
        id=identifier,
        row=row.number,
        group=_video(row),
        content=(Media("video", row.media_path(media)), prompt),
        targets=(answer,),
        choices=tuple(text for _, text in options),
        question=asked,
        facets={"question_type": question_type},
    )


def _video(row: Row) -> str:
    return first_filled(row, ["{key}", "{video_path}"])


def _flat(text: str) -> str:
    return " ".join(text.split())
