"""What the file system may say of a path."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from llava_eval.borders.paths import (
    is_file,
    is_folder,
    is_surely_folder,
    is_there,
    open_file,
    read_file,
    status_of,
    why_no_file,
)


def test_files_and_folders(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    assert is_there(file)
    assert is_there(str(tmp_path))
    assert (is_surely_folder(file), is_surely_folder(tmp_path)) == (False, True)
    assert why_no_file(file, "a video file") is None
    assert why_no_file(tmp_path, "a video file") == "is a folder, expected a video file"
    file.write_bytes(b"")
    assert why_no_file(file, "a video file") == "the file is empty"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", "no such file"),
        ("file/below", "no such file"),
        ("dangling", "no such file"),
        ("n" * 300, "the name is too long for the file system"),
        ("d/" * 3000, "the name is too long for the file system"),
        ("circle", "its links go round in a circle"),
        ("nu\0ll", "no file can have this name"),
        ("half \ud800", "no file can have this name"),
        ("pipe", "is a pipe, socket or device, expected an image file"),
    ],
)
def test_paths_that_are_no_files(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    os.mkfifo(tmp_path / "pipe")
    path = f"{tmp_path}/{name}"
    assert why_no_file(path, "an image file") == reason
    assert is_there(path) == (name == "pipe")
    assert not is_surely_folder(path)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/urandom", "{folder}/pipe", "{folder}/socket"])
def test_what_does_not_end_is_not_opened(path: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError, match="is a pipe, socket or device, expected a baseline"):
            open_file(path.format(folder=tmp_path), "a baseline")


def test_a_folder_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError, match="is a folder, expected a file"):
        open_file(tmp_path)


def test_a_pipe_that_a_shell_opened_is_read() -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, b"{}")
        os.close(writing)
        assert read_file(f"/dev/fd/{reading}") == b"{}"
    finally:
        os.close(reading)


_AS_ANOTHER_USER = """
import os, sys
sys.path[:] = eval(sys.argv[2])
from llava_eval.borders.paths import is_surely_folder, is_there, why_no_file
if os.getuid() == 0:
    os.setuid(65534)
folder = sys.argv[1]
print(why_no_file(folder + "/closed.mp4", "a file"), is_there(folder + "/closed.mp4"))
print(why_no_file(folder + "/sub/a.mp4", "a file"), is_there(folder + "/sub/a.mp4"))
print(is_surely_folder(folder + "/sub"), is_surely_folder(folder + "/sub/below"))
"""


def test_what_may_not_be_read(tmp_path: Path) -> None:
    """Asked by another user where this one may read everything."""
    for folder in (tmp_path, *tmp_path.parents):
        mode = folder.stat().st_mode
        if mode & 0o005 != 0o005:
            folder.chmod(mode | 0o055)
    (tmp_path / "closed.mp4").write_bytes(b"x")
    (tmp_path / "closed.mp4").chmod(0)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.mp4").write_bytes(b"x")
    (tmp_path / "sub").chmod(0)
    try:
        result = subprocess.run(
            [sys.executable, "-c", _AS_ANOTHER_USER, str(tmp_path), repr(sys.path)],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        (tmp_path / "sub").chmod(0o755)
    assert result.stdout.splitlines() == [
        "permission denied True",
        "permission denied False",
        "True False",
    ]


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
