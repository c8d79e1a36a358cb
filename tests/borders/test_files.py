"""Whether a name lies on this machine: no name is too odd to ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from llava_eval.borders.files import is_file, is_folder, status_of


def test_what_is_there_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert (is_file(tmp_path / "file"), is_folder(tmp_path / "file")) == (True, False)
    assert (is_file(tmp_path), is_folder(tmp_path)) == (False, True)
    (tmp_path / "link").symlink_to(tmp_path)
    assert is_folder(tmp_path / "link")


@pytest.mark.parametrize(
    "name", ["no", "n" * 300, "file/below", "loop", "null\0", "\ud800", "a/" * 3000]
)
def test_an_odd_name_is_only_not_there(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = f"{tmp_path}/{name}"
    assert status_of(path) is None
    assert (is_file(path), is_folder(path)) == (False, False)
