"""Unpack archives: zip files, and tar files, compressed or not, whole or in parts."""

from __future__ import annotations

import bisect
import bz2
import gzip
import io
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate, pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn, Self, cast

import pyarrow
from tqdm import tqdm

from llava_eval.benchmarks.prepare.members import Limits, Writer
from llava_eval.errors import ArchiveError

if TYPE_CHECKING:
    from typing_extensions import Buffer


_TAR = r"tar|tar\.gz|tgz|tar\.bz2|tar\.xz|tar\.zst"
_WHOLE = re.compile(rf".+\.(zip|{_TAR})", re.IGNORECASE)
#: "videos.tar.part.aa", "videos.tar.gz.003", "videos.zip.part01": output of ``split``. Parts of a
#: zip file must end in digits, as many other files end in letters; .sig, .asc, .idx are no parts.
_PART = re.compile(
    rf"(.+\.(?:{_TAR}|zip(?=\.(?:part[._-]?)?\d)))\.(?!partial|asc)(?:part[._-]?)?(a?[a-z]{{2}}|\d{{1,4}})",
    re.I,
)

#: All errors that readers of archives raise for damaged ones; RecursionError is a RuntimeError.
_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError),
    *(OSError, MemoryError),
)
#: The most bytes of a long name or of attributes in a tar file's headers; real ones have a few kB.
_MAX_HEADER_BYTES = 1 << 20
_HEADER_TYPES = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
)
#: Not the errors for blocks of zeros or the end of the file, which end an archive.
_DAMAGED_HEADER: tuple[type[tarfile.HeaderError], ...] = (
    tarfile.InvalidHeaderError,  # type: ignore[attr-defined]
    tarfile.TruncatedHeaderError,  # type: ignore[attr-defined]
)

_CHUNK_BYTES = 1 << 20
#: Folder below the target with a note of each unpacked archive.
DONE_FOLDER = ".prepared"


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive.

    Attributes:
        name: its file name, if split without the part's ending; it tells zip from tar.
        parts: its files, in the order in which they are read.
    """

    name: str
    parts: tuple[Path, ...]

    @property
    def num_bytes(self) -> int:
        """Size of all parts."""
        return sum(part.stat().st_size for part in self.parts)

    @property
    def noted(self) -> str:
        """Its name with its size and a checksum of its beginning, independent of its folder."""
        with self.parts[0].open("rb") as part:
            return f"{self.name}.{self.num_bytes}.{zlib.crc32(part.read(_CHUNK_BYTES)):08x}"

    @property
    def changed(self) -> float:
        """When the last of its parts was put there, in seconds since 1970."""
        return max(part.stat().st_ctime for part in self.parts)


def find_archives(paths: Iterable[Path], split: Sequence[str] = ()) -> list[Archive]:
    """Return the archives among some files, sorted by name; other files are ignored.

    All parts of an archive must be in one folder.

    Args:
        paths: the files.
        split: patterns of names; the files that match one are the parts of one archive, in the
            order of the numbers in their names.
    """
    found: dict[tuple[Path, str, bool], list[Path]] = defaultdict(list)
    for path in sorted(set(paths)):
        part = _PART.fullmatch(path.name)
        pattern = next((name for name in split if fnmatchcase(path.name, name)), None)
        if pattern is not None:
            found[path.parent, pattern.replace("*", ""), True].append(path)
        elif _WHOLE.fullmatch(path.name):
            found[path.parent, path.name, False].append(path)
        elif part is not None:
            found[path.parent, part[1], True].append(path)
    archives = [
        Archive(name, tuple(sorted(files, key=_part_order)))
        for (_, name, _), files in found.items()
    ]
    return sorted(archives, key=lambda archive: archive.name)


def _part_order(path: Path) -> tuple[list[int], int, str]:
    match = _PART.fullmatch(path.name)
    ending = match[2] if match is not None and not match[2].isdigit() else ""
    return [int(number) for number in re.findall(r"\d+", path.name)], len(ending), ending


def _check_gaps(archive: Archive) -> None:
    """Refuse parts with gaps or repeats: a member across a gap would still have its right size."""
    names = ((path, path.name) for path in archive.parts)
    parts = [path for path, name in names if _PART.fullmatch(name) and not _WHOLE.fullmatch(name)]
    endings = [re.findall("[a-z]+$|[0-9]+$", path.name.lower())[0] for path in parts]
    for path, (ending, following) in zip(parts, pairwise(endings), strict=False):
        if _place_of(following) != _place_of(ending) + 1:
            raise ArchiveError(f"{path}: the part that follows it is missing, or there twice")


def _place_of(ending: str) -> int:
    """Return a part's place among endings of the same length: "09" before "10", "az" "ba"."""
    if ending.isdigit():
        return int(ending)
    place = 0
    for letter in ending:
        place = 26 * place + ord(letter)
    return place


def unpack(archive: Archive, target: Path, limits: Limits) -> None:
    """Unpack an archive into a folder, unless it is unpacked there already.

    It is unpacked again if its file was replaced since.

    Files of the right size that are younger than the archive are not written again, so that an
    interrupted command continues where it stopped; older ones may be from another archive.

    Args:
        archive: the archive to unpack.
        target: folder that everything is written into; created if needed.
        limits: bounds on size and number of members.

    Raises:
        ArchiveError: a member would land outside the target, is a link or a device, the archive is
            damaged, encrypted or lacks a part, or it exceeds a limit. Nothing was written outside
            the target.
        StorageError: a file cannot be written.
    """
    note = target / DONE_FOLDER / archive.noted
    if note.exists() and note.stat().st_mtime >= archive.changed:
        return
    _check_gaps(archive)
    writer = Writer(archive.name, target, limits, archive.changed)
    unpack_members = _unpack_zip if archive.name.lower().endswith(".zip") else _unpack_tar
    files = str(archive.parts[0]) + (" ..." if len(archive.parts) > 1 else "")
    try:
        with (
            io.BufferedReader(_Joined(archive.parts), _CHUNK_BYTES) as stream,
            tqdm(
                total=archive.num_bytes,
                unit="B",
                unit_scale=True,
                desc=archive.name,
                dynamic_ncols=True,
            ) as bar,
        ):
            unpack_members(stream, writer, bar)
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        if archive.parts[0].with_suffix(".z01").exists():
            reason = (
                f"it is the last of several (.z01, ...): zip -s 0 {archive.name} --out whole.zip"
            )
        raise ArchiveError(f"{files} cannot be unpacked: {reason}") from error
    writer.note_done(note)


def _unpack_tar(stream: io.BufferedReader[_Joined], writer: Writer, bar: tqdm[NoReturn]) -> None:
    """Unpack a tar file in one pass; raise at the first member that may not be unpacked."""
    plain = _plain(stream)
    with tarfile.open(fileobj=plain, mode="r|", tarinfo=_BoundedHeader) as archive:
        for member in archive:
            if member.isdir():
                writer.folder(member.name)
            elif member.isreg():
                content = archive.extractfile(member)
                assert content is not None
                writer.file(member.name, content, member.size, bar)
            else:
                raise _link_or_device(writer, member.name)
    num_left = 0
    while plain is not stream and (chunk := plain.read(_CHUNK_BYTES)):  # verifies the checksum
        num_left += len(chunk)
        writer.check_ahead(num_left, 0)


def _plain(stream: io.BufferedReader[_Joined]) -> IO[bytes]:
    """Return a file's content, decompressed if it is compressed, in one stream or in several.

    tarfile's own decompression reads only the first stream and checks no checksum; pbzip2, bgzip
    and ``cat`` write several streams.
    """
    start = stream.peek(6)
    if start.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=stream))
    if start.startswith(b"BZh"):
        return bz2.BZ2File(stream)
    if start.startswith((b"\xfd7zXZ", b"\x5d\x00\x00\x80")):
        return lzma.LZMAFile(stream)
    if start.startswith(b"\x28\xb5\x2f\xfd"):
        return cast("IO[bytes]", pyarrow.CompressedInputStream(stream, "zstd"))
    return stream


def _link_or_device(writer: Writer, member: str) -> ArchiveError:
    return ArchiveError(
        f"{writer.archive}: the member {member!r} is a link or a device; only files and folders "
        "are unpacked"
    )


class _BoundedHeader(tarfile.TarInfo):
    """A header whose own text is read into memory only if it has a sensible size.

    After the first header, tarfile itself takes an invalid header for the end of the archive.
    """

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> Self:
        """Return the next header.

        Raises:
            ReadError: it is cut off or damaged.
        """
        try:
            return super().fromtarfile(archive)
        except _DAMAGED_HEADER as error:
            raise tarfile.ReadError(f"a header of the archive: {error}") from None

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """Read the data after the header's block; tarfile's hook for subclasses."""
        if self.type in _HEADER_TYPES and self.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(
                f"a header of the archive states {self.size} bytes, more than {_MAX_HEADER_BYTES}"
            )
        if self.type == tarfile.GNUTYPE_SPARSE:
            raise tarfile.ReadError(f"the member {self.name!r} is a sparse file")
        header: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]
        return header


class _Joined(io.RawIOBase):
    """Several files read as one."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self._parts = parts
        self._ends = list(accumulate(part.stat().st_size for part in parts))
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: (self._ends or [0])[-1]}
        self._position = base[whence] + offset
        if self._position < 0:
            raise ValueError(f"there is no byte {self._position}")
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer from the current part; return 0 at the end of the last one.

        Raises:
            ArchiveError: the part cannot be read; an OSError would be taken for damage, or for a
                file that cannot be written.
        """
        number = bisect.bisect_right(self._ends, self._position)
        if number == len(self._parts):
            return 0
        path = self._parts[number]
        try:
            with path.open("rb", buffering=0) as part:
                part.seek(self._position - (self._ends[number - 1] if number else 0))
                num_bytes = part.readinto(buffer)
        except OSError as error:
            raise ArchiveError(f"{path} cannot be read: {error.strerror or error}") from error
        self._position += num_bytes
        return num_bytes


_UNIX = 3
_ENCRYPTED = 0x1
_UTF_8 = 0x800


def _unpack_zip(stream: IO[bytes], writer: Writer, bar: tqdm[NoReturn]) -> None:
    """Unpack a zip file; all members are checked before the first is written."""
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        _check(members, writer)
        bar.reset(total=sum(member.file_size for member in members))
        for member in members:
            name = _name_of(member)
            if name.endswith(("/", "\\")):
                writer.folder(name)
                continue
            with archive.open(member) as content:
                writer.file(name, content, member.file_size, bar)


def _name_of(member: zipfile.ZipInfo) -> str:
    """Return a member's name, read as UTF-8 even if Unix or macOS did not set the flag for it.

    Without that flag zipfile reads it in DOS's code page, as the format requires.
    """
    if member.create_system == _UNIX and not member.flag_bits & _UTF_8:
        try:
            return member.filename.encode("cp437").decode("utf-8")
        except UnicodeError:
            pass
    return member.filename


def _check(members: Sequence[zipfile.ZipInfo], writer: Writer) -> None:
    for member in members:
        writer.path_of(_name_of(member))
        if member.flag_bits & _ENCRYPTED:
            raise ArchiveError(f"{writer.archive}: the member {member.filename!r} is encrypted")
        mode = member.external_attr >> 16 if member.create_system == _UNIX else 0
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise _link_or_device(writer, member.filename)
    writer.check_ahead(sum(member.file_size for member in members), len(members))
