"""Media and subtitles that were replaced since a run read them: their questions are asked anew."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TypeVar

from llava_eval.borders.paths import is_surely_folder
from llava_eval.config.schema import RunnerConfig
from llava_eval.engine.batches import decode_group, media_groups
from llava_eval.results.formatting import listed
from llava_eval.results.manifest import Manifest
from llava_eval.types import Media, MediaInput, Sample, SampleResult, ServedMedia, prompt_text
from llava_eval.video import decode_ahead, read_media
from llava_eval.video.media import Sampler
from llava_eval.video.remote import is_address

_log = logging.getLogger(__name__)

ItemT = TypeVar("ItemT")

#: Decimals of presentation times in a ledger.
_TIME_DECIMALS = 6


#: A medium with what a ledger says of it.
_Seen = tuple[Media, MediaInput | None]


def replaced_samples(
    samples: Mapping[str, Sample],
    results: Mapping[str, SampleResult],
    manifest: Manifest,
    sampler: Sampler,
    runner: RunnerConfig,
    *,
    moved: bool = False,
) -> set[str]:
    """Return the ids of samples whose media or subtitles have been replaced since they were read.

    Files that the file system has changed since the run began are read again, and their frames are
    compared with the digests in the ledger, prompts with subtitles with the ledger's prompts: a
    file that was copied anew with the same content was not replaced. One that is gone was not
    replaced either; its questions are answered already.

    Args:
        samples: everything that is asked, by id.
        results: what the run has finished, by sample id.
        manifest: of the run.
        sampler: chooses the frames of a video.
        runner: how many media are decoded at once, and for how long.
        moved: media lie elsewhere than the run read them, so that old files too may be others.
    """
    since = 0.0 if moved else _start_of(manifest)
    if since is None:
        return set()
    users: dict[_Seen, list[str]] = {}
    for identifier, result in results.items():
        for number, medium in enumerate(samples[identifier].media):
            if medium.data is None and not is_address(medium.path):
                seen = result.inputs[number] if number < len(result.inputs) else None
                users.setdefault((medium, seen), []).append(identifier)
    changed = cache(_changed)
    suspects = [seen for seen in users if changed(seen[0].path) > since]
    replaced = _otherwise(
        suspects,
        lambda seen: _shown(MediaInput.of(read_media(seen[0], sampler))),
        lambda seen: _shown(seen[1]),
        runner,
    )
    anew = {identifier for seen in replaced for identifier in users[seen]}
    files = {
        identifier: path
        for identifier in results
        if identifier not in anew
        for path in samples[identifier].files
        if changed(path) > since
    }
    asked = [samples[identifier] for identifier in files]
    reworded = _otherwise(
        asked,
        lambda sample: _prompt(sample, sampler),
        lambda sample: results[sample.id].prompt,
        runner,
    )
    anew |= {sample.id for sample in reworded}
    paths = [medium.name for medium, _ in replaced] + [files[sample.id] for sample in reworded]
    names = [*dict.fromkeys(paths)]
    if names:
        _log.warning(
            "%s: replaced since the run read it; %d finished samples are answered anew",
            listed(names, 3),
            len(anew),
        )
    return anew


def _start_of(manifest: Manifest) -> float | None:
    """Return when the run began, in seconds of the system's clock; None where it does not say."""
    started = manifest.sessions[0].started if manifest.sessions else None
    try:
        return None if started is None else datetime.fromisoformat(started).timestamp()
    except (ValueError, OverflowError):
        return None


def _changed(path: str) -> float:
    """Return when a file, or a file of a folder, last changed; 0 where nothing is said of it."""
    try:
        inside = Path(path).iterdir() if is_surely_folder(path) else ()
        found = [file.stat() for file in (Path(path), *inside)]
    except (OSError, ValueError):
        return 0.0
    return float(max(max(status.st_mtime, status.st_ctime) for status in found))


def _otherwise(
    items: Sequence[ItemT],
    now: Callable[[ItemT], object],
    before: Callable[[ItemT], object],
    runner: RunnerConfig,
) -> list[ItemT]:
    """Return the items that read otherwise now than before, or cannot be read any more."""
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
        if outcome.media_error() is not None or outcome.value != before(outcome.item)
    ]


def _prompt(sample: Sample, sampler: Sampler) -> str:
    """Return how the frames that a sample shows now let it be asked."""
    (group,) = media_groups([sample])
    shown = decode_group(group, sampler, None).prepared(
        lambda kind, clip: ServedMedia(kind, ({},), clip.frame_indices)
    )
    return prompt_text(shown.turn(sample))


def _shown(seen: MediaInput | None) -> object:
    """Return which frames at which times were shown, as far as a ledger says so."""
    if seen is None:
        return None
    return seen.proof, [round(time, _TIME_DECIMALS) for time in seen.pts_seconds]
