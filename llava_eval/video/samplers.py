"""Samplers: choose the frames of a video that a protocol shows to the model.

Each sampler is a function ``(VideoInfo, num_frames) -> indices``. Indices are numbers of frames in
the whole file; within a cut they start at ``info.first_frame_index`` and stay inside the cut. The
arithmetic, floats included, is that of the reference named in each docstring. If a video has fewer
than ``num_frames`` frames, some are repeated, as in most references. A video without frames raises
:class:`~llava_eval.errors.MediaError`, a ``num_frames`` below 1 ValueError.

For 300 frames and ``num_frames=8``:

    linspace_to_last_frame   0, 42, 85, 128, 170, 213, 256, 299
    arange_from_first_frame  0, 37, 75, 112, 150, 187, 225, 262
    integer_steps            0, 37, 75, 112, 150, 187, 225, 262
    interior_points          33, 66, 100, 133, 166, 200, 233, 266
    segment_midpoints        18, 55, 93, 130, 168, 205, 242, 280

For 5 frames, ``each_frame_once`` returns 0, 1, 2, 3, 4; the others above repeat some of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llava_eval.errors import MediaError
from llava_eval.types import VideoInfo


def linspace_to_last_frame(info: VideoInfo, num_frames: int) -> tuple[int, ...]:
    """Return evenly spaced frames from the first to the last, both included.

    ``np.linspace(0, T - 1, n, dtype=int)``: LLaVA-NeXT (``video_inference`` and ``main``
    branches) and the LLaVA wrappers of lmms-eval.
    """
    total = _checked_total(info, num_frames)
    return _absolute(info, np.linspace(0, total - 1, num_frames, dtype=int).tolist())


def each_frame_once(info: VideoInfo, num_frames: int) -> tuple[int, ...]:
    """Return the same as :func:`linspace_to_last_frame`, but no frame of a shorter video twice.

    ``np.linspace(0, T - 1, min(T, n), dtype=int)``: lmms-eval v0.2.0 with its default decoder
    (lmms_eval/models/model_utils/load_video.py, ``read_video_pyav``).
    """
    return linspace_to_last_frame(info, min(num_frames, _checked_total(info, num_frames)))


def arange_from_first_frame(info: VideoInfo, num_frames: int) -> tuple[int, ...]:
    """Return frames at equal steps from the first on; the last frame is not reached.

    ``np.arange(0, T, T / n).astype(int)``: the model cards of LLaVA-NeXT-Video on the Hub.
    Rounding of the step can make ``np.arange`` return n + 1 values; the first n are used.
    """
    total = _checked_total(info, num_frames)
    indices = np.arange(0, total, total / num_frames).astype(int)
    return _absolute(info, indices[:num_frames].tolist())


def integer_steps(info: VideoInfo, num_frames: int) -> tuple[int, ...]:
    """Return frames at equal steps from the first on, in integer arithmetic.

    ``arange(n) * T // n``: the video processors of transformers 5. (They refuse videos of fewer
    than n frames; here the same formula repeats frames.)
    """
    total = _checked_total(info, num_frames)
    return _absolute(info, [i * total // num_frames for i in range(num_frames)])


def interior_points(info: VideoInfo, num_frames: int) -> tuple[int, ...]:
    """Return the n frames that divide the video into n + 1 equal parts.

    ``int(i * (T / (n + 1)))`` for i = 1..n: VLMEvalKit.
    """
    total = _checked_total(info, num_frames)
    step = total / (num_frames + 1)
    return _absolute(info, [int(i * step) for i in range(1, num_frames + 1)])


def segment_midpoints(info: VideoInfo, num_frames: int) -> tuple[int, ...]:
    """Return the middle of each of n equal segments between the first and the last frame.

    ``int(start + seg / 2 + np.round(seg * i))`` with ``seg = (end - start) / n``, where ``end`` is
    the number of the last frame: the official MVBench code. With a cut, start and end are the
    cut's first and last frame (as :func:`llava_eval.video.decode.cut` defines them). If a cut
    starts one frame after the video's last, its end is before its start; the same arithmetic then
    picks frames next to them.
    """
    starts_after_end = info.num_frames == 0 and info.first_frame_index > 0
    total = 0 if starts_after_end else _checked_total(info, num_frames)
    start, end = info.first_frame_index, info.first_frame_index + total - 1
    segment = float(end - start) / num_frames
    return tuple(int(start + segment / 2 + np.round(segment * i)) for i in range(num_frames))


def at_fps(info: VideoInfo, num_frames: int | None, *, fps: float = 1.0) -> tuple[int, ...]:
    """Return every ``round(video fps / fps)``-th frame; if too many, evenly spaced frames.

    ``range(0, T, round(avg_fps))``, replaced by :func:`linspace_to_last_frame` when it is longer
    than ``num_frames``: LLaVA-NeXT's ``video_demo.py`` (which has ``fps=1``). A ``num_frames`` of
    None sets no limit.
    """
    if fps <= 0:
        raise ValueError(f"fps is {fps}, expected more than 0")
    total = _checked_total(info, 1 if num_frames is None else num_frames)
    indices = range(0, total, max(1, round(info.fps / fps)))
    if num_frames is not None and len(indices) > num_frames:
        return linspace_to_last_frame(info, num_frames)
    return _absolute(info, indices)


def whole_steps(info: VideoInfo, num_frames: int) -> tuple[int, ...]:
    """Return frames at steps of a whole number of frames, from the first frame on.

    ``int(T / n) * i`` with ``T = int(seconds * fps)`` and at most one frame per whole second:
    LongVideoBench's own loader (longvideobench_dataset.py, load_video), and lmms-eval's. Both take
    the seconds from the benchmark's row if the protocol says so, and fail if they exceed the
    file's. For a video of less than a second they have no frame; here it shows its first one.
    """
    num_real = _checked_total(info, num_frames)
    seconds = info.seconds if info.stated_seconds is None else info.stated_seconds
    total = int(seconds * info.fps)
    if info.stated_seconds is None:  # stated seconds are not limited to the real frames
        total = min(total, num_real)
    num_shown = max(1, min(num_frames, int(seconds)))
    step = int(total / num_shown)
    return tuple(info.first_frame_index + step * i for i in range(num_shown))


#: The most frames of clues that CG-Bench shows.
_MOST_OF_CLUES = 32


def clue_midpoints(info: VideoInfo, num_frames: int) -> tuple[int, ...]:
    """Return the middles of equal segments of the row's parts of a video (``clue_seconds``).

    If the row names none, the same as :func:`segment_midpoints`. ``num_frames``, but at most 32,
    frames are shared among the parts by their lengths, with at least one for each; parts that have
    no more frames in total show each once. Indices after the video's last frame are dropped:
    CG-Bench's own code (CG-Bench/CG-Bench f826608, run/utils.py, sample_frames_clue_average and
    get_list_image_paths).
    """
    total = _checked_total(info, num_frames)
    if not info.clue_seconds:
        return segment_midpoints(info, num_frames)
    limit = min(num_frames, _MOST_OF_CLUES)
    parts = [(round(start * info.fps), round(end * info.fps)) for start, end in info.clue_seconds]
    num_all = sum(end - start for start, end in parts)
    if limit >= num_all:
        indices = [index for start, end in parts for index in range(start, end)]
    else:
        indices = []
        for start, end in parts:
            share = max(1, int(limit * ((end - start) / num_all)))
            segment = (end - start) / share
            indices += [int(start + segment / 2 + segment * i) for i in range(share)]
    kept = [index for index in indices if index < total]
    if not kept:
        raise MediaError(f"{info.path}: it has no frame in {info.clue_seconds} s")
    return _absolute(info, kept)


def _checked_total(info: VideoInfo, num_frames: int) -> int:
    if num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}, expected at least 1")
    if info.num_frames == 0:
        where = "from the start of the cut on" if info.first_frame_index > 0 else "to sample from"
        raise MediaError(f"{info.path}: the video has no frames {where}")
    return info.num_frames


def _absolute(info: VideoInfo, indices: Sequence[int]) -> tuple[int, ...]:
    return tuple(info.first_frame_index + index for index in indices)
