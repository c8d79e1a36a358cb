"""Index webm and simple mkv files by walking their blocks, several times faster than a demuxer.

Only the plain layout is read: one segment whose clusters state their size, blocks without lacing,
tracks without compression. Any other layout is left to the scan of packets.

Sections are those of RFC 8794 (EBML: elements, their identifiers and sizes) and of RFC 9559
(Matroska).
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from llava_eval.video.deadline import check_deadline
from llava_eval.video.fast.bits import UnusualError
from llava_eval.video.fast.index import Flags, PacketTable, UntrustedError
from llava_eval.video.fast.mp4 import mapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from av.packet import Packet
    from av.video.stream import VideoStream

    from llava_eval.video.fast.syntax import Syntax

# identifiers of elements (RFC 9559, 5.1), their length marker included
_SEGMENT, _TRACKS, _CLUSTER = 0x18538067, 0x1654AE6B, 0x1F43B675
_TRACK, _TRACK_NUMBER, _TRACK_TYPE, _ENCODINGS = 0xAE, 0xD7, 0x83, 0x6D80
_PICTURE, _PROJECTION = 0xE0, 0x7670
_TIMESTAMP, _SIMPLE_BLOCK, _BLOCK_GROUP, _BLOCK, _REFERENCE = 0xE7, 0xA3, 0xA0, 0xA1, 0xFB
#: TrackType of video (RFC 9559, 5.1.4.1.3).
_VIDEO = 1

#: The number of first bytes of a block that are enough to tell the kind of a keyframe.
_PREFIX = 4096

Bytes = npt.NDArray[np.uint8]


def walk_blocks(
    path: str, syntax: Syntax, head: Sequence[Packet[VideoStream]]
) -> PacketTable | None:
    """Return the packets of the first video track, or None if the layout is not plain.

    Args:
        path: the file.
        syntax: syntax of the video's codec.
        head: the first packets as the demuxer returns them; the result must agree with them.

    Raises:
        UntrustedError: frames cannot be counted from the packets.
    """
    try:
        with mapped(path) as data:
            table = _Walker(path, data, syntax).walk()
    except (UnusualError, IndexError, KeyError, ValueError):
        return None
    seen = [(packet.pts, packet.pos) for packet in head]
    first = zip(table.pts[: len(seen)], table.all_positions[: len(seen)], strict=True)
    return table if seen == list(first) else None


class _Walker:
    def __init__(self, path: str, data: mmap.mmap, syntax: Syntax) -> None:
        self.path = path
        self.data = data
        self.syntax = syntax
        self.table = PacketTable()
        self.track = 0
        self.tracks: list[int] = []
        self.starts = array("q")  # of all blocks, where their track number is
        self.ends = array("q")
        self.times: list[tuple[int, int]] = []  # a cluster's first block, and its time
        self.groups: dict[int, int] = {}  # a block in a group: its keyframe flag

    def walk(self) -> PacketTable:
        for kind, start, end in self._children(0, len(self.data)):
            if kind == _SEGMENT:
                for child, child_start, child_end in self._children(start, end):
                    if child == _TRACKS:
                        self._read_tracks(child_start, child_end)
                    elif child == _CLUSTER:
                        check_deadline(self.path)
                        self._cluster(child_start, child_end)
        self._fill_table()
        return self.table

    def _read_tracks(self, start: int, end: int) -> None:
        """Note with which byte the blocks of each track, and of the first video track, begin."""
        for kind, track_start, track_end in self._children(start, end):
            if kind != _TRACK:
                continue
            fields = self._fields(track_start, track_end)
            number = self._number(*fields[_TRACK_NUMBER])
            if not 0 < number < 127:  # larger numbers need more than one byte in each block
                raise UnusualError
            self.tracks.append(number | 0x80)
            if self.track == 0 and self._number(*fields[_TRACK_TYPE]) == _VIDEO:
                if _ENCODINGS in fields:  # ContentEncodings compress or encrypt blocks
                    raise UnusualError
                picture = self._children(*fields[_PICTURE])
                self.table.is_upright = all(child != _PROJECTION for child, _, _ in picture)
                self.track = number | 0x80

    def _cluster(self, position: int, end: int) -> None:
        # this loop handles every block of the file, so names are local and most blocks need no
        # calls; sizes of one and two bytes (RFC 8794, 4.1: 1xxxxxxx, 01xxxxxx xxxxxxxx) are inline
        data, starts = self.data, self.starts
        add_start, add_end = starts.append, self.ends.append
        self.times.append((len(starts), 0))
        while position < end:
            kind = data[position]
            size = data[position + 1]
            if size >= 0x80:
                start = position + 2
                position = start + (size & 0x7F)
            elif size >= 0x40:
                start = position + 3
                position = start + ((size & 0x3F) << 8 | data[position + 2])
            else:
                start, size = self._size(position + 1)
                position = start + size
            if kind == _SIMPLE_BLOCK:
                add_start(start)
                add_end(position)
            elif kind == _TIMESTAMP:
                self.times.append((len(starts), self._number(start, position)))
            elif kind == _BLOCK_GROUP:
                self._group(start, position)
            elif kind < 0x80:  # an identifier of more than one byte
                raise UnusualError
        if position != end:
            raise UnusualError

    def _group(self, start: int, end: int) -> None:
        """Note the Block of a BlockGroup, which is a keyframe if it refers to no other.

        RFC 9559, 5.1.3.5: a ReferenceBlock says so; the Block's own flags do not.
        """
        fields = self._fields(start, end)
        self.groups[len(self.starts)] = 0 if _REFERENCE in fields else 0x80
        self.starts.append(fields[_BLOCK][0])
        self.ends.append(fields[_BLOCK][1])

    def _fill_table(self) -> None:
        """Fill the table from the first and last bytes of the blocks.

        A block begins with the track number (one byte here), a signed 16-bit offset to the time of
        its cluster, and flags: 0x80 keyframe (of SimpleBlocks), 0x06 lacing (RFC 9559, 10.1 f.).
        """
        starts, ends = np.array(self.starts), np.array(self.ends)
        counts = np.diff([first for first, _ in self.times], append=len(starts))
        times = np.repeat(np.array([time for _, time in self.times], np.int64), counts)
        if len(starts) and int(starts.max()) + 4 >= len(self.data):
            raise UnusualError
        # indexing this view copies, so that the file can be closed
        content = np.frombuffer(self.data, np.uint8)
        try:
            tracks, flags = content[starts], content[starts + 3]
            offsets = content[starts + 1].astype(np.int64) << 8 | content[starts + 2]
            first, last = content[starts + 4], content[ends - 1]
        finally:
            del content
        for block, keyframe in self.groups.items():
            flags[block] = flags[block] & 0x06 | keyframe
        if not self.track or not np.isin(tracks, self.tracks).all():
            raise UnusualError  # damage, after which libav skips blocks
        ours = tracks == self.track
        starts, ends, times, flags = starts[ours], ends[ours], times[ours], flags[ours]
        offsets, first, last = offsets[ours], first[ours], last[ours]
        if (ends - starts <= 4).any():
            raise UnusualError  # only a header, for which libav makes no packet
        for block in np.flatnonzero(flags & 0x86).tolist():
            self._special(block, int(starts[block]), int(ends[block]), int(flags[block]))
        times += offsets - (offsets >= 0x8000) * 0x10000
        self.table.pts.frombytes(times.tobytes())
        self.table.all_positions.frombytes(starts.tobytes())
        self.table.shown += self._shown(first, last).tobytes()

    def _shown(self, first: Bytes, last: Bytes) -> Flags:
        if self.syntax.shows_every_packet:
            return np.ones(len(first), np.bool_)
        pairs, which = np.unique(first.astype(np.int64) << 8 | last, return_inverse=True)
        shows = [self.syntax.shows(pair >> 8, pair & 0xFF) for pair in pairs.tolist()]
        return np.array(shows, np.bool_)[which]

    def _special(self, number: int, start: int, end: int, flags: int) -> None:
        """Note a keyframe (flag 0x80), or raise if the block has lacing (0x06)."""
        if flags & 0x06:
            raise UnusualError
        table, packet = self.table, self.data[start + 4 : min(end, start + _PREFIX)]
        distrust = self.syntax.keyframe_distrust(packet, is_first=number == 0)
        if distrust:
            raise UntrustedError(distrust)
        table.keyframes.append(number)
        table.positions.append(start)
        table.entries.append(self.syntax.entry_kind(packet))

    def _children(self, position: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Yield (identifier, start, end) of the elements between two positions."""
        while position < end:
            length = 9 - self.data[position].bit_length()
            kind = int.from_bytes(self.data[position : position + length], "big")
            start, size = self._size(position + length)
            position = start + size
            if position > end:
                raise UnusualError
            yield kind, start, position

    def _fields(self, start: int, end: int) -> dict[int, tuple[int, int]]:
        """Return (start, end) of the elements between two positions, by identifier."""
        return {kind: (first, last) for kind, first, last in self._children(start, end)}

    def _size(self, position: int) -> tuple[int, int]:
        """Return (position after it, value) of an element's size (RFC 8794, 4 and 6.2).

        All value bits set means that the size is unknown, which is refused.
        """
        length = 9 - self.data[position].bit_length()
        number = int.from_bytes(self.data[position : position + length], "big")
        size = number & (1 << 7 * length) - 1
        if size == (1 << 7 * length) - 1 or length > 8:
            raise UnusualError
        return position + length, size

    def _number(self, start: int, end: int) -> int:
        return int.from_bytes(self.data[start:end], "big")
