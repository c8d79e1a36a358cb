"""What makes two runs the same, and what does not."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import pytest

from llava_eval.benchmarks.frame_images import FrameImages
from llava_eval.borders.json_text import digest
from llava_eval.results.identity import (
    first_difference,
    media_places,
    samples_digest,
)
from llava_eval.types import Media, Sample

VIDEO = Media("video", "/data/v.mp4", 1.0, 2.0)
ASKED = Sample("1", 0, "v", ("First ", VIDEO, FrameImages(VIDEO), "Why?"), ("A",), options=("a",))


def test_a_digest_is_that_of_sorted_json_in_ascii() -> None:
    written = b'{"a": [1, "\\u00e9"], "b": null}'
    assert digest({"b": None, "a": [1, "é"]}) == hashlib.sha256(written).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"id": "2"},
        {"options": ("b",)},
        {"options": ()},
        *(
            {"content": content}
            for content in (
                ("First", VIDEO, FrameImages(VIDEO), "Why?"),
                (VIDEO, "First ", FrameImages(VIDEO), "Why?"),
                ("First ", VIDEO, FrameImages(VIDEO, num_jpeg=1), "Why?"),
                ("First ", VIDEO, FrameImages(Media("video", "w.mp4")), "Why?"),
                *(
                    ("First ", dataclasses.replace(VIDEO, **other), FrameImages(VIDEO), "Why?")
                    for other in (
                        {"path": "/data/w.mp4"},
                        {"kind": "image"},
                        {"start_seconds": 0.5},
                        {"end_seconds": None},
                        {"upright": True},
                    )
                ),
            )
        ),
    ],
)
def test_what_is_asked_counts(change: dict[str, Any]) -> None:
    assert samples_digest([dataclasses.replace(ASKED, **change)]) != samples_digest([ASKED])
    assert samples_digest([ASKED, ASKED]) != samples_digest([ASKED])


@pytest.mark.parametrize(
    "name",
    [entry.name for entry in dataclasses.fields(Media) if entry.name not in ("kind", "data")],
)
def test_whatever_is_said_of_a_medium_counts(name: str) -> None:
    others: dict[str, Any] = {
        "path": "other.mp4",
        "start_seconds": 1.0,
        "end_seconds": 2.0,
        "stated_seconds": 9.0,
        "clue_seconds": ((1.0, 2.0),),
        "upright": True,
        "swap_red_blue": True,
    }
    plain = Media("video", "v.mp4")
    changed = dataclasses.replace(plain, **{name: others[name]})
    asked = [dataclasses.replace(ASKED, content=(medium, "Why?")) for medium in (plain, changed)]
    assert samples_digest(asked[:1]) != samples_digest(asked[1:])


def test_folders_targets_facets_and_rows_do_not_count() -> None:
    moved = dataclasses.replace(VIDEO, path="/elsewhere/v.mp4")
    same = dataclasses.replace(
        ASKED,
        row=7,
        content=("First ", moved, FrameImages(moved), "Why?"),
        targets=("B",),
        facets={"duration": "short"},
    )
    assert samples_digest([same]) == samples_digest([ASKED])


def test_the_bytes_of_images_in_rows_count_whatever_the_rows_call_them() -> None:
    images = (Media("image", "1.png", data=data) for data in (b"red", b"red", b"blue"))
    red, same, blue = (samples_digest([dataclasses.replace(ASKED, content=(i,))]) for i in images)
    assert red == same != blue


def test_media_lie_elsewhere_in_another_folder_and_behind_another_link(tmp_path: Path) -> None:
    def places(path: Path | str) -> str:
        return media_places([dataclasses.replace(ASKED, content=(Media("video", str(path)),))])

    (tmp_path / "small").mkdir()
    (tmp_path / "large").mkdir()
    link = tmp_path / "link"
    link.symlink_to("small")
    behind, here = places(link / "v.mp4"), places(tmp_path / "small" / "v.mp4")
    link.unlink()
    link.symlink_to("large")
    assert behind == here != places(link / "v.mp4") == places(tmp_path / "large" / "v.mp4")
    assert places("http://a/v.mp4") == places("http://b/v.mp4") == media_places([])
    assert places("\0/\udc80/v.mp4") != here


def test_the_first_difference_is_named_by_its_key() -> None:
    ours, theirs = {"a": 1, "b": {"c": "x" * 80}}, {"a": 1, "b": {"c": None}, "d": 2}
    wording = "{key}: {ours}, {theirs}"
    assert first_difference(ours, theirs, wording) == f"b.c: {'x' * 57}..., unset"
    assert first_difference({"a": 1}, {"a": 1, "d": 2}, wording) == "d: unset, 2"
    assert first_difference(ours, ours, wording) == "no recorded setting differs"
