"""Find the index of a video: from its header, from its packets, or by decoding all of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING

import av.stream

from llava_eval.types import VideoInfo
from llava_eval.video.container import (
    LIBAV_ERRORS,
    UntrustedError,
    average_fps,
    duration_seconds,
    libav_messages,
    reason,
)
from llava_eval.video.fast import mp4
from llava_eval.video.fast.index import VideoIndex, sequential_index
from llava_eval.video.fast.matroska import walk_blocks
from llava_eval.video.fast.scan import scan_packets
from llava_eval.video.fast.source import Source
from llava_eval.video.sequential import decode_sequentially

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

    from llava_eval.video.collector import FrameCollector

_log = logging.getLogger(__name__)

#: Packets to give to the decoder before the first frame has to come out.
_MAX_DELAY = 512


def index_video(source: Source, collector: FrameCollector | None = None) -> VideoIndex:
    """The index of a freshly opened video.

    Where that takes decoding all of it, the frames that the collector wants are added to it.
    """
    try:
        index = _index_packets(source)
    except UntrustedError as untrusted:
        index = sequential_index(_info(source, 1, 1, 0), str(untrusted))
    if not index.sequential_reason:
        num_frames = int(index.num_shown)
        return replace(index, info=_with_count(index.info, num_frames))
    _log.info("%s: decoded sequentially: %s", source.path, index.sequential_reason)
    result = decode_sequentially(source.path, collector, to_the_end=True)
    info = _info(source, result.width, result.height, result.rotation)
    if info.seconds <= 0:
        info = replace(info, seconds=result.seconds)
    return replace(index, info=_with_count(info, result.num_frames))


def _index_packets(source: Source) -> VideoIndex:
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
    if has_table and mp4.is_shown_upright(source.path):
        return mp4.index_samples(source.path, stream, syntax, _info_of_header(source))
    packets = source.container.demux(stream)
    head: list[Packet[VideoStream]] = []
    table = None
    if "matroska" in container_format and syntax.is_simple:
        head += islice(packets, 4)
        table = walk_blocks(source.path, syntax, head)
        if table is not None and table.is_upright:
            return table.index(_info_of_header(source), container_format, syntax)
    info = _first_frame(source, packets, head)
    if has_table:
        return mp4.index_samples(source.path, stream, syntax, info)
    if table is None:
        table = scan_packets(source.path, chain(head, packets), syntax)
    return table.index(info, container_format, syntax)


def _info_of_header(source: Source) -> VideoInfo:
    context = source.stream.codec_context
    return _info(source, context.width, context.height, 0)


def _first_frame(
    source: Source, packets: Iterator[Packet[VideoStream]], head: list[Packet[VideoStream]]
) -> VideoInfo:
    """Size and rotation as the first decoded frame has them; the packets read go to ``head``."""
    context = source.stream.codec_context
    try:
        with libav_messages():
            for packet in chain(tuple(head), _kept(packets, head)):
                frames = context.decode(packet)
                if not frames and packet.size and not packet.is_discard:
                    frames = context.decode(None)
                    context.flush_buffers()
                if frames:
                    context.flush_buffers()
                    frame = frames[0]
                    return _info(source, frame.width, frame.height, frame.rotation % 360)
                if len(head) > _MAX_DELAY:
                    break
    except LIBAV_ERRORS as error:
        raise UntrustedError(f"the first frame cannot be decoded: {reason(error)}") from error
    raise UntrustedError("the first packet shows no frame")


def _kept(
    packets: Iterator[Packet[VideoStream]], head: list[Packet[VideoStream]]
) -> Iterator[Packet[VideoStream]]:
    for packet in packets:
        head.append(packet)
        yield packet


def _info(source: Source, width: int, height: int, rotation: int) -> VideoInfo:
    return VideoInfo(
        path=source.path,
        num_frames=0,
        fps=average_fps(source.stream),
        seconds=duration_seconds(source.container, source.stream) or 0.0,
        width=width,
        height=height,
        codec=source.stream.codec_context.codec.canonical_name,
        rotation=rotation,
    )


def _with_count(info: VideoInfo, num_frames: int) -> VideoInfo:
    seconds = info.seconds
    if seconds <= 0 and info.fps > 0:
        seconds = num_frames / info.fps
    return replace(info, num_frames=num_frames, seconds=seconds)
