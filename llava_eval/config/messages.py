"""Wording of configuration errors: one line, the key, what is allowed, what was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggest(word: str, choices: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the closest choice, or nothing when none is close."""
    options = list(choices)
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.6)
    if not close:
        # "lmms" for "videomme/lmms_eval": part of a name that exists only once.
        close = [option for option in options if word and word.lower() in option.lower()]
    return f" (did you mean {close[0]!r}?)" if len(close) == 1 else ""


def listing(choices: Iterable[str], *, limit: int = 30) -> str:
    """Return the choices as one comma-separated line, cut after ``limit``."""
    options = list(dict.fromkeys(choices)) or ["none"]
    more = f", and {len(options) - limit} more" if len(options) > limit else ""
    return ", ".join(options[:limit]) + more


def one_line(error: BaseException) -> str:
    """Return the first line of an exception's message."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
