"""Plan ranges of frames, decode each from a keyframe on, and share them among cores.

The decoder gets no more of a range's packets than its frames need.
"""

from __future__ import annotations

import bisect
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache, partial
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import av

from llava_eval.borders.machine_limits import num_cores
from llava_eval.video.container import (
    HARMLESS_AT_START,
    LIBAV_ERRORS,
    libav_messages,
    reason,
    sign_of_damage,
)
from llava_eval.video.deadline import check_deadline
from llava_eval.video.fast import mp4
from llava_eval.video.fast.index import (
    TIMES_AS_STORED,
    UNKNOWN,
    UNSAFE,
    DamagedError,
    EntryPoint,
    UntrustedError,
    VideoIndex,
    reorders,
)
from llava_eval.video.fast.picture_order import rises
from llava_eval.video.fast.references import References
from llava_eval.video.fast.source import Source, open_source
from llava_eval.video.fast.syntax import NOT_ONE_EACH, EntryKind, PacketInfo, Syntax

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from llava_eval.video.collector import FrameCollector

#: How many pixels to decode make opening the file once more worthwhile.
_WORTH_PIXELS = 10_000_000


class DecodeRange(NamedTuple):
    """Frames that are decoded in one pass.

    Attributes:
        entry: the keyframe where the decode begins.
        frames: their indices, ascending.
    """

    entry: EntryPoint
    frames: tuple[int, ...]

    @property
    def num_packets(self) -> int:
        """The approximate number of packets to decode."""
        return self.frames[-1] - self.entry.first_frame + 1


def plan_ranges(source: Source, index: VideoIndex, frames: Iterable[int]) -> list[DecodeRange]:
    """Group frames by the last keyframe from which each can be decoded exactly.

    Args:
        source: the opened video.
        index: its index.
        frames: frame indices.
    """
    leading_of = cache(partial(_count_leading, source, index))
    groups: dict[EntryPoint, list[int]] = {}
    for frame in sorted(frames):
        entry = index.entry_point(0, 0)
        for keyframe in range(index.keyframe_before(frame), 0, -1):
            leading = leading_of(keyframe)
            if leading >= 0 and frame >= index.shown_before[keyframe] + leading:
                entry = index.entry_point(keyframe, leading)
                break
        groups.setdefault(entry, []).append(frame)
    return [DecodeRange(entry, tuple(members)) for entry, members in groups.items()]


def _count_leading(source: Source, index: VideoIndex, keyframe: int) -> int:
    """Return how many leading pictures a keyframe has, or UNSAFE."""
    leading = int(index.leading[keyframe])
    if leading == UNKNOWN:
        packet = int(index.packets[keyframe])
        leading = mp4.leading_pictures(source.path, source.stream, source.syntax, packet)
    if leading != UNKNOWN:
        return leading
    # Only timestamps can tell: count the next shown packets that are timed before the keyframe.
    packets = source.packets_from(index.entry_point(keyframe, 0))
    first, *following = islice(packets, 1 + 2 * source.syntax.max_reorder)
    if first.pts is None or any(packet.pts is None for packet in following):
        return UNSAFE
    return sum(
        packet.pts is not None and packet.pts < first.pts and not packet.is_discard
        for packet in following
    )


class _Stored(NamedTuple):
    """A packet in decoding order."""

    number: int
    packet: Packet[VideoStream]
    pts: int
    is_shown: bool
    info: PacketInfo


class PacketReader:
    """Reads the packets from one keyframe on, and finds the frame that each of them shows.

    Args:
        source: the opened video.
        entry: the keyframe.

    Attributes:
        top_layer: the highest temporal layer that was read.
        is_open: whether pictures after the keyframe may be shown before it.
    """

    def __init__(self, source: Source, entry: EntryPoint) -> None:
        self.source = source
        self.syntax: Syntax = source.syntax
        self.entry = entry
        self.shown_pts: list[int] = []  # of all shown packets read so far, sorted
        self.top_layer = 0
        self.is_open = False

    def packets(self) -> Iterator[_Stored]:
        """Yield packets from the entry point on, without those that are shown before it."""
        # this loop reads several packets for each decoded one: values that are the same for all
        # are looked up once
        path, entry, syntax = self.source.path, self.entry.packet, self.syntax
        packet_info, shows_all = syntax.packet_info, syntax.shows_every_packet
        reads_data = syntax.max_reorder > 0 or not shows_all
        maybe_hidden = entry == 0 and syntax.marks_leading
        first_pts: int | None = None
        before = b""  # the previous packet, if frames may be shown in another order than stored
        may_reorder = reorders(self.source.stream)
        for number, packet in enumerate(self.source.packets_from(self.entry), start=entry):
            check_deadline(path)
            pts = packet.pts
            if pts is None:
                raise UntrustedError(f"packet {number} has no timestamp")
            kinds = {side.data_type for side in packet.iter_sidedata()}
            if packet.is_corrupt or "new_extradata" in kinds:
                raise UntrustedError(f"packet {number} is corrupt or changes the parameters")
            if first_pts is None:
                first_pts = pts
            elif pts < first_pts and entry > 0:
                continue
            data = bytes(packet) if reads_data else b""
            if number == entry:
                self.is_open = syntax.entry_kind(data) is EntryKind.OPEN
            info = packet_info(data)
            if info is None:
                raise DamagedError(f"packet {number} is damaged")
            is_shown = not packet.is_discard and (shows_all or syntax.shows(data[0], data[-1]))
            if maybe_hidden and number > 0:
                maybe_hidden = syntax.is_leading(data)
                is_shown &= not syntax.hidden_at_start(data)
            if is_shown:
                last = self.shown_pts[-1] if self.shown_pts else pts
                if before and info.is_disposable and pts > last:
                    # it may be skipped, so check that it is shown last so far, as its time says
                    is_early = not rises([syntax.picture_order(each) for each in (before, data)])
                else:
                    is_early = packet.is_keyframe and pts < last
                if is_early:
                    raise UntrustedError(TIMES_AS_STORED)
                self._note_shown(pts, number)
            before = data if may_reorder and self.shown_pts else b""
            if info.layer > self.top_layer:
                self.top_layer = info.layer
            yield _Stored(number, packet, pts, is_shown, info)

    def frame(self, stored: _Stored) -> int | None:
        """Return the index of the frame that a packet shows; None if it shows none.

        Args:
            stored: a packet from this reader, which has read all that may be shown before it.
        """
        if not stored.is_shown:
            return None
        return self.entry.first_frame + bisect.bisect_left(self.shown_pts, stored.pts)

    def _note_shown(self, pts: int, number: int) -> None:
        """Insert the timestamp of a shown packet into those in the order shown."""
        shown = self.shown_pts
        if not shown or pts > shown[-1]:
            shown.append(pts)
            return
        row = bisect.bisect_left(shown, pts)
        if shown[row] == pts:
            raise UntrustedError(f"packet {number} has the timestamp of another one")
        if len(shown) - row > 2 * self.syntax.max_reorder:
            raise UntrustedError(f"the timestamp of packet {number} is out of order")
        shown.insert(row, pts)


class RangeDecoder:
    """Decodes the frames of a range, and no more packets than they need.

    Every packet gets its number in decoding order in place of its timestamp, so each frame that the
    decoder returns states its packet.

    Args:
        source: the opened video.
        planned: the range.
        collector: collects the frames.
    """

    def __init__(self, source: Source, planned: DecodeRange, collector: FrameCollector) -> None:
        self.source = source
        self.planned = planned
        self.wanted = set(planned.frames)
        self.collector = collector
        self.reader = PacketReader(source, planned.entry)
        self.frame_of: dict[int, int] = {}  # wanted frames not yet shown, by their packets
        self.context = source.stream.codec_context
        self.time_base = source.stream.time_base or 1
        self.pts_of: dict[int, int] = {}  # of packets given to the decoder
        self.last_pts: int | None = None
        self.awaited: list[int] = []  # timestamps of shown packets in the decoder, sorted
        self.references: References | None = None

    def run(self) -> None:
        """Decode the frames of the range.

        Raises:
            UntrustedError: something contradicts the index.
            DamagedError: the decoder found damage.
        """
        try:
            # a context with one thread decodes in the current thread
            with libav_messages(of_helpers=self.context.thread_count > 1) as messages:
                if self.source.syntax.states_references:
                    self.references = self._read_references()
                self._decode()
        except LIBAV_ERRORS as error:
            packet = self.planned.entry.packet
            raise DamagedError(f"decoding from packet {packet} fails: {reason(error)}") from error
        ignore = HARMLESS_AT_START if self.reader.is_open else None
        damage = sign_of_damage(messages, self.context.codec.name, ignore=ignore)
        if damage:
            raise DamagedError(f"the decoder reports damage: {damage}")

    def _read_references(self) -> References:
        """Read all packets up to the last wanted one, and return their frames' references."""
        reader, syntax = PacketReader(self.source, self.planned.entry), self.source.syntax
        references = References()
        remaining = len(self.wanted)
        for stored in reader.packets():
            is_wanted = reader.frame(stored) in self.wanted
            data = bytes(stored.packet)
            if syntax.num_shown(data) != 1:
                raise UntrustedError(NOT_ONE_EACH)
            references.add(stored.number, syntax.frames(data), is_wanted=is_wanted)
            remaining -= is_wanted
            if not remaining:
                break
        references.close()
        return references

    def _decode(self) -> None:
        """Decode, reading ahead far enough to know which frame each packet shows."""
        remaining = len(self.wanted)
        ahead: deque[_Stored] = deque()
        packets = self.reader.packets()
        reading = True
        while remaining and (reading or ahead):
            while reading and len(ahead) <= self.source.syntax.max_reorder:
                stored = next(packets, None)
                if stored is None:
                    reading = False
                else:
                    ahead.append(stored)
            if ahead:
                stored = ahead.popleft()
                frame = self.reader.frame(stored)
                if frame in self.wanted:
                    self.frame_of[stored.number] = frame
                    remaining -= 1
                self._feed(stored)
        self._take(self.context.decode(None))
        num_lost = len(self.frame_of) + remaining
        if num_lost:
            raise UntrustedError(
                f"{num_lost} of {len(self.planned.frames)} frames did not come out of a decode "
                f"from packet {self.planned.entry.packet}"
            )

    def _feed(self, stored: _Stored) -> None:
        """Give the needed part of a packet, if any, to the decoder."""
        packet: Packet[Any] = stored.packet
        is_disposable = stored.info.is_disposable and stored.info.layer >= self.reader.top_layer
        if is_disposable and stored.number not in self.frame_of:
            return
        if self.references is not None:
            data = bytes(packet)
            part = self.references.needed_part(stored.number, data)
            if not part:
                return
            if part is not data:
                packet = av.Packet(len(part))
                packet.update(part)
        self.pts_of[stored.number] = stored.pts
        if stored.is_shown:
            bisect.insort(self.awaited, stored.pts)
        packet.pts = packet.dts = stored.number
        self._take(self.context.decode(packet))

    def _take(self, frames: Sequence[VideoFrame]) -> None:
        """Collect frames from the decoder, after checking that they are the expected ones."""
        for frame in frames:
            number = frame.pts
            pts = None if number is None else self.pts_of.get(number)
            if number is None or pts is None:
                raise UntrustedError("the decoder shows a frame that belongs to no packet")
            is_late = self.last_pts is not None and pts <= self.last_pts
            # an earlier one is lost or shown later (not checked with references: some are not fed)
            is_early = self.references is None and bool(self.frame_of) and self.awaited[:1] != [pts]
            if is_late or is_early:
                raise UntrustedError(
                    "the decoder loses a frame, or shows them in another order than stated"
                )
            self.last_pts = pts
            del self.awaited[:1]
            index = self.frame_of.pop(number, None)
            if index is not None:
                if frame.is_corrupt:
                    raise DamagedError(f"the decoder marks frame {index} as corrupt")
                self.collector.add(index, frame, float(pts * self.time_base))


class _Cores:
    """Counts this process's decoding threads, for all videos, to limit them to its cores."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.busy = 0
        self.lock = threading.Lock()

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Count one thread that decodes in the body, even if no core is free."""
        with self.lock:
            self.busy += 1
        try:
            yield
        finally:
            self.give_back()

    def take_if_free(self) -> bool:
        with self.lock:
            is_free = self.busy < self.count
            self.busy += is_free
        return is_free

    def give_back(self) -> None:
        with self.lock:
            self.busy -= 1


_cores = _Cores(num_cores())


class RangeDecoding:
    """Decodes ranges of frames in this thread and helpers, the longest ranges first.

    Helper threads, each with a container of its own, start while cores are free.

    Args:
        source: the opened video.
        index: its index.
        collector: collects the frames to decode.
        num_threads: most threads; None means the number of cores.
    """

    def __init__(
        self,
        source: Source,
        index: VideoIndex,
        collector: FrameCollector,
        num_threads: int | None = None,
    ) -> None:
        self.source = source
        ranges = plan_ranges(source, index, collector.rows)
        #: The ranges that no thread has started.
        self.ranges = deque(sorted(ranges, key=attrgetter("num_packets"), reverse=True))
        self.collector = collector
        self.num_threads = num_threads or _cores.count
        pixels = index.info.width * index.info.height
        self.worth = max(1, _WORTH_PIXELS // max(1, pixels))  # num_packets that pay for a thread
        self.helpers: list[threading.Thread] = []
        self.error: Exception | None = None

    def run(self) -> None:
        """Decode the frames.

        Raises:
            UntrustedError, DamagedError, MediaError: an error in one of the ranges.
        """
        with _cores.taken():
            try:
                while self.ranges:
                    self._start_helpers()
                    self._decode_next(self.source)
            finally:
                self.ranges.clear()
                for helper in self.helpers:
                    helper.join()
        if self.error is not None:
            raise self.error

    def _decode_next(self, source: Source) -> None:
        try:
            current = self.ranges.popleft()
        except IndexError:  # another thread was faster
            return
        RangeDecoder(source, current, self.collector).run()

    def _start_helpers(self) -> None:
        """Start as many helpers as are worthwhile, and leave one range to this thread."""
        self.helpers = [helper for helper in self.helpers if helper.is_alive()]
        waiting = [each.num_packets for each in self.ranges.copy()]
        most = min(self.num_threads, len(waiting), 1 + sum(waiting) // self.worth) - 1
        while len(self.helpers) < most and _cores.take_if_free():
            obey_limits = copy_context().run
            helper = threading.Thread(
                target=obey_limits, args=(self._help,), name="decode-range", daemon=True
            )
            self.helpers.append(helper)
            helper.start()

    def _help(self) -> None:
        try:
            with open_source(self.source.path) as own:
                while self.ranges:
                    self._decode_next(own)
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits
            self.ranges.clear()
            self.error = error
        finally:
            _cores.give_back()
