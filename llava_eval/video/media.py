"""Read all media that can be shown to a model: videos, images, gifs, folders of frame images."""

from __future__ import annotations

import io
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from llava_eval.borders.paths import is_surely_folder, reason
from llava_eval.errors import MediaError
from llava_eval.types import Clip, Media, MediaProblem, VideoInfo
from llava_eval.video.collector import FrameCollector, Pixels
from llava_eval.video.container import media_errors, require_file
from llava_eval.video.deadline import check_deadline
from llava_eval.video.decode import cut, decode_frames, probe
from llava_eval.video.remote import fetch, is_address, kept_copy
from llava_eval.video.truncation import truncation

if TYPE_CHECKING:
    from llava_eval.video.frame_cache import FrameCache

#: A sampler with its number of frames filled in: from a video to the indices of its frames.
Sampler = Callable[[VideoInfo], Sequence[int]]

#: Frames per second of a folder of frame images, which states none. MVBench's are at 3.
FOLDER_FPS = 3.0

#: Formats whose files are programs, which another program would have to run to draw the picture.
_PROGRAMS = frozenset({"EPS", "WMF"})

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"})


def read_media(media: Media, sampler: Sampler, *, cache: FrameCache | None = None) -> Clip:
    """Read the frames of a video, or an image.

    * A video (also an animated gif): the exact frames, within the cut if there is one.
    * A folder of image files: its images in the order of the numbers in their names.
    * An image file given as a video: one frame, repeated as often as the sampler asks.
    * An image: one frame, without the sampler. It is turned upright if the medium says so.

    Red and blue of a video are exchanged if the medium says so. This happens after any resizing,
    which treats all channels alike, so the order makes no difference.

    A medium at an http(s) address is fetched first (see :mod:`llava_eval.video.remote`), unless
    there is a readable local copy.

    Args:
        media: the medium to read.
        sampler: chooses the frames of a video.
        cache: prepares the frames of videos and folders, and keeps those of videos. Images are
            always as they are in the file.

    Returns:
        The frames in the order of the sampler's indices.

    Raises:
        MediaError: the medium cannot be read.
    """
    if media.data is not None or not is_address(media.path):
        return _read(media, media.path, sampler, cache)
    with media_errors(media.name):
        kept = kept_copy(media.path)
    if kept is None:
        return _read(media, fetch(media.path), sampler, cache)
    try:
        return _read(media, kept, sampler, cache)
    except MediaError as damaged:  # by a crash, a full disk or the server: try to fetch it again
        check_deadline(media.name)
        if _is_misasked(media, kept, sampler):
            raise
        try:
            fetched = fetch(media.path)
        except MediaError as error:
            raise MediaError(f"{damaged}; fetched anew: {error}") from None
    return _read(media, fetched, sampler, cache)


def _read(media: Media, path: str, sampler: Sampler, cache: FrameCache | None) -> Clip:
    """Do the work of :func:`read_media` for a medium at a path on this machine."""
    local = replace(media, path=path)
    with media_errors(media.name, path):
        if media.kind == "image":
            return _read_image(local)
        info, indices = _chosen(local, sampler)
        if is_surely_folder(path):
            clip = _read_folder(path, indices, cache)
        elif cache is None:
            clip = decode_frames(path, indices).proven()
        else:
            clip = cache.read(path, indices)
    problems = clip.problems
    # If the sampler is not a partial function, only the number of frames that it chose is known.
    num_asked = getattr(sampler, "keywords", {}).get("num_frames") or len(indices)
    if info.num_frames < num_asked:
        detail = f"{info.num_frames} frames, {num_asked} were asked for"
        problems += (MediaProblem("fewer_frames", detail),)
    frames = clip.frames.flip(1) if media.swap_red_blue else clip.frames
    num_cut = info.num_frames if info.num_frames != clip.num_source_frames else None
    return replace(clip, frames=frames, num_cut_frames=num_cut, video=media, problems=problems)


def _chosen(media: Media, sampler: Sampler) -> tuple[VideoInfo, tuple[int, ...]]:
    """Return a local video, within its cut, and the indices of the frames to show."""
    info = replace(
        media_info(media),
        stated_seconds=media.stated_seconds,
        clue_seconds=media.clue_seconds,
    )
    indices = tuple(map(operator.index, sampler(info)))  # numpy's integers as plain ones
    if not indices:
        raise MediaError(f"{media.path}: the sampler takes none of its frames")
    return info, indices


def _is_misasked(media: Media, path: str, sampler: Sampler) -> bool:
    """Return whether a video can be read but its cut or sampler fails, so no new copy helps."""
    if media.kind == "image":
        return False
    try:
        media_info(replace(media, path=path, start_seconds=None, end_seconds=None))
    except MediaError:
        return False
    try:
        with media_errors(path):
            _chosen(replace(media, path=path), sampler)
    except MediaError:
        return True
    return False


def media_info(media: Media) -> VideoInfo:
    """Describe a video, or a folder of frame images, within its cut if there is one.

    Args:
        media: a video on this machine.

    Raises:
        MediaError: it cannot be read, or the cut contains no frame.
    """
    if not is_surely_folder(media.path):
        return probe(media.path, start_seconds=media.start_seconds, end_seconds=media.end_seconds)
    names = frame_files(media.path)
    pixels = _load(str(Path(media.path) / names[0]))
    whole = VideoInfo(
        path=media.path,
        num_frames=len(names),
        fps=FOLDER_FPS,
        seconds=len(names) / FOLDER_FPS,
        width=pixels.shape[1],
        height=pixels.shape[0],
        codec="images",
    )
    numbers = re.findall(r"\d+", Path(names[0]).stem)
    first_number = int(numbers[-1]) if numbers else 0
    return cut(whole, media.start_seconds, media.end_seconds, first_number=first_number)


def frame_files(folder: str) -> list[str]:
    """Return the names of the image files in a folder, in the order of the numbers in them.

    If all names are one text followed by a decimal number (seconds, for instance), they are sorted
    by its value.

    Raises:
        MediaError: there are none, or two have the same name but for the suffix.
    """
    try:
        names = [
            path.name
            for path in Path(folder).iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        ]
    except OSError as error:
        raise MediaError(f"{folder}: {reason(error)}") from error
    if not names:
        known = ", ".join(sorted(IMAGE_SUFFIXES))
        raise MediaError(f"{folder}: the folder holds no image files ({known})")
    names.sort(key=_natural_key)
    stems = [Path(name).stem for name in names]
    text = stems[0].rstrip("0123456789.")
    if all(stem.startswith(text) and _is_decimal(stem.removeprefix(text)) for stem in stems):
        names.sort(key=lambda name: float(Path(name).stem.removeprefix(text)))
    for one, other in pairwise(names):
        if Path(one).stem == Path(other).stem:
            raise MediaError(f"{folder}: {one} and {other} are one frame twice; remove one kind")
    return names


def _is_decimal(text: str) -> bool:
    """Return whether a text is a number as Python writes it: 0.5, but not 1.10 (after 1.9)."""
    if re.fullmatch(r"\d+(\.\d+)?", text) is None:
        return False
    written = str(float(text))
    return text in (written, written.removesuffix(".0"))


def _natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts names by the numbers in them; texts sort before numbers."""
    parts = [part for part in re.split(r"(\d+)", name) if part]
    keys = [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
    return (*keys, (0, 0, name))


def _read_folder(folder: str, indices: Sequence[int], cache: FrameCache | None) -> Clip:
    names = frame_files(folder)
    collector = FrameCollector(folder, indices)
    for index in sorted(collector.rows):
        check_deadline(folder)
        if not 0 <= index < len(names):
            raise MediaError(
                f"{folder}: frame index {index} is out of range, the folder has {len(names)} images"
            )
        collector.add(index, _load(str(Path(folder) / names[index])), index / FOLDER_FPS)
    clip = replace(collector.clip(), fps=FOLDER_FPS, num_source_frames=len(names)).proven()
    if cache is None:
        return clip
    return replace(clip, frames=cache.prepare(clip.frames), is_resized=True)


def _read_image(image: Media) -> Clip:
    data = image.content
    content = None if data is None else io.BytesIO(data)
    collector = FrameCollector(image.path, [0])
    collector.add(0, _load(image.path, content, upright=image.upright), 0.0)
    suffix = Path(image.path).suffix[1:].lower()
    problems = truncation(image.path, suffix) if content is None else ()
    return replace(collector.clip(), num_source_frames=1, problems=problems).proven()


def _load(path: str, content: IO[bytes] | None = None, *, upright: bool = False) -> Pixels:
    """Return an image as uint8 RGB (H, W, 3), equal to ``PIL.Image.open(path).convert("RGB")``.

    With ``upright`` it is first turned by its EXIF orientation, as ``datasets`` does.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if content is None:
        require_file(path, "an image file")
    try:
        with Image.open(path if content is None else content) as image:
            if image.format in _PROGRAMS:
                raise MediaError(f"{path}: {image.format} is a program that draws, not an image")
            turned = ImageOps.exif_transpose(image) if upright else image
            return np.asarray(turned.convert("RGB"), dtype=np.uint8)
    except UnidentifiedImageError as error:
        raise MediaError(f"{path}: not an image that can be read") from error
    except Image.DecompressionBombError as error:
        raise MediaError(f"{path}: too large an image ({error})") from error
    except (OSError, ValueError, SyntaxError) as error:
        raise MediaError(f"{path}: damaged image ({error})") from error
