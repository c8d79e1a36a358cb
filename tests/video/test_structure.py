"""The fast path stands behind one entry, and can go."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import llava_eval
from llava_eval.types import Media
from llava_eval.video import decode_frames, fast, probe, read_media
from llava_eval.video.collector import FrameCollector

PACKAGE = Path(llava_eval.__file__).parent
ENTRY = "llava_eval.video.fast"


def imported_names(path: Path) -> Iterator[str]:
    """Every module that a file may import, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.slow
def test_one_module_imports_the_fast_path_and_only_by_its_entry() -> None:
    users = {}
    for path in PACKAGE.rglob("*.py"):
        if (PACKAGE / "video" / "fast") in path.parents:
            continue
        names = {name for name in imported_names(path) if f"{name}.".startswith(f"{ENTRY}.")}
        if names:
            users[path.relative_to(PACKAGE).as_posix()] = names
    assert users == {"video/decode.py": {ENTRY}}


def test_everything_reads_the_same_without_the_fast_path(
    file_of: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("h264.mp4", "vp9_hidden.webm", "edit_list.mp4", "mpeg4.avi")
    media = [Media("video", file_of(name), 0.5, 1.5) for name in names]
    infos = [probe(each.path) for each in media]
    clips = [decode_frames(each.path, [40, 3]) for each in media]
    assert [clip.notes for clip in clips[:3]] == [(), (), ()], "not decoded from the start"
    cuts = [read_media(each, lambda info: [info.first_frame_index]) for each in media]

    def give_up(path: str | FrameCollector, num_threads: int | None = None) -> fast.Attempt:
        return fast.Attempt(None, "it is gone")

    monkeypatch.setattr(fast, "describe", give_up)
    monkeypatch.setattr(fast, "decode", give_up)
    monkeypatch.setattr(fast, "remember", lambda info, why_not: None)
    assert [probe(each.path) for each in media] == infos
    for each, clip, cut in zip(media, clips, cuts, strict=True):
        plain = decode_frames(each.path, [40, 3])
        assert plain.notes == ("decoded sequentially: it is gone",)
        assert plain.frames.equal(clip.frames)
        assert plain.pts_seconds == pytest.approx(clip.pts_seconds)
        start = read_media(each, lambda info: [info.first_frame_index])
        assert start.frame_indices == cut.frame_indices
        assert start.frames.equal(cut.frames)
