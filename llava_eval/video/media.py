"""One door for everything that can be shown to a model: videos, images, gifs, frame folders."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import IO, TYPE_CHECKING

import numpy as np

from llava_eval.errors import MediaError
from llava_eval.types import Clip, Media, VideoInfo
from llava_eval.video.collector import FrameCollector, Pixels
from llava_eval.video.container import require_file
from llava_eval.video.deadline import check_deadline
from llava_eval.video.decode import decode_frames, probe
from llava_eval.video.remote import fetch, is_address
from llava_eval.video.sequential import cut

if TYPE_CHECKING:
    from PIL import Image

    from llava_eval.video.cache import FrameCache

Policy = Callable[[VideoInfo], Sequence[int]]

#: Frames per second of a folder of frame images, which states none. MVBench's are at 3.
FOLDER_FPS = 3.0

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"})


def read_media(media: Media, policy: Policy, *, cache: FrameCache | None = None) -> Clip:
    """The frames of ``media`` that ``policy`` picks.

    * a video (an animated gif too): the exact frames, within the cut if there is one;
    * a folder of image files: its images in the order of the numbers in their names;
    * an image file given as a video: one frame, repeated as often as the policy asks;
    * an image: one frame; the policy is not asked.

    With a ``cache``, the frames of videos and folders come prepared as it says; those of videos
    are remembered on disk. Images are always as they are in the file. A medium at an http(s)
    address is fetched first (see :mod:`llava_eval.video.remote`).
    """
    if media.kind == "image" and media.data is not None:
        return _read_image(media.path, io.BytesIO(media.data))
    asked = media
    if is_address(media.path):
        media = replace(media, path=fetch(media.path))
    if media.kind == "image":
        return _read_image(media.path)
    info = probe_media(media)
    indices = tuple(policy(info))
    if os.path.isdir(media.path):
        clip = replace(_read_folder(media.path, indices), video=asked)
        return clip if cache is None else replace(clip, frames=cache.prepare(clip.frames))
    if cache is not None:
        return cache.frames(media.path, indices)
    return replace(decode_frames(media.path, indices), video=asked)


def probe_media(media: Media) -> VideoInfo:
    """What a sampling policy needs to know of a video or a folder of frames."""
    if not os.path.isdir(media.path):
        return probe(media.path, start_seconds=media.start_seconds, end_seconds=media.end_seconds)
    names = frame_files(media.path)
    pixels = _load(os.path.join(media.path, names[0]))
    whole = VideoInfo(
        path=media.path,
        num_frames=len(names),
        fps=FOLDER_FPS,
        seconds=len(names) / FOLDER_FPS,
        width=pixels.shape[1],
        height=pixels.shape[0],
        codec="images",
    )
    first_number = _numbers(names[0])[-1:] or [0]
    return cut(whole, media.start_seconds, media.end_seconds, first_number=first_number[0])


def frame_files(folder: str) -> list[str]:
    """Names of the image files in ``folder``, in the order of the numbers in them."""
    names = [
        name
        for name in os.listdir(folder)
        if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not name.startswith(".")
    ]
    if not names:
        raise MediaError(f"{folder}: the folder holds no image files")
    return sorted(names, key=_natural_key)


def _natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    parts = [part for part in re.split(r"(\d+)", name) if part]
    keys = [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
    return (*keys, (0, 0, name))


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", os.path.splitext(name)[0])]


def _read_folder(folder: str, indices: Sequence[int]) -> Clip:
    names = frame_files(folder)
    collector = FrameCollector(folder, indices)
    for index in sorted(collector.places):
        check_deadline(folder)
        if not 0 <= index < len(names):
            raise MediaError(
                f"{folder}: frame index {index} is out of range, the folder has {len(names)} images"
            )
        pixels = _load(os.path.join(folder, names[index]))
        collector.add_pixels(index, pixels, index / FOLDER_FPS)
    (clip,) = collector.clips(fps=FOLDER_FPS, num_source_frames=len(names))
    return clip


def _read_image(path: str, content: IO[bytes] | None = None) -> Clip:
    collector = FrameCollector(path, [0])
    collector.add_pixels(0, _load(path, content), 0.0)
    (clip,) = collector.clips(num_source_frames=1)
    return clip


def _load(path: str, content: IO[bytes] | None = None) -> Pixels:
    """An image as RGB (H, W, 3), as ``PIL.Image.open(path).convert("RGB")`` gives it."""
    from PIL import Image, UnidentifiedImageError

    if content is None:
        require_file(path, "an image file")
    try:
        with Image.open(path if content is None else content) as image:
            return _rgb_array(image)
    except UnidentifiedImageError as error:
        raise MediaError(f"{path}: not an image that can be read") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(f"{path}: damaged image ({error})") from error


def _rgb_array(image: Image.Image) -> Pixels:
    return np.asarray(image.convert("RGB"), dtype=np.uint8)
