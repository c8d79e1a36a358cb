"""The sample table of mp4 files where it is damaged."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from llava_eval.video.fast import mp4
from llava_eval.video.fast.index import UntrustedError


class Entries(list[SimpleNamespace]):
    """A sample table whose search by time finds what libav's finds where times are damaged."""

    def __init__(self, found: dict[int, int]) -> None:
        super().__init__(SimpleNamespace(timestamp=place) for place in range(6))
        self._found = found

    def search_timestamp(self, timestamp: int) -> int:
        return self._found[timestamp]


def test_keyframes_are_found_from_the_end() -> None:
    entries = Entries({5: 3, 2: 0})
    assert mp4._keyframes(entries) == [0, 3]  # type: ignore[arg-type]


def test_a_search_that_runs_on_instead_of_back_is_not_followed() -> None:
    entries = Entries({5: 3, 2: 4})
    with pytest.raises(UntrustedError, match="out of order"):
        mp4._keyframes(entries)  # type: ignore[arg-type]
