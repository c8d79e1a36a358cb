"""Exact frames without decoding the others: the one entry to everything in this folder.

Nothing outside imports a module of this folder, and all that is here could go: each function may
answer that it cannot be sure, and the caller then decodes from the start.

A packet that is not read cannot be known to be damaged: where the decoder would lose a frame of it,
which a plain decode does not count, the frames after it have the numbers that the container gives
them.

    path --index_video--> VideoIndex --plan_ranges--> DecodeRange --RangeDecoder--> FrameCollector
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from llava_eval.types import MediaProblem, VideoInfo
from llava_eval.video.collector import FrameCollector
from llava_eval.video.fast.index import DamagedError, UntrustedError, VideoIndex
from llava_eval.video.fast.index_cache import forget_indices, known_index, remember_index
from llava_eval.video.fast.ranges import RangeDecoding
from llava_eval.video.fast.scan import index_video
from llava_eval.video.fast.source import Source, open_source

__all__ = ["Attempt", "decode", "describe", "forget_indices", "remember"]

_log = logging.getLogger(__name__)


class Attempt(NamedTuple):
    """The outcome of an attempt to do without a decode from the start.

    Attributes:
        info: the video; None where only a decode of all of it can tell how many frames it has.
        why_not: why frames have to come from a sequential decode; empty where they need not.
        problems: damage that was met.
    """

    info: VideoInfo | None
    why_not: str
    problems: tuple[MediaProblem, ...] = ()


def describe(path: str) -> Attempt:
    """Describe a video without decoding it.

    Args:
        path: of a file that exists.

    Raises:
        MediaError: the file is no video.
    """
    index = known_index(path)
    if index is None:
        try:
            with open_source(path) as source:
                index = _find_index(source)
        except UntrustedError as untrusted:
            return Attempt(None, str(untrusted), _damage(untrusted))
    return Attempt(index.info, index.sequential_reason)


def decode(collector: FrameCollector, num_threads: int | None = None) -> Attempt:
    """Add the missing frames to a collector, decoding no more than they need.

    Where the attempt has a ``why_not``, no frame in the collector is to be trusted.

    Args:
        collector: of frames of a file that exists.
        num_threads: cores to decode on; None uses all that are free.

    Raises:
        MediaError: the file is no video, or too short.
    """
    index = known_index(collector.path)
    if index is not None and index.sequential_reason:
        collector.require_below(index.info.num_frames)
        return Attempt(index.info, index.sequential_reason)
    try:
        with open_source(collector.path) as source:
            if index is None:
                index = _find_index(source)
            collector.require_below(index.info.num_frames)
            RangeDecoding(source, index, collector, num_threads).run()
    except UntrustedError as untrusted:
        problems = _damage(untrusted)
        if problems:
            _log.warning("%s: %s; replaying from the start", collector.path, untrusted)
        if index is None:  # it has to be decoded from the start whenever it is shown
            return Attempt(None, str(untrusted), problems)
        if problems:
            problems += (MediaProblem("replayed", f"decoded from the start: {untrusted}"),)
        return Attempt(index.info, str(untrusted), problems)
    return Attempt(index.info, "")


def _damage(untrusted: UntrustedError) -> tuple[MediaProblem, ...]:
    is_damage = isinstance(untrusted, DamagedError)
    return (MediaProblem("damaged", str(untrusted)),) if is_damage else ()


def remember(info: VideoInfo, why_not: str) -> None:
    """Keep what a decode of a whole video found out, so that the next time it is known.

    Args:
        info: the video.
        why_not: why it had to be decoded.
    """
    remember_index(VideoIndex(info, sequential_reason=why_not))


def _find_index(source: Source) -> VideoIndex:
    index = index_video(source)
    remember_index(index)
    return index
