"""LongVideoBench's sampling policy."""

from __future__ import annotations

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
