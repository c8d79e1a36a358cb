"""LongVideoBench's sampler."""

from __future__ import annotations

from dataclasses import replace

import pytest

from llava_eval.errors import MediaError
from llava_eval.types import VideoInfo
from llava_eval.video.samplers import whole_steps


def info(num_frames: int, fps: float, first_frame_index: int = 0) -> VideoInfo:
    return VideoInfo("v.mp4", num_frames, fps, num_frames / fps, 8, 8, "h264", 0, first_frame_index)


@pytest.mark.parametrize(
    ("video", "num_frames", "indices"),
    [
        (info(100, 5.0), 16, tuple(range(0, 96, 6))),  # int(100 / 16) = 6
        (info(60, 25.0), 16, (0, 30)),  # 2.4 s: two frames
        (info(10, 25.0), 16, (0,)),  # under a second
        (info(100, 10.0, first_frame_index=7), 4, (7, 32, 57, 82)),
    ],
)
def test_indices(video: VideoInfo, num_frames: int, indices: tuple[int, ...]) -> None:
    assert whole_steps(video, num_frames) == indices


def test_what_cannot_be_sampled() -> None:
    with pytest.raises(ValueError, match="num_frames is 0"):
        whole_steps(info(10, 5.0), 0)
    with pytest.raises(MediaError, match="no frames"):
        whole_steps(info(0, 5.0), 4)


def load_video(duration: float, fps: float, max_num_frames: int) -> list[int]:
    """longvideobench_dataset.py and lmms-eval's tasks/longvideobench/utils.py."""
    total_valid_frames = int(duration * fps)
    num_frames = min(max_num_frames, int(duration))
    return [int(total_valid_frames / num_frames) * i for i in range(num_frames)]


@pytest.mark.parametrize("duration", [1.0, 7.96, 8.0, 8.31, 15.2, 190.16])
@pytest.mark.parametrize("fps", [24.0, 25.0, 30000 / 1001])
def test_the_duration_that_a_row_states(duration: float, fps: float) -> None:
    """The file may be longer or shorter than the benchmark says."""
    for num_frames in (int(0.8 * duration * fps), int(1.5 * duration * fps)):
        video = replace(info(num_frames, fps), stated_seconds=duration)
        assert list(whole_steps(video, 16)) == load_video(duration, fps, 16)
