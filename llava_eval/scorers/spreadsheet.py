"""What a reply becomes when a reference keeps it in an .xlsx file before it looks at it."""

from __future__ import annotations

import re

#: Texts that pandas reads as empty cells, which are written as "nan" then.
_EMPTY_CELL = re.compile(
    r"(?:#N/A|#N/A N/A|#NA|-?1\.#IND|-?1\.#QNAN|-?NaN|-?nan|<NA>|N/A|NA|NULL|None|n/a|null)?"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f]")
#: Characters that a cell holds; pandas cuts the rest off.
_MOST_CHARACTERS = 32_767


def through_spreadsheet(text: str) -> str:
    r"""Return a text as it comes back from XlsxWriter and pandas.

    "N/A" and its like come back as "nan", and control characters as their codes: "\r" as
    ``_x000D_``, which holds a capital D. Very long texts are cut.
    """
    if _EMPTY_CELL.fullmatch(text):
        return "nan"
    kept = text[:_MOST_CHARACTERS]
    return _CONTROL.sub(lambda match: f"_x{ord(match.group()):04X}_", kept)
