"""Encode scenes as h264 files with PyAV."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import torch

from demo.render import draw_frames
from demo.world import FPS, Scene

HEIGHT: Final = 112
WIDTH: Final = 144  # wider than high, so that the processor's centre crop has something to do

# One thread and a fixed preset: the same frames give the same bytes.
ENCODER_OPTIONS: Final = {
    "preset": "veryslow",
    "crf": "26",
    "threads": "1",
    "x264-params": "threads=1:lookahead-threads=1:sliced-threads=0:keyint=64",
}
_CHUNK: Final = 32


def encode_scene(scene: Scene, path: Path) -> None:
    """Draw all frames of a scene and write them as one mp4 file."""
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS, options=ENCODER_OPTIONS)
        stream.width, stream.height = WIDTH, HEIGHT
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, FPS)
        stream.codec_context.thread_count = 1
        for start in range(0, scene.num_frames, _CHUNK):
            numbers = range(start, min(start + _CHUNK, scene.num_frames))
            pictures = draw_frames(scene, numbers, HEIGHT, WIDTH).round().to(torch.uint8)
            for number, picture in zip(numbers, pictures, strict=True):
                frame = av.VideoFrame.from_ndarray(
                    picture.permute(1, 2, 0).contiguous().numpy(), format="rgb24"
                )
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
