"""Finds media and subtitles that were replaced since a run read them; their samples are rerun."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TypeVar

from llava_eval.borders.paths import is_surely_folder
from llava_eval.config.schema import RunnerConfig
from llava_eval.engine.batches import GroupContent, MediaGroup, decode_group, placeholder
from llava_eval.errors import MediaError
from llava_eval.results.formatting import listed
from llava_eval.results.manifest import Manifest
from llava_eval.types import Clip, Media, MediaInput, Sample, SampleResult, prompt_text
from llava_eval.video import decode_ahead, read_media
from llava_eval.video.media import Sampler
from llava_eval.video.remote import is_address

_log = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")

#: A medium with its record in the ledger, or None if there is no record.
_ReadMedium = tuple[Media, MediaInput | None]


def replaced_samples(
    samples: Mapping[str, Sample],
    results: Mapping[str, SampleResult],
    manifest: Manifest,
    sampler: Sampler,
    runner: RunnerConfig,
    *,
    moved: bool = False,
) -> set[str]:
    """Return the ids of samples whose media or subtitles were replaced since the run read them.

    Files modified after the run began are read again. Their frames are compared with the digests in
    the ledger, and prompts with subtitles are compared with the ledger's prompts, so a file that
    was copied again with the same content does not count as replaced. Neither does a deleted file,
    because its questions are already answered.

    Args:
        samples: all samples of the run, by id.
        results: finished results of the run, by sample id.
        manifest: manifest of the run.
        sampler: chooses the frames of a video.
        runner: number of decode workers and their time limit.
        moved: the media folder changed, so files older than the run are compared too.
    """
    since = 0.0 if moved else _start_of(manifest)
    if since is None:
        return set()
    changed = cache(_time_of_change)
    users = _users_of_files(samples, results)
    replaced = _differing(
        [read for read in users if changed(read[0].path) > since],
        lambda read: _shown(read_media(read[0], sampler)),
        lambda read: _shown(read[1]),
        runner,
    )
    stale = {identifier for read in replaced for identifier in users[read]}
    subtitles: dict[str, str] = {}
    for identifier in results.keys() - stale:
        for path in samples[identifier].files:
            if changed(path) > since:
                subtitles[identifier] = path
    reworded = _differing(
        [samples[identifier] for identifier in results if identifier in subtitles],
        lambda sample: _prompt(sample, sampler),
        lambda sample: results[sample.id].prompt,
        runner,
    )
    stale |= {sample.id for sample in reworded}
    paths = [medium.name for medium, _ in replaced] + [subtitles[sample.id] for sample in reworded]
    if paths:
        _log.warning(
            "%s: replaced since the run read it; %d finished samples are answered anew",
            listed(list(dict.fromkeys(paths)), 3),
            len(stale),
        )
    return stale


def _users_of_files(
    samples: Mapping[str, Sample], results: Mapping[str, SampleResult]
) -> dict[_ReadMedium, list[str]]:
    """Return, for each medium in a local file, the ids of the finished samples that show it."""
    users: dict[_ReadMedium, list[str]] = {}
    for identifier, result in results.items():
        for number, medium in enumerate(samples[identifier].media):
            if medium.data is None and not is_address(medium.path):
                read = result.inputs[number] if number < len(result.inputs) else None
                users.setdefault((medium, read), []).append(identifier)
    return users


def _start_of(manifest: Manifest) -> float | None:
    """Return when the run began, in seconds since the epoch; None if it is not recorded."""
    started = manifest.sessions[0].started if manifest.sessions else None
    try:
        return None if started is None else datetime.fromisoformat(started).timestamp()
    except (ValueError, OverflowError):
        return None


def _time_of_change(path: str) -> float:
    """Return when a file, or any file of a folder, last changed; 0 if that cannot be read."""
    try:
        inside = Path(path).iterdir() if is_surely_folder(path) else ()
        found = [file.stat() for file in (Path(path), *inside)]
    except (OSError, ValueError):
        return 0.0
    return float(max(max(status.st_mtime, status.st_ctime) for status in found))


def _differing(
    items: Sequence[ItemT],
    now: Callable[[ItemT], object],
    before: Callable[[ItemT], object],
    runner: RunnerConfig,
) -> list[ItemT]:
    """Return the items whose content differs from before or can no longer be read."""
    outcomes = decode_ahead(
        items,
        now,
        num_workers=runner.decode_workers,
        max_pending=runner.decode_workers,
        timeout_seconds=runner.decode_timeout_seconds,
    )
    return [
        outcome.item
        for outcome in outcomes
        if isinstance(outcome.error, MediaError) or outcome.unwrap() != before(outcome.item)
    ]


def _prompt(sample: Sample, sampler: Sampler) -> str:
    """Return the prompt of a sample with the frames and files as they are now."""
    clips = decode_group(MediaGroup((sample,)), sampler, None)
    return prompt_text(GroupContent.of([sample], clips, placeholder).turn(sample))


def _shown(read: Clip | MediaInput | None) -> object:
    """Return pixel digests and presentation times of the shown frames, if recorded."""
    if read is None:
        return None
    return read.proof, [round(time, 6) for time in read.pts_seconds]  # as a ledger rounds them
