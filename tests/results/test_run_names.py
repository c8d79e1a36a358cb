"""Short names of runs that stand beside each other."""

from __future__ import annotations

import string

import pytest

from llava_eval.results.run_names import letters


@pytest.mark.parametrize("number", [0, 1, 26, 27, 53, 79])
def test_letters_begin_anew_with_a_number(number: int) -> None:
    rounds = [f"{letter}{n}" for n in ("", "2", "3", "4") for letter in string.ascii_uppercase]
    assert letters(number) == rounds[:number]
