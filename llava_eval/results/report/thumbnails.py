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

#: Frames of one video that are shown, evenly from all that the model saw.
MAX_FRAMES = 8
#: Pixels; the page shows them at this size or smaller.
SIZE = (192, 144)
_QUALITY = 72


@dataclass(frozen=True)
class FrameRequest:
    """Frames of one video or image: the file, numbers of frames, whether an image is turned."""

    path: str
    frame_indices: tuple[int, ...]
    upright: bool = False


#: Yields, for each request in its order, (N, H, W, 3) uint8 frames; None where they cannot be read.
ReadFrames = Callable[[Sequence[FrameRequest]], Generator[Any, None, None]]


#: Pictures of one sample's media: (medium's number, frame's number, JPEG in base64).
Strip = list[tuple[int, int, str]]


@dataclass(frozen=True)
class Thumbnails:
    """The pictures of one set of samples.

    Attributes:
        strips: pictures; samples that show the same frames share one.
        by_sample: number of the strip, by sample id.
        num_wanted: different strips that all samples together have.
        stopped: which limit was reached; empty for none.
    """

    strips: Sequence[Strip]
    by_sample: Mapping[str, int]
    num_wanted: int
    stopped: str = ""


@dataclass
class PictureBudget:
    """Bytes and seconds that the pictures of a page may still take.

    Attributes:
        num_bytes: size in the page.
        seconds: time, counted from :meth:`start`.
    """

    num_bytes: int
    seconds: float
    _deadline: float = math.inf

    def start(self) -> None:
        """Start the clock, if it is not started: how long imports take depends on the machine."""
        self._deadline = min(self._deadline, time.monotonic() + self.seconds)

    def reached(self) -> str:
        """Return which limit is reached; empty for none."""
        if self.num_bytes <= 0:
            return "size"
        return "time" if self.seconds <= 0 or time.monotonic() >= self._deadline else ""


Key = tuple[FrameRequest, ...]


def make_thumbnails(
    samples: SampleSet, read_frames: ReadFrames, budget: PictureBudget
) -> Thumbnails:
    """Take pictures, of what went wrong or changed first.

    Videos that are missing or cannot be read have no pictures; that is no error.
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
    """Return sample ids by the frames they show, the most interesting first."""
    full_scores = [run.full_score for run in samples.runs]

    def are_all_right(row: Sequence[SampleResult | None]) -> bool:
        return {*map(state_of, row, full_scores)} == {RIGHT}

    places = [(_media_root(run), _turns_images(run)) for run in samples.runs]
    keys: dict[Key, list[str]] = {}
    exists = functools.cache(is_there)  # false, too, for names that no file can have
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
    except ConfigError:  # of a package that is not installed here
        return Path()


def _turns_images(run: Run) -> bool:
    """Return whether images are shown upright, as adapters do that are not told otherwise."""
    adapter = run.config.get("benchmark", {}).get("adapter")
    return not isinstance(adapter, Mapping) or bool(adapter.get("upright", True))


def _key(row: Sequence[SampleResult | None], places: Sequence[tuple[Path, bool]]) -> Key:
    """Return the frames to show of a sample: those of the run that showed the most."""
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
    """Return at most so many of the frames, evenly spread, the first and the last among them."""
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
