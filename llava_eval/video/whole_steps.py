"""LongVideoBench's sampling policy: whole seconds and whole steps."""

from __future__ import annotations

from llava_eval.errors import MediaError
from llava_eval.types import VideoInfo


def whole_steps(info: VideoInfo, num_frames: int) -> tuple[int, ...]:
    """Steps of a whole number of frames from the first frame on.

    ``int(T / n) * i`` with ``T = int(seconds * fps)`` and at most one frame a whole second:
    LongVideoBench's own loader (longvideobench_dataset.py, load_video), and lmms-eval's. A video of
    less than a second, for which they have no frame, shows its first one.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames is {num_frames}, expected at least 1")
    if info.num_frames == 0:
        raise MediaError(f"{info.path}: the video has no frames to sample from")
    total = min(int(info.seconds * info.fps), info.num_frames)
    num_shown = max(1, min(num_frames, int(info.seconds)))
    step = int(total / num_shown)
    return tuple(info.first_frame_index + step * place for place in range(num_shown))
