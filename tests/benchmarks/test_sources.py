"""Rows from every kind of file, unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from llava_eval.benchmarks.sources import read_rows
from llava_eval.borders.paths import resolve_package_path
from llava_eval.errors import ConfigError, RowsError

ROWS: list[dict[str, Any]] = [
    {"id": "001", "options": ["A. x", "B. y"], "answer": "None", "number": 1},
    {"id": "002", "options": ["A. ü", "B. 漢"], "answer": "1.0", "number": 2},
]


def write(folder: Path, suffix: str) -> Path:
    path = folder / f"rows{suffix}"
    if suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS) + "\n\n")
    elif suffix == ".json":
        path.write_text(json.dumps(ROWS))
    elif suffix == ".parquet":
        pd.DataFrame(ROWS).to_parquet(path)
    else:
        pd.DataFrame(ROWS).to_csv(path, index=False)
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_structured_files_keep_their_values(tmp_path: Path, suffix: str) -> None:
    assert [dict(row) for row in read_rows(str(write(tmp_path, suffix)))] == ROWS


def test_csv_values_stay_text(tmp_path: Path) -> None:
    first, second = read_rows(str(write(tmp_path, ".csv")))
    assert first["id"] == "001"
    assert first["answer"] == "None"
    assert second["answer"] == "1.0"
    assert second["options"] == "['A. ü', 'B. 漢']"


def test_a_folder_is_read_in_the_order_of_its_names(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_text('{"n": 2}\n')
    (tmp_path / "a.jsonl").write_text('{"n": 1}\n')
    (tmp_path / "notes.md").write_text("not rows")
    assert [row["n"] for row in read_rows(str(tmp_path))] == [1, 2]


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("rows.jsonl", '{"a": 1}\n{"a": \n', ["rows.jsonl, line 2", "JSON"]),
        ("rows.jsonl", "1\n", ["line 1", "no JSON object"]),
        ("rows.jsonl", "", ["no rows"]),
        ("rows.json", '{"a": 1}', ["one list of objects", "dict"]),
        ("rows.json", "[", ["cannot be read as .json"]),
        ("rows.parquet", "not parquet", ["cannot be read as .parquet"]),
        ("rows.csv", "", ["cannot be read as .csv"]),
        ("rows.txt", "a", [".parquet, .jsonl, .json, .csv", "'.txt'"]),
    ],
)
def test_an_unusable_file_gives_one_line(
    tmp_path: Path, name: str, text: str, parts: list[str]
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RowsError) as caught:
        read_rows(str(tmp_path / name))
    for part in parts:
        assert part in str(caught.value)


def test_a_missing_source_says_how_hub_sets_are_written(tmp_path: Path) -> None:
    with pytest.raises(RowsError, match=r"no file or folder .*hub://"):
        read_rows(str(tmp_path / "nothing.jsonl"))
    with pytest.raises(RowsError, match="holds no"):
        read_rows(str(tmp_path))


def test_a_hub_set_needs_a_split() -> None:
    with pytest.raises(ConfigError, match=r"benchmark\.split is not set"):
        read_rows("hub://organisation/name")


def test_package_paths() -> None:
    inside = resolve_package_path("package://llava_eval/demo/videos")
    assert Path(inside).parts[-3:] == ("llava_eval", "demo", "videos")
    assert resolve_package_path("/some/where") == "/some/where"
    with pytest.raises(ConfigError, match="no installed package 'no_such_package'"):
        resolve_package_path("package://no_such_package/x")


def test_an_object_of_rows_names_them(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('{"0": {"a": 1}, "x": {"a": 2}}')
    assert read_rows(str(path)) == [{"row_key": "0", "a": 1}, {"row_key": "x", "a": 2}]
    path.write_text('{"a": 1}')
    with pytest.raises(RowsError, match="one list of objects, got dict"):
        read_rows(str(path))
