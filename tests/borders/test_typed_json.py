"""JSON values checked against type hints: what fits, and how a misfit is named."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llava_eval.borders.json_text import JsonError, load_json
from llava_eval.borders.typed_json import Count, as_type


@dataclass(frozen=True)
class Item:
    """Something with every kind of part."""

    name: str
    sizes: tuple[int, ...] = ()
    share: float | None = None
    total: Count = 0
    more: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name == "bad":
            raise ValueError("the name is bad")


def test_a_value_that_fits_becomes_the_type() -> None:
    content = {"name": "x", "sizes": [1, 2], "share": 1, "more": {"a": ["b"]}, "unknown": 5}
    assert as_type(content, Item) == Item("x", (1, 2), 1.0, 0, {"a": ["b"]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "KeyError: 'name' is missing"),
        ({"name": 5}, "TypeError: name: expected str, got int"),
        ({"name": "x", "sizes": [1, True]}, "TypeError: sizes[1]: expected int, got bool"),
        ({"name": "x", "sizes": 5}, "TypeError: sizes: expected array, got int"),
        ({"name": "x", "share": "1"}, "TypeError: share: expected float | null, got str"),
        ({"name": "x", "total": -1}, "TypeError: total: expected int >= 0"),
        ({"name": "x", "total": 10**400}, "TypeError: total: expected int <= 9007199254740992"),
        ({"name": "x", "more": {"a": [None]}}, "TypeError: more[...][0]: expected str, got null"),
        (
            {"name": "x", "total": "\ud800"},
            "TypeError: half a surrogate pair stands where no text may",
        ),
        ({"name": "bad"}, "TypeError: the value: the name is bad"),
        ([], "TypeError: the value: expected object, got array"),
    ],
)
def test_a_misfit_is_named(content: Any, message: str) -> None:
    with pytest.raises(JsonError) as caught:
        as_type(content, Item)
    assert str(caught.value) == message


def test_a_missing_part_within_another_is_named_with_its_place() -> None:
    with pytest.raises(JsonError, match=r"KeyError: 'name' is missing in \[1\]"):
        as_type([{"name": "x"}, {}], list[Item])


def test_a_file_is_read_as_a_type(tmp_path: Path) -> None:
    path = tmp_path / "item.json"
    path.write_text(json.dumps({"name": "x"}))
    assert as_type(load_json(path, dict), Item) == Item("x")
    path.write_text("[" * 100_000)
    with pytest.raises(JsonError, match="levels of lists and objects"):
        as_type(load_json(path, dict), Item)
