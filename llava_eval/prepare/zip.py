"""Unpacking a zip file."""

from __future__ import annotations

import stat
import zipfile
import zlib
from pathlib import Path

from tqdm import tqdm

from llava_eval.errors import ArchiveError
from llava_eval.prepare.members import Writer

_UNIX = 3
_ENCRYPTED = 0x1


def unpack_zip(path: Path, writer: Writer) -> None:
    """Unpack a zip file; every member is checked before the first is written.

    Raises:
        ArchiveError: see :func:`llava_eval.prepare.archives.unpack`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check(members, writer)
            total = sum(member.file_size for member in members)
            with tqdm(
                total=total, unit="B", unit_scale=True, desc=writer.archive, dynamic_ncols=True
            ) as bar:
                for member in members:
                    if member.is_dir():
                        writer.folder(member.filename)
                        continue
                    with archive.open(member) as content:
                        writer.file(member.filename, content, member.file_size, bar)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        raise ArchiveError(f"{path} cannot be unpacked: {error or type(error).__name__}") from error
    except OSError as error:
        raise ArchiveError(f"{path} cannot be read: {error.strerror or error}") from error


def _check(members: list[zipfile.ZipInfo], writer: Writer) -> None:
    stated = 0
    for member in members:
        writer.place_of(member.filename)
        if member.flag_bits & _ENCRYPTED:
            raise ArchiveError(f"{writer.archive}: the member {member.filename!r} is encrypted")
        mode = member.external_attr >> 16 if member.create_system == _UNIX else 0
        kind = stat.S_IFMT(mode)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise ArchiveError(
                f"{writer.archive}: the member {member.filename!r} is a link or a device; only "
                "files and folders are unpacked"
            )
        stated += member.file_size
    writer.check_ahead(stated, len(members))
