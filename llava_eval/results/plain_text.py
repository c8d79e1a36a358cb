"""Text that came from a model or a data set, made safe to print in one line.

Whatever a terminal, an editor or a CI server would act upon (escape sequences, line breaks, marks
that reverse the direction of writing) is shown as its code instead.
"""

from __future__ import annotations

import unicodedata

_ACTING = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(text: str) -> str:
    """Return text in one line: white space as one space, characters that act as their codes."""
    if text.isascii() and text.isprintable() and "  " not in text:
        return text
    return "".join(map(_shown, " ".join(text.split())))


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _ACTING:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def columns(text: str) -> int:
    """Return how many columns of a terminal a printable text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(character) for character in text)


def _columns_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, width: int) -> str:
    """Return the text, cut with an ellipsis where it takes more columns than ``width``."""
    if columns(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += _columns_of(character)
        if used > width - 1:
            break
        kept.append(character)
    return f"{''.join(kept)}…"


def padded(text: str, width: int, *, right: bool = False) -> str:
    """Return the text filled up with spaces to a number of columns."""
    space = " " * max(0, width - columns(text))
    return space + text if right else text + space
