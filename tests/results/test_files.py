"""Files of a run directory: their names, what a failing write says, what is left over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llava_eval.borders.json_text import load_json
from llava_eval.errors import ComparisonError, RunDirectoryError, StorageError
from llava_eval.results import files


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("demo/multiple_choice", "demo_multiple_choice"),
        ("a b//c", "a_b_c"),
        ("v1.2-x", "v1.2-x"),
        ("../x.", "x"),
        ("_/_", "unnamed"),
        ("", "unnamed"),
        ("é", "é"),
    ],
)
def test_a_name_is_a_part_of_a_files_name(name: str, part: str) -> None:
    assert files.file_name(name) == part


def test_names_that_share_a_files_name_are_numbered() -> None:
    assert files.file_names(["a/b", "a_b", "A b", "c", "a/b"]) == {
        "a/b": "a_b",
        "a_b": "a_b_2",
        "A b": "A_b_3",
        "c": "c",
    }


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(FileNotFoundError), files.reading_errors(path):
        load_json(path, dict)
    path.write_text("{")
    told = rf"^{path} cannot be read: "
    with pytest.raises(ComparisonError, match=told), files.reading_errors(path):
        load_json(path, dict)
    told += f"{os.strerror(5)}$"
    reading = files.reading_errors(path, RunDirectoryError)
    with pytest.raises(RunDirectoryError, match=told), reading:
        raise OSError(5, os.strerror(5))


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    kept = ["samples.jsonl", "mine.partial", ".config.yaml", ".samples.jsonl.tmp"]
    left = [
        f".{name}.123.partial"
        for name in (
            "config.yaml", "manifest.json", "samples.jsonl", "metrics.json", "metrics.csv",
            "metrics.md", "submission.json", "submission.xlsx",
        )
    ]  # fmt: skip
    for name in (*kept, *left):
        (tmp_path / name).touch()
    files.remove_partial_files(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_what_is_written_replaces_a_file_and_writes_through_a_link(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"x": ["ä", 1]})
    assert (tmp_path / "a.json").read_bytes() == '{\n  "x": [\n    "ä",\n    1\n  ]\n}\n'.encode()
    with pytest.raises(ValueError, match="JSON"):
        files.write_json(tmp_path / "b.json", float("nan"))
    files.write_text(tmp_path / "c.txt", "x\udcff")
    assert (tmp_path / "c.txt").read_bytes() == b"x\\udcff"
    files.write_submission(tmp_path, b"PK")
    files.write_submission(tmp_path, [1])
    assert (tmp_path / "submission.xlsx").read_bytes() == b"PK"
    assert (tmp_path / "submission.json").read_text() == "[\n  1\n]\n"
    link = tmp_path / "link"
    link.symlink_to("c.txt")
    files.write_output(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "c.txt").read_text() == "new"
    files.write_output(tmp_path / "deep" / "er" / "d.txt", "\udcff")
    assert (tmp_path / "deep" / "er" / "d.txt").read_bytes() == b"\\udcff"
    files.write_output(tmp_path / "a.json", b"replaced")
    assert (tmp_path / "a.json").read_bytes() == b"replaced"
    assert not list(tmp_path.rglob("*.partial"))
    with pytest.raises(StorageError, match="cannot write"):
        files.write_output(tmp_path / "a.json" / "under" / "e.txt", "")
