"""Small pictures of the frames that a model was shown, within limits of size and time."""

from __future__ import annotations

import base64
import functools
import io
import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llava_eval.borders.paths import is_there, local_path
from llava_eval.errors import ConfigError
from llava_eval.results.report.samples import RIGHT, SampleSet, state_of
from llava_eval.results.runs import Run
from llava_eval.types import SampleResult

#: Most frames of one video that are shown, evenly spread over those that the model saw.
MAX_FRAMES = 8
#: Largest width and height of a picture in pixels.
SIZE = (192, 144)
_QUALITY = 72


@dataclass(frozen=True)
class FrameRequest:
    """Frames to read of a video or image: path, indices, and whether an image is turned upright."""

    path: str
    frame_indices: tuple[int, ...]
    upright: bool = False


#: Yields (N, H, W, 3) uint8 frames for each request, in order; None if they cannot be read.
ReadFrames = Callable[[Sequence[FrameRequest]], Generator[Any, None, None]]


#: Pictures of one sample's media: (number of the medium, index of the frame, JPEG in base64).
Strip = list[tuple[int, int, str]]


@dataclass(frozen=True)
class Thumbnails:
    """The pictures of one set of samples.

    Attributes:
        strips: the strips of pictures; samples with the same frames share one.
        by_sample: number of the strip, by sample id.
        num_wanted: number of distinct strips of all samples.
        stopped: the limit that was reached, "size" or "time"; empty for none.
    """

    strips: Sequence[Strip]
    by_sample: Mapping[str, int]
    num_wanted: int
    stopped: str = ""


@dataclass
class PictureBudget:
    """The bytes and the time that remain for the pictures of a page.

    Attributes:
        num_bytes: remaining size in the page.
        seconds: time from :meth:`start` on.
    """

    num_bytes: int
    seconds: float
    _deadline: float = math.inf

    def start(self) -> None:
        """Start the clock unless it runs; the time of imports before that does not count."""
        self._deadline = min(self._deadline, time.monotonic() + self.seconds)

    def reached(self) -> str:
        """Return the limit that is reached, "size" or "time"; empty for none."""
        if self.num_bytes <= 0:
            return "size"
        return "time" if self.seconds <= 0 or time.monotonic() >= self._deadline else ""


Key = tuple[FrameRequest, ...]


def make_thumbnails(
    samples: SampleSet, read_frames: ReadFrames, budget: PictureBudget
) -> Thumbnails:
    """Make the pictures of samples; those that are not right in all runs come first.

    A video that is missing or cannot be read is no error; it has no pictures.
    """
    wanted = _wanted(samples)
    strips: list[Strip] = []
    by_sample: dict[str, int] = {}
    stopped = ""
    requests = list(dict.fromkeys(request for key in wanted for request in key))
    known: dict[FrameRequest, list[str]] = {}
    with closing(read_frames(requests)) as frames:
        result = zip(requests, frames, strict=False)
        for key, ids in wanted.items():
            stopped = budget.reached()
            if stopped:
                break
            while any(request not in known for request in key):
                request, pictures = next(result)
                budget.start()
                known[request] = [] if pictures is None else [_jpeg(item) for item in pictures]
            strip: Strip = [
                (medium, index, jpeg)
                for medium, request in enumerate(key)
                for index, jpeg in zip(request.frame_indices, known[request], strict=False)
            ]
            if strip:
                budget.num_bytes -= sum(len(jpeg) + 20 for _, _, jpeg in strip)
                by_sample.update(dict.fromkeys(ids, len(strips)))
                strips.append(strip)
    return Thumbnails(strips, by_sample, len(wanted), stopped)


def _wanted(samples: SampleSet) -> dict[Key, list[str]]:
    """Return sample ids by their frames; samples that are not right in all runs come first."""
    full_scores = [run.full_score for run in samples.runs]

    def are_all_right(row: Sequence[SampleResult | None]) -> bool:
        return {*map(state_of, row, full_scores)} == {RIGHT}

    places = [(_media_root(run), _turns_images(run)) for run in samples.runs]
    keys: dict[Key, list[str]] = {}
    exists = functools.cache(is_there)  # also False for names that no file can have
    rows = zip(samples.questions, samples.results, strict=True)
    for question, row in sorted(rows, key=lambda item: are_all_right(item[1])):
        key = _key(row, places)
        if key and all(exists(request.path) for request in key):
            keys.setdefault(key, []).append(question.id)
    return keys


def _media_root(run: Run) -> Path:
    root = run.parts.benchmark.media_root
    try:
        return local_path(root) if root else Path()
    except ConfigError:  # the path names a package that is not installed here
        return Path()


def _turns_images(run: Run) -> bool:
    """Return whether images are turned upright, which is the default of adapters."""
    adapter = run.config.get("benchmark", {}).get("adapter")
    return not isinstance(adapter, Mapping) or bool(adapter.get("upright", True))


def _key(row: Sequence[SampleResult | None], places: Sequence[tuple[Path, bool]]) -> Key:
    """Return the frames to show for a sample: those of the run that showed most frames."""
    shown = []
    for item, place in zip(row, places, strict=True):
        if item is not None and len(item.frame_indices) == len(item.media) > 0:
            shown.append((sum(map(len, item.frame_indices)), item, place))
    if not shown:
        return ()
    _, result, (root, upright) = max(shown, key=lambda item: item[0])
    return tuple(
        FrameRequest(str(root / path), spread(frames), upright)
        for path, frames in zip(result.media, result.frame_indices, strict=True)
        if frames
    )


def spread(frames: Sequence[int], most: int = MAX_FRAMES) -> tuple[int, ...]:
    """Return at most ``most`` distinct frames, evenly spread, including the first and last."""
    distinct = list(dict.fromkeys(frames))
    if len(distinct) <= most:
        return tuple(distinct)
    last = len(distinct) - 1
    return tuple(distinct[round(index * last / (most - 1))] for index in range(most))


def _jpeg(frame: Any) -> str:
    from PIL import Image

    image = Image.fromarray(frame)
    image.thumbnail(SIZE, Image.Resampling.BILINEAR, reducing_gap=2.0)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return base64.b64encode(stream.getvalue()).decode()
