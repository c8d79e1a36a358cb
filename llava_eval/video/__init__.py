"""Decode exactly the requested frames of a video.

    info = probe("clip.mp4")
    clip = decode_frames("clip.mp4", linspace_to_last_frame(info, 8))
    clip.frames.shape          # (8, 3, height, width), uint8

Frames are bit-identical to a plain PyAV decode from the start of the file.
"""

from llava_eval.video.decode import decode_frames, probe
from llava_eval.video.media import read_media
from llava_eval.video.pool import ItemOutcome, decode_ahead

__all__ = [
    "ItemOutcome",
    "decode_ahead",
    "decode_frames",
    "probe",
    "read_media",
]
