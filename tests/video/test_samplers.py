"""Samplers against the literal formulas of the references that they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llava_eval.errors import MediaError
from llava_eval.types import VideoInfo
from llava_eval.video import samplers
from llava_eval.video.decode import cut

Sampler = Callable[[VideoInfo, int], tuple[int, ...]]


def video(num_frames: int, *, first: int = 0, fps: float = 25.0) -> VideoInfo:
    return VideoInfo(
        path="v.mp4",
        num_frames=num_frames,
        fps=fps,
        seconds=num_frames / fps,
        width=64,
        height=48,
        codec="h264",
        first_frame_index=first,
    )


def linspace(total: int, n: int) -> list[int]:
    return [int(value) for value in np.linspace(0, total - 1, n, dtype=int)]


def arange(total: int, n: int) -> list[int]:
    return [int(value) for value in np.arange(0, total, total / n).astype(int)][:n]


def integer(total: int, n: int) -> list[int]:
    return [int(value) for value in np.arange(n) * total // n]


def interior(total: int, n: int) -> list[int]:
    step_size = total / (n + 1)
    return [int(i * step_size) for i in range(1, n + 1)]


def midpoints(total: int, n: int, start_idx: int = 0) -> list[int]:
    end_idx = start_idx + total - 1
    seg_size = float(end_idx - start_idx) / n
    return [int(start_idx + (seg_size / 2) + np.round(seg_size * idx)) for idx in range(n)]


REFERENCES: list[tuple[Sampler, Callable[[int, int], list[int]]]] = [
    (samplers.linspace_to_last_frame, linspace),
    (samplers.arange_from_first_frame, arange),
    (samplers.integer_steps, integer),
    (samplers.interior_points, interior),
    (samplers.segment_midpoints, midpoints),
]


def read_video_pyav(total_frames: int, num_frm: int) -> list[int]:
    """lmms-eval v0.2.0, model_utils/load_video.py."""
    sampled_frm = min(total_frames, num_frm)
    return [int(i) for i in np.linspace(0, total_frames - 1, sampled_frm, dtype=int)]


@pytest.mark.parametrize("total", [1, 2, 5, 31, 32, 33, 300])
@pytest.mark.parametrize("num_frames", [1, 8, 32])
def test_each_frame_of_a_short_video_once(total: int, num_frames: int) -> None:
    indices = samplers.each_frame_once(video(total), num_frames)
    assert list(indices) == read_video_pyav(total, num_frames)
    assert len(set(indices)) == len(indices) == min(total, num_frames)


def get_index(
    bound: tuple[float, float], fps: float, max_frame: int, num_segments: int
) -> list[int]:
    """video_chat2/mvbench.ipynb of OpenGVLab/Ask-Anything, for videos."""
    start, end = bound
    start_idx = max(0, round(start * fps))
    end_idx = min(round(end * fps), max_frame)
    seg_size = float(end_idx - start_idx) / num_segments
    return [
        int(start_idx + (seg_size / 2) + np.round(seg_size * idx)) for idx in range(num_segments)
    ]


@pytest.mark.parametrize("num_frames", [1, 4, 16])
@pytest.mark.parametrize(
    "bound", [(0.0, 1.0), (0.5, 99.0), (2.96, 3.0), (2.98, 4.0), (3.0, 9.0), (3.01, 3.02)]
)
def test_cuts_up_to_one_frame_past_the_last(bound: tuple[float, float], num_frames: int) -> None:
    """75 frames at 25 fps: the last number is 74, and 3.0 s is the number 75."""
    part = cut(video(75), *bound)
    expected = get_index(bound, 25.0, 74, num_frames)
    assert max(expected) < 75
    assert list(samplers.segment_midpoints(part, num_frames)) == expected


def test_a_cut_needs_a_frame_rate() -> None:
    unknown = replace(video(75), fps=0.0)
    assert cut(unknown, None, None) == unknown
    with pytest.raises(MediaError, match="a cut needs a frame rate"):
        cut(unknown, 1.0, None)


def test_cuts_that_start_later() -> None:
    """The reference asks its decoder for a frame that is not there."""
    assert max(get_index((3.04, 9.0), 25.0, 74, 16)) == 75
    with pytest.raises(MediaError, match=r"no frame lies between 3\.04 s and 9\.0 s"):
        cut(video(75), 3.04, 9.0)
    with pytest.raises(MediaError, match="no frames from the start of the cut on"):
        samplers.linspace_to_last_frame(cut(video(75), 3.0, 9.0), 4)


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        (samplers.linspace_to_last_frame, (0, 42, 85, 128, 170, 213, 256, 299)),
        (samplers.arange_from_first_frame, (0, 37, 75, 112, 150, 187, 225, 262)),
        (samplers.integer_steps, (0, 37, 75, 112, 150, 187, 225, 262)),
        (samplers.interior_points, (33, 66, 100, 133, 166, 200, 233, 266)),
        # by hand: segments of 299 / 8 = 37.375 frames, starts rounded, half a segment added
        (samplers.segment_midpoints, (18, 55, 93, 130, 168, 205, 242, 280)),
    ],
)
def test_eight_of_three_hundred(sampler: Sampler, expected: tuple[int, ...]) -> None:
    assert sampler(video(300), 8) == expected


@pytest.mark.parametrize(("sampler", "reference"), REFERENCES)
@given(total=st.integers(1, 200_000), n=st.integers(1, 256))
def test_equals_the_reference_formula(
    sampler: Sampler, reference: Callable[[int, int], list[int]], total: int, n: int
) -> None:
    indices = sampler(video(total), n)
    assert list(indices) == reference(total, n)
    assert len(indices) == n
    assert all(type(index) is int and 0 <= index < total for index in indices)


@pytest.mark.parametrize(("sampler", "reference"), REFERENCES)
def test_short_videos_repeat_frames(
    sampler: Sampler, reference: Callable[[int, int], list[int]]
) -> None:
    for total in range(1, 9):
        indices = sampler(video(total), 8)
        assert list(indices) == reference(total, 8)
        assert len(indices) == 8
        assert set(indices) <= set(range(total))


@pytest.mark.parametrize(("sampler", "reference"), REFERENCES[:4])
@given(total=st.integers(1, 5000), n=st.integers(1, 64), first=st.integers(0, 100_000))
def test_a_cut_moves_the_indices(
    sampler: Sampler,
    reference: Callable[[int, int], list[int]],
    total: int,
    n: int,
    first: int,
) -> None:
    expected = [first + index for index in reference(total, n)]
    assert list(sampler(video(total, first=first), n)) == expected


@given(total=st.integers(1, 5000), n=st.integers(1, 64), first=st.integers(0, 100_000))
def test_segment_midpoints_of_a_cut(total: int, n: int, first: int) -> None:
    expected = midpoints(total, n, start_idx=first)
    assert list(samplers.segment_midpoints(video(total, first=first), n)) == expected


def test_where_the_model_card_and_integer_steps_differ() -> None:
    card = samplers.arange_from_first_frame(video(164), 20)
    steps = samplers.integer_steps(video(164), 20)
    assert card != steps
    assert max(abs(a - b) for a, b in zip(card, steps, strict=True)) == 1


@pytest.mark.parametrize(
    ("fps", "sample_fps", "total", "n", "expected"),
    [
        (25.0, 1.0, 100, None, (0, 25, 50, 75)),
        (29.97, 1.0, 100, None, (0, 30, 60, 90)),
        (25.0, 2.0, 50, None, (0, 12, 24, 36, 48)),  # round(12.5) is 12
        (25.0, 1.0, 100, 4, (0, 25, 50, 75)),
        (25.0, 1.0, 101, 4, (0, 33, 66, 100)),  # five frames a second apart are too many
        (0.4, 1.0, 3, None, (0, 1, 2)),  # round(0.4) is 0: every frame
    ],
)
def test_at_fps(
    fps: float, sample_fps: float, total: int, n: int | None, expected: tuple[int, ...]
) -> None:
    assert samplers.at_fps(video(total, fps=fps), n, fps=sample_fps) == expected


def test_at_fps_of_a_cut() -> None:
    assert samplers.at_fps(video(60, first=10), None) == (10, 35, 60)


@pytest.mark.parametrize("sampler", [sampler for sampler, _ in REFERENCES])
def test_refusals(sampler: Sampler) -> None:
    with pytest.raises(MediaError, match=r"v\.mp4: the video has no frames"):
        sampler(video(0), 8)
    with pytest.raises(ValueError, match="num_frames is 0, expected at least 1"):
        sampler(video(10), 0)


def test_at_fps_refusals() -> None:
    with pytest.raises(ValueError, match="fps is 0"):
        samplers.at_fps(video(10), 8, fps=0)
    with pytest.raises(MediaError, match="no frames"):
        samplers.at_fps(video(0), None)


@pytest.mark.parametrize(
    ("clues", "num_frames", "expected"),
    [
        (((0.2, 0.4), (0.8, 1.2)), 32, (2, 3, 8, 9)),  # the video ends with frame 9
        # Frames 0 to 5 and 7 to 9: of 3 frames 3 * 6 / 9 = 2 and 1, in the middle of 3 each.
        (((0.0, 0.6), (0.7, 1.0)), 3, (1, 4, 8)),
        (((0.0, 0.6), (0.7, 1.0)), 2, (3, 8)),  # 1.3 and 0.7 frames: each part has one
        ((), 2, (2, 6)),  # int(9 / 4) and int(9 / 4 + round(9 / 2)): MVBench's
    ],
)
def test_frames_of_clues(
    clues: tuple[tuple[float, float], ...], num_frames: int, expected: tuple[int, ...]
) -> None:
    shown = replace(video(10, fps=10.0), clue_seconds=clues)
    assert samplers.clue_midpoints(shown, num_frames) == expected
