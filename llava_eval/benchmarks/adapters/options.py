"""Multiple choice about a video or an image."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from llava_eval.benchmarks.rows import Row, fields_of, is_null, mapping_of
from llava_eval.benchmarks.subtitles import SubtitleRule, Subtitles
from llava_eval.errors import ConfigError
from llava_eval.types import FrameDependentPart, Media, MediaKind, Sample

AnswerForm = Literal[
    "letter",
    "bracketed_letter",
    "index",
    "text",
    "first_equal_text",
    "last_equal_text",
    "number_letter_or_text",
]

_LETTERS = string.ascii_uppercase
LETTER_AND_OPTION = "{letter}. {option}"
#: As an override that works whether or not a protocol's file has the key.
_CARRY_LETTERS = "++benchmark.adapter.options_carry_letters"

#: Marks of a hidden answer in test sets; BLINK's is "hidden".
_HIDDEN = frozenset({"-1", "-1.0", "hidden"})
#: The end of an error about a row without an answer.
ASK_WITHOUT_ANSWER = (
    "; hidden_answers: true in benchmark.adapter, where it has that key, asks rows without one"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where a row's options are, and how they are written into the prompt.

    Attributes:
        column: name of the column that lists them, or maps letters to them.
        pattern: regular expression with one group, for a column that is one text: each text that
            the group matches is an option, stripped of outer white space.
        columns: instead of both, names of columns with one option each.
        padding: text of such a column that means no option.
        carry_letters: the options already begin with "A. ", "B. ", ...
        keep_letters: keep these in the sample's choices, for a rule that looks at them.
        form: template of one option, with ``{letter}`` and ``{option}``.
        separator: text between the options.
        strip: strip each option of outer white space.
        strip_end: strip the joined options of white space at their end.
    """

    column: str | None = None
    pattern: str | None = None
    columns: Sequence[str] | None = None
    padding: str | None = None
    carry_letters: bool = False
    keep_letters: bool = False
    form: str = LETTER_AND_OPTION
    separator: str = "\n"
    strip: bool = False
    strip_end: bool = False

    def __post_init__(self) -> None:
        if (self.column is None) == (self.columns is None):
            raise ConfigError("benchmark.adapter needs either options or option_columns")
        if self.pattern is not None:
            check_pattern("benchmark.adapter.option_pattern", self.pattern)
            if self.column is None:
                raise ConfigError("benchmark.adapter.option_pattern is for the column in options")
        try:
            lettered([""], self.form)
        except (ValueError, LookupError, AttributeError) as error:
            raise ConfigError(
                f"the form of an option {self.form!r} cannot be filled: {error}; its fields are "
                "{letter} and {option}"
            ) from error

    def of(self, row: Row) -> tuple[str, ...]:
        """Return a row's options as they are in it; null or padding at their end is no option.

        Raises:
            RowsError: fewer than 2 or more than 26 options, or a null before the last of them.
        """
        options = row.in_place(self._cells(row))
        if not 2 <= len(options) <= len(_LETTERS):
            raise row.error(f"{len(options)} options, expected 2 to 26")
        return tuple(option.strip() if self.strip else option for option in options)

    def _cells(self, row: Row) -> Sequence[str | None]:
        if self.column is not None and self.pattern is not None:
            return [text.strip() for text in re.findall(self.pattern, str(row.column(self.column)))]
        if self.column is not None:
            by_letter = mapping_of(row.column(self.column))
            if by_letter is None:
                return row.items(self.column)
            for key, value in by_letter.items():
                if isinstance(value, list):
                    raise row.error(f"{self.column!r} holds lists; one is '{self.column}[{key}]'")
            return _by_letter(by_letter)
        names = self.columns or ()
        values = [row.columns[name] if name in row.columns else row.column(name) for name in names]
        return [None if is_null(value) or value == self.padding else str(value) for value in values]

    def choices(self, options: Sequence[str]) -> tuple[str, ...]:
        """Return the options' texts for scorers to compare."""
        if self.carry_letters and not self.keep_letters:
            return tuple(_without_letter(option) for option in options)
        return tuple(options)

    def written(self, options: Sequence[str]) -> str:
        """Return the options as the prompt shows them."""
        listed = self.separator.join(
            options if self.carry_letters else lettered(options, self.form)
        )
        return listed.rstrip() if self.strip_end else listed


def check_pattern(key: str, pattern: str) -> None:
    """Check that a pattern is a regular expression with exactly one group.

    Args:
        key: its key, for the message.
        pattern: the pattern to check.

    Raises:
        ConfigError: it is not.
    """
    try:
        has_one = re.compile(pattern).groups == 1
    except re.error:
        has_one = False
    if not has_one:
        raise ConfigError(f"{key}: {pattern!r} should be a regular expression with one group")


def _by_letter(options: Mapping[str, Any]) -> list[str | None]:
    """Return a mapping's options in the order of its letters; without letters, in its own."""
    letters: Iterable[str] = options
    named = {str(name).upper(): text for name, text in options.items()}
    if named and len(named) == len(options) and set(named) <= set(_LETTERS):
        options, letters = named, _LETTERS[: _LETTERS.index(max(named)) + 1]
    return [None if is_null(options.get(name)) else str(options[name]) for name in letters]


def right_letters(
    row: Row,
    choices: Sequence[str],
    template: str,
    form: AnswerForm = "letter",
    *,
    may_be_hidden: bool = False,
) -> tuple[str, ...]:
    """Return the right letter in a tuple, which is empty if the answer is hidden.

    Args:
        row: the row.
        choices: its options.
        template: template of the answer.
        form: how it names the option: a letter ("(B)" with brackets), a zero-based index, or the
            option's text; if options are equal, the first or the last one, or an error. If
            "last_equal_text" is none of the options, the answer is "@", the letter before A, as in
            MVBench's and MLVU's own code: every reply that names an option is wrong.
            "number_letter_or_text" tells these apart by the answer itself, as lmms-eval does for
            TVBench; see :func:`_number_letter_or_text`.
        may_be_hidden: ask rows without an answer, but do not score them.

    Raises:
        RowsError: the answer is none of the choices.
    """
    texts = choices if form.endswith("text") else ()
    answer = answer_of(row, template, texts, may_be_hidden=may_be_hidden)
    if answer is None:
        return ()
    index = _right_index(answer, form, choices)
    if index is None:
        kind = form.rpartition("_")[2].replace("index", "number")
        counted = ", by index from 0:" if kind == "number" else ""
        raise row.error(
            f"the answer {answer!r} is not the {kind} of one of {len(choices)} options"
            f"{counted} {list(choices)}{_other_form(answer, choices)}"
        )
    return (chr(ord("A") + index),)


def answer_of(
    row: Row, template: str, texts: Sequence[str] = (), *, may_be_hidden: bool
) -> str | None:
    """Return a row's answer; None if it is hidden: no column, an empty cell, or a mark.

    Args:
        row: the row.
        template: template of the answer.
        texts: options, if answers are their texts; an answer equal to one is no mark.
        may_be_hidden: see :func:`right_letters`.

    Raises:
        RowsError: a column is missing or null although answers may not be hidden.
    """
    fields = fields_of(template)
    if may_be_hidden and any(row.optional(name) is None for name in fields):
        return None
    for name in fields:
        row.column(name, hint=ASK_WITHOUT_ANSWER)
    answer = row.text(template)
    return None if may_be_hidden and answer in _HIDDEN and answer not in texts else answer


def advice_of_hidden(answer: str) -> str:
    """Return an error's advice how to ask a row without an answer; "" if it has an answer."""
    return ASK_WITHOUT_ANSWER if answer in ("", *_HIDDEN) else ""


def _other_form(answer: str, choices: Sequence[str]) -> str:
    """Return an error's advice which form would read an answer, or ""."""
    if advice := advice_of_hidden(answer):
        return advice
    forms: dict[AnswerForm, str] = {"text": "it", "index": "it, counted from 0", "letter": "it"}
    for form, how in forms.items():
        if _right_index(answer, form, choices) is not None:
            return f"; answer_form: {form} in benchmark.adapter reads {how}"
    return ""


def _right_index(answer: str, form: AnswerForm, choices: Sequence[str]) -> int | None:
    if form == "number_letter_or_text":
        return _number_letter_or_text(answer, choices)
    if form == "bracketed_letter":
        answer = answer.strip("()")
    if form in ("letter", "bracketed_letter"):
        return _LETTERS.index(answer) if answer in tuple(_LETTERS[: len(choices)]) else None
    if form == "index":
        whole = answer.removesuffix(".0")  # beside nulls, libraries write 2 as 2.0
        is_number = whole.isascii() and whole.isdecimal()
        return int(whole) if is_number and int(whole) < len(choices) else None
    equal = [index for index, choice in enumerate(choices) if choice == answer]
    if form == "last_equal_text":
        return equal[-1] if equal else -1
    if form == "first_equal_text" and equal:
        return equal[0]
    return equal[0] if len(equal) == 1 else None


def _number_letter_or_text(answer: str, choices: Sequence[str]) -> int | None:
    """Return the index of the right option as lmms-eval finds it for TVBench.

    A whole number is an index from 0 or, if there is no such option, from 1, even if it is the text
    of another option: "3" among "2", "3", "4" makes the last one right. A single letter is an
    option's letter, even if there is no such option. Anything else is the text of the first equal
    option, with case and spaces ignored.

    Source: EvolvingLMMs-Lab/lmms-eval, tasks/tvbench/utils.py, tvbench_doc_to_target.
    """
    text = answer.strip()
    if text.isdecimal() and int(text) <= len(choices):
        return min(int(text), len(choices) - 1)
    if len(text) == 1 and text.upper() in _LETTERS:
        return _LETTERS.index(text.upper())
    texts = [flat(choice) for choice in choices]
    return texts.index(flat(text)) if flat(text) in texts else None


def flat(text: str) -> str:
    """Return a text in lower case, with one space between words."""
    return " ".join(text.lower().split())


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
    option_format: str = LETTER_AND_OPTION,
    option_separator: str = "\n",
    strip_texts: bool = False,
    strip_question: bool = False,
    strip_options_end: bool = False,
    answer_form: AnswerForm = "letter",
    hidden_answers: bool = False,
    subtitles: str | None = None,
    subtitle_rule: SubtitleRule = "first_cue",
    subtitle_heading: str = "",
    subtitle_missing: str | None = None,
) -> Sample:
    """Make a multiple-choice sample from the flat keys of a configuration file.

    Real row of Video-MME (arXiv 2405.21075): ``{"video_id": "001", "duration": "short",
    "videoID": "fFjv93ACGo8", "question_id": "001-1", "task_type": "Counting Problem",
    "question": "When demonstrating ...?", "options": ["A. Apples.", "B. Candles.", "C. Berries.",
    "D. The three kinds are of the same number."], "answer": "C", ...}``.

    Args:
        row: the row.
        id: template of the sample's id.
        group: template of the group, by which errors are clustered.
        media: templates of the media file; the first that exists is used.
        question: template of the bare question.
        answer, answer_form, hidden_answers: see :func:`right_letters`.
        prompt: template of the user's text; in addition to the columns it may use ``{question}``,
            ``{options}`` (formatted and joined), ``{options_repr}`` (the options as a printed
            Python list, as in lmms-eval 0.2) and ``{subtitles}``.
        media_kind: video or image.
        options, option_columns, option_padding, options_carry_letters, keep_letters, option_format,
            option_separator, strip_options_end: see :class:`Options`.
        strip_texts: strip question and options of outer white space.
        strip_question: strip only the question.
        subtitles: template of the video's subtitle file, whose lines replace ``{subtitles}``.
        subtitle_rule, subtitle_heading, subtitle_missing: see
            :class:`llava_eval.benchmarks.subtitles.Subtitles`.

    Raises:
        RowsError: a missing column, no options, or an answer that is none of them.
        ConfigError: subtitles without ``{subtitles}`` in the prompt, or the reverse.
    """
    listed = Options(
        column=options,
        columns=option_columns,
        padding=option_padding,
        carry_letters=options_carry_letters,
        keep_letters=keep_letters,
        form=option_format,
        separator=option_separator,
        strip=strip_texts,
        strip_end=strip_options_end,
    )
    given = listed.of(row)
    if options_carry_letters:
        needs_check = answer_form == "letter"
    else:  # the prompt adds letters
        needs_check = "{options}" in prompt and "{letter}" in option_format
    if needs_check:
        check_letters(row, given, carried=options_carry_letters)
    choices = listed.choices(given)
    asked = row.text(question)
    if strip_texts or strip_question:
        asked = asked.strip()
    parts = prompt.split("{subtitles}")
    if len(parts) != (1 if subtitles is None else 2):
        raise ConfigError(
            "benchmark.adapter.subtitles names the file and {subtitles} in the prompt says where "
            "its lines go: one needs the other, once"
        )
    written = {"options": listed.written(given), "options_repr": repr(list(given))}
    pieces: list[str | FrameDependentPart] = [
        row.text(part, question=asked, **written) for part in parts
    ]
    shown = Media(media_kind, row.media_path(media), upright=media_kind == "image")
    if subtitles is not None:
        path = row.media_path([subtitles])
        subtitle_part = Subtitles(shown, path, subtitle_rule, subtitle_heading, subtitle_missing)
        pieces.insert(1, subtitle_part)
    return Sample(
        id=row.text(id),
        row=row.number,
        group=row.text(group),
        content=(shown, *(piece for piece in pieces if piece != "")),
        targets=right_letters(row, choices, answer, answer_form, may_be_hidden=hidden_answers),
        choices=choices,
        question=asked,
    )


def _without_letter(option: str) -> str:
    """Return "A. Apples." without its letter, and any other text unchanged."""
    head, separator, rest = option.partition(". ")
    return rest if separator and len(head) == 1 and head.isupper() else option


def check_letters(row: Row, options: Sequence[str], *, carried: bool = True) -> None:
    """Refuse options that should have letters of their own but do not, or the reverse.

    Raises:
        RowsError: with ``carried``, none of them begins with its letter; without, all do.
    """
    pairs = list(zip(_LETTERS, options, strict=False))
    if not carried:
        if all(re.match(rf"\(?{letter}[.):]\s", text) for letter, text in pairs):
            raise row.error(
                f"the options begin with their letters, the first is {options[0]!r:.40}, and the "
                f"prompt writes them again; {_CARRY_LETTERS}=true does not"
            )
    elif not any(text.lstrip(" (").startswith(letter) for letter, text in pairs):
        raise row.error(
            f"none of the options begins with its letter, the first is {options[0]!r:.40}, and the "
            f"prompt writes none; if it is a key, {_CARRY_LETTERS}=false does, where it is taken"
        )


def lettered(options: Sequence[str], form: str = LETTER_AND_OPTION) -> list[str]:
    """Return options with their letters added.

    Args:
        options: their texts.
        form: template of one option, with ``{letter}`` and ``{option}``.
    """
    return [
        form.format(letter=letter, option=option)
        for letter, option in zip(_LETTERS, options, strict=False)
    ]
