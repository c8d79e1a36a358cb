"""Walk the boxes of an mp4 or mov file."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import NamedTuple


class Box(NamedTuple):
    """A box's type and where its content lies."""

    kind: bytes
    start: int
    end: int


def boxes(data: mmap.mmap, start: int, end: int) -> Iterator[Box]:
    """The boxes between two positions; the last one may be cut off."""
    while start + 8 <= end:
        size, content = int.from_bytes(data[start : start + 4], "big"), start + 8
        kind = data[start + 4 : start + 8]
        if size == 1:
            size, content = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
        elif size == 0:
            size = end - start
        if size < content - start:
            return
        yield Box(kind, content, start + size)
        start += size


def is_fragmented(data: mmap.mmap) -> bool:
    """Are there samples that the header does not describe?"""
    return any(box.kind == b"moof" for box in boxes(data, 0, len(data)))


def has_plain_edits(data: mmap.mmap) -> bool:
    """Does every track show one stretch of its samples, at most after a pause?"""
    for movie in boxes(data, 0, len(data)):
        if movie.kind != b"moov":
            continue
        for track in boxes(data, movie.start, movie.end):
            if track.kind == b"trak" and not all(
                _is_plain(data, edits) for edits in _edit_lists(data, track)
            ):
                return False
    return True


def _edit_lists(data: mmap.mmap, track: Box) -> Iterator[Box]:
    for container in boxes(data, track.start, track.end):
        if container.kind == b"edts":
            for box in boxes(data, container.start, container.end):
                if box.kind == b"elst":
                    yield box


def _is_plain(data: mmap.mmap, edits: Box) -> bool:
    count = int.from_bytes(data[edits.start + 4 : edits.start + 8], "big")
    wide = data[edits.start] == 1
    entry = edits.start + 8
    media_time = data[entry + 8 : entry + 16] if wide else data[entry + 4 : entry + 8]
    starts_with_pause = int.from_bytes(media_time, "big", signed=True) == -1
    return count <= (2 if starts_with_pause else 1)


def is_upright(data: mmap.mmap) -> bool:
    """Do the movie and all its tracks ask for no rotation, mirroring or shear?"""
    for movie in boxes(data, 0, len(data)):
        if movie.kind == b"moov":
            matrices = list(_matrices(data, movie))
            return bool(matrices) and all(matrix == _UPRIGHT for matrix in matrices)
    return False


#: The four numbers of a display matrix that turn pictures, for pictures that are not turned.
_UPRIGHT = (1 << 16, 0, 0, 1 << 16)


def _matrices(data: mmap.mmap, movie: Box) -> Iterator[tuple[int, ...]]:
    for box in boxes(data, movie.start, movie.end):
        if box.kind == b"mvhd":
            yield _matrix(data, box.start + (48 if data[box.start] == 1 else 36))
        elif box.kind == b"trak":
            for header in boxes(data, box.start, box.end):
                if header.kind == b"tkhd":
                    yield _matrix(data, header.start + (52 if data[header.start] == 1 else 40))


def _matrix(data: mmap.mmap, start: int) -> tuple[int, ...]:
    places = (start + offset for offset in (0, 4, 12, 16))
    return tuple(int.from_bytes(data[place : place + 4], "big") for place in places)
