"""Unpacking a tar file, compressed or not, whole or in parts."""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, NoReturn

from tqdm import tqdm

from llava_eval.errors import ArchiveError
from llava_eval.prepare.members import Writer

if TYPE_CHECKING:
    from typing_extensions import Buffer


def unpack_tar(parts: Sequence[Path], writer: Writer) -> None:
    """Unpack a tar file in one pass; it ends at the first member that may not be unpacked.

    Raises:
        ArchiveError: see :func:`llava_eval.prepare.archives.unpack`.
    """
    total = sum(part.stat().st_size for part in parts)
    name = ", ".join(str(part) for part in parts[:1]) + (" ..." if len(parts) > 1 else "")
    try:
        with (
            io.BufferedReader(_Joined(parts), 1 << 20) as stream,
            tarfile.open(fileobj=stream, mode="r|*") as archive,
            tqdm(
                total=total, unit="B", unit_scale=True, desc=writer.archive, dynamic_ncols=True
            ) as bar,
        ):
            for member in archive:
                _unpack_member(archive, member, writer, bar)
    except (tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
        raise ArchiveError(f"{name} cannot be unpacked: {error or type(error).__name__}") from error
    except OSError as error:
        raise ArchiveError(f"{name} cannot be read: {error.strerror or error}") from error


def _unpack_member(
    archive: tarfile.TarFile, member: tarfile.TarInfo, writer: Writer, bar: tqdm[NoReturn]
) -> None:
    if member.isdir():
        writer.folder(member.name)
    elif member.isreg():
        content = archive.extractfile(member)
        assert content is not None
        writer.file(member.name, content, member.size, bar)
    else:
        raise ArchiveError(
            f"{writer.archive}: the member {member.name!r} is a link or a device; only files and "
            "folders are unpacked"
        )


class _Joined(io.RawIOBase):
    """Several files read as one, from start to end."""

    def __init__(self, parts: Sequence[Path]) -> None:
        self._parts = list(parts)
        self._open: IO[bytes] | None = None

    def readable(self) -> bool:
        """Return that this can be read."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill a buffer as far as the part at hand goes; 0 at the end of the last."""
        view = memoryview(buffer)
        while True:
            if self._open is None:
                if not self._parts:
                    return 0
                self._open = self._parts.pop(0).open("rb")
            chunk = self._open.read(len(view))
            if chunk:
                view[: len(chunk)] = chunk
                return len(chunk)
            self._open.close()
            self._open = None

    def close(self) -> None:
        """Close the part at hand."""
        if self._open is not None:
            self._open.close()
        super().close()
