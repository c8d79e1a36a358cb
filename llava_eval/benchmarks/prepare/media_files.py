"""Find out, before a model is loaded, which media files of a benchmark exist."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from llava_eval.benchmarks.load import media_folder
from llava_eval.borders.paths import is_surely_folder, is_there
from llava_eval.config.schema import BenchmarkConfig
from llava_eval.errors import ConfigError
from llava_eval.types import Media, Sample
from llava_eval.video.media import IMAGE_SUFFIXES
from llava_eval.video.remote import is_address

log = logging.getLogger(__name__)

#: If fewer files than this are missing, the folder may be right: only their own samples fail.
_FEWEST = 3
#: The most files to look for before a run; on a network disk each may take a millisecond.
_MOST = 1000

#: Suffixes of files with one picture; gif and webp may be animated.
_STILL_SUFFIXES = IMAGE_SUFFIXES - {".gif", ".webp"}

_File = TypeVar("_File")


def media_files(samples: Iterable[Sample]) -> list[Media]:
    """Return the media of samples that are files on this machine, each once, in order.

    Args:
        samples: a benchmark's samples.
    """
    media = (medium for sample in samples for medium in sample.media)
    on_disk = (medium for medium in media if medium.data is None and not is_address(medium.path))
    return list({(medium.kind, medium.path): medium for medium in on_disk}.values())


def subtitle_files(samples: Iterable[Sample]) -> list[str]:
    """Return the other files that samples read, such as subtitles, each once, in order.

    Args:
        samples: a benchmark's samples.
    """
    return list(dict.fromkeys(path for sample in samples for path in sample.files))


def check_media_files(samples: Sequence[Sample], benchmark: BenchmarkConfig) -> None:
    """Look for an evenly spread part of the samples' media, and warn if some are missing.

    Not every video has subtitles, so only their complete absence causes a warning. So do images
    that are shown as videos, because an adapter shows them so by default.

    Args:
        samples: the samples to be asked.
        benchmark: their benchmark.

    Raises:
        ConfigError: none of them exists, so that every sample would fail.
    """
    subtitles = _evenly(subtitle_files(samples))
    if subtitles and not any(is_there(path) for path in subtitles):
        log.warning(
            "none of the %d subtitle files that were looked for is there, for instance %s; their "
            "samples are asked without subtitles, or fail",
            len(subtitles),
            subtitles[0],
        )
    looked_for = _evenly(media_files(samples))
    videos = [medium.path for medium in looked_for if medium.kind == "video"]
    stills = [path for path in videos if Path(path).suffix.lower() in _STILL_SUFFIXES]
    if stills:
        log.warning(
            "%d of the %d files that are shown as videos are images by their names, for instance "
            "%s: a video of one frame is another prompt than an image, which media_kind: image of "
            "benchmark.adapter shows",
            len(stills),
            len(videos),
            stills[0],
        )
    missing = [medium.path for medium in looked_for if not is_there(medium.path)]
    if not missing:
        return
    if len(missing) == len(looked_for) >= _FEWEST:
        raise ConfigError(_nothing_there(missing, benchmark))
    log.warning(
        "%d of the %d media files that were looked for are missing, for instance %s; their samples "
        "will fail",
        len(missing),
        len(looked_for),
        missing[0],
    )


def _evenly(files: Sequence[_File]) -> Sequence[_File]:
    return files[:: -(-len(files) // _MOST) or 1]


def _nothing_there(missing: list[str], benchmark: BenchmarkConfig) -> str:
    root = media_folder(benchmark.media_root)
    if root is None:
        where = "benchmark.media_root is not set, and"
    elif is_surely_folder(root):
        where = f"benchmark.media_root={root}:"
    else:
        where = f"benchmark.media_root={root} is no folder:"
    examples = ", ".join(missing[:2])
    return (
        f"{where} none of the {len(missing)} media files of {benchmark.name} that were looked for "
        f"is there ({examples}, ...); `llava-eval prepare benchmark={benchmark.name} "
        f"benchmark.media_root={Path(root) if root else 'DIR'}` fetches and unpacks what can be"
    )
