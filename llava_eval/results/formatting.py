"""Tables and numbers as text, and any text made safe to print.

Texts come from models, data sets and other people's files. Characters that a terminal, an editor,
a spreadsheet or a CI server would act upon (escape sequences, line breaks, marks that reverse the
direction of writing) are shown as their code points instead.
"""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import wcwidth

#: Unicode categories of acting characters, which programs act upon instead of showing them.
_ACTING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


#: The start of a command to a GitHub runner: "::" as the first characters of a line that are no
#: space, or "##[" anywhere.
_CI_COMMAND = re.compile(r"^(\s*):(?=:)|#(?=#\[)", re.MULTILINE)


def printable(text: str) -> str:
    """Return text on one line: white space as one space, acting characters as their code points.

    The first character of a command to a CI server (``::error::``) becomes its code point, too.
    """
    if not (text.isascii() and text.isprintable() and "  " not in text):
        text = "".join(map(_shown, " ".join(text.split())))
    return _without_commands(text)


def _without_commands(text: str) -> str:
    if "::" not in text and "##[" not in text:
        return text
    return _CI_COMMAND.sub(lambda match: f"{match[1] or ''}\\u{ord(match[0][-1]):04x}", text)


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _ACTING:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def cut(text: str, width: int) -> str:
    """Return printable text, cut with an ellipsis if it is wider than ``width`` columns.

    It is cut after a whole word, unless less than half of the columns would remain.
    """
    if wcwidth.width(text) <= width:
        return text
    kept = wcwidth.clip(text, 0, width - 1)
    words = kept.rpartition(" ")[0]
    is_in_word = not kept.endswith(" ") and not text.startswith(f"{kept} ")
    return f"{words if is_in_word and 2 * wcwidth.width(words) >= width else kept}…"


def wrapped(text: str, width: int, *, break_long_words: bool = True) -> str:
    """Return text wrapped to printable lines of ``width`` columns; all but the first are indented.

    Args:
        text: any text.
        width: columns of a line.
        break_long_words: False lets a long word (an address to copy) exceed the width.
    """
    lines = textwrap.fill(
        printable(text),
        width,
        subsequent_indent="  ",
        break_long_words=break_long_words,
        break_on_hyphens=False,
    )
    return _without_commands(lines)


def terminal_width() -> int:
    """Return the terminal's number of columns for tables, at least 60."""
    return max(60, shutil.get_terminal_size().columns)


def write_out(text: str) -> None:
    """Print a text; a reader that closes the pipe early (``| head``) is no error."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # otherwise Python reports the broken pipe again when it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(content: object) -> None:
    """Print a JSON value by :func:`write_out`; escaped to ASCII if stdout cannot encode it."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(content, indent=2)
    write_out(text)


def count(number: int, noun: str) -> str:
    """Return a number with its noun: "1 sample", "2 samples"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def setting_text(value: object) -> str:
    """Return a setting's value on one line; "null" for None."""
    return "null" if value is None else " ".join(str(value).split())


def shortened(digest: str | None) -> str:
    """Return the first ten digits of a digest, and any suffix such as "+changes"."""
    return re.sub(r"(?<=^\w{10})\w+", "", digest or "")


def from_difference(texts: Sequence[str]) -> list[str]:
    """Return texts without a long shared prefix, which ends at a word, file or dotted part."""
    shared = os.path.commonprefix(texts)  # noqa: RUF071 - the prefix in characters
    start = 1 + shared.rfind(next((mark for mark in " /" if mark in shared), "."))
    return [f"…{text[start:]}" for text in texts] if start > 12 else list(texts)


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return the first names, and the number of the others."""
    shown = ", ".join(map(printable, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def duration(seconds: float | None) -> str:
    """Return a time in a readable unit: "40 s", "20.0 min", "3.5 h", "2.0 days"; "-" for None."""
    if seconds is None:
        return "-"
    units = ((86400, "days"), (3600, "h"), (60, "min"))
    found = (f"{seconds / size:.1f} {unit}" for size, unit in units if seconds >= 2 * size)
    return next(found, f"{seconds:.0f} s")


_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}"}
    | {"[": "{[}", "*": "{*}"}  # at a row's start they would be the preceding \\'s arguments
)
#: Text in which only stars and underscores outside words have a meaning in Markdown.
_MARKDOWN_PLAIN = re.compile(r"[A-Za-z0-9_ .,;:%+=/()'*-]*")
_MARKDOWN_ACTING = re.compile(r"(\*|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
#: The least columns of a terminal that a shortened name takes.
_LEAST_NAME = 6
#: Characters of a name that fit on one line in an HTML table.
_LONG_NAME = 28
_BACKTICKS = re.compile(r"`+")
#: Headers of columns that contain the letters of runs.
_RUN_HEADERS = ("", "run", "runs")
#: A number's sign, and the cell of a number that is missing.
_SIGN = re.compile(r"(?<![\w.])([+-])(?=\d)")
_NONE = "-"


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        header: the names of the columns.
        rows: the cells of each row, as many as the header has.
        num_names: number of columns from the left that name the row; they are left-aligned, and
            shortened if a terminal is too narrow. All others contain numbers.
        best: cells (row, column) that are the best among those that they compete with.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    num_names: int = 1
    best: Collection[tuple[int, int]] = ()

    def to_text(self, width: int = 80, indent: str = "") -> str:
        """Return the table as aligned lines for a terminal."""
        table = [[printable(cell) for cell in row] for row in (self.header, *self.rows)]
        columns = list(zip(*table, strict=True))
        widths = self._fitting_widths(columns, width - len(indent))
        justified = []
        for number, (column, size) in enumerate(zip(columns, widths, strict=True)):
            justify = wcwidth.ljust if number < self.num_names else wcwidth.rjust
            cells = [cut(column[0], size), *fitted(column[1:], size)]
            justified.append([justify(cell, size) for cell in cells])
        rows = zip(*justified, strict=True)
        return "\n".join((indent + "  ".join(row)).rstrip() for row in rows)

    def _fitting_widths(self, columns: Sequence[Sequence[str]], width: int) -> list[int]:
        """Return the widths of columns; the widest names are reduced until all columns fit."""
        widths = [max(map(wcwidth.width, column)) for column in columns]
        excess = sum(widths) + 2 * (len(widths) - 1) - width
        while excess > 0:
            widest = max(range(self.num_names), key=widths.__getitem__, default=None)
            if widest is None or widths[widest] <= _LEAST_NAME:
                break
            widths[widest] -= 1
            excess -= 1
        return widths

    def to_markdown(self) -> str:
        """Return the table in GitHub's Markdown; cells are shown as plain text."""
        num_values = len(self.header) - self.num_names
        marks = [*["---"] * self.num_names, *["---:"] * num_values]
        lines = [[markdown_text(cell) for cell in row] for row in (self.header, *self.rows)]
        lines.insert(1, marks)
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def to_latex(self, names: Mapping[str, str] | None = None) -> str:
        """Return the table as a LaTeX tabular for booktabs, the best cells in bold.

        Args:
            names: names of the runs by the letters that denote them in the header and in the
                column of the row's run. Elsewhere a letter is an answer or a level.
        """
        alignment = "l" * self.num_names + "r" * (len(self.header) - self.num_names)
        rows = [self._latex_row(row, names or {}) for row in self.rows]
        for row, column in self.best:
            rows[row][column] = f"\\textbf{{{rows[row][column]}}}"
        lines = [
            f"\\begin{{tabular}}{{{alignment}}}",
            "\\toprule",
            f"{' & '.join(_named(cell, names or {}) for cell in self.header)} \\\\",
            "\\midrule",
            *(f"{' & '.join(row)} \\\\" for row in rows),
            "\\bottomrule",
            "\\end{tabular}",
        ]
        return "\n".join(["% \\usepackage{booktabs}", *lines]) + "\n"

    def _latex_row(self, row: Sequence[str], names: Mapping[str, str]) -> list[str]:
        num_names = self.num_names
        cells = [*map(latex_text, row[:num_names]), *map(_latex_value, row[num_names:])]
        of_runs = next((n for n, name in enumerate(self.header) if name in _RUN_HEADERS), None)
        if of_runs is not None:
            cells[of_runs] = _named(row[of_runs], names)
        elif ", as " in row[0]:  # a level, over the samples that a run and the first answered
            level, joint, letter = row[0].rpartition(", as ")
            cells[0] = latex_text(f"{level}{joint}{names.get(letter, letter)}")
        return cells

    def to_html(self) -> str:
        """Return the table as an HTML element."""
        head = ""
        for number, cell in enumerate(self.header):
            kind = ' class="name"' if number < self.num_names else ""
            head += f'<th scope="col"{kind}>{html_text(cell)}</th>'
        rows = []
        for row in self.rows:
            cells = [row_header(cell, html_text(cell)) for cell in row[: self.num_names]]
            cells += [f"<td>{html_text(cell)}</td>" for cell in row[self.num_names :]]
            rows.append(f"<tr>{''.join(cells)}</tr>")
        body = "\n".join(rows)
        return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def fitted(names: Sequence[str], width: int) -> list[str]:
    """Return names cut to a width, at their starts if the ends distinguish more of them."""
    shown = [cut(name, width) for name in names]
    ends = [cut(name[::-1], width)[::-1] for name in names]
    return ends if len(set(ends)) > len(set(shown)) else shown


def highest(values: Sequence[float | None]) -> list[int]:
    """Return the indices of the highest value; none if only one value is known, or all tie."""
    known = [value for value in values if value is not None]
    if len(known) < 2 or min(known) == max(known):
        return []
    return [index for index, value in enumerate(values) if value == max(known)]


def row_header(text: str, content: str) -> str:
    """Return the HTML header cell of a row; a long name may be wrapped.

    Args:
        text: the name.
        content: the same name as HTML.
    """
    if not content:  # in the row of the chance level, which belongs to no run
        return "<td></td>"
    long = ' class="long"' if len(text) > _LONG_NAME else ""
    return f'<th scope="row"{long}>{content}</th>'


def safe_cell(text: str) -> str:
    """Return a name as a cell of a CSV file: printable, and never read as a formula."""
    shown = printable(text)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") and len(shown) > 1 else shown


def markdown_text(text: str) -> str:
    """Return text escaped for Markdown, on one line, also within a table.

    A text with unusual characters becomes a code span, in which GitHub makes no links, mentions or
    tags.
    """
    shown = printable(text)
    if _MARKDOWN_PLAIN.fullmatch(shown) and "www." not in shown and "//" not in shown:
        return _MARKDOWN_ACTING.sub(r"\\\1", shown)
    fence = "`" * (1 + max(map(len, _BACKTICKS.findall(shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}".replace("|", "\\|")


def latex_text(text: str) -> str:
    """Return text escaped for LaTeX."""
    return printable(text).translate(_LATEX)


def _named(cell: str, names: Mapping[str, str]) -> str:
    """Return the name of a run's letter for LaTeX; "B - A" as both names with a minus."""
    parts = re.split(r"( - |, as )", cell)  # "A, as B": A, over the samples that both answered
    if not all(part in names for part in parts[::2]):
        return latex_text(cell)
    parts[::2] = [latex_text(names[part]) for part in parts[::2]]
    return "".join(" $-$ " if part == " - " else part for part in parts)


def _latex_value(cell: str) -> str:
    """Return a number for LaTeX with signs in math mode; a dash if there is none."""
    return "--" if cell == _NONE else _SIGN.sub(r"$\1$", latex_text(cell))


def html_text(text: str) -> str:
    """Return text escaped for HTML."""
    return html.escape(printable(text))


def number(value: float | None, unit: str = "percent", *, signed: bool = False) -> str:
    """Return a value with the number of decimals that tables use for its unit."""
    if value is None:
        return "-"
    # an unknown unit may be fractions, or seconds
    decimals = {"percent": 1, "points": 1, "0-5": 2, "nats": 5}.get(unit, 3)
    rounded = round(value, decimals) + 0.0  # no minus zero
    return f"{rounded:+.{decimals}f}" if signed else f"{rounded:.{decimals}f}"


def interval(
    low: float | None, high: float | None, unit: str = "percent", *, signed: bool = False
) -> str:
    """Return a confidence interval as text."""
    if low is None or high is None:
        return "-"
    return f"{number(low, unit, signed=signed)} to {number(high, unit, signed=signed)}"


def formatted(value: float | None, form: str) -> str:
    """Return a number in a format, without decimals if that gives an exponent; "-" for None."""
    if value is None:
        return "-"
    text = format(value, form)
    return f"{value:.0f}" if "e+" in text else text


def p_text(p_value: float | None) -> str:
    """Return a p-value as text; a small one as a bound."""
    if p_value is None:
        return "-"
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.4f}"
