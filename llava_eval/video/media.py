"""Read everything that can be shown to a model: videos, images, gifs, folders of frame images."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from llava_eval.errors import MediaError
from llava_eval.types import Clip, Media, VideoInfo
from llava_eval.video.collector import FrameCollector, Pixels
from llava_eval.video.container import require_file
from llava_eval.video.deadline import check_deadline
from llava_eval.video.decode import cut, decode_frames, probe
from llava_eval.video.remote import fetch, is_address

if TYPE_CHECKING:
    from PIL import Image

    from llava_eval.video.cache import FrameCache

#: A sampler with its number of frames filled in: from a video to the indices of its frames.
Policy = Callable[[VideoInfo], Sequence[int]]

#: Frames per second of a folder of frame images, which states none. MVBench's are at 3.
FOLDER_FPS = 3.0

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"})


def read_media(media: Media, policy: Policy, *, cache: FrameCache | None = None) -> Clip:
    """Read the frames of a video, or an image.

    * A video (an animated gif too): the exact frames, within the cut if there is one.
    * A folder of image files: its images in the order of the numbers in their names.
    * An image file given as a video: one frame, repeated as often as the policy asks.
    * An image: one frame; the policy is not asked.

    A medium at an http(s) address is fetched first (see :mod:`llava_eval.video.remote`).

    Args:
        media: what to read.
        policy: chooses the frames of a video.
        cache: prepares the frames of videos and folders, and keeps those of videos. Images are
            always as they are in the file.

    Returns:
        The frames in the order of the policy's indices.

    Raises:
        MediaError: the medium cannot be read.
    """
    if media.kind == "image" and media.data is not None:
        return _read_image(media.path, io.BytesIO(media.data))
    path = fetch(media.path) if is_address(media.path) else media.path
    if media.kind == "image":
        return _read_image(path)
    local = replace(media, path=path)
    if Path(path).is_dir():
        clip = _read_folder(path, policy(probe_media(local)))
        if cache is not None:
            clip = replace(clip, frames=cache.prepare(clip.frames))
    else:
        indices = policy(probe_media(local))
        clip = decode_frames(path, indices) if cache is None else _cached(path, indices, cache)
    return replace(clip, video=media)


def probe_media(media: Media) -> VideoInfo:
    """Describe a video, or a folder of frame images, within its cut if there is one.

    Args:
        media: a video on this machine.

    Raises:
        MediaError: it cannot be read, or the cut holds no frame.
    """
    folder = Path(media.path)
    if not folder.is_dir():
        return probe(media.path, start_seconds=media.start_seconds, end_seconds=media.end_seconds)
    names = frame_files(media.path)
    pixels = _load(str(folder / names[0]))
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
    """Return the names of the image files in a folder, in the order of the numbers in them.

    Raises:
        MediaError: there are none.
    """
    names = [
        path.name
        for path in Path(folder).iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    ]
    if not names:
        raise MediaError(f"{folder}: the folder holds no image files")
    return sorted(names, key=_natural_key)


def _natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    parts = [part for part in re.split(r"(\d+)", name) if part]
    keys = [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
    return (*keys, (0, 0, name))


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", Path(name).stem)]


def _cached(path: str, indices: Sequence[int], cache: FrameCache) -> Clip:
    """Return prepared frames of a video, decoding only those that the cache does not hold."""
    import torch  # heavy, and only needed once there are frames

    frames = cache.load(path, indices)
    missing = sorted(set(indices) - set(frames))
    if missing:
        frames |= cache.keep(path, decode_frames(path, missing))
    info = probe(path)
    return Clip(
        frames=torch.from_numpy(np.stack([frames[index].pixels for index in indices])),
        frame_indices=tuple(indices),
        pts_seconds=tuple(frames[index].pts_seconds for index in indices),
        fps=info.fps,
        num_source_frames=info.num_frames,
        notes=tuple(dict.fromkeys(note for frame in frames.values() for note in frame.notes)),
    )


def _read_folder(folder: str, indices: Sequence[int]) -> Clip:
    names = frame_files(folder)
    collector = FrameCollector(folder, indices)
    for index in sorted(collector.rows):
        check_deadline(folder)
        if not 0 <= index < len(names):
            raise MediaError(
                f"{folder}: frame index {index} is out of range, the folder has {len(names)} images"
            )
        collector.add_pixels(index, _load(str(Path(folder) / names[index])), index / FOLDER_FPS)
    (clip,) = collector.clips(fps=FOLDER_FPS, num_source_frames=len(names))
    return clip


def _read_image(path: str, content: IO[bytes] | None = None) -> Clip:
    collector = FrameCollector(path, [0])
    collector.add_pixels(0, _load(path, content), 0.0)
    (clip,) = collector.clips(num_source_frames=1)
    return clip


def _load(path: str, content: IO[bytes] | None = None) -> Pixels:
    """Return an image as RGB (H, W, 3), as ``PIL.Image.open(path).convert("RGB")`` gives it."""
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
