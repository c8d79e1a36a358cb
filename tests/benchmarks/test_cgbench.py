"""CG-Bench: what is asked and shown, and what replies are worth, against the references' code."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from llava_eval.benchmarks.adapters.cgbench import SubtitlesAndTimes
from llava_eval.benchmarks.frame_images import FrameImages
from llava_eval.benchmarks.prepare.prepare import prepare
from llava_eval.benchmarks.rows import Row
from llava_eval.config.compose import compose_config
from llava_eval.errors import MediaError, RowsError
from llava_eval.types import Clip, Media, Sample, VideoInfo
from llava_eval.video.samplers import clue_midpoints, linspace_to_last_frame
from tests.benchmarks.loading import load_samples
from tests.scoring.protocols import protocol

GOLDEN = Path(__file__).parent / "golden"
PROMPTS: dict[str, Any] = json.loads(
    gzip.decompress((GOLDEN / "cgbench_prompts.json.gz").read_bytes())
)
TABLE = GOLDEN / "cgbench_replies.jsonl.gz"


def samples_of(name: str, row: dict[str, Any], root: Path | None = None) -> list[Sample]:
    made = protocol(f"cgbench/{name}").adapter(Row(0, row, "rows.json", root))
    return [made] if isinstance(made, Sample) else list(made)


def with_subtitles(root: Path, case: dict[str, Any]) -> Path:
    path = root / "cg_subtitles" / f"{case['row']['video_uid']}.srt"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if case["srt"] is not None:
        path.write_text(case["srt"])
    return root


def text_of(sample: Sample, indices: tuple[int, ...], case: dict[str, Any]) -> str:
    clip = Clip(
        torch.zeros((len(indices), 3, 8, 8), dtype=torch.uint8),
        indices,
        tuple(index / case["fps"] for index in indices),
        fps=case["fps"],
        num_source_frames=case["num_frames"],
    )
    expanded = [
        (piece,) if isinstance(piece, str) else piece.expand(clip)
        for piece in sample.content[1:]
        if not isinstance(piece, Media)
    ]
    return "".join(str(part) for parts in expanded for part in parts)


@pytest.mark.slow
def test_the_authors_frames_and_prompts(tmp_path: Path) -> None:
    for case in PROMPTS["official"]:
        root = with_subtitles(tmp_path, case)
        samples = [
            *samples_of("official", case["row"], root),
            *samples_of("official_open", case["row"], root),
        ]
        by_task = {sample.facets["task"]: sample for sample in samples}
        assert by_task.keys() == case["tasks"].keys()
        assert [task for task, sample in by_task.items() if not sample.choices] == ["open"]
        for task, expected in case["tasks"].items():
            clue = by_task[task].media[0].clue_seconds
            info = VideoInfo("v", case["num_frames"], case["fps"], 1, 8, 8, "h", clue_seconds=clue)
            if not expected["frames"]:
                with pytest.raises(MediaError, match="no frame in"):
                    clue_midpoints(info, 32)
                continue
            indices = clue_midpoints(info, 32)
            assert list(indices) == expected["frames"]
            assert text_of(by_task[task], indices, case) == expected["prompt"]


@pytest.mark.slow
def test_lmms_evals_prompts_with_subtitles(tmp_path: Path) -> None:
    for case in PROMPTS["lmms_eval_subtitles"]:
        (sample,) = samples_of("lmms_eval_subtitles", case["row"], with_subtitles(tmp_path, case))
        info = VideoInfo("v", case["num_frames"], case["fps"], 1, 8, 8, "h")
        assert text_of(sample, linspace_to_last_frame(info, 32), case) == case["prompt"]


@pytest.mark.slow
def test_what_each_task_shows() -> None:
    row = {**PROMPTS["official"][0]["row"], "clue_intervals": [[3, 3], [5, 8]]}
    samples = [*samples_of("official", row), *samples_of("official_open", row)]
    assert {sample.facets["task"]: sample.media[0].clue_seconds for sample in samples} == {
        **dict.fromkeys(("long_acc", "miou", "open"), ()),
        "clue_acc": ((3, 3), (5, 8)),
    }
    assert [sample.facets["task"] for sample in samples if not sample.choices] == ["open"]
    assert {sample.content[0] for sample in samples} == {
        FrameImages(sample.media[0], num_jpeg=2) for sample in samples
    }


def test_a_subtitle_stands_by_frames_within_it_and_not_at_its_ends(tmp_path: Path) -> None:
    """Frames 20 and 30 of ten a second are at 2.0 and 3.0 s."""
    path = tmp_path / "v.srt"
    cues = (("00,400", "02,000", "a"), ("01,000", "02,001", "b"), ("02,000", "03,000", "c"))
    path.write_text("\n".join(f"1\n00:00:{x} --> 00:00:{y}\n{text}\n" for x, y, text in cues))
    frames = torch.zeros((2, 3, 8, 8), dtype=torch.uint8)
    shown = Clip(frames, (20, 30), (2.0, 3.0), fps=10.0, num_source_frames=40)
    piece = SubtitlesAndTimes(Media("video", "v.mp4"), str(path))
    (text,) = piece.expand(shown)
    assert text == (
        "The subtitles of the video are as follows:\n\n[1.0, 2.001] b\n\n"
        "A total of 2 frames are sampled. Their corresponding timestamps are:\n\n2.0, 3.0\n\n"
    )
    with pytest.raises(MediaError, match=r"v\.mp4: the times of frames need a frame rate"):
        piece.expand(Clip(frames, (20, 30), (2.0, 3.0)))


def test_times_of_frames_have_four_decimals() -> None:
    piece = SubtitlesAndTimes(Media("video", "v.mp4"), "")
    (text,) = piece.expand(
        Clip(torch.zeros((2, 3, 8, 8), dtype=torch.uint8), (7, 14), (2.3, 4.7), 3.0)
    )
    assert text.endswith("timestamps are:\n\n2.3333, 4.6667\n\n")


def test_letters_and_intervals_are_worth_what_the_authors_say() -> None:
    num_replies = 0
    for line in gzip.decompress(TABLE.read_bytes()).decode().strip().split("\n"):
        content = json.loads(line)
        samples = {item.facets["task"]: item for item in samples_of("official", content["row"])}
        for task, reply, value in content["replies"]:
            score = protocol("cgbench/official").score(reply, samples[task])
            assert score.value == value, (task, reply)
            num_replies += 1
    assert num_replies > 800


def test_frames_go_through_two_jpeg_files() -> None:
    frames = torch.randint(0, 256, (1, 3, 24, 40), dtype=torch.uint8)
    expected = to_pil_image(frames[0])
    for _ in range(2):
        content = io.BytesIO()
        expected.save(content, "JPEG")
        expected = Image.open(content)
    shown = FrameImages(Media("video", "v.mp4"), num_jpeg=2)
    (image,) = shown.expand(Clip(frames, (0,), (0.0,)))
    assert torch.equal(image.frames[0], pil_to_tensor(expected))
    assert shown.description == "frames as JPEG images, twice"


@pytest.mark.parametrize("cell", ["[[3, 3], [5, 8]]", "[(3, 3), (5, 8)]", "[[3 3]\n [5 8]]"])
def test_intervals_that_a_cell_of_a_table_holds(cell: str) -> None:
    row = {**PROMPTS["official"][0]["row"], "clue_intervals": [[3, 3], [5, 8]]}
    assert samples_of("official", {**row, "clue_intervals": cell}) == samples_of("official", row)


@pytest.mark.parametrize("intervals", [None, "x", [[3, 1]], [[1]], [["a", "b"]]])
def test_what_is_no_interval_is_named(intervals: Any) -> None:
    row = {**PROMPTS["official"][0]["row"], "clue_intervals": intervals}
    with pytest.raises(RowsError, match="interval"):
        samples_of("official", row)


@pytest.mark.slow
def test_rows_are_prepared(tmp_path: Path) -> None:
    rows = tmp_path / "cgbench_mini.json"
    rows.write_text(json.dumps([PROMPTS["official"][0]["row"]]))
    overrides = [
        "benchmark=cgbench/official",
        f"benchmark.source={rows}",
        f"benchmark.media_root={tmp_path}",
    ]
    ready = prepare(compose_config(overrides))
    assert (ready.num_samples, len(ready.missing)) == (3, 1)
    benchmark = compose_config(overrides).config.benchmark
    adapter = protocol("cgbench/official").adapter
    samples = load_samples(str(rows), adapter, facets=benchmark.facets, subset=benchmark.subset)
    assert [sample.facets["task"] for sample in samples] == ["long_acc", "clue_acc", "miou"]
