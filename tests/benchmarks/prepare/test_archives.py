"""Unpacking: ordinary archives, and those that were made to do harm."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest

from llava_eval.benchmarks.prepare.members import Limits
from llava_eval.benchmarks.prepare.unpack import Archive, find_archives, unpack
from llava_eval.errors import ArchiveError, StorageError

LIMITS = Limits(max_bytes=1 << 20, max_members=100)
FILES = {"data/a.mp4": b"a" * 1000, "data/deep/b.mp4": b"b" * 70_000, "c.txt": b""}


def make_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def split(path: Path, size: int, names: Callable[[int], str]) -> None:
    content = path.read_bytes()
    for number, start in enumerate(range(0, len(content), size)):
        path.with_name(names(number)).write_bytes(content[start : start + size])
    path.unlink()


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".prepared" not in path.parts
    }


def unpack_all(source: Path, target: Path, limits: Limits = LIMITS) -> list[Archive]:
    archives = find_archives(source.iterdir())
    for archive in archives:
        unpack(archive, target, limits)
    return archives


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", ["v.zip", "v.tar", "v.tar.gz", "v.tgz", "v.tar.xz", "V.ZIP"])
def test_ordinary_archives(source: Path, tmp_path: Path, name: str) -> None:
    modes = {"v.tar": "w", "v.tar.gz": "w:gz", "v.tgz": "w:gz", "v.tar.xz": "w:xz"}
    if name in modes:
        make_tar(source / name, FILES, modes[name])
    else:
        make_zip(source / name, FILES)
    unpack_all(source, tmp_path / "target")
    assert contents(tmp_path / "target") == FILES


@pytest.mark.parametrize(
    "names",
    [
        lambda number: f"videos.tar.part.a{chr(97 + number)}",
        lambda number: f"videos.tar.{number:03d}",
        lambda number: f"videos.tar.part{number}",
        lambda number: f"videos.tar.a{chr(97 + number)}",
    ],
)
def test_a_split_tar_is_read_as_one(
    source: Path, tmp_path: Path, names: Callable[[int], str]
) -> None:
    split(make_tar(source / "videos.tar", FILES), 7_000, names)
    assert len(list(source.iterdir())) > 10
    archives = unpack_all(source, tmp_path / "target")
    assert [archive.name for archive in archives] == ["videos.tar"]
    assert contents(tmp_path / "target") == FILES


@pytest.mark.parametrize("ending", ["zip", "tar.gz"])
def test_parts_with_whole_names_are_joined_by_their_numbers(
    source: Path, tmp_path: Path, ending: str
) -> None:
    members = {f"{number}.mp4": os.urandom(20_000) for number in range(4)}
    if ending == "zip":
        whole = make_zip(source / "whole.zip", members)
    else:
        whole = make_tar(source / "whole.tar.gz", members, "w:gz")
    split(whole, 7_000, lambda number: f"videos_part_{number}.{ending}")
    (archive,) = find_archives(source.iterdir(), [f"videos_part_*.{ending}"])
    assert len(archive.parts) > 10
    unpack(archive, tmp_path / "target", Limits(1 << 30, 100))
    assert contents(tmp_path / "target") == members


def test_what_a_killed_process_of_the_same_number_left_is_no_hindrance(
    source: Path, tmp_path: Path
) -> None:
    """As in containers, where each process may have the number 1."""
    make_zip(source / "videos.zip", {"a.mp4": b"content"})
    left = tmp_path / "target" / f".a.mp4.{os.getpid()}.partial"
    left.parent.mkdir()
    left.write_bytes(b"con")
    unpack_all(source, left.parent)
    assert (left.parent / "a.mp4").read_bytes() == b"content"


def test_a_split_compressed_tar(source: Path, tmp_path: Path) -> None:
    members = {"a": os.urandom(50_000)}
    split(make_tar(source / "v.tar.gz", members, "w:gz"), 9_000, lambda n: f"v.tar.gz.part0{n}")
    unpack_all(source, tmp_path / "target")
    assert contents(tmp_path / "target") == members


@pytest.mark.parametrize("ending", ["{:02d}", "part{:d}", "a{:c}"])
def test_nothing_is_written_of_an_archive_that_lacks_a_part(
    source: Path, tmp_path: Path, ending: str
) -> None:
    members = {name: os.urandom(30_000) for name in "abc"}
    whole = make_tar(source / "v.tar", members)
    first = ord("a") if ending == "a{:c}" else 0
    split(whole, 9_000, lambda n: "v.tar." + ending.format(first + n))
    missing = source / ("v.tar." + ending.format(first + 3))
    content = missing.read_bytes()
    missing.unlink()
    with pytest.raises(ArchiveError, match=r"v\.tar\.\w+: the part that follows it is missing"):
        unpack_all(source, tmp_path / "target")
    missing.write_bytes(content)
    unpack_all(source, tmp_path / "target")
    assert contents(tmp_path / "target") == members


def test_what_is_unpacked_is_not_unpacked_again(source: Path, tmp_path: Path) -> None:
    make_zip(source / "v.zip", FILES)
    target = tmp_path / "target"
    unpack_all(source, target)
    (target / "c.txt").unlink()
    unpack_all(source, target)
    assert not (target / "c.txt").exists()


def test_an_archive_that_was_fetched_anew_is_unpacked(source: Path, tmp_path: Path) -> None:
    """A damaged one of the same size was unpacked before, and the damaged file removed."""
    damaged = make_tar(source / "v.tar", {**FILES, "data/a.mp4": b"x" * 1000})
    target = tmp_path / "target"
    unpack_all(source, target)
    (target / "data" / "a.mp4").unlink()
    time.sleep(0.05)  # coarse clocks of file systems
    damaged.unlink()
    make_tar(source / "v.tar", FILES)
    unpack_all(source, target)
    assert contents(target) == FILES


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_files_of_an_archive_that_was_replaced_are_written_anew(
    source: Path, tmp_path: Path, kind: str
) -> None:
    """A corrected one, with a subtitle of the same length."""
    make = make_zip if kind == "zip" else make_tar
    target = tmp_path / "target"
    for text in (b"1 see a cat", b"1 see a cow"):
        (source / f"v.{kind}").unlink(missing_ok=True)
        make(source / f"v.{kind}", {"a.srt": text})
        unpack_all(source, target)
        assert (target / "a.srt").read_bytes() == text
        time.sleep(0.05)  # coarse clocks of file systems


def test_an_interrupted_archive_goes_on(source: Path, tmp_path: Path) -> None:
    make_zip(source / "v.zip", FILES)
    target = tmp_path / "target"
    (target / "data").mkdir(parents=True)
    (target / "data" / "a.mp4").write_bytes(b"x" * 1000)  # right size: taken as it is
    (target / "c.txt").write_bytes(b"half")
    unpack_all(source, target)
    assert contents(target) == {**FILES, "data/a.mp4": b"x" * 1000}


OUTSIDE = [
    "../evil.txt",
    "data/../../evil.txt",
    "/tmp/evil_of_llava_eval.txt",
    "..\\evil.txt",
    "C:\\evil.txt",
    "C:/evil.txt",
    "data/..",
    "..",
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_no_member_lands_outside(source: Path, tmp_path: Path, name: str, kind: str) -> None:
    make = make_zip if kind == "zip" else make_tar
    make(source / f"v.{kind}", {"good.txt": b"1", name: b"evil"})
    before = {path for path in tmp_path.rglob("*")}
    with pytest.raises(ArchiveError, match="outside the target"):
        unpack_all(source, tmp_path / "target")
    new = {path for path in tmp_path.rglob("*")} - before
    assert all(path.is_relative_to(tmp_path / "target") for path in new)
    assert not Path("/tmp/evil_of_llava_eval.txt").exists()
    if kind == "zip":  # checked as a whole before anything is written
        assert contents(tmp_path / "target") == {}


def test_links_and_devices_in_a_tar(source: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    kinds = [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
    for number, kind in enumerate(kinds):
        folder = source / str(number)
        folder.mkdir()
        with tarfile.open(folder / "v.tar", "w") as archive:
            entry = tarfile.TarInfo("link")
            entry.type, entry.linkname = kind, str(secret)
            archive.addfile(entry)
            inside = tarfile.TarInfo("link/inside")
            inside.size = 4
            archive.addfile(inside, io.BytesIO(b"evil"))
        with pytest.raises(ArchiveError, match="is a link or a device"):
            unpack_all(folder, tmp_path / "target")
    assert secret.read_text() == "secret"
    assert contents(tmp_path / "target") == {}


def test_a_symbolic_link_in_a_zip(source: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(source / "v.zip", "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.create_system = 3
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(ArchiveError, match="is a link or a device"):
        unpack_all(source, tmp_path / "target")


def test_a_link_that_lies_in_the_target_is_not_followed(source: Path, tmp_path: Path) -> None:
    outside, target = tmp_path / "outside", tmp_path / "target"
    outside.mkdir()
    target.mkdir()
    (target / "data").symlink_to(outside)
    (target / "c.txt").symlink_to(outside / "c.txt")
    for number, name in enumerate(("data/a.mp4", "c.txt")):
        make_zip(source / f"{number}.zip", {name: b"evil"})
        with pytest.raises(ArchiveError, match="link that is there"):
            unpack(find_archives([source / f"{number}.zip"])[0], target, LIMITS)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_bomb_is_bounded(source: Path, tmp_path: Path, kind: str) -> None:
    bomb = {"a.bin": b"\0" * 900_000, "b.bin": b"\0" * 900_000}
    if kind == "zip":
        make_zip(source / "v.zip", bomb)
    else:
        make_tar(source / "v.tar.gz", bomb, "w:gz")
    with pytest.raises(ArchiveError, match="unpacks to more than"):
        unpack_all(source, tmp_path / "target")
    assert sum(map(len, contents(tmp_path / "target").values())) <= LIMITS.max_bytes


def test_a_zip_that_lies_about_its_size(source: Path, tmp_path: Path) -> None:
    path = make_zip(source / "v.zip", {"a.bin": b"\0" * 3_000_000})
    content = path.read_bytes().replace((3_000_000).to_bytes(4, "little"), b"\x0a\0\0\0")
    path.write_bytes(content)
    with pytest.raises(ArchiveError):
        unpack_all(source, tmp_path / "target")
    assert contents(tmp_path / "target") == {}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_too_many_members(source: Path, tmp_path: Path, kind: str) -> None:
    make = make_zip if kind == "zip" else make_tar
    make(source / f"v.{kind}", {f"{number}.txt": b"" for number in range(101)})
    with pytest.raises(ArchiveError, match="more than 100 members"):
        unpack_all(source, tmp_path / "target")


@pytest.mark.parametrize("name", ["v.zip", "v.tar", "v.tar.gz"])
def test_damaged_archives(source: Path, tmp_path: Path, name: str) -> None:
    members = {"a.bin": os.urandom(100_000), "b.bin": os.urandom(100_000)}
    modes = {"v.tar": "w", "v.tar.gz": "w:gz"}
    path = source / name
    made = make_zip(path, members) if name == "v.zip" else make_tar(path, members, modes[name])
    made.write_bytes(made.read_bytes()[:150_000])
    with pytest.raises(ArchiveError, match=r"cannot be (unpacked|read)"):
        unpack_all(source, tmp_path / "target")
    made.write_bytes(b"no archive at all")
    with pytest.raises(ArchiveError, match="cannot be unpacked"):
        unpack_all(source, tmp_path / "target")


def test_a_flipped_byte_in_a_zip_is_noticed(source: Path, tmp_path: Path) -> None:
    path = source / "v.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.bin", b"0123456789" * 1000)
    content = bytearray(path.read_bytes())
    content[2000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="CRC"):
        unpack_all(source, tmp_path / "target")
    assert contents(tmp_path / "target") == {}


def test_a_tar_that_begins_with_its_folder(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "packed"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"a")
    with tarfile.open(source / "v.tar", "w") as archive:
        archive.add(folder, arcname=".")
    unpack_all(source, tmp_path / "target")
    assert contents(tmp_path / "target") == {"a.mp4": b"a"}


def test_files_that_are_no_archives_are_passed_over(source: Path) -> None:
    for name in (
        "a.mp4",
        "rows.jsonl",
        "notes.tar.txt.md",
        "video.part.aa",
        "v.tar.sig",
        "v.tar.asc",
        "0.tar.idx",
    ):
        (source / name).touch()
    assert find_archives(source.iterdir()) == []


def test_folders_count_towards_the_members(source: Path, tmp_path: Path) -> None:
    with tarfile.open(source / "v.tar", "w") as archive:
        for number in range(4):
            entry = tarfile.TarInfo(f"folder{number}")
            entry.type = tarfile.DIRTYPE
            archive.addfile(entry)
    with pytest.raises(ArchiveError, match="more than 3 members"):
        unpack_all(source, tmp_path / "few", Limits(1 << 20, 3))
    [archive_] = find_archives(source.iterdir())
    unpack(archive_, tmp_path / "enough", Limits(1 << 20, 4))
    assert len([path for path in (tmp_path / "enough").iterdir() if path.name[0] != "."]) == 4


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_member_too_many_folders_deep(
    source: Path, tmp_path: Path, make: Callable[[Path, dict[str, bytes]], Path]
) -> None:
    make(source / ("v.zip" if make is make_zip else "v.tar"), {"a/" * 2000 + "b": b"x"})
    with pytest.raises(ArchiveError, match="more than 100 folders deep"):
        unpack_all(source, tmp_path / "target")


@pytest.mark.parametrize("kind", [b"L", b"K", b"x", b"g"])
def test_a_header_that_states_too_much(source: Path, tmp_path: Path, kind: bytes) -> None:
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = kind, 3 << 30
    (source / "v.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(10_240))
    with pytest.raises(
        ArchiveError, match=r"v\.tar cannot be .*: a header of the archive states 3221225472 bytes"
    ):
        unpack_all(source, tmp_path / "target")


@pytest.mark.parametrize("name", ["v.zip", "lzma.zip", "bz2.zip", "v.tar", "v.tar.gz", "v.tar.xz"])
def test_damage_is_one_line(source: Path, tmp_path: Path, name: str) -> None:
    seed = random.Random(name)
    path = source / name
    if name.endswith(".zip"):
        method = {"lzma.zip": zipfile.ZIP_LZMA, "bz2.zip": zipfile.ZIP_BZIP2}
        with zipfile.ZipFile(path, "w", method.get(name, zipfile.ZIP_DEFLATED)) as archive:
            for member, content in FILES.items():
                archive.writestr(zipfile.ZipInfo(member), content)
    else:
        make_tar(path, FILES, {"v.tar": "w", "v.tar.gz": "w:gz", "v.tar.xz": "w:xz"}[name])
    content = path.read_bytes()
    messages = []
    for number in range(60):
        damaged = bytearray(content)
        for _ in range(seed.choice([1, 1, 4])):
            damaged[seed.randrange(min(len(damaged), 4096))] = seed.randrange(256)
        if seed.random() < 0.3:
            del damaged[seed.randrange(min(len(damaged), 200)) :]
        path.write_bytes(bytes(damaged))
        try:
            unpack_all(source, tmp_path / f"target{number}")
        except (ArchiveError, StorageError) as error:
            messages.append(str(error))
    assert messages
    assert not [message for message in messages if "\n" in message]
    assert not [message for message in messages if "Invalid data" in message and "write" in message]


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        *[("v.tar.gz", gzip.compress), ("v.tar.bz2", bz2.compress), ("v.tar.xz", lzma.compress)],
        ("v.tar.zst", lambda content: pyarrow.compress(content, "zstd", asbytes=True)),
    ],
)
def test_compressed_in_several_streams(
    source: Path, tmp_path: Path, name: str, compress: Callable[[bytes], bytes]
) -> None:
    """As pbzip2, bgzip and ``cat`` write them; the second stream begins with a header."""
    whole = make_tar(tmp_path / "v.tar", FILES).read_bytes()
    start = whole.index(b"data/deep/b.mp4")
    (source / name).write_bytes(compress(whole[:start]) + compress(whole[start:]))
    unpack_all(source, tmp_path / "target")
    assert contents(tmp_path / "target") == FILES


@pytest.mark.parametrize("kind", ["flipped", "cut"])
def test_a_damaged_header_is_not_the_end(source: Path, tmp_path: Path, kind: str) -> None:
    whole = bytearray(make_tar(source / "v.tar", FILES).read_bytes())
    start = whole.index(b"data/deep/b.mp4")
    whole[start] ^= 1
    (source / "v.tar").write_bytes(whole if kind == "flipped" else whole[: start + 100])
    with pytest.raises(ArchiveError, match=r"a header of the archive: (bad checksum|truncated)"):
        unpack_all(source, tmp_path / "target")
    assert not (tmp_path / "target" / ".prepared").exists()


def test_the_checksum_of_a_compressed_tar(source: Path, tmp_path: Path) -> None:
    whole = make_tar(tmp_path / "v.tar", {"a": os.urandom(5_000)}).read_bytes()
    packed = bytearray(gzip.compress(whole, compresslevel=0))
    packed[3_000] ^= 1
    (source / "v.tar.gz").write_bytes(packed)
    with pytest.raises(ArchiveError, match="CRC check failed"):
        unpack_all(source, tmp_path / "target")


def test_copies_of_parts_in_two_folders(source: Path, tmp_path: Path) -> None:
    """In the hub's cache, and put into the media folder by hand."""
    (tmp_path / "copy").mkdir()
    for folder in (source, tmp_path / "copy"):
        split(make_tar(folder / "v.tar", FILES), 20_000, lambda n: f"v.tar.part{n}")
    archives = find_archives([*source.iterdir(), *(tmp_path / "copy").iterdir()])
    for archive in archives:
        unpack(archive, tmp_path / "target", LIMITS)
    assert [archive.name for archive in archives] == ["v.tar", "v.tar"]
    assert contents(tmp_path / "target") == FILES


def test_archives_of_one_name_and_size_in_two_folders(source: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    paths = [
        make_tar(folder / "v.tar", {f"{folder.name}.mp4": b"a"})
        for folder in (source, tmp_path / "other")
    ]
    for archive in find_archives(paths):
        unpack(archive, tmp_path / "target", LIMITS)
    assert sorted(contents(tmp_path / "target")) == ["other.mp4", "source.mp4"]


def test_a_zip_of_several_disks_is_told(source: Path, tmp_path: Path) -> None:
    content = make_zip(source / "v.zip", FILES).read_bytes()
    (source / "v.zip").write_bytes(content[100:])
    (source / "v.z01").write_bytes(content[:100])
    with pytest.raises(ArchiveError, match=r"last of several .* zip -s 0 v\.zip --out whole\.zip"):
        unpack_all(source, tmp_path / "target")


def test_folders_of_a_zip_from_windows(source: Path, tmp_path: Path) -> None:
    make_zip(source / "v.zip", {"videos\\": b"", "videos\\a.mp4": b"a"})
    unpack_all(source, tmp_path / "target")
    assert contents(tmp_path / "target") == {"videos/a.mp4": b"a"}


@pytest.mark.parametrize("name", ["über.mp4", "视频/一.mp4", "plain.mp4"])
def test_names_in_utf_8_without_the_mark_of_it(source: Path, tmp_path: Path, name: str) -> None:
    """As macOS writes them."""
    stored = name.encode()
    path = make_zip(source / "v.zip", {"x" * len(stored): b"a"})
    path.write_bytes(path.read_bytes().replace(b"x" * len(stored), stored))
    unpack_all(source, tmp_path / "target")
    assert contents(tmp_path / "target") == {name: b"a"}


def test_names_in_the_code_page_of_dos(source: Path, tmp_path: Path) -> None:
    path = make_zip(source / "v.zip", {"xx.mp4": b"a"})
    path.write_bytes(path.read_bytes().replace(b"xx.mp4", b"\x81x.mp4"))
    unpack_all(source, tmp_path / "target")
    assert contents(tmp_path / "target") == {"üx.mp4": b"a"}


@pytest.mark.parametrize("ending", ["tar.bz2", "tar.xz", "zip"])
def test_parts_of_every_kind_of_archive(source: Path, tmp_path: Path, ending: str) -> None:
    members = {"a": os.urandom(20_000)}
    if ending == "zip":
        whole = make_zip(source / "v.zip", members)
    else:
        whole = make_tar(source / f"v.{ending}", members, f"w:{ending[4:]}")
    split(whole, 7_000, lambda number: f"v.{ending}.{number + 1:03d}")
    (archive,) = unpack_all(source, tmp_path / "target")
    assert archive.name == f"v.{ending}"
    assert contents(tmp_path / "target") == members


def test_a_whole_archive_is_no_part_of_another(source: Path, tmp_path: Path) -> None:
    make_tar(source / "v.tar.gz", {"a": b"a"}, "w:gz")
    split(make_tar(source / "v.tar", {"b": b"b"}), 7_000, lambda number: f"v.tar.a{'ab'[number]}")
    archives = unpack_all(source, tmp_path / "target")
    assert [archive.name for archive in archives] == ["v.tar", "v.tar.gz"]
    assert contents(tmp_path / "target") == {"a": b"a", "b": b"b"}


def test_a_zip_that_is_being_written_is_no_part(source: Path) -> None:
    for name in ("v.zip.tmp", "v.zip.bak", "v.zip.part", "v.tar.partial"):
        (source / name).touch()
    assert find_archives(source.iterdir()) == []
