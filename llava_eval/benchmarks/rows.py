"""One row of a benchmark: typed access to its columns, and errors that name source and row."""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import math
import re
import string
import tokenize
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from llava_eval.benchmarks.sources import HUB_SCHEME
from llava_eval.borders.json_text import JsonError, parse_json
from llava_eval.borders.paths import is_there
from llava_eval.config.choices import suggest
from llava_eval.errors import ConfigError, RowsError

#: Level of a facet that a row does not state.
UNKNOWN = "unknown"

#: Texts that pandas reads as an empty cell of a table.
EMPTY_CELLS = frozenset(
    {
        *("", "#N/A", "#N/A N/A", "#NA", "<NA>", "N/A", "NA", "n/a", "NULL", "null", "None"),
        *("NaN", "nan", "-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
    }
)

_ADDRESS_SCHEMES = ("http://", "https://")
_SPELLINGS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")

#: Keys under which a mapping in a list has its text.
_TEXT_KEYS = ("answer", "caption")

#: Words that mean null in a list that was written as text.
_NULL_WORDS = frozenset({"nan", "NaN", "null", "None", "NA", "NaT"})


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it is in the source.

    A value that is null or NaN counts as empty everywhere.

    Attributes:
        number: zero-based index of the row in the source.
        columns: the data set's own columns.
        source: where the row came from, for messages.
        media_root: folder that media paths are relative to; None if media paths are complete.
    """

    number: int
    columns: Mapping[str, Any]
    source: str
    media_root: Path | None = None

    def error(self, message: str) -> RowsError:
        """Return an error about this row for the caller to raise."""
        return RowsError(f"{self.source}, row {self.number}: {message}")

    def column(self, name: str, *, hint: str = "") -> Any:
        """Return the value of a column, or of a field in one: "column[key]".

        Args:
            name: name of the column or field.
            hint: text at the end of an error's message.

        Raises:
            RowsError: the row has no such column, or it is empty.
        """
        if not {name, name.partition("[")[0]} & self.columns.keys():
            names = list(map(str, self.columns))
            raise self.error(
                f"there is no column {name!r}{suggest(name, names)}; columns: {', '.join(names)}"
                + hint
            )
        value = self._value_of(name)
        if is_null(value):
            raise self.error(f"column {name!r} is empty{hint}")
        return value

    def optional(self, name: str) -> Any:
        """Return a column's value, or None if it is missing or empty (null or "")."""
        value = self._value_of(name)
        return None if is_null(value) or (isinstance(value, str) and not value) else value

    def _value_of(self, name: str) -> Any:
        if name in self.columns or "[" not in name:
            return self.columns.get(name)
        with contextlib.suppress(RowsError, LookupError, TypeError, ValueError, AttributeError):
            return _Filler(self).get_field(name, (), {})[0]
        return None

    def written(self, name: str) -> Mapping[str, Any]:
        """Parse the column of "column[key]" if it is written as text, and return it by its name."""
        outer = name.partition("[")[0]
        value = self.columns.get(outer)
        held = mapping_of(value) or as_list(value) if isinstance(value, str) else None
        return {} if held is None else {outer: held}

    def level(self, name: str) -> str | None:
        """Return the level of a facet: the text of a column, or of ``key`` in a column's mapping.

        Args:
            name: name of the column, or ``column.key``.

        Returns:
            The level; several levels (a list of texts) are joined by "+". None if the row does not
            state it, or states only white space or an empty list.
        """
        value = self.optional(name)
        if value is None:
            outer, _, key = name.partition(".")
            mapping = mapping_of(self.optional(outer)) or {}
            value = mapping.get(key)
        self.check_written(name, value)
        items = as_list(value)
        if items is not None:
            items = [item for item in items if not is_null(item) and item != ""]
            are_texts = all(isinstance(item, str) for item in items)
            value = "+".join(items) if are_texts else value
        return None if is_null(value) or not str(value).strip() else str(value)

    def check_written(self, name: str, value: Any) -> None:
        """Raise RowsError for bytes, whose text form would be useless (a place in memory)."""
        if isinstance(value, bytes | memoryview):
            raise self.error(f"column {name!r} should hold a text, got bytes")

    def number_of(self, name: str) -> float:
        """Return the number in a column, which may be written as text.

        Raises:
            RowsError: the column is missing or empty, or has another value.
        """
        value = self.column(name)
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            number = float(value)
            if math.isfinite(number):
                return number
        raise self.error(f"column {name!r} should hold a number, got {value!r:.60}")

    def integer_of(self, name: str) -> int:
        """Return the whole number in a column, which may be written as text.

        Raises:
            RowsError: the column is missing or empty, or has another value.
        """
        number = self.number_of(name)
        if not number.is_integer():
            raise self.error(f"column {name!r} should hold a whole number, got {number:g}")
        return int(number)

    def text(self, template: str, **fields: str) -> str:
        """Fill ``{column}`` fields of a template from ``fields`` and this row's columns.

        ``{row_number}`` is the row's zero-based index in the source, for data sets without ids.

        Args:
            template: text with fields; literal braces are written ``{{`` and ``}}``.
            fields: values that take precedence over the row's columns.

        Raises:
            RowsError: a field is neither given nor a column, or its value cannot be written so.
            ConfigError: the template's braces are unbalanced.
        """
        for name in set(fields_of(template)) - fields.keys():
            value = self._value_of(name)
            self.check_written(name, value)
            if isinstance(value, Mapping | list | tuple):  # not in Python's notation
                raise self.error(
                    f"column {name!r} should hold a text, got {value!r:.60}; one of several is "
                    "written column[0] or column[key]"
                )
        try:
            return _Filler(self).vformat(template, (), fields)
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise self.error(f"the template {template!r} cannot be filled: {error}") from error

    def items(self, name: str) -> tuple[str | None, ...]:
        """Return the list in a column, as :func:`list_items` reads it.

        Raises:
            RowsError: the column is missing or empty, or has no list.
        """
        value = self.column(name)
        listed = self._listed(name, value)
        if listed is None:
            raise self.error(
                f"column {name!r} should hold a list, got {type(value).__name__} {value!r:.80}"
            )
        return tuple(map(_item, listed))

    def _listed(self, name: str, value: Any) -> Sequence[Any] | None:
        listed = as_list(value)
        for item in listed or ():
            self.check_written(name, item)
            is_nested = isinstance(item, Mapping | list | tuple)
            if is_nested and set(_TEXT_KEYS).isdisjoint(item):
                raise self.error(
                    f"column {name!r} should hold a list of texts, not of {item!r:.80}"
                )
        return listed

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the list of texts in a column, without its null items.

        Raises:
            RowsError: the column is missing or empty, or has no list.
        """
        return tuple(item for item in self.items(name) if item is not None)

    def options(self, name: str, *, may_lack: bool = False) -> tuple[str, ...]:
        """Return the options listed in a column; see :meth:`in_place`.

        Args:
            name: name of the column.
            may_lack: a row without the column has no options, instead of raising.

        Raises:
            RowsError: the column is missing or empty, has no list, or an item before the last one
                is null.
        """
        if may_lack and self.optional(name) is None:
            return ()
        return self.in_place(self.items(name))

    def in_place(self, options: Sequence[str | None]) -> tuple[str, ...]:
        """Return options without null or blank ones at the end; their places give their letters.

        Raises:
            RowsError: one before the last is null.
        """
        items = list(options)
        while items and not (items[-1] or "").strip():
            items.pop()
        if None in items:
            raise self.error(
                f"option {items.index(None) + 1} of {len(items)} is empty, so that the others' "
                "letters are not known"
            )
        return tuple(item for item in items if item is not None)

    def answers(self, name: str, *, one: bool = False) -> tuple[str, ...]:
        """Return the accepted answers of a column, or reference captions.

        Args:
            name: name of the column, with one answer or a list as :func:`list_items` reads it.
            one: the column has one answer, even if that looks like a list written as text.

        Returns:
            The answers in their order; none, as hidden, if the column is missing or empty. For 3.0
            both "3" and "3.0", because libraries store 3 as 3.0 in a column with nulls.

        Raises:
            RowsError: the column has a mapping or bytes.
        """
        value = self.optional(name)
        if value is None:
            return ()
        listed = None if one and isinstance(value, str) else self._listed(name, value)
        if listed is not None:
            return tuple(text for item in listed for text in _answers(item))
        if isinstance(value, Mapping | bytes | memoryview):
            raise self.error(
                f"column {name!r} should hold an answer or a list of them, "
                f"got {type(value).__name__}"
            )
        return _answers(value)

    def media_path(self, templates: Sequence[str], **fields: str) -> str:
        """Return the first existing file among the filled templates, or else the first candidate.

        Each template is also tried without some or all of the folders that its text begins with.
        If no file exists, but a filled template is an http(s) address, that is returned.

        A missing file is no error here: scoring needs no media, and a missing video must fail only
        its own samples.

        Args:
            templates: templates of the path below the media folder, in the order of preference.
            fields: values that take precedence over the row's columns.

        Raises:
            RowsError: the row names a file outside the media folder. Rows of a user's own file may
                name absolute paths; those of the hub, which anyone may have written, may not.
            ConfigError: there is no template.
        """
        candidates = [self._under_root(template, fields) for template in templates]
        shorter = (name for template in templates for name in _without_folders(template))
        for template in dict.fromkeys(shorter):
            with contextlib.suppress(RowsError):  # in that layout, a value leads outside
                candidates.append(self._under_root(template, fields))
        if not candidates:
            raise ConfigError("benchmark.adapter.media names no path")
        for path in self._spelled(candidates):
            if is_there(path):
                return str(path)
        names = (self.text(template, **fields) for template in templates)
        address = next((name for name in names if name.startswith(_ADDRESS_SCHEMES)), None)
        return address or str(candidates[0])

    def _spelled(self, paths: Sequence[Path]) -> Iterator[Path]:
        """Yield paths, then with composed accents, then with separate ones, as on macOS."""
        yield from paths
        root = str(self.media_root or "")
        for path, form in itertools.product(paths, _SPELLINGS):
            name = str(path).removeprefix(root)
            if not unicodedata.is_normalized(form, name):
                yield Path(root + unicodedata.normalize(form, name))

    def _under_root(self, template: str, fields: Mapping[str, str]) -> Path:
        """Fill a path template; its own text, unlike the row's values, may lead anywhere."""
        name, root = self.text(template, **fields), self.media_root or Path()
        if "\\" in name and not is_there(root / name):
            name = name.replace("\\", "/")  # rows that were written on Windows
        plain = "".join(
            literal + ("" if field is None else "x")
            for literal, field, _, _ in string.Formatter().parse(template)
        )
        if _levels_above(name) > _levels_above(plain):
            raise self.error(f"the media path {name!r} climbs out of the media folder")
        is_foreign = self.source.startswith(HUB_SCHEME)
        if is_foreign and PurePosixPath(name).is_absolute() > PurePosixPath(plain).is_absolute():
            raise self.error(
                f"the media path {name!r} is absolute, and rows of the hub may name none"
            )
        return root / name


def _without_folders(template: str) -> list[str]:
    """Return a path template without the first, the first two, ... of its own folders.

    The user's media folder may already be one of these folders.
    """
    before, brace, fields = template.partition("{")
    folders = before.split("/")
    return ["/".join(folders[first:]) + brace + fields for first in range(1, len(folders))]


def is_null(value: Any) -> bool:
    """Return whether a value is null: None, NaN, or pandas' NA or NaT."""
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def list_items(value: Any) -> tuple[str | None, ...] | None:
    """Return the items of a list of texts in whatever form; None for anything but a list.

    Options, accepted answers and references are read in this way everywhere. The list may come from
    JSON, Arrow or numpy, or be written as text in the notation of JSON, Python or numpy, as in
    cells of CSV and TSV files. An item may be a mapping with one of _TEXT_KEYS.

    Returns:
        Each item as text; None for an item that is null.
    """
    items = as_list(value)
    return None if items is None else tuple(map(_item, items))


def as_list(value: Any) -> Sequence[Any] | None:
    """Return a list of anything, in any of the forms that :func:`list_items` accepts."""
    if isinstance(value, str):
        if value.lstrip().startswith('"['):  # a list that was encoded twice
            value = _written(value, str) or value
        match = _WRITTEN_LIST.fullmatch(value)
        # A set is read as a list, to keep the order in which its items are written.
        value = None if match is None else _written(match[2] or f"[{match[3]}]", list)
    elif hasattr(value, "tolist") and not isinstance(value, memoryview):
        value = value.tolist()  # numpy's arrays and derived classes
    if isinstance(value, str | bytes | memoryview) or not isinstance(value, Sequence):
        return None
    return None if any(item is ... for item in value) else value  # numpy left items out


#: A list, or a tuple or set of texts, alone or inside another type's repr:
#: "array([...], dtype=object)".
_WRITTEN_LIST = re.compile(
    r"""[\s\ufeff]*((?:array|Index|deque|dict_keys|dict_values|frozenset)\(\s*)?"""
    r"""(?:(\[.*\]|\(\s*["'].*\))|\{(\s*["'].*)\})(?(1)(?:,\s*\w+=[^()\[\]]+)?\))\s*""",
    re.DOTALL,
)


#: An item of a list as numpy 2 writes it: "np.str_('two')".
_NUMPY_SCALAR = re.compile(
    r"""(?<=[\[,\s])np\.\w+\(('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[-+.\d]+|nan|True|False)\)"""
)


def _item(item: Any) -> str | None:
    item = _content(item)
    return None if is_null(item) else str(item)


def _answers(item: Any) -> tuple[str, ...]:
    item = _content(item)
    if isinstance(item, float) and item.is_integer():
        return (str(int(item)), str(item))
    return () if is_null(item) else (str(item),)


def _content(item: Any) -> Any:
    if isinstance(item, Mapping):
        return next((item[key] for key in _TEXT_KEYS if key in item), item)
    return item


def mapping_of(value: Any) -> Mapping[str, Any] | None:
    """Return a mapping, which may be written as text; None for anything else."""
    if isinstance(value, str) and value.strip().startswith("{"):
        value = _written(value, dict)
    return value if isinstance(value, Mapping) else None


def _written(text: str, kind: type) -> Any:
    """Parse a list or mapping that is written as text; return None if it is neither."""
    try:
        return parse_json(text, kind)
    except JsonError:
        pass
    try:
        return ast.literal_eval(_as_python(_NUMPY_SCALAR.sub(r"\1", text)))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _as_python(text: str) -> str:
    """Rewrite a list that is written as text: commas between items, None for every null word.

    Raises:
        SyntaxError: the text cannot be split into tokens.
    """
    parts: list[str] = []
    is_after_value = False
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type in (tokenize.NL, tokenize.NEWLINE):
                continue
            is_value = token.type in (tokenize.STRING, tokenize.NUMBER, tokenize.NAME)
            is_sign = token.string == "-" and token.line[token.end[1] :][:1].isdigit()
            # numpy writes no commas: "['two' 'a pair']" are two texts, "[1 -2]" two numbers.
            if is_after_value and (is_value or is_sign or token.string in ("{", "[", "(", "<")):
                parts.append(",")
            is_null_word = token.type == tokenize.NAME and token.string in _NULL_WORDS
            parts.append("None" if is_null_word else token.string)
            if parts[-3:] == ["<", "None", ">"]:
                parts[-3:] = ["None"]  # pandas' "<NA>"
            is_after_value = is_value or token.string in ("}", "]", ")", ">")
    except tokenize.TokenError as error:
        raise SyntaxError(str(error)) from error
    return " ".join(parts).strip()


def fields_of(template: str) -> list[str]:
    """Return the names of a template's fields, in their order.

    Raises:
        ConfigError: its braces are unbalanced.
    """
    try:
        return [name for _, name, _, _ in string.Formatter().parse(template) if name]
    except ValueError as error:
        raise ConfigError(
            f"the template {template!r} cannot be filled: {error}; "
            "fields are written {column}, a literal brace {{ or }}"
        ) from error


class _Filler(string.Formatter):
    """Looks fields up first among extra fields, then among a row's columns."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if field_name in self._row.columns:  # also a name with dots, as in flattened JSON
            return self.get_value(field_name, args, kwargs), field_name
        if "[" in field_name:  # only columns have items, extra fields are texts
            kwargs = self._row.written(field_name)
        found = super().get_field(field_name, args, kwargs)
        if is_null(found[0]):
            raise self._row.error(f"column {field_name!r} is empty")
        if callable(found[0]):
            raise ValueError(
                f"{field_name!r} is a method of Python's; what a mapping holds is column[key]"
            )
        return found

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        if isinstance(key, int):
            raise ValueError("a field has no name")
        if key in kwargs:
            return kwargs[key]
        if key == "row_number" and key not in self._row.columns:
            return self._row.number
        return self._row.column(key)


def _levels_above(name: str) -> int:
    """Return the most folders by which a path climbs above its start."""
    depth = lowest = 0
    for part in PurePosixPath(name).parts:
        depth += {"..": -1, "/": 0}.get(part, 1)
        lowest = min(lowest, depth)
    return -lowest
