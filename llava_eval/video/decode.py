"""Describe a video, and decode exactly the frames that are asked for."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from llava_eval.errors import MediaError
from llava_eval.types import Clip, VideoInfo
from llava_eval.video.collector import FrameCollector
from llava_eval.video.container import DamagedError, UntrustedError, require_file
from llava_eval.video.deadline import time_limit
from llava_eval.video.fast.index import VideoIndex
from llava_eval.video.fast.index_cache import index_of, known_index
from llava_eval.video.fast.parallel import decode_bursts, num_cores
from llava_eval.video.fast.plan import plan_bursts
from llava_eval.video.fast.source import Source, open_source
from llava_eval.video.sequential import cut, decode_sequentially

_log = logging.getLogger(__name__)


def probe(
    path: str | os.PathLike[str],
    *,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
) -> VideoInfo:
    """Describe the video at ``path``, or the part of it between two times.

    ``num_frames`` is the number of frames that a plain decode from the start shows, which
    differs from what many containers state.

    A cut holds the frames ``round(start_seconds * fps)`` to ``round(end_seconds * fps)``, both
    included and limited to the video, with Python's rounding and the average frame rate. This is
    the rule of the official MVBench code, whose rows are the reason for cuts.
    """
    path = os.fspath(path)
    require_file(path)
    index = known_index(path)
    if index is None:
        with open_source(path) as source:
            index = index_of(source)
    return cut(index.info, start_seconds, end_seconds)


def decode_frames(
    path: str | os.PathLike[str],
    indices: Sequence[int],
    *,
    timeout_seconds: float | None = None,
    num_threads: int | None = None,
) -> Clip:
    """Decode the frames with these numbers: bit-identical to a plain decode from the start.

    Indices are numbers of frames in the whole file, in any order, duplicates allowed. Frames are
    not rotated, whatever rotation the file asks players for. The tensor is (N, 3, H, W) with the
    strides of (N, H, W, 3) memory.

    Args:
        path: the video file.
        indices: numbers of the frames.
        timeout_seconds: give up after this time; None waits.
        num_threads: cores to decode on; None uses all that are free.
    """
    (clip,) = decode_frame_sets(
        path, [indices], timeout_seconds=timeout_seconds, num_threads=num_threads
    )
    return clip


def decode_frame_sets(
    path: str | os.PathLike[str],
    sets: Sequence[Sequence[int]],
    *,
    timeout_seconds: float | None = None,
    num_threads: int | None = None,
) -> list[Clip]:
    """As :func:`decode_frames` for several sets of frames, which together are decoded once."""
    path = os.fspath(path)
    wanted = [tuple(int(index) for index in indices) for indices in sets]
    if not all(wanted):
        raise ValueError(f"{path}: no frame indices were given, expected at least one")
    lowest = min(min(indices) for indices in wanted)
    if lowest < 0:
        raise MediaError(f"{path}: frame index {lowest} is out of range, it is negative")
    with time_limit(timeout_seconds), open_source(path) as source:
        return _decode(source, wanted, num_threads or num_cores())


def _decode(source: Source, wanted: Sequence[Sequence[int]], num_threads: int) -> list[Clip]:
    collector = FrameCollector(source.path, *wanted)
    index = index_of(source, collector)
    info, note = index.info, index.sequential_reason
    highest = max(collector.places)
    if highest >= info.num_frames:
        raise MediaError(
            f"{source.path}: frame index {highest} is out of range, the video has "
            f"{info.num_frames} frames"
        )
    if not note:
        note = _decode_bursts(source, index, collector, num_threads)
        if note:  # frames that came before the doubt are doubtful too
            collector = FrameCollector(source.path, *wanted)
    if note and collector.missing:
        _log.info("%s: decoded sequentially: %s", source.path, note)
        result = decode_sequentially(source.path, collector)
        if collector.missing:
            raise MediaError(
                f"{source.path}: frame {min(collector.missing)} cannot be decoded, the video shows "
                f"{result.num_frames} frames ({result.error or note})"
            )
    notes = (f"decoded sequentially: {note}",) if note else ()
    return collector.clips(fps=info.fps, num_source_frames=info.num_frames, notes=notes)


def _decode_bursts(
    source: Source, index: VideoIndex, collector: FrameCollector, num_threads: int
) -> str:
    """Decode only what is needed; why that cannot be trusted, or an empty string."""
    source.by_byte = index.by_byte
    try:
        bursts = plan_bursts(source, index, collector.places)
        decode_bursts(source, index, bursts, collector, num_threads)
    except DamagedError as damaged:
        _log.warning("%s: %s; replaying from the start", source.path, damaged)
        return str(damaged)
    except UntrustedError as untrusted:
        return str(untrusted)
    return ""
