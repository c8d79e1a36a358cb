"""Index webm and simple mkv files by walking their blocks, several times faster than a demuxer.

Only the plain layout is read here: one segment of clusters of known size, blocks without lacing,
tracks without compression. Anything else is left to the scan of packets.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from llava_eval.video.deadline import check_deadline
from llava_eval.video.errors import UntrustedError
from llava_eval.video.scan import PacketTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.packet import Packet
    from av.video.stream import VideoStream

    from llava_eval.video.syntax import Syntax

_SEGMENT, _TRACKS, _CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
_TRACK, _TRACK_NUMBER, _TRACK_TYPE, _ENCODINGS = 0xAE, 0xD7, 0x83, 0x6D80
_PICTURE, _PROJECTION = 0xE0, 0x7670
_TIMESTAMP, _SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK, _REFERENCE = 0xE7, 0xA3, 0xA0, 0xA1, 0xFB
_VIDEO = 1


class _UnusualError(Exception):
    """A layout that is legal but not read here."""


def walk_blocks(
    path: str, syntax: Syntax, head: Sequence[Packet[VideoStream]]
) -> PacketTable | None:
    """The packets of the first video track, None if the layout is not the plain one.

    ``head`` holds the first packets as the demuxer gives them, to compare with.
    """
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            table = _Walker(path, data, syntax).walk()
    except (_UnusualError, IndexError, KeyError, ValueError):
        return None
    seen = [(packet.pts, packet.pos) for packet in head]
    first = list(zip(table.pts, table.all_positions, strict=True))[: len(seen)]
    return table if seen == first else None


class _Walker:
    def __init__(self, path: str, data: mmap.mmap, syntax: Syntax) -> None:
        self.path = path
        self.data = data
        self.syntax = syntax
        self.table = PacketTable()
        self.track = 0

    def walk(self) -> PacketTable:
        for kind, start, end in self._children(0, len(self.data)):
            if kind == _SEGMENT:
                for child, child_start, child_end in self._children(start, end):
                    if child == _TRACKS:
                        self.track = self._video_track(child_start, child_end)
                    elif child == _CLUSTER:
                        check_deadline(self.path)
                        self._cluster(child_start, child_end)
        return self.table

    def _video_track(self, start: int, end: int) -> int:
        for kind, track_start, track_end in self._children(start, end):
            if kind != _TRACK:
                continue
            fields = {
                child: (child_start, child_end)
                for child, child_start, child_end in self._children(track_start, track_end)
            }
            if self._number(*fields[_TRACK_TYPE]) == _VIDEO:
                number = self._number(*fields[_TRACK_NUMBER])
                if _ENCODINGS in fields or not 0 < number < 127:
                    raise _UnusualError
                picture = self._children(*fields[_PICTURE])
                self.table.is_upright = all(child != _PROJECTION for child, _, _ in picture)
                return number | 0x80
        raise _UnusualError

    def _cluster(self, position: int, end: int) -> None:
        # this loop sees every block of the file: all names are local, nothing is called for most
        data, track, plain = self.data, self.track, self.syntax.shows_every_packet
        shows = self.syntax.shows
        add_pts, add_position = self.table.pts.append, self.table.all_positions.append
        add_shown = self.table.shown.append
        time = 0
        while position < end:
            kind = data[position]
            size = data[position + 1]
            if size >= 0x80:
                start, size = position + 2, size & 0x7F
            elif size >= 0x40:
                start, size = position + 3, (size & 0x3F) << 8 | data[position + 2]
            elif size >= 0x20:
                start = position + 4
                size = (size & 0x1F) << 16 | data[position + 2] << 8 | data[position + 3]
            else:
                start, size = self._size(position + 1)
            position = start + size
            if kind == _SIMPLE_BLOCK:
                if data[start] != track:
                    continue
                flags = data[start + 3]
                if flags & 0x86:
                    self._special(start, position, flags)
                offset = data[start + 1] << 8 | data[start + 2]
                add_pts(time + offset if offset < 0x8000 else time + offset - 0x10000)
                add_position(start)
                add_shown(plain or shows(data[start + 4], data[position - 1]))
            elif kind == _TIMESTAMP:
                time = self._number(start, position)
            elif kind == _BLOCK_GROUP:
                self._group(start, position, time)
            elif kind < 0x80:  # an identifier of more than one byte
                raise _UnusualError
        if position != end:
            raise _UnusualError

    def _group(self, start: int, end: int, time: int) -> None:
        fields = {
            child: (child_start, child_end)
            for child, child_start, child_end in self._children(start, end)
        }
        start, end = fields[_BLOCK]
        if self.data[start] == self.track:
            keyframe = 0 if _REFERENCE in fields else 0x80
            self._special(start, end, self.data[start + 3] & 0x06 | keyframe)
            offset = int.from_bytes(self.data[start + 1 : start + 3], "big", signed=True)
            self.table.pts.append(time + offset)
            self.table.all_positions.append(start)
            shows = self.syntax.shows(self.data[start + 4], self.data[end - 1])
            self.table.shown.append(self.syntax.shows_every_packet or shows)

    def _special(self, start: int, end: int, flags: int) -> None:
        """A block that has lacing (6) or is a keyframe (0x80)."""
        if flags & 0x06:
            raise _UnusualError
        if not flags & 0x80:
            return
        table, packet = self.table, self.data[start + 4 : end]
        distrust = self.syntax.keyframe_distrust(packet, is_first=not table.pts)
        if distrust:
            raise UntrustedError(distrust)
        table.keyframes.append(len(table.pts))
        table.positions.append(start)
        table.entries.append(self.syntax.entry(packet))

    def _children(self, position: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(identifier, start, end) of the elements between two positions."""
        while position < end:
            length = 9 - self.data[position].bit_length()
            kind = int.from_bytes(self.data[position : position + length], "big")
            start, size = self._size(position + length)
            position = start + size
            if position > end:
                raise _UnusualError
            yield kind, start, position

    def _size(self, position: int) -> tuple[int, int]:
        """(position after it, value) of an element's size; a size that is not known is refused."""
        length = 9 - self.data[position].bit_length()
        number = int.from_bytes(self.data[position : position + length], "big")
        size = number & (1 << 7 * length) - 1
        if size == (1 << 7 * length) - 1 or length > 8:
            raise _UnusualError
        return position + length, size

    def _number(self, start: int, end: int) -> int:
        return int.from_bytes(self.data[start:end], "big")
