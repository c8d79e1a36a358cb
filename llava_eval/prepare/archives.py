"""Archives as they are found: whole files, and the parts of a split tar."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llava_eval.prepare.members import Limits, Unpacked, Writer
from llava_eval.prepare.tar import unpack_tar
from llava_eval.prepare.zip import unpack_zip

ArchiveKind = Literal["zip", "tar"]

_WHOLE_TAR = re.compile(r".+\.(tar|tar\.gz|tgz|tar\.bz2|tar\.xz)", re.IGNORECASE)
#: "videos.tar.part.aa", "videos.tar.gz.003", "videos.tar.part01": what ``split`` leaves.
_TAR_PART = re.compile(r"(.+\.(?:tar|tar\.gz|tgz))\.(?:part[._-]?)?([a-z]{2,3}|\d{1,4})", re.I)

#: Folder below the target that notes which archives are unpacked.
DONE_FOLDER = ".prepared"


@dataclass(frozen=True, slots=True)
class Archive:
    """One archive.

    Attributes:
        name: its file name, without the part's ending where it is split.
        kind: zip or tar.
        parts: its files, in the order in which they are read.
    """

    name: str
    kind: ArchiveKind
    parts: tuple[Path, ...]

    @property
    def num_bytes(self) -> int:
        """Size of all parts."""
        return sum(part.stat().st_size for part in self.parts)


def find_archives(paths: Iterable[Path]) -> list[Archive]:
    """Return the archives among some files, by name; other files are passed over."""
    whole: list[Archive] = []
    parts: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(set(paths)):
        part = _TAR_PART.fullmatch(path.name)
        if part is not None:
            parts[part[1]].append(path)
        elif path.suffix.lower() == ".zip":
            whole.append(Archive(path.name, "zip", (path,)))
        elif _WHOLE_TAR.fullmatch(path.name):
            whole.append(Archive(path.name, "tar", (path,)))
    split = [
        Archive(name, "tar", tuple(sorted(files, key=_part_order))) for name, files in parts.items()
    ]
    return sorted([*whole, *split], key=lambda archive: archive.name)


def _part_order(path: Path) -> tuple[int, str]:
    match = _TAR_PART.fullmatch(path.name)
    ending = match[2] if match is not None else ""
    return (int(ending), "") if ending.isdigit() else (len(ending), ending)


def unpack(archive: Archive, target: Path, limits: Limits) -> Unpacked:
    """Unpack an archive into a folder; one that is unpacked already is left alone.

    Files that are there with the right size are not written again, so that an interrupted command
    goes on where it stopped.

    Args:
        archive: what to unpack.
        target: folder that everything lands in; made where needed.
        limits: bounds on size and number of members.

    Returns:
        What was written.

    Raises:
        ArchiveError: a member would land outside the target, is a link or a device, the archive is
            damaged or encrypted, or it passes a limit. Nothing was written outside the target.
        StorageError: a file cannot be written.
    """
    note = target / DONE_FOLDER / f"{archive.name}.{archive.num_bytes}"
    if note.exists():
        return Unpacked(0, 0, was_done=True)
    writer = Writer(archive.name, target, limits)
    if archive.kind == "zip":
        unpack_zip(archive.parts[0], writer)
    else:
        unpack_tar(archive.parts, writer)
    writer.note_done(note)
    return Unpacked(writer.num_members, writer.num_bytes)
