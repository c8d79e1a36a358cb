"""Write the members of an archive below a target folder, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn

from tqdm import tqdm

from llava_eval.borders.paths import whole_file
from llava_eval.errors import ArchiveError, StorageError

_CHUNK_BYTES = 1 << 20
#: The most nested folders; real archives have fewer than ten.
_MAX_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what one archive may unpack to.

    Attributes:
        max_bytes: size of all members together.
        max_members: number of files and folders.
    """

    max_bytes: int
    max_members: int


class Writer:
    """Writes members below a target, and counts them against the limits.

    Args:
        archive: its name, for messages.
        target: folder that everything is written into.
        limits: bounds on what may be written.
        since: when the archive was put there, in seconds since 1970; an older file is not taken
            for one of its members.
    """

    def __init__(self, archive: str, target: Path, limits: Limits, since: float = 0.0) -> None:
        self.archive = archive
        self.num_members = 0
        self.num_bytes = 0
        self._limits = limits
        self._since = since
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make {target}: {error.strerror or error}") from error
        self._target = target.resolve()

    def path_of(self, name: str) -> Path:
        """Return the path of a member.

        Raises:
            ArchiveError: it is outside the target, by its name or through an existing link.
        """
        # Archives packed on Windows may separate folders by backslashes.
        path = PurePosixPath(name.replace("\\", "/"))
        has_drive = len(name) > 1 and name[1] == ":"
        if path.is_absolute() or ".." in path.parts or has_drive or "\0" in name:
            raise ArchiveError(f"{self.archive}: the member {name!r} would land outside the target")
        if len(path.parts) > _MAX_DEPTH:
            raise ArchiveError(
                f"{self.archive}: the member {name[:40]!r}... lies more than {_MAX_DEPTH} "
                "folders deep"
            )
        if not path.parts:
            return self._target  # "./", with which many tar files begin
        path_below = self._target.joinpath(*path.parts)
        if not path_below.parent.resolve().is_relative_to(self._target) or path_below.is_symlink():
            raise ArchiveError(
                f"{self.archive}: the member {name!r} would land outside the target, through a "
                "link that is there"
            )
        return path_below

    def count(self, num_bytes: int = 0, *, num_members: int = 0) -> None:
        """Count bytes and members that are about to be written; see :meth:`check_ahead`."""
        self.check_ahead(num_bytes, num_members)
        self.num_members += num_members
        self.num_bytes += num_bytes

    def check_ahead(self, num_bytes: int, num_members: int) -> None:
        """Check, before anything is written, that further bytes and members are allowed.

        Raises:
            ArchiveError: they would exceed the limits.
        """
        if self.num_members + num_members > self._limits.max_members:
            raise ArchiveError(
                f"{self.archive} has more than {self._limits.max_members} members "
                "(benchmark.prepare.max_members)"
            )
        if self.num_bytes + num_bytes > self._limits.max_bytes:
            raise ArchiveError(
                f"{self.archive} unpacks to more than {self._limits.max_bytes / 2**30:g} GiB "
                "(benchmark.prepare.max_unpacked_gib)"
            )

    def folder(self, name: str) -> None:
        """Make a folder."""
        path = self.path_of(name)
        self.count(num_members=1)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"cannot make {path}: {error.strerror or error}") from error

    def file(self, name: str, content: IO[bytes], num_bytes: int, bar: tqdm[NoReturn]) -> None:
        """Write a file completely or not at all; skip one that was written from this archive.

        Args:
            name: the member's name.
            content: its bytes; read to the end if they are written.
            num_bytes: its size as the archive states it.
            bar: counts bytes.
        """
        path = self.path_of(name)
        self.count(num_members=1)
        try:
            there = path.stat() if path.is_file() else None
            if there and there.st_size == num_bytes and there.st_ctime >= self._since:
                self.count(num_bytes)
                bar.update(num_bytes)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as stream:
                # The stated size may be wrong, so the real bytes are counted.
                while chunk := content.read(_CHUNK_BYTES):
                    self.count(len(chunk))
                    stream.write(chunk)
                    bar.update(len(chunk))
        except OSError as error:
            if error.errno is None:  # not the system's: bz2 raises OSError for damaged data
                raise ArchiveError(
                    f"{self.archive}: the member {name!r} cannot be unpacked: {error}"
                ) from error
            raise StorageError(f"cannot write {path}: {error.strerror or error}") from error

    def note_done(self, note: Path) -> None:
        """Record in a file that the archive is unpacked."""
        try:
            note.parent.mkdir(exist_ok=True)
            note.touch()
        except OSError as error:
            raise StorageError(f"cannot write {note}: {error.strerror or error}") from error
