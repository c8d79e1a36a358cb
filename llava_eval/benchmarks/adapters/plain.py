"""Adapters: one row of a data set becomes one sample.

An adapter is a function ``(row, *, parameters) -> Sample``; its parameters come from the
``benchmark.adapter`` node of a protocol's file. Templates such as ``"{videoID}.mp4"`` are filled
from the row's own columns. Rows that fit none of these families get a function of their own in a
module named after the benchmark.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from typing import Literal

from llava_eval.benchmarks.rows import Row
from llava_eval.benchmarks.subtitles import SubtitleRule, Subtitles
from llava_eval.errors import ConfigError, RowsError
from llava_eval.types import LatePiece, Media, MediaKind, Sample

AnswerForm = Literal["letter", "index", "text", "first_equal_text", "last_equal_text"]


def multiple_choice(
    row: Row,
    *,
    id: str,
    group: str,
    media: list[str],
    question: str,
    answer: str,
    prompt: str,
    options: str | None = None,
    option_columns: list[str] | None = None,
    option_padding: str | None = None,
    media_kind: MediaKind = "video",
    options_carry_letters: bool = False,
    keep_letters: bool = False,
    option_format: str = "{letter}. {option}",
    option_separator: str = "\n",
    strip_texts: bool = False,
    strip_options_end: bool = False,
    answer_form: AnswerForm = "letter",
    hidden_answers: bool = False,
    subtitles: str | None = None,
    subtitle_rule: SubtitleRule = "first_cue",
    subtitle_heading: str = "",
    subtitle_missing: str | None = None,
) -> Sample:
    """Make a multiple-choice sample.

    Real row of Video-MME (arXiv 2405.21075): ``{"video_id": "001", "duration": "short",
    "videoID": "fFjv93ACGo8", "question_id": "001-1", "task_type": "Counting Problem",
    "question": "When demonstrating ...?", "options": ["A. Apples.", "B. Candles.", "C. Berries.",
    "D. The three kinds are of the same number."], "answer": "C", ...}``.

    Args:
        row: the row.
        id: template of the sample's id.
        group: template of what errors cluster by.
        media: templates of the media file; the first that exists is taken.
        question: template of the bare question.
        answer: template of the right answer.
        prompt: template of the user's text; beside the columns it may use ``{question}``,
            ``{options}`` (formatted and joined), ``{options_repr}`` (the Python list's own written
            form, as lmms-eval 0.2 prints it) and ``{subtitles}``.
        options: name of the column that lists the options.
        option_columns: in its place, names of columns that hold one option each.
        option_padding: text of such a column that stands for no option.
        media_kind: video or image.
        options_carry_letters: the options already begin with "A. ", "B. ", ...
        keep_letters: the sample's choices keep these, for a rule that looks at them.
        option_format: template of one option, with ``{letter}`` and ``{option}``.
        option_separator: what joins the options.
        strip_texts: question and options are stripped of outer white space.
        strip_options_end: the joined options are stripped of white space at their end.
        answer_form: whether the answer is a letter, a zero-based index, or the option's text; of
            equal texts the first or the last one, or an error.
        hidden_answers: rows without an answer are answered, and not scored.
        subtitles: template of the video's subtitle file, whose lines stand for ``{subtitles}``.
        subtitle_rule, subtitle_heading, subtitle_missing: see
            :class:`llava_eval.benchmarks.subtitles.Subtitles`.

    Raises:
        RowsError: a missing column, no options, or an answer that is none of them.
    """
    given = _given_options(row, options, option_columns, option_padding)
    bare_question = row.text(question)
    if strip_texts:
        given, bare_question = tuple(text.strip() for text in given), bare_question.strip()
    bare = tuple(_without_letter(option) for option in given) if options_carry_letters else given
    choices = given if keep_letters else bare
    listed = option_separator.join(
        given if options_carry_letters else lettered(given, option_format)
    )
    texts = [
        row.text(
            part,
            question=bare_question,
            options=listed.rstrip() if strip_options_end else listed,
            options_repr=repr(list(given)),
        )
        for part in _around_subtitles(prompt, subtitles)
    ]
    medium = Media(media_kind, row.media_path(media))
    pieces: list[str | LatePiece] = [*texts]
    if subtitles is not None:
        file = row.media_path([subtitles])
        late = Subtitles(medium, file, subtitle_rule, subtitle_heading, subtitle_missing)
        pieces.insert(1, late)
    return Sample(
        id=row.text(id),
        row=row.number,
        group=row.text(group),
        content=(medium, *(piece for piece in pieces if piece != "")),
        targets=_right_letters(row, answer, choices, answer_form, hidden=hidden_answers),
        choices=choices,
        question=bare_question,
    )


def open_ended(
    row: Row,
    *,
    id: str,
    group: str,
    media: list[str],
    question: str,
    answers: str,
    prompt: str,
    media_kind: MediaKind = "video",
) -> Sample:
    """Make a sample with a free answer.

    Real row of ActivityNet-QA (arXiv 1906.02467): ``{"video_name": "1QIUV7WYKXg", "question":
    "is the athlete wearing trousers", "question_id": "v_1QIUV7WYKXg_3", "answer": "yes",
    "type": "3"}``.

    Args:
        row: the row.
        id, group, media, question, media_kind: as in :func:`multiple_choice`.
        answers: name of the column with the accepted answer, or a list of them.
        prompt: template of the user's text; beside the columns it may use ``{question}``.
    """
    bare_question = row.text(question)
    return Sample(
        id=row.text(id),
        row=row.number,
        group=row.text(group),
        content=(
            Media(media_kind, row.media_path(media)),
            row.text(prompt, question=bare_question),
        ),
        targets=_one_or_more(row, answers),
        question=bare_question,
    )


def caption(
    row: Row,
    *,
    id: str,
    group: str,
    media: list[str],
    references: str,
    prompt: str,
    media_kind: MediaKind = "video",
) -> Sample:
    """Make a sample whose targets are reference captions.

    Real row of VATEX (arXiv 1904.03493): ``{"videoID": "G9zN5TTuGO4_000179_000189", "enCap":
    ["A person is using a phone ...", ... ten captions]}``.

    Args:
        row: the row.
        id, group, media, media_kind: as in :func:`multiple_choice`.
        references: name of the column with the reference captions.
        prompt: template of the user's text.
    """
    return Sample(
        id=row.text(id),
        row=row.number,
        group=row.text(group),
        content=(Media(media_kind, row.media_path(media)), row.text(prompt)),
        targets=_one_or_more(row, references),
    )


def _one_or_more(row: Row, name: str) -> tuple[str, ...]:
    value = row.column(name)
    found = row.texts(name) if isinstance(value, list | tuple) else (str(value),)
    if not found:
        raise RowsError(f"{row.source}, row {row.number}: column {name!r} is an empty list")
    return found


def _without_letter(option: str) -> str:
    """Return "A. Apples." without its letter, and anything else as it is."""
    head, separator, rest = option.partition(". ")
    return rest if separator and len(head) == 1 and head.isupper() else option


def _around_subtitles(prompt: str, subtitles: str | None) -> list[str]:
    """Return the template's parts before and after ``{subtitles}``, or the whole without them."""
    parts = prompt.split("{subtitles}")
    if len(parts) != (1 if subtitles is None else 2):
        raise ConfigError(
            "benchmark.adapter.subtitles names the file and {subtitles} in the prompt its place: "
            "one needs the other, once"
        )
    return parts


def lettered(options: Sequence[str], option_format: str = "{letter}. {option}") -> list[str]:
    """Return the options with their letters, as a template of one option says."""
    return [
        option_format.format(letter=letter, option=option)
        for letter, option in zip(string.ascii_uppercase, options, strict=False)
    ]


def _given_options(
    row: Row, column: str | None, columns: list[str] | None, padding: str | None
) -> tuple[str, ...]:
    if (column is None) == (columns is None):
        raise ConfigError("benchmark.adapter needs either options or option_columns")
    if column is not None:
        given = row.texts(column)
    else:
        texts = (str(row.column(name)) for name in columns or ())
        given = tuple(text for text in texts if text != padding)
    if not 2 <= len(given) <= len(string.ascii_uppercase):
        raise RowsError(f"{row.source}, row {row.number}: {len(given)} options, expected 2 to 26")
    return given


def _right_letters(
    row: Row, template: str, choices: Sequence[str], form: AnswerForm, *, hidden: bool
) -> tuple[str, ...]:
    """Return the right letter alone; nothing where answers are hidden and the row has none."""
    if hidden and any(row.optional(name) in (None, -1) for name in _fields_of(template)):
        return ()
    answer = row.text(template)
    letters = string.ascii_uppercase[: len(choices)]
    places = [place for place, choice in enumerate(choices) if choice == answer]
    if form == "letter" and answer in letters and len(answer) == 1:
        return (answer,)
    if form == "index" and answer.isdecimal() and int(answer) < len(choices):
        return (letters[int(answer)],)
    if (form == "text" and len(places) == 1) or (form == "first_equal_text" and places):
        return (letters[places[0]],)
    if form == "last_equal_text" and places:
        return (letters[places[-1]],)
    raise RowsError(
        f"{row.source}, row {row.number}: the answer {answer!r} is not the "
        f"{form.rpartition('_')[2]} of one of {len(choices)} options {list(choices)}"
    )


def _fields_of(template: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(template) if name]
