"""The identity of a run: everything that can change a generation.

Two runs may share generations if and only if their identities are equal. Speed, the places of
files and the scoring of texts are no part of it.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path, PurePath
from typing import Any

from llava_eval.borders.json_text import digest
from llava_eval.borders.paths import is_surely_folder
from llava_eval.config.roles import flat
from llava_eval.types import FrameDependentPart, Media, Sample
from llava_eval.video.remote import is_address

Identity = Mapping[str, Any]

#: Fields of a medium that the digest lists separately from all others.
_NAMED_APART = {"kind", "path", "start_seconds", "end_seconds", "upright", "data"}


def samples_digest(samples: Iterable[Sample]) -> str:
    """Return a digest of the prompts: ids, texts and media, in order.

    Media count by file name and time span, not by folder: moving a data set changes nothing.
    Targets do not count, because a corrected label changes only the scoring.
    """
    asked = []
    for sample in samples:
        options = [sample.options] if sample.options else []
        asked.append([sample.id, *map(_asked_piece, sample.content), *options])
    return digest(asked)


def media_places(samples: Iterable[Sample]) -> str:
    """Return a digest of the media's paths, links resolved: media elsewhere may be other files.

    It is no part of an identity, because moving a data set must not change that.
    """
    folder = cache(lambda path: str(path.resolve() if is_surely_folder(path) else path))
    media = (medium for sample in samples for medium in sample.media if medium.data is None)
    paths = [Path(medium.path) for medium in media if not is_address(medium.path)]
    return digest([[folder(path.parent), path.name] for path in paths])


def _asked_piece(piece: str | Media | FrameDependentPart) -> Any:
    if isinstance(piece, str):
        return piece
    if not isinstance(piece, Media):
        return [piece.description, *_asked_piece(piece.media)]
    content = piece.content
    special = {
        entry.name: value
        for entry in dataclasses.fields(Media)
        if entry.name not in _NAMED_APART and (value := getattr(piece, entry.name))
    }
    return [
        piece.kind,
        PurePath(piece.path).name,
        piece.start_seconds,
        piece.end_seconds,
        *(["upright"] if piece.upright else []),
        *([special] if special else []),
        *([] if content is None else [hashlib.sha256(content).hexdigest()]),
    ]


def first_difference(ours: Identity, theirs: Identity, wording: str) -> str:
    """Return a sentence about the first key in which two identities differ.

    Args:
        ours: one identity.
        theirs: the other.
        wording: the sentence, with placeholders ``{key}``, ``{ours}`` and ``{theirs}``.
    """
    left, right = flat(ours), flat(theirs)
    for key in {**left, **right}:
        if left.get(key) != right.get(key):
            return wording.format(
                key=key, ours=_short(left.get(key)), theirs=_short(right.get(key))
            )
    return "no recorded setting differs"


def _short(value: Any) -> str:
    text = "unset" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
