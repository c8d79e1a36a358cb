"""Decode exact frames without decoding all others: the only entry to this folder.

Nothing outside imports the modules in this folder, and the folder could be removed: each function
may answer that it cannot be sure, and the caller then decodes from the start.

Damage in a packet that is not read goes unnoticed. If a decoder would lose that packet's frame, a
plain decode does not count it; here the frames after it keep the numbers that the container gives
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
    """The outcome of an attempt to avoid a decode from the start.

    Attributes:
        info: the video; None if only decoding all of it can tell its number of frames.
        why_not: why frames must come from a sequential decode; empty if they need not.
        problems: the damage that was found.
    """

    info: VideoInfo | None
    why_not: str
    problems: tuple[MediaProblem, ...] = ()


def describe(path: str) -> Attempt:
    """Describe a video without decoding it.

    Args:
        path: path of a file that exists.

    Raises:
        MediaError: the file is not a video.
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
    """Add the missing frames to a collector, decoding no more than necessary.

    If the attempt has a ``why_not``, no frame in the collector may be trusted.

    Args:
        collector: collects frames of a file that exists.
        num_threads: cores to decode on; None uses all free ones.

    Raises:
        MediaError: the file is not a video, or too short.
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
        if index is None:  # every decode of this video has to start at its beginning
            return Attempt(None, str(untrusted), problems)
        if problems:
            problems += (MediaProblem("replayed", f"decoded from the start: {untrusted}"),)
        return Attempt(index.info, str(untrusted), problems)
    return Attempt(index.info, "")


def _damage(untrusted: UntrustedError) -> tuple[MediaProblem, ...]:
    is_damage = isinstance(untrusted, DamagedError)
    return (MediaProblem("damaged", str(untrusted)),) if is_damage else ()


def remember(info: VideoInfo, why_not: str) -> None:
    """Keep the facts found by decoding a whole video, for the next time.

    Args:
        info: the video.
        why_not: why it had to be decoded.
    """
    remember_index(VideoIndex(info, sequential_reason=why_not))


def _find_index(source: Source) -> VideoIndex:
    index = index_video(source)
    remember_index(index)
    return index
