"""JSON from outside: size, depth and type."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from llava_eval.borders import json_text
from llava_eval.borders.json_text import MAX_DEPTH, JsonError, load_json, parse_json


def nested(depth: int, opening: str = "[", closing: str = "]", inner: str = "") -> str:
    return opening * depth + inner + closing * depth


@pytest.mark.parametrize(
    "value", [None, True, 3, 2.5, "a", [1, [2, {"x": []}]], {"a": {"b": None}}], ids=str
)
def test_values_come_back(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert parse_json(json.dumps(value).encode(encoding)) == value


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 500, 5_000, 100_000, 1_000_000])
@pytest.mark.parametrize(
    ("opening", "closing", "inner"), [("[", "]", ""), ('{"a":', "}", "1"), ('[{"a":', "}]", "1")]
)
def test_too_deep(depth: int, opening: str, closing: str, inner: str) -> None:
    for text in (
        nested(depth, opening, closing, inner),
        f"[1, {nested(depth, opening, closing, inner)}]",
    ):
        for given in (text, text.encode()):
            with pytest.raises(JsonError, match=r"^more than 100 levels"):
                parse_json(given)


def test_a_pointer_of_git_lfs_is_told(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(JsonError, match="git lfs pull"):
        load_json(path)


def test_what_opens_and_never_closes() -> None:
    for depth in (3, 100_000):
        with pytest.raises(JsonError):
            parse_json("[" * depth)


def test_deep_enough() -> None:
    text = nested(MAX_DEPTH)
    assert json.dumps(parse_json(text)) == text
    assert parse_json(json.dumps("[" * 5000)) == "[" * 5000  # within a text they nest nothing
    wide = [[number] for number in range(1000)]
    assert parse_json(json.dumps(wide)) == wide


@pytest.mark.parametrize(
    ("text", "expected", "message"),
    [
        ("[]", dict, "expected an object, got a list"),
        ("{}", list, "expected a list, got an object"),
        ("null", dict, "expected an object, got null"),
        ("3", str, "expected a text, got a number"),
        ("true", dict, "expected an object, got true or false"),
    ],
)
def test_another_type(text: str, expected: type, message: str) -> None:
    with pytest.raises(JsonError) as caught:
        parse_json(text, expected)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe\xfd", b'"\xff"', b"{'a': 1}", b"1" * 5000, b"\x00", b'{"a": 1} x']
)
def test_no_json(text: bytes) -> None:
    with pytest.raises(JsonError, match=r"^not JSON: .") as caught:
        parse_json(text)
    assert len(str(caught.value).splitlines()) == 1


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    assert load_json(path, dict) == {"a": 1}
    monkeypatch.setattr(json_text, "MAX_FILE_BYTES", 8)
    assert load_json(path) == {"a": 1}
    monkeypatch.setattr(json_text, "MAX_FILE_BYTES", 7)
    with pytest.raises(JsonError, match="longer than 7 bytes"):
        load_json(path)
    endless = tmp_path / "endless"  # a terabyte of zeros that takes no space
    endless.touch()
    os.truncate(endless, 1 << 40)
    monkeypatch.setattr(json_text, "MAX_FILE_BYTES", 1000)
    with pytest.raises(JsonError, match="longer than 1000 bytes"):
        load_json(endless)
    with pytest.raises(FileNotFoundError):
        load_json(tmp_path / "none.json")
