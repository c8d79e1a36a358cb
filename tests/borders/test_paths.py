"""What the file system may say of a path."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llava_eval.borders.paths import (
    append_line,
    is_file,
    is_folder,
    is_surely_folder,
    is_there,
    local_path,
    names_file,
    open_file,
    package_folder,
    read_file,
    reason,
    status_of,
    storage_errors,
    whole_file,
    why_no_file,
)
from llava_eval.errors import ConfigError, StorageError


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


def test_a_pointer_of_git_lfs_is_no_medium(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(
        b"version https://git-lfs.github.com/spec/v1\n"
        b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
    )
    assert "`git lfs pull` fetches" in (why_no_file(path, "a video file") or "")


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


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Make a folder that every user may enter; pytest closes its own whenever it starts again."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for above in (folder, *folder.parents):
            mode = above.stat().st_mode
            if mode & 0o005 != 0o005:
                above.chmod(mode | 0o055)
        yield folder


def test_what_may_not_be_read(open_folder: Path) -> None:
    """Asked by another user where this one may read everything."""
    path = open_folder
    (path / "closed.mp4").write_bytes(b"x")
    (path / "closed.mp4").chmod(0)
    (path / "sub").mkdir()
    (path / "sub" / "a.mp4").write_bytes(b"x")
    (path / "sub").chmod(0)
    try:
        result = subprocess.run(
            [sys.executable, "-c", _AS_ANOTHER_USER, str(path), repr(sys.path)],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        (path / "sub").chmod(0o755)
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


def test_only_what_is_surely_not_there_is_no_file_to_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "below_file").symlink_to("file/below")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    for name in ("file", "link", "pipe"):  # reading the last says what is wrong with it
        assert names_file(tmp_path / name)
    for name in ("", "no", "no/below", "file/below", "null\0"):
        assert not names_file(f"{tmp_path}/{name}")
    for name in ("dangling", "below_file", "loop", "loop/below", "n" * 300):
        with pytest.raises(OSError, match=re.escape(f"{tmp_path}/{name}")):
            names_file(tmp_path / name)


def test_a_package_is_found_without_its_import(tmp_path: Path) -> None:
    folder = Path(json.__file__).parent
    assert local_path("package://json.sub/x") == folder / "sub" / "x"
    assert local_path("package://json") == folder
    for plain in ("/some/where", "relative", "hub://org/set", ""):
        assert local_path(plain) == Path(plain)
    for location in ("package://no_such_package/x", "package://", "package://math/x"):
        with pytest.raises(ConfigError, match="there is no installed package"):
            local_path(location)
    assert local_path("package://json/decoder.py") == folder / "decoder.py"
    assert local_path("~/x") == Path.home() / "x"
    assert local_path("~nobody_of_this_name/x") == Path("~nobody_of_this_name/x")
    assert package_folder("math") is None, "a module in one file has no folder"


class Tight(io.FileIO):
    """A file on a disk that takes so many bytes in all."""

    left = 1 << 30

    def write(self, content: Any) -> int:
        if self.left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = super().write(bytes(content)[: self.left])
        self.left -= taken
        return taken


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), whole_file(path) as stream:
        stream.writelines([b"ne", 1])  # type: ignore[list-item]
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"old"]
    with whole_file(path) as stream:
        stream.write(b"new")
        assert path.read_bytes() == b"old"
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"new"]


def test_a_line_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    with Tight(path, "ab") as stream:
        append_line(stream, b"first\n")
        stream.left = 3
        with pytest.raises(OSError, match="No space left"):
            append_line(stream, b"second\n")
        assert path.read_bytes() == b"first\n"
        stream.left = 1 << 30
        append_line(stream, b"third\n")
    assert path.read_bytes() == b"first\nthird\n"


class Halting(io.FileIO):
    """A file whose first write takes only a part, as a signal may cut it short."""

    is_first = True

    def write(self, content: Any) -> int:
        taken = super().write(bytes(content)[: 3 if self.is_first else None])
        self.is_first = False
        return taken


def test_what_a_write_left_over_follows(tmp_path: Path) -> None:
    with Halting(tmp_path / "lines", "ab") as stream:
        append_line(stream, b"a whole line\n")
    assert (tmp_path / "lines").read_bytes() == b"a whole line\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOENT, "x"), "no such file"),
        (OSError(errno.ENOTDIR, "x"), "no such file"),
        (OSError(errno.EPERM, "x"), "permission denied"),
        (OSError(errno.ELOOP, "x"), "its links go round in a circle"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (OSError("no number"), "OSError"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_a_reason_is_a_few_words(error: OSError, said: str) -> None:
    assert reason(error) == said


@pytest.mark.parametrize(
    ("number", "has_advice"),
    [
        (errno.ENOSPC, True),
        (errno.EDQUOT, True),
        (errno.EFBIG, True),
        (errno.EACCES, False),
        (errno.EROFS, False),
    ],
)
def test_a_failing_write_says_what_helps(number: int, has_advice: bool) -> None:
    with pytest.raises(StorageError) as caught, storage_errors(Path("here")):
        raise OSError(number, os.strerror(number))
    advice = "; free some space and run the same command again: finished samples are kept"
    assert str(caught.value) == f"cannot write here: {os.strerror(number)}" + advice * has_advice
    with pytest.raises(StorageError, match=r"here: odd$"), storage_errors(Path("here")):
        raise OSError("odd")
