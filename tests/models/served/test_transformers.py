"""A served model against the same checkpoint in this process, with a real server.

Every difference between the two is named here, and nothing else differs.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from llava_eval import run as pipeline
from llava_eval.cli import run_command
from llava_eval.config.compose import compose_config
from llava_eval.config.schema import ConversationConfig
from llava_eval.errors import CheckpointError, ConfigError
from llava_eval.models.backend import Needs
from llava_eval.models.local.model import LoadedModel
from llava_eval.models.local.runner import ModelRunner
from llava_eval.models.served.served_model import find_served_model
from llava_eval.models.served.served_runner import ServedRunner
from llava_eval.types import Clip, Generation, GenerationSettings, Request
from llava_eval.video import decode_frames
from tests.conftest import DEMO, read_lines
from tests.models.chat_server import reply, serving
from tests.models.served.fakes import served

pytestmark = pytest.mark.slow

CHECKPOINT = str(DEMO / "checkpoint")
NUM_FRAMES = 16
CAPTION = "Provide a one-sentence caption for the provided video."


def torchcodec_works() -> bool:
    """Whether torchcodec, and the FFmpeg that it needs, are here."""
    try:
        decoders = importlib.import_module("torchcodec.decoders")
        decoders.VideoDecoder(str(next((DEMO / "videos").glob("*.mp4"))))
    except (ImportError, RuntimeError, OSError):
        return False
    return True


needs_torchcodec = pytest.mark.skipif(
    "not torchcodec_works()",  # a text: only the tests that need it import it
    reason="transformers serve reads videos with torchcodec, which is not usable here",
)


def clip(number: int) -> Clip:
    """Return frames of an embedded video."""
    path = sorted((DEMO / "videos").glob("*.mp4"))[number]
    return decode_frames(path, [3 * place for place in range(NUM_FRAMES)])


def frame(of: Clip, place: int) -> Clip:
    """Return one frame of a clip as an image."""
    return Clip(of.frames[place : place + 1], (0,), (0.0,))


def served_runner(base_url: str, **settings: Any) -> ServedRunner:
    values = {"backoff_seconds": 0.01, "retries": 1, "concurrency": 4, **settings}
    return ServedRunner(find_served_model(served(CHECKPOINT, base_url, **values), Needs()))


def local_runner(loaded: LoadedModel) -> ModelRunner:
    return ModelRunner(loaded, ConversationConfig("chat_template"))


def answers(runner: ModelRunner | ServedRunner, requests: list[Request]) -> dict[str, Generation]:
    found = {request.id: generation for request, generation in runner.generate(requests)}
    runner.close()
    return found


def test_images_get_the_same_answers(loaded: LoadedModel, served_demo: str) -> None:
    def ask(runner: ModelRunner | ServedRunner) -> dict[str, Generation]:
        requests = []
        for number in range(4):
            first, last = (frame(clip(number), place) for place in (0, NUM_FRAMES - 1))
            shown = [runner.prepare("image", one) for one in (first, last)]
            settings = GenerationSettings(max_new_tokens=24)
            requests += [
                Request(f"one {number}", (shown[0], "What color is the star?"), settings),
                Request(f"two {number}", ("Look.\n", *shown, "What moves?"), settings),
                Request(f"system {number}", (shown[1], CAPTION), settings, system="Be brief."),
                Request(f"none {number}", ("What color is the star?",), settings),
            ]
        return answers(runner, requests)

    served = ask(served_runner(served_demo))
    assert served == ask(local_runner(loaded))
    assert len({generation.text for generation in served.values()}) > 4
    assert {generation.error for generation in served.values()} == {None}


def test_frames_as_images_are_the_prompt_of_so_many_images(
    loaded: LoadedModel, served_demo: str
) -> None:
    """A video that goes as images is another prompt of the same pixels."""
    local, served = local_runner(loaded), served_runner(served_demo, video_as="images")
    settings = GenerationSettings(max_new_tokens=16)
    video = served.prepare("video", clip(0))
    images = [local.prepare("image", frame(clip(0), place)) for place in range(NUM_FRAMES)]
    (theirs,) = answers(served, [Request("a", (video, CAPTION), settings)]).values()
    (ours,) = answers(local, [Request("a", (*images, CAPTION), settings)]).values()
    assert theirs == ours
    assert theirs.num_input_tokens is not None
    as_video = Request("a", (local.prepare("video", clip(0)), CAPTION), settings)
    ((_, whole),) = local.generate([as_video])
    assert whole.num_input_tokens is not None
    assert theirs.num_input_tokens > 10 * whole.num_input_tokens


def test_png_keeps_pixels_and_jpeg_does_not(served_demo: str) -> None:
    shown = clip(0)
    for image_format, quality, is_exact in (("png", 95, True), ("jpeg", 80, False)):
        settings = {"image_format": image_format, "jpeg_quality": quality}
        runner = served_runner(served_demo, video_as="images", **settings)
        medium = runner.prepare("video", shown)
        runner.close()
        assert medium.frame_indices == shown.frame_indices
        pixels = []
        for part in medium.parts:
            head, _, content = part["image_url"]["url"].partition(",")
            assert head == f"data:image/{image_format};base64"
            with Image.open(io.BytesIO(base64.b64decode(content))) as image:
                pixels.append(torch.from_numpy(np.array(image)).permute(2, 0, 1))
        assert torch.equal(torch.stack(pixels), shown.frames) == is_exact


@needs_torchcodec
def test_a_clip_of_the_frames_gets_the_same_answers(
    loaded: LoadedModel, served_demo: str, tmp_path: Path
) -> None:
    def ask(runner: ModelRunner | ServedRunner) -> dict[str, Generation]:
        settings = GenerationSettings(max_new_tokens=64)
        requests = [
            Request(str(number), (runner.prepare("video", clip(number)), CAPTION), settings)
            for number in range(8)
        ]
        return answers(runner, requests)

    runner = served_runner(served_demo, clip_dir=str(tmp_path))
    assert runner.model.video_as == "video"
    assert ask(runner) == ask(local_runner(loaded))
    assert list(tmp_path.iterdir()) == []


def test_stop_strings_cut_texts_alike(loaded: LoadedModel, served_demo: str) -> None:
    """The server fails where it is sent stop strings, so it is not; the text is cut here."""

    def ask(runner: ModelRunner | ServedRunner) -> dict[str, Generation]:
        settings = GenerationSettings(max_new_tokens=24, stop_strings=(" moves", " color"))
        shown = runner.prepare("image", frame(clip(1), 3))
        return answers(runner, [Request("a", (shown, CAPTION), settings)])

    (served,), (local,) = (
        ask(runner).values() for runner in (served_runner(served_demo), local_runner(loaded))
    )
    assert local.stop_reason == "stop_string"
    assert served.num_output_tokens is not None
    assert local.num_output_tokens is not None
    assert served.num_output_tokens > local.num_output_tokens  # it wrote on
    assert served == dataclasses.replace(local, num_output_tokens=served.num_output_tokens)


def test_an_end_token_in_the_last_place_counts_as_length(
    loaded: LoadedModel, served_demo: str
) -> None:
    """The server calls every text of the allowed length cut off, also one that just ended."""

    def ask(runner: ModelRunner | ServedRunner, count: int) -> Generation:
        settings = GenerationSettings(max_new_tokens=count)
        shown = runner.prepare("image", frame(clip(1), 3))
        (found,) = answers(runner, [Request("a", (shown, CAPTION), settings)]).values()
        return found

    whole = ask(local_runner(loaded), 64)
    assert whole.stop_reason == "eos"
    assert whole.num_output_tokens is not None
    served = ask(served_runner(served_demo), whole.num_output_tokens)
    assert served == dataclasses.replace(whole, stop_reason="length")


def test_sampled_texts_repeat(served_demo: str) -> None:
    """Draws are the server's own, from each sample's seed; one at a time keeps them apart."""
    settings = GenerationSettings(max_new_tokens=12, temperature=3.0, seed=5)

    def ask(concurrency: int) -> dict[str, Generation]:
        runner = served_runner(served_demo, concurrency=concurrency)
        shown = runner.prepare("image", frame(clip(0), 0))
        return answers(runner, [Request(f"q{n}", (shown, CAPTION), settings) for n in range(6)])

    first = ask(4)
    assert first == ask(2)
    assert len({generation.text for generation in first.values()}) > 3


def test_what_the_server_does_not_offer_is_refused_before_anything_is_asked(
    served_demo: str,
) -> None:
    plan = find_served_model(served(CHECKPOINT, served_demo), Needs())
    assert plan.server.kind == "transformers"
    with pytest.raises(ConfigError, match="transformers serve does not"):
        dataclasses.replace(plan, needs=Needs(likelihoods=True)).check_protocol(has_prefill=False)
    with pytest.raises(ConfigError, match="transformers serve cannot continue"):
        plan.check_protocol(has_prefill=True)


@needs_torchcodec
@pytest.mark.parametrize("benchmark", ["multiple_choice", "open_ended", "caption"])
def test_runs_of_the_embedded_benchmarks_equal_local_ones(
    benchmark: str, served_demo: str, tmp_path: Path
) -> None:
    """Whole runs: the same ledger, line by line, and the same metrics.

    What a server's processor makes of the frames is not seen here, so its digest is a local run's.
    """
    own = {
        "local": ["model.device=cpu"],
        "served": [
            "model=openai_server",
            f"model.base_url={served_demo}",
            f"model.checkpoint={CHECKPOINT}",
        ],
    }
    for name, overrides in own.items():
        common = [f"benchmark=demo/{benchmark}", "benchmark.subsample.size=18"]
        composed = compose_config([*common, f"output_dir={tmp_path / name}", *overrides])
        assert pipeline.run(composed).exit_code == 0
    local, served = (read_lines(tmp_path / name / "samples.jsonl") for name in own)
    assert all(seen.pop("pixel_input_digest") for line in local for seen in line["inputs"])
    assert served == local
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in own]
    assert metrics[0]["metrics"] == metrics[1]["metrics"]
    manifest = json.loads((tmp_path / "served" / "manifest.json").read_text())
    assert manifest["model"]["server"] == {"kind": "transformers", "version": None}
    assert manifest["model"]["served"] == CHECKPOINT
    assert manifest["model"]["video_as"] == "video"
    answered_by = manifest["guards"]["answered_by"].items()  # until 5.24 with its revision
    assert [(name.removesuffix("@main"), count) for name, count in answered_by] == [
        (CHECKPOINT, 18)
    ]


def test_a_server_that_is_none_of_these(tmp_path: Path) -> None:
    with serving(lambda content, count: reply("a"), {"/v1/models": {"data": []}}) as server:
        plan = find_served_model(served("m", server.base_url), Needs())
    assert (plan.server.kind, plan.video_as) == ("openai", "images")
    with pytest.raises(CheckpointError, match="no server answers there"):
        find_served_model(served("m", server.base_url), Needs())


@pytest.mark.slow
def test_letters_that_it_cannot_tell_of_end_the_run_in_one_line(
    demo: Path, served_demo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        *("-q", "benchmark=demo/multiple_choice", "benchmark.limit=3", "model=openai_server"),
        *(f"model.base_url={served_demo}", f"model.checkpoint={demo / 'checkpoint'}"),
        *("runner.keep_choice_logprobs=true", f"output_dir={tmp_path / 'run'}"),
    ]
    assert run_command(words) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "keep_choice_logprobs=true: transformers serve returned no log-probabilities" in last


def test_another_models_name_ends_the_run_before_anything_is_asked(
    served_demo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server knows its model by the path that it was started with alone."""
    words = [
        *("benchmark=demo/multiple_choice", "benchmark.limit=3", "model=openai_server"),
        *(f"model.base_url={served_demo}", "model.checkpoint=demo", f"output_dir={tmp_path / 'a'}"),
    ]
    assert run_command(words) == 2
    said = capsys.readouterr().err
    assert f"refuses model.checkpoint=demo: HTTP 400: Server is pinned to '{CHECKPOINT}'" in said
    assert "torchcodec" not in said
    assert not (tmp_path / "a" / "samples.jsonl").exists()
