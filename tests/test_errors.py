"""Messages of errors: one line, no secrets, and never as long as what a file holds."""

from __future__ import annotations

from llava_eval.errors import RowsError


def test_a_message_is_one_short_line_without_secrets() -> None:
    error = RowsError("rows.csv:\n  'https://me:word@h.org/a?token=1' is no answer")
    assert str(error) == "rows.csv: 'https://h.org/a?...' is no answer"
    told = str(RowsError(f"row 3: {'a' * 100_000} is no column; columns: x"))
    assert told.startswith("row 3: aaa")
    assert told.endswith("aaa is no column; columns: x")
    assert len(told) < 2000
