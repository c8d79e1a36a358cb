"""Tables and numbers as text, and any text made safe to print.

Texts come from models, data sets and other people's files. Whatever a terminal, an editor, a
spreadsheet or a CI server would act upon (escape sequences, line breaks, marks that reverse the
direction of writing) is shown as its code instead.
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

#: Unicode categories of characters that are not shown but acted upon.
_ACTING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


#: Where a GitHub runner begins to read a command: at a line's first character that is no space,
#: or ("##[") anywhere.
_CI_COMMAND = re.compile(r"^(\s*):(?=:)|#(?=#\[)", re.MULTILINE)


def printable(text: str) -> str:
    """Return text in one line: white space as one space, characters that act as their codes.

    So is the first character of what begins a command to a CI server (``::error::``).
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
    """Return printable text, cut with an ellipsis where it takes more than ``width`` columns.

    It ends after a whole word, unless that would leave less than half of the columns.
    """
    if wcwidth.width(text) <= width:
        return text
    kept = wcwidth.clip(text, 0, width - 1)
    words = kept.rpartition(" ")[0]
    is_in_word = not kept.endswith(" ") and not text.startswith(f"{kept} ")
    return f"{words if is_in_word and 2 * wcwidth.width(words) >= width else kept}…"


def wrapped(text: str, width: int, *, break_long_words: bool = True) -> str:
    """Return text as printable lines of ``width`` columns, the later ones indented.

    Args:
        text: any text.
        width: columns of a line.
        break_long_words: False lets a long word (an address to copy) stand out of its line.
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
    """Return the number of columns to print tables in."""
    return max(60, shutil.get_terminal_size().columns)


def write_out(text: str) -> None:
    """Print a text; a reader that has seen enough (``| head``) is no error."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def print_json(content: object) -> None:
    """Print a JSON value, as :func:`write_out` prints a text; escaped where stdout needs that."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(content, indent=2)
    write_out(text)


def count(number: int, noun: str) -> str:
    """Return "1 sample", "2 samples": a number with its noun."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def setting_text(value: object) -> str:
    """Return the value of a setting in one line; null for none."""
    return "null" if value is None else " ".join(str(value).split())


def shortened(digest: str | None) -> str:
    """Return ten digits of a digest, and all that follows it, such as a mark of local changes."""
    return re.sub(r"(?<=^\w{10})\w+", "", digest or "")


def from_difference(texts: Sequence[str]) -> list[str]:
    """Return texts from the word, file or dotted part on in which they differ, if that is late."""
    shared = os.path.commonprefix(texts)  # noqa: RUF071 - of letters, not of paths
    start = 1 + shared.rfind(next((mark for mark in " /" if mark in shared), "."))
    return [f"…{text[start:]}" for text in texts] if start > 12 else list(texts)


def listed(names: Sequence[str], most: int = 5) -> str:
    """Return the first names, and how many more there are."""
    shown = ", ".join(map(printable, names[:most]))
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown


def duration(seconds: float | None) -> str:
    """Return a time as people say it: "40 s", "20.0 min", "3.5 h", "2.0 days"; "-" for None."""
    if seconds is None:
        return "-"
    units = ((86400, "days"), (3600, "h"), (60, "min"))
    found = (f"{seconds / size:.1f} {unit}" for size, unit in units if seconds >= 2 * size)
    return next(found, f"{seconds:.0f} s")


_LATEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}"}
    | {"[": "{[}", "*": "{*}"}  # at the start of a row they would be the break's before it
)
#: Text in which Markdown acts on nothing but stars and outer underscores.
_MARKDOWN_PLAIN = re.compile(r"[A-Za-z0-9_ .,;:%+=/()'*-]*")
_MARKDOWN_ACTING = re.compile(r"(\*|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")
#: Columns of a terminal that a name which is cut still takes.
_LEAST_NAME = 6
#: Characters of a name in a table of a page that stand in one line.
_LONG_NAME = 28
_BACKTICKS = re.compile(r"`+")
#: What tables call the column of the letters of runs.
_RUN_HEADERS = ("", "run", "runs")
#: A sign in front of a number, and a dash that stands for none.
_SIGN = re.compile(r"(?<![\w.])([+-])(?=\d)")
_NONE = "-"


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        header: names of the columns.
        rows: as many cells each.
        num_names: so many columns from the left name the row; they are left-aligned, and cut where
            a terminal is too narrow. All others hold numbers.
        best: cells (row, column) that are the best of those that they are compared with.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    num_names: int = 1
    best: Collection[tuple[int, int]] = ()

    def to_text(self, width: int = 80, indent: str = "") -> str:
        """Return aligned lines for a terminal."""
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
        """Return the widths of columns, those of the widest names reduced until all fit."""
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
        """Return a table as GitHub reads it; cells are text and nothing else."""
        num_values = len(self.header) - self.num_names
        marks = [*["---"] * self.num_names, *["---:"] * num_values]
        lines = [[markdown_text(cell) for cell in row] for row in (self.header, *self.rows)]
        lines.insert(1, marks)
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def to_latex(self, names: Mapping[str, str] | None = None) -> str:
        """Return a tabular for the booktabs package, the best cells in bold.

        Args:
            names: of the runs, by the letters that stand for them in the header and in the column
                that says which run a row is of. Elsewhere a letter is an answer or a level.
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
        elif ", as " in row[0]:  # a level, of the samples that a run and the first answered
            level, joint, letter = row[0].rpartition(", as ")
            cells[0] = latex_text(f"{level}{joint}{names.get(letter, letter)}")
        return cells

    def to_html(self) -> str:
        """Return a table element."""
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
    """Return names within a width, cut at their starts where their ends tell more of them apart."""
    shown = [cut(name, width) for name in names]
    ends = [cut(name[::-1], width)[::-1] for name in names]
    return ends if len(set(ends)) > len(set(shown)) else shown


def highest(values: Sequence[float | None]) -> list[int]:
    """Return where the highest of some values stands; nowhere if there is but one, or all tie."""
    known = [value for value in values if value is not None]
    if len(known) < 2 or min(known) == max(known):
        return []
    return [index for index, value in enumerate(values) if value == max(known)]


def row_header(text: str, content: str) -> str:
    """Return the cell of HTML that names a row; a long name may be wrapped.

    Args:
        text: the name.
        content: the same as HTML.
    """
    if not content:  # of the row of chance, which is no run's
        return "<td></td>"
    long = ' class="long"' if len(text) > _LONG_NAME else ""
    return f'<th scope="row"{long}>{content}</th>'


def safe_cell(text: str) -> str:
    """Return a name as a cell of a CSV file: printable, and no formula for a spreadsheet."""
    shown = printable(text)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") and len(shown) > 1 else shown


def markdown_text(text: str) -> str:
    """Return text that Markdown shows as it is, in one line, also within a table.

    Anything out of the ordinary becomes a code span, in which GitHub makes no links, mentions or
    tags either.
    """
    shown = printable(text)
    if _MARKDOWN_PLAIN.fullmatch(shown) and "www." not in shown and "//" not in shown:
        return _MARKDOWN_ACTING.sub(r"\\\1", shown)
    fence = "`" * (1 + max(map(len, _BACKTICKS.findall(shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}".replace("|", "\\|")


def latex_text(text: str) -> str:
    """Return text that LaTeX shows as it is."""
    return printable(text).translate(_LATEX)


def _named(cell: str, names: Mapping[str, str]) -> str:
    """Return a name for LaTeX; "B - A" as the names of both, with a minus between them."""
    parts = re.split(r"( - |, as )", cell)  # "A, as B": of the samples that both answered
    if not all(part in names for part in parts[::2]):
        return latex_text(cell)
    parts[::2] = [latex_text(names[part]) for part in parts[::2]]
    return "".join(" $-$ " if part == " - " else part for part in parts)


def _latex_value(cell: str) -> str:
    """Return a number for LaTeX, its signs as those of mathematics; a dash where there is none."""
    return "--" if cell == _NONE else _SIGN.sub(r"$\1$", latex_text(cell))


def html_text(text: str) -> str:
    """Return text that HTML shows as it is."""
    return html.escape(printable(text))


def number(value: float | None, unit: str = "percent", *, signed: bool = False) -> str:
    """Write a value with the decimals that tables of its unit are printed with."""
    if value is None:
        return "-"
    # those of another name may be fractions, or seconds
    decimals = {"percent": 1, "points": 1, "0-5": 2, "nats": 5}.get(unit, 3)
    rounded = round(value, decimals) + 0.0  # no minus zero
    return f"{rounded:+.{decimals}f}" if signed else f"{rounded:.{decimals}f}"


def interval(
    low: float | None, high: float | None, unit: str = "percent", *, signed: bool = False
) -> str:
    """Write a confidence interval."""
    if low is None or high is None:
        return "-"
    return f"{number(low, unit, signed=signed)} to {number(high, unit, signed=signed)}"


def formatted(value: float | None, form: str) -> str:
    """Write a number by a format specification, large ones whole; a dash where it is not known."""
    if value is None:
        return "-"
    text = format(value, form)
    return f"{value:.0f}" if "e+" in text else text


def p_text(p_value: float | None) -> str:
    """Write a p-value; small ones as a bound."""
    if p_value is None:
        return "-"
    return "<0.0001" if p_value < 0.0001 else f"{p_value:.4f}"
