"""Index mp4 and mov files from the sample table in their header.

libav reads the table; this module reads its boxes only for facts that libav does not expose.
Sections are those of ISO/IEC 14496-12 (2022).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from io import SEEK_END, FileIO
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from llava_eval.types import VideoInfo
from llava_eval.video.fast.index import (
    NEW_PARAMETERS,
    TIMES_AS_STORED,
    UNKNOWN,
    UNSAFE,
    Integers,
    UntrustedError,
    VideoIndex,
    check_rise,
    count_frames,
    reorders,
)
from llava_eval.video.fast.picture_order import JOINED, PictureOrder, goes_on, is_leading, rises
from llava_eval.video.fast.syntax import SEVERAL_SEQUENCES, EntryKind, Syntax

if TYPE_CHECKING:
    from av.index import IndexEntries
    from av.video.stream import VideoStream


#: The first bytes of a sample, which are enough to tell the kind of most pictures.
_PREFIX = slice(96)

#: The last bytes of a sample, where an end of sequence may be marked.
_SUFFIX = slice(-8, None)


class Samples:
    """The samples of a video stream, read from the file without a demuxer.

    Args:
        file: the opened file.
        entries: the sample table as libav read it.
    """

    def __init__(self, file: FileIO, entries: IndexEntries) -> None:
        self.file = file
        self.end = file.seek(0, SEEK_END)
        self.entries = entries

    def read(self, number: int, part: slice = slice(None)) -> bytes:
        """Return the sample with this number in decoding order, or a part of it."""
        entry = self.entries[number]
        start, end, _ = part.indices(entry.size)
        # reading some bytes costs only a fraction of mapping a page
        if not 0 <= entry.pos + start < self.end:
            return b""
        self.file.seek(entry.pos + start)
        return self.file.read(min(end - start, self.end - entry.pos - start))


@contextmanager
def mapped(path: str) -> Iterator[mmap.mmap]:
    """Yield a file mapped into memory, read-only."""
    with (
        Path(path).open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        yield data


def has_sample_table(path: str, stream: VideoStream) -> bool:
    """Return whether the header describes all samples: no fragments, no missing end."""
    entries = getattr(stream, "index_entries", None)
    if not entries or stream.frames == 0:
        return False
    with mapped(path) as data:
        last = entries[len(entries) - 1]
        is_fragmented = any(_found(data, b"moof"))  # samples that the header lacks (8.8.4)
        return last.pos + last.size <= len(data) and not is_fragmented


def is_shown_upright(path: str) -> bool:
    """Return whether movie and tracks surely request no rotation, mirroring or shear.

    The matrices are those of MovieHeaderBox (8.2.2) and of TrackHeaderBoxes (8.3.2).
    """
    with mapped(path) as data:
        movies = [_matrix(data, box, 36) for box in _found(data, b"moov", b"mvhd")]
        tracks = [_matrix(data, box, 40) for box in _found(data, b"moov", b"trak", b"tkhd")]
    return {*movies, *tracks} == {_UPRIGHT}


def index_samples(path: str, stream: VideoStream, syntax: Syntax, info: VideoInfo) -> VideoIndex:
    """Return the index of an mp4 or mov file with a sample table.

    Args:
        path: the file.
        stream: its opened video stream.
        syntax: syntax of its codec.
        info: the video; its number of frames is counted here.

    Raises:
        UntrustedError: frames cannot be counted from the samples.
    """
    entries = stream.index_entries
    packets = _keyframes(entries)
    if not packets or packets[0] != 0:
        raise UntrustedError("the first sample is not a keyframe")
    keyframes = [entries[packet] for packet in packets]
    positions = [entry.pos for entry in keyframes]
    if len(set(positions)) != len(positions):
        raise UntrustedError("an edit list shows the same samples twice")
    with mapped(path) as data:
        _check_sizes(data, stream)
        times = _times(data, stream)
    as_stored = _timed_as_stored(times, stream, packets, syntax)
    # the edit list (8.6.6) may hide samples
    shown = np.array([not entry.is_discard for entry in entries[:]], np.bool_)
    with FileIO(path) as file:
        samples = Samples(file, entries)
        _check(samples, syntax, packets, times)
        for numbers in as_stored:
            if not rises([_order(samples, syntax, number) for number in numbers]):
                raise UntrustedError(TIMES_AS_STORED)
        for number in _leading(samples, syntax, 0):
            shown[number] &= not syntax.hidden_at_start(samples.read(number))
    info, shown_before = count_frames(info, shown)
    return VideoIndex(
        info,
        packets=np.array(packets, np.int64),
        shown_before=shown_before[packets],
        timestamps=np.array([entry.timestamp for entry in keyframes], np.int64),
        positions=np.array(positions, np.int64),
        leading=np.full(len(packets), UNKNOWN, np.int64),
    )


def leading_pictures(path: str, stream: VideoStream, syntax: Syntax, packet: int) -> int:
    """Count the pictures that are stored after a keyframe and shown before it.

    Args:
        path: the file.
        stream: its opened video stream.
        syntax: syntax of its codec.
        packet: number of the keyframe in decoding order.

    Returns:
        Their number; UNSAFE if decoding cannot begin here, UNKNOWN if only timestamps can tell.
    """
    with FileIO(path) as file:
        samples = Samples(file, stream.index_entries)
        entry = syntax.entry_kind(samples.read(packet))
        if entry is EntryKind.NO:
            return UNSAFE
        if entry is EntryKind.CLOSED:
            return 0
        if not syntax.marks_leading:
            return UNKNOWN
        leading = _leading(samples, syntax, packet)
        return sum(not samples.entries[number].is_discard for number in leading)


def _keyframes(entries: IndexEntries) -> list[int]:
    """Return the numbers of the keyframes, found from the end on by libav's own search."""
    keyframes = []
    number = len(entries) - 1
    while number >= 0:
        start = number
        number = entries.search_timestamp(entries[start].timestamp)
        if number > start:  # the search would never end
            raise UntrustedError("the timestamps of the sample table are out of order")
        if number >= 0:
            keyframes.append(number)
        number -= 1
    return keyframes[::-1]


def _check_sizes(data: mmap.mmap, stream: VideoStream) -> None:
    """Raise if the demuxer returns fewer packets than there are samples."""
    sizes = _table(data, stream, b"stsz", 12, 4)  # SampleSizeBox, 8.7.3
    if sizes is None:
        raise UntrustedError("the sizes of the samples are not known")
    if (sizes == 0).any():
        raise UntrustedError("a sample is empty")


def _times(data: mmap.mmap, stream: VideoStream) -> Integers | None:
    """Return the time at which each sample is shown, or None if the tables do not state it."""
    count = len(stream.index_entries)
    steps, offsets = (_of_each(data, stream, kind, count) for kind in (b"stts", b"ctts"))
    if steps is None or offsets is None:
        return None
    times: Integers = np.cumsum(steps) - steps + offsets
    return times


def _timed_as_stored(
    times: Integers | None, stream: VideoStream, packets: list[int], syntax: Syntax
) -> list[range]:
    """Return the runs between keyframes whose times rise as stored, in a stream that reorders."""
    if times is None:
        return []
    check_rise(times, stream, syntax)
    if not reorders(stream):
        return []
    parts = [range(*ends) for ends in pairwise([*packets, len(times)]) if ends[1] - ends[0] > 1]
    return [part for part in parts if (np.diff(times[part.start : part.stop]) >= 0).all()]


def _of_each(data: mmap.mmap, stream: VideoStream, kind: bytes, count: int) -> Integers | None:
    """Return each sample's value from a box of runs of equal values (8.6.1.2 and 8.6.1.3).

    Without a box, 0 for each; None if the runs are for another number of samples, as after edits.
    """
    table = _table(data, stream, kind, 8, 8)
    if table is None:
        return np.zeros(count, np.int64)
    lengths, values = table[: len(table) // 2 * 2 : 2], table[1::2].astype(np.int32)
    if len(set(values.tolist())) < 2:
        return np.full(count, values.max(initial=0), np.int64)
    return np.repeat(values, lengths) if lengths.sum(dtype=np.uint64) == count else None


def _table(
    data: mmap.mmap, stream: VideoStream, kind: bytes, header_bytes: int, entry_bytes: int
) -> npt.NDArray[np.uint32] | None:
    """Return the entries of a box in the stream's sample table, or None without such a box."""
    for track in _found(data, b"moov", b"trak"):
        for header in _found(data, b"tkhd", start=track.start, end=track.end):
            number = header.start + (20 if data[header.start] == 1 else 12)  # track_ID
            if int.from_bytes(data[number : number + 4], "big") != stream.id:
                continue
            inner = (b"mdia", b"minf", b"stbl", kind)
            for box in _found(data, *inner, start=track.start, end=track.end):
                start = box.start + header_bytes  # after the number of entries
                count = int.from_bytes(data[start - 4 : start], "big")
                content = data[start : min(box.end, start + entry_bytes * count)]
                return np.frombuffer(content, ">u4", len(content) // 4)
    return None


def _check(samples: Samples, syntax: Syntax, packets: list[int], times: Integers | None) -> None:
    """Raise if frames cannot be counted from samples."""
    parameters, previous = b"", 0
    for number in packets if syntax.max_reorder else packets[:1]:
        prefix = samples.read(number, _PREFIX)
        if syntax.parameters(prefix):  # there may be more after the prefix
            prefix = samples.read(number)
        found = syntax.parameters(prefix)  # streams that were joined repeat them in the samples
        if found and parameters and found != parameters:
            raise UntrustedError(NEW_PARAMETERS)
        parameters = found or parameters
        if number == 0 or syntax.marks_leading:
            _check_keyframe(samples, syntax, number, prefix)
        _check_joint(samples, syntax, previous, number, times)
        previous = number


def _check_keyframe(samples: Samples, syntax: Syntax, number: int, prefix: bytes) -> None:
    """Raise if a keyframe hides frames."""
    distrust = syntax.keyframe_distrust(prefix, is_first=number == 0)
    if distrust:  # the prefix may have been too short
        distrust = syntax.keyframe_distrust(samples.read(number), is_first=number == 0)
    if distrust:
        raise UntrustedError(distrust)
    if number > 0 and syntax.ends_sequence(samples.read(number - 1, _SUFFIX)):
        raise UntrustedError(SEVERAL_SEQUENCES)


def _check_joint(
    samples: Samples, syntax: Syntax, previous: int, number: int, times: Integers | None
) -> None:
    """Raise if the order of pictures does not continue from the previous keyframe to this one."""
    keyframe = _order(samples, syntax, number) if number else None
    if keyframe is None or keyframe.resets:
        return
    reach = 2 * syntax.max_reorder  # covers a group of pictures whose first one is shown last
    near = range(max(previous, number - reach), number)
    after: list[PictureOrder] = []
    for each in range(number + 1, min(number + reach, len(samples.entries))):
        order = _order(samples, syntax, each)
        if order is None or not is_leading(order, keyframe):
            break
        after.append(order)
    # the last two shown and what is decoded after them tell it nearly always, with few reads
    last = [_order(samples, syntax, each) for each in _last_shown(near, times)]
    has_anchor = any(order.is_anchor for order in last if order is not None)
    if has_anchor and None not in last and goes_on(last, keyframe, after):
        return
    if not goes_on([_order(samples, syntax, each) for each in near], keyframe, after):
        raise UntrustedError(JOINED)


def _last_shown(near: range, times: Integers | None) -> range:
    """Return the end of a range of samples from the last two shown on, or all without times."""
    if times is None:
        return near
    return near[int(np.argsort(times[near.start : near.stop], kind="stable")[-2:].min()) :]


def _order(samples: Samples, syntax: Syntax, number: int) -> PictureOrder | None:
    order = syntax.picture_order(samples.read(number, _PREFIX))  # the prefix may be too short
    return syntax.picture_order(samples.read(number)) if order is None else order


def _leading(samples: Samples, syntax: Syntax, packet: int) -> Iterator[int]:
    """Yield the numbers of the leading pictures after a keyframe."""
    if not syntax.marks_leading:
        return
    for number in range(packet + 1, len(samples.entries)):
        if not syntax.is_leading(samples.read(number)):
            return
        yield number


class Box(NamedTuple):
    """A box's type, and the start and end of its content."""

    kind: bytes
    start: int
    end: int


def boxes(data: mmap.mmap, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes (4.2) between two positions; the last one may be cut off."""
    while start + 8 <= end:
        size, content = int.from_bytes(data[start : start + 4], "big"), start + 8
        kind = data[start + 4 : start + 8]
        if size == 1:  # largesize
            size, content = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
        elif size == 0:  # to the end of the file
            size = end - start
        if size < content - start:
            return
        yield Box(kind, content, start + size)
        start += size


def _found(data: mmap.mmap, *path: bytes, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """Yield the boxes at a path of box types, for instance moov, trak, tkhd."""
    for box in boxes(data, start, len(data) if end is None else end):
        if box.kind == path[0] and len(path) == 1:
            yield box
        elif box.kind == path[0]:
            yield from _found(data, *path[1:], start=box.start, end=box.end)


#: The four numbers of a display matrix that rotate pictures, with the values for no rotation.
_UPRIGHT = (1 << 16, 0, 0, 1 << 16)


def _matrix(data: mmap.mmap, header: Box, offset: int) -> tuple[int, ...]:
    """Return these numbers from a header; in version 1 the matrix is 12 bytes later."""
    first = header.start + offset + (12 if data[header.start] == 1 else 0)
    starts = (first + number for number in (0, 4, 12, 16))  # a, b, c, d of nine numbers
    return tuple(int.from_bytes(data[start : start + 4], "big") for start in starts)
