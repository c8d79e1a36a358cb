"""Writing members: what is counted, what is refused, and what stays where it fails."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest
from tqdm import tqdm

from llava_eval.benchmarks.prepare.members import Limits, Writer
from llava_eval.benchmarks.prepare.unpack import Archive, find_archives, unpack
from llava_eval.errors import ArchiveError, StorageError
from tests.benchmarks.prepare.test_archives import contents, make_tar, make_zip


class Content(io.BytesIO):
    """Gives some bytes, and fails then."""

    def __init__(self, content: bytes, error: OSError) -> None:
        super().__init__(content)
        self.error = error

    def read(self, size: int | None = -1, /) -> bytes:
        chunk = super().read(size)
        if not chunk:
            raise self.error
        return chunk


def writer(folder: Path, max_bytes: int = 100, max_members: int = 10) -> Writer:
    return Writer("v.zip", folder / "target", Limits(max_bytes, max_members))


def test_files_and_folders_are_counted(tmp_path: Path) -> None:
    made = writer(tmp_path)
    with tqdm(disable=False, file=io.StringIO()) as bar:
        made.folder("a/b")
        made.folder("a/b")
        made.file("a/c", io.BytesIO(b"12345"), 5, bar)
        made.file("a/c", io.BytesIO(b"other"), 5, bar)  # there, with the right size: not written
        made.file("a/c", io.BytesIO(b"longer"), 6, bar)
        assert bar.n == 16
    assert (made.num_members, made.num_bytes) == (5, 16)
    assert contents(tmp_path / "target") == {"a/c": b"longer"}
    assert (tmp_path / "target/a/b").is_dir()


@pytest.mark.parametrize(("num_bytes", "num_members"), [(100, 0), (0, 10), (100, 10)])
def test_a_limit_may_be_reached_and_not_passed(
    tmp_path: Path, num_bytes: int, num_members: int
) -> None:
    made = writer(tmp_path)
    made.check_ahead(num_bytes, num_members)
    made.check_ahead(num_bytes, num_members)  # nothing was counted by the first
    made.count(num_bytes, num_members=num_members)
    assert (made.num_bytes, made.num_members) == (num_bytes, num_members)
    with pytest.raises(ArchiveError, match=r"v\.zip (unpacks to|has) more than"):
        made.count(int(num_bytes == 100), num_members=int(num_members == 10))


def test_limits_are_said_in_the_units_of_their_keys(tmp_path: Path) -> None:
    large = writer(tmp_path, max_bytes=3 << 29)
    with pytest.raises(ArchiveError) as caught:
        large.check_ahead((3 << 29) + 1, 1)
    assert str(caught.value) == (
        "v.zip unpacks to more than 1.5 GiB (benchmark.prepare.max_unpacked_gib)"
    )
    with pytest.raises(ArchiveError) as caught:
        large.check_ahead(0, 11)
    assert str(caught.value) == "v.zip has more than 10 members (benchmark.prepare.max_members)"


@pytest.mark.parametrize("name", ["./", ".", "a\\b\\..c", "a..b", "..a", "C"])
def test_names_that_stay_inside(tmp_path: Path, name: str) -> None:
    target = tmp_path / "target"
    assert writer(tmp_path).path_of(name) == target / name.replace("\\", "/")


@pytest.mark.parametrize("name", ["a\0b", "c:", "c:x", "/", "\\x", "a/../b"])
def test_names_that_may_not_be_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ArchiveError, match="would land outside the target"):
        writer(tmp_path).path_of(name)


def test_a_hundred_folders_are_deep_enough(tmp_path: Path) -> None:
    made = writer(tmp_path)
    made.path_of("a/" * 99 + "b")
    with pytest.raises(ArchiveError, match="lies more than 100 folders deep"):
        made.path_of("a/" * 100 + "b")


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (OSError("Invalid data stream"), ArchiveError, "'a' cannot be unpacked: Invalid data"),
        (OSError(28, "No space left on device"), StorageError, "/a: No space left on device"),
    ],
)
def test_nothing_half_is_left(
    tmp_path: Path, error: OSError, kind: type[Exception], said: str
) -> None:
    made = writer(tmp_path)
    (tmp_path / "target/a").write_bytes(b"before")
    with tqdm(disable=True) as bar, pytest.raises(kind, match=said):
        made.file("a", Content(b"half", error), 8, bar)
    assert contents(tmp_path / "target") == {"a": b"before"}


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target/file").touch()
    made = writer(tmp_path)
    with pytest.raises(StorageError, match=r"cannot make .*/target/file: File exists"):
        made.folder("file")
    with tqdm(disable=True) as bar, pytest.raises(StorageError, match=r"cannot write .*file/a: "):
        made.file("file/a", io.BytesIO(b"x"), 1, bar)
    with pytest.raises(StorageError, match=r"cannot write .*/file/note: "):
        made.note_done(tmp_path / "target/file/note")
    with pytest.raises(StorageError, match=r"cannot make .*/target/file: "):
        Writer("v.zip", tmp_path / "target/file", Limits(1, 1))


def test_a_zip_is_checked_as_a_whole_before_it_is_written(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "v.zip", {"a": b"a" * 60, "b": b"b" * 60})
    (archive,) = find_archives([path])
    for limits in (Limits(119, 2), Limits(120, 1)):
        with pytest.raises(ArchiveError, match="more than"):
            unpack(archive, tmp_path / "target", limits)
        assert contents(tmp_path / "target") == {}
    unpack(archive, tmp_path / "target", Limits(120, 2))
    assert contents(tmp_path / "target") == {"a": b"a" * 60, "b": b"b" * 60}


def test_folders_of_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "v.zip", "w") as archive:
        archive.writestr("empty/", "")
        archive.writestr("full/a", "a")
    unpack(find_archives([tmp_path / "v.zip"])[0], tmp_path / "target", Limits(10, 2))
    assert contents(tmp_path / "target") == {"full/a": b"a"}
    assert (tmp_path / "target/empty").is_dir()


def test_an_encrypted_zip(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "v.zip", {"a.mp4": b"a"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # APPNOTE.TXT 4.4.4: bit 0 of the flags
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"v\.zip: the member 'a\.mp4' is encrypted"):
        unpack(find_archives([path])[0], tmp_path / "target", Limits(10, 2))


def test_a_sparse_file_in_a_tar(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("a.bin")
    entry.type = tarfile.GNUTYPE_SPARSE
    (tmp_path / "v.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(ArchiveError, match=r"the member 'a\.bin' is a sparse file"):
        unpack(find_archives([tmp_path / "v.tar"])[0], tmp_path / "target", Limits(10, 2))


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_part_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    first, second = tmp_path / "v.tar.00", tmp_path / "v.tar.01"
    make = make_tar if kind == "tar" else make_zip
    whole = make(first, {"a": os.urandom(30_000)}).read_bytes()
    first.write_bytes(whole[:10_000])
    second.mkdir()
    archive = Archive(f"v.{kind}", (first, second))
    with pytest.raises(ArchiveError, match=r"v\.tar\.01 cannot be read: Is a directory"):
        unpack(archive, tmp_path / "target", Limits(1 << 20, 2))
    assert contents(tmp_path / "target") == {}


def test_parts_are_in_the_order_of_their_endings(tmp_path: Path) -> None:
    names = ["v.tar.part10", "v.tar.part9", "w.tar.ab", "w.tar.aaa", "w.tar.aa", "W.TGZ", "x.zip"]
    found = find_archives([tmp_path / name for name in [*names, "w.tar.partial", "x.7z"]])
    assert [(one.name, [part.name for part in one.parts]) for one in found] == [
        ("W.TGZ", ["W.TGZ"]),
        ("v.tar", ["v.tar.part9", "v.tar.part10"]),
        ("w.tar", ["w.tar.aa", "w.tar.ab", "w.tar.aaa"]),
        ("x.zip", ["x.zip"]),
    ]
    assert find_archives([tmp_path / "x.zip", tmp_path / "x.zip"])[0].parts == (tmp_path / "x.zip",)
