"""Prompts that are put to a judge."""

from __future__ import annotations

import re
from collections.abc import Mapping

from llava_eval.scoring.scorer import Messages

_FIELD = re.compile(r"\{\{(\w+)\}\}")


def chat(system: str | None, user: str, fields: Mapping[str, str]) -> Messages:
    """Return the messages of a prompt.

    Braces in what is filled in, and single ones, stay as they are.

    Args:
        system: system text; None for none.
        user: template of the user's text, with ``{{name}}`` fields.
        fields: by name, what to fill into it.

    Raises:
        ValueError: a field has no value.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in fields:
            raise ValueError(
                f"the judge's prompt has a field {match[0]}; there are {', '.join(fields)}"
            )
        return fields[match[1]]

    asked = {"role": "user", "content": _FIELD.sub(value, user)}
    return (asked,) if system is None else ({"role": "system", "content": system}, asked)
