"""Find the index of a video without decoding it: from its header, blocks, or all its packets."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING, NamedTuple

import av.logging
import av.stream
import numpy as np

from llava_eval.types import MediaProblem, VideoInfo
from llava_eval.video.container import (
    LIBAV_ERRORS,
    Message,
    average_fps,
    duration_seconds,
    libav_messages,
    open_video,
    reason,
    sign_of_damage,
    without_start,
)
from llava_eval.video.deadline import check_deadline
from llava_eval.video.fast import mp4
from llava_eval.video.fast.index import (
    NEW_PARAMETERS,
    TIMES_AS_STORED,
    DamagedError,
    PacketTable,
    UntrustedError,
    VideoIndex,
    check_rise,
    reorders,
)
from llava_eval.video.fast.matroska import walk_blocks
from llava_eval.video.fast.picture_order import JOINED, PictureOrder, goes_on, is_leading, rises
from llava_eval.video.fast.source import Source
from llava_eval.video.fast.syntax import NOT_ONE_EACH, SEVERAL_SEQUENCES, Syntax
from llava_eval.video.truncation import shortfall, truncation

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

#: The Matroska demuxer's message for a file that is cut off but complete up to there.
_AT_END = "File ended prematurely"

#: How many first packets show how a muxer packs frames: several groups of pictures.
_LOOKED_AT = 64

#: How many packets the decoder may take before the first frame has to come out.
_MAX_DELAY = 512


def index_video(source: Source) -> VideoIndex:
    """Return the index of a freshly opened video.

    Raises:
        UntrustedError: only decoding it can tell which frames it shows.
    """
    stream, syntax = source.stream, source.syntax
    if int(stream.disposition) & int(av.stream.Disposition.attached_pic):
        raise UntrustedError("the video stream is a cover picture")
    if syntax.distrust:
        raise UntrustedError(syntax.distrust)
    container_format = source.container.format.name
    has_table = (
        "mp4" in container_format
        and syntax.states_reorder
        and mp4.has_sample_table(source.path, stream)
    )
    packets = source.container.demux(stream)
    head: list[Packet[VideoStream]] = []
    messages = source.opening
    if syntax.states_references or not syntax.shows_every_packet:  # frames may be hidden
        with libav_messages(of_helpers=False) as heard:
            _look_at(packets, head, syntax, may_show_none=not has_table)
        messages = [*messages, *heard]
    if has_table and mp4.is_shown_upright(source.path):
        return mp4.index_samples(source.path, stream, syntax, _info(source))
    table = None
    if "matroska" in container_format and not syntax.max_reorder:
        head += islice(packets, max(0, 4 - len(head)))
        table = walk_blocks(source.path, syntax, head[:4])
        if table is not None and table.is_upright:
            return _index_of_table(source, table, _info(source), messages)
    info = _first_frame(source, packets, head)
    if has_table:
        return mp4.index_samples(source.path, stream, syntax, info)
    if table is None:
        with libav_messages(of_helpers=False) as heard:
            # a decoder learns an unstated reordering from the first frames; later ones may differ
            may_reorder = reorders(stream) or not syntax.states_reorder
            scan = _Scan(syntax, may_reorder=may_reorder)
            table = scan.read(source.path, chain(head, packets))
        messages = [*messages, *heard]
    return _index_of_table(source, table, info, messages)


def _look_at(
    packets: Iterator[Packet[VideoStream]],
    head: list[Packet[VideoStream]],
    syntax: Syntax,
    *,
    may_show_none: bool,
) -> None:
    """Raise if the first packets do not show one frame each; append packets read to ``head``."""
    try:
        for packet in _kept(islice(packets, _LOOKED_AT), head):
            data = bytes(packet)
            expected = not (may_show_none and data) or syntax.shows(data[0], data[-1])
            if data and syntax.num_shown(data) != expected:
                raise UntrustedError(NOT_ONE_EACH)
    except LIBAV_ERRORS as error:
        raise DamagedError(f"reading stops early: {reason(error)}") from error


def _index_of_table(
    source: Source, table: PacketTable, info: VideoInfo, messages: list[Message]
) -> VideoIndex:
    """Return the index of a table of packets; raise if the demuxer reported damage to them."""
    container_format, time_base = source.container.format.name, source.stream.time_base
    damage = sign_of_damage(messages, container_format, ignore=_AT_END, level=av.logging.ERROR)
    if damage:  # packets are missing, and the decoding of the others depends on them
        raise DamagedError(f"the demuxer reports damage: {damage}")
    if table.doubt:
        raise UntrustedError(table.doubt)
    if source.syntax.max_reorder and source.syntax.states_reorder:
        check_rise(np.array(table.pts, np.int64), source.stream, source.syntax)
    if table.pts and time_base is not None:
        start, last = float(min(table.pts) * time_base), float(max(table.pts) * time_base)
        fps = average_fps(source.stream, sum(table.shown), last - start)
        end = last + (1.0 / fps if fps > 0 else 0.0)
        stated = info.seconds
        seconds = without_start(stated, start, last, container_format) or end - start
        info = replace(info, fps=fps, seconds=seconds)
        if not info.problems:
            problems = shortfall(container_format, stated, end)
            if problems:  # check again, as the last frame may be shown for longer than others
                problems = shortfall(container_format, stated, _end_of_packets(source.path))
            cut_off = sign_of_damage(messages, container_format, level=av.logging.ERROR)
            if cut_off:
                problems += (MediaProblem("damaged", cut_off),)
            info = replace(info, problems=problems)
    return table.index(info, container_format, source.syntax)


def _end_of_packets(path: str) -> float:
    """Return when the last frame ends (seconds), from the durations of all packets."""
    with open_video(path) as (container, stream, _), libav_messages(of_helpers=False):
        ends = [
            (packet.pts + (packet.duration or 0)) * packet.time_base
            for packet in container.demux(stream)
            if packet.pts is not None
        ]
    return float(max(ends))


def _first_frame(
    source: Source, packets: Iterator[Packet[VideoStream]], head: list[Packet[VideoStream]]
) -> VideoInfo:
    """Describe the video with its first frame's size and rotation; append packets to ``head``."""
    context = source.stream.codec_context
    try:
        with libav_messages(of_helpers=False):  # only keeps messages off the terminal
            for packet in chain(tuple(head), _kept(packets, head)):
                frames = context.decode(packet)
                if not frames and packet.size and not packet.is_discard:
                    frames = context.decode(None)
                    context.flush_buffers()
                if frames:
                    context.flush_buffers()
                    return _info(source, frames[0])
                if len(head) > _MAX_DELAY:
                    break
    except LIBAV_ERRORS as error:
        raise DamagedError(f"the first frame cannot be decoded: {reason(error)}") from error
    raise UntrustedError("the first packet shows no frame")


def _kept(
    packets: Iterator[Packet[VideoStream]], head: list[Packet[VideoStream]]
) -> Iterator[Packet[VideoStream]]:
    for packet in packets:
        head.append(packet)
        yield packet


def _info(source: Source, frame: VideoFrame | None = None) -> VideoInfo:
    """Describe a video by its header and, if there is one, a decoded frame."""
    size = source.stream.codec_context if frame is None else frame
    return VideoInfo(
        path=source.path,
        num_frames=0,
        fps=average_fps(source.stream),
        seconds=duration_seconds(source.container, source.stream),
        width=size.width,
        height=size.height,
        codec=source.stream.codec_context.codec.canonical_name,
        rotation=0 if frame is None else frame.rotation % 360,
        problems=truncation(source.path, source.container.format.name),
    )


class _Joint(NamedTuple):
    """Pictures around a keyframe, see :func:`llava_eval.video.fast.picture_order.goes_on`."""

    before: list[PictureOrder | None]
    keyframe: PictureOrder
    after: list[PictureOrder]


class _Scan:
    """Reads all packets of a video into a table, and records doubts about their order."""

    def __init__(self, syntax: Syntax, *, may_reorder: bool) -> None:
        self.syntax = syntax
        self.table = PacketTable()
        self.parameters = b""  # those that keyframes repeat
        self.may_be_hidden = False  # the next packet, if it is shown before the first keyframe
        self.may_reorder = may_reorder
        # since the last keyframe:
        self.recent: deque[bytes] = deque(maxlen=1 + 2 * syntax.max_reorder)
        self.joint: _Joint | None = None  # until all pictures shown before it have been read
        self.times_rise = may_reorder  # times of all packets rise although frames may be reordered
        self.orders: list[PictureOrder | None] = []  # of all packets, as long as times rise

    def read(self, path: str, packets: Iterable[Packet[VideoStream]]) -> PacketTable:
        """Read all packets of a video, from the first on, and return their table."""
        try:
            for packet in packets:
                check_deadline(path)
                if packet.size:
                    self._add(packet)
        except LIBAV_ERRORS as error:
            raise DamagedError(f"reading stops early: {reason(error)}") from error
        self._check_joint()
        self._check_times()
        return self.table

    def _add(self, packet: Packet[VideoStream]) -> None:
        table, syntax = self.table, self.syntax
        number = len(table.pts)
        if packet.pts is None:
            raise UntrustedError(f"packet {number} has no timestamp")
        if packet.is_corrupt:
            raise DamagedError(f"packet {number} is marked as corrupt")
        data = b"" if syntax.shows_every_packet and not syntax.max_reorder else bytes(packet)
        if syntax.packet_info(data) is None:
            raise DamagedError(f"packet {number} is damaged")
        shown = not packet.is_discard and (
            syntax.shows_every_packet or syntax.shows(data[0], data[-1])
        )
        if packet.is_keyframe:
            self._add_keyframe(number, packet)
        elif self.may_be_hidden:
            self.may_be_hidden = syntax.is_leading(data)
            shown &= not syntax.hidden_at_start(data)
        if self.joint is not None and not packet.is_keyframe:
            order = syntax.picture_order(data)
            if order is not None and is_leading(order, self.joint.keyframe):
                self.joint.after.append(order)
            else:
                self._check_joint()
        self.times_rise &= packet.is_keyframe or number == 0 or packet.pts > table.pts[-1]
        if self.times_rise:
            self.orders.append(syntax.picture_order(data))
        table.pts.append(packet.pts)
        table.dts.append(packet.dts)
        table.shown.append(shown)
        self.recent.append(data)

    def _check_joint(self) -> None:
        """Record a doubt if the order of pictures does not continue at the last keyframe."""
        if self.joint is not None and not goes_on(*self.joint):
            self.table.doubt = JOINED
        self.joint = None

    def _check_times(self) -> None:
        """Record a doubt if times since the last keyframe rise as stored, but the order may not."""
        if self.times_rise and len(self.orders) > 1 and not rises(self.orders):
            self.table.doubt = TIMES_AS_STORED
        self.times_rise = self.may_reorder
        self.orders.clear()

    def _add_keyframe(self, number: int, packet: Packet[VideoStream]) -> None:
        data = bytes(packet)
        self.may_be_hidden = number == 0 and self.syntax.marks_leading
        distrust = self.syntax.keyframe_distrust(data, is_first=number == 0)
        if distrust:
            raise UntrustedError(distrust)
        if number > 0 and self.syntax.ends_sequence(self.recent[-1]):
            raise UntrustedError(SEVERAL_SEQUENCES)
        self._check_joint()
        self._check_times()
        order = self.syntax.picture_order(data) if number > 0 else None
        if order is not None and not order.resets:
            before = [self.syntax.picture_order(each) for each in self.recent]
            self.joint = _Joint(before, order, [])
        self.recent.clear()
        parameters = self.syntax.parameters(data) or self.parameters
        if self.parameters not in (b"", parameters):
            raise UntrustedError(NEW_PARAMETERS)
        self.parameters = parameters
        self.table.keyframes.append(number)
        self.table.positions.append(-1 if packet.pos is None else packet.pos)
        self.table.entries.append(self.syntax.entry_kind(data))
