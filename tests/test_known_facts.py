"""What a run knows about a sample is in its ledger line and counted under its table."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import av
import numpy as np
import pytest
from transformers import AutoProcessor

from llava_eval import run as pipeline
from llava_eval.config.compose import compose_config
from llava_eval.results.ledger import from_line, to_line
from tests.conftest import DEMO, read_lines, write_lines


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> pipeline.Outcome:
    """Two questions: on a whole video, and on one whose file was cut off."""
    folder = tmp_path_factory.mktemp("facts")
    whole = (DEMO / "videos" / "demo_001.mp4").read_bytes()
    (folder / "whole.mp4").write_bytes(whole)
    (folder / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    row = read_lines(DEMO / "multiple_choice.jsonl")[0]
    rows = [{**row, "videoID": name, "question_id": name} for name in ("whole", "cut")]
    source = write_lines(folder / "rows.jsonl", rows)
    overrides = [
        f"benchmark.source={source}",
        f"benchmark.media_root={folder}",
        "sampler.num_frames=4",
        "benchmark.generation.max_new_tokens=1",
        f"output_dir={folder / 'out'}",
    ]
    return pipeline.run(compose_config(overrides))


@pytest.mark.slow
def test_the_pixels_are_proven_by_a_digest_of_a_plain_decode(outcome: pipeline.Outcome) -> None:
    line = read_lines(outcome.directory / "samples.jsonl")[0]
    (seen,) = line["inputs"]
    with av.open(str(DEMO / "videos" / "demo_001.mp4")) as container:
        frames = [
            (frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
        ]
    shown = [frames[index] for index in line["frame_indices"]]
    assert seen["pts_seconds"] == [round(float(time or 0.0), 6) for time, _ in shown]
    height, width, _ = shown[0][1].shape
    assert (seen["proof"]["width"], seen["proof"]["height"]) == (width, height)
    assert seen["proof"]["digests"] == [
        hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=8).hexdigest()
        for _, pixels in shown
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings", [[], ["runner.share_prefixes=false"], ["model.dtype=bfloat16"]]
)
def test_the_models_input_is_proven_by_a_digest_of_the_processors_output(
    outcome: pipeline.Outcome, settings: list[str], tmp_path: Path
) -> None:
    line = read_lines(outcome.directory / "samples.jsonl")[0]
    with av.open(str(DEMO / "videos" / "demo_001.mp4")) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    made = AutoProcessor.from_pretrained(DEMO / "checkpoint").video_processor(
        videos=[np.stack([frames[index] for index in line["frame_indices"]])],
        do_sample_frames=False,
        return_tensors="np",
    )
    values = made["pixel_values_videos"]  # (1, F, 3, h, w)
    assert values.dtype == np.float32
    head = f"pixel_values_videos torch.float32 {values.shape}\0".encode()
    expected = hashlib.blake2b(head + values.tobytes(), digest_size=8).hexdigest()
    if settings:  # neither how prompts are asked nor the model's own type is a part of it
        folder = outcome.directory.parent
        run = [f"benchmark.source={folder / 'rows.jsonl'}", f"benchmark.media_root={folder}"]
        run += ["benchmark.limit=1", "sampler.num_frames=4", f"output_dir={tmp_path}"]
        pipeline.run(compose_config([*run, *settings]))
        (line,) = read_lines(tmp_path / "samples.jsonl")
    assert line["inputs"][0]["pixel_input_digest"] == expected


def test_a_cut_off_file_and_cut_replies_are_counted(outcome: pipeline.Outcome) -> None:
    whole, cut = read_lines(outcome.directory / "samples.jsonl")
    assert "problems" not in whole["inputs"][0]
    kinds = [problem["kind"] for problem in cut["inputs"][0]["problems"]]
    assert "truncated" in kinds  # whether the decoder meets half a packet is libav's matter
    metrics = json.loads((outcome.directory / "metrics.json").read_text())
    assert metrics["flags"]["cut_at_limit"] == 2
    assert metrics["flags"]["truncated"] == 1
    text = (outcome.directory / "metrics.md").read_text()
    assert "0 failed, 2 cut at the limit of tokens, 1 with truncated media" in text


def test_a_line_is_read_as_it_was_written(outcome: pipeline.Outcome) -> None:
    for line in (outcome.directory / "samples.jsonl").read_text().splitlines():
        assert to_line(from_line(line)) == line


def test_a_line_of_an_earlier_version_has_no_inputs(outcome: pipeline.Outcome) -> None:
    line = read_lines(outcome.directory / "samples.jsonl")[0]
    del line["inputs"]
    assert from_line(json.dumps(line)).inputs == ()


def test_paths_are_told_from_the_media_folder(outcome: pipeline.Outcome) -> None:
    lines = read_lines(outcome.directory / "samples.jsonl")
    assert [line["media"] for line in lines] == [["whole.mp4"], ["cut.mp4"]]
    assert not any(str(Path(outcome.directory).parent) in json.dumps(line) for line in lines)
