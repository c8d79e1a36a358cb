"""A server is checked, not believed: its count of tokens must grow with the frames it is sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llava_eval import run as pipeline
from llava_eval.borders.http_client import RequestError
from llava_eval.config.compose import compose_config
from llava_eval.errors import CheckpointError
from llava_eval.models.http import RejectedError
from llava_eval.models.served.probe import (
    FramesMissingError,
    measure_frame_tokens,
    numbered_clip,
)
from llava_eval.models.served.served_model import (
    ServedModel,
    find_served_model,
    with_checked_frames,
)
from llava_eval.models.served.served_runner import ServedRunner
from llava_eval.types import GenerationSettings, Request
from tests.conftest import read_lines
from tests.models.chat_server import Answer, Behaviour, ChatServer, failure, reply, serving
from tests.models.served.fakes import (
    NUM_PROBES,
    PAGES,
    ask,
    counted,
    num_frames,
    questions,
    served,
    video_clip,
)


def pairs(frames: int) -> int:
    """Qwen2-VL: two frames share their tokens; a start and an end go around them."""
    return 24 + 2 + 66 * ((frames + 1) // 2)


def with_times(frames: int) -> int:
    """Some models write each frame's time before it; later times have more digits."""
    return 31 + sum(81 + len(str(second)) + 2 for second in range(frames))


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (lambda frames: 30 + 144 * frames, 144.0),
        (lambda frames: 500 + 4 * frames, 4.0),
        (lambda frames: 1 + 1 * frames, 1.0),
        (pairs, 33.0),
        (with_times, 84.875),
    ],
)
def test_what_honest_servers_count(count: Callable[[int], int], expected: float) -> None:
    assert measure_frame_tokens(count) == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("most", [1, 4, 8, 16, 20, 24, 30, 32, 33])
@pytest.mark.parametrize("per_frame", [1, 2, 144])
def test_servers_that_keep_some_frames(most: int, per_frame: int) -> None:
    with pytest.raises(FramesMissingError, match="prompts with 8, 24, 40 frames count"):
        measure_frame_tokens(lambda frames: 30 + per_frame * min(frames, most))


@pytest.mark.parametrize(
    "count",
    [
        lambda frames: 100,
        lambda frames: 4000 - frames,
        lambda frames: 30 + 32 * 144,  # always 32 frames
        lambda frames: 30 + 144 * frames if frames < 10 else 30 + 144 * 8,
        lambda frames: min(30 + 144 * frames, 4096),  # cut off at the context's end
        lambda frames: 144 * max(0, frames - 7),  # the first frames are lost
    ],
)
def test_other_servers_that_lie(count: Callable[[int], int]) -> None:
    with pytest.raises(FramesMissingError):
        measure_frame_tokens(count)


def test_a_short_context_is_told_from_lost_frames() -> None:
    def short(limit: int) -> Callable[[int], int]:
        def count(frames: int) -> int:
            asked.append(frames)
            if frames > limit:
                raise RejectedError("HTTP 400: at most so many")
            return 30 + 144 * frames

        return count

    for limit, lengths in ((39, [8, 24, 40, 16]), (8, [8, 24, 16, 2, 4, 6])):
        asked: list[int] = []
        assert measure_frame_tokens(short(limit)) == 144.0
        assert asked == lengths
    with pytest.raises(RequestError, match="at most"):
        measure_frame_tokens(short(5))


def test_frames_of_the_probe_differ() -> None:
    frames = numbered_clip(40).frames
    assert frames.shape == (40, 3, 64, 64)
    assert len({frame.numpy().tobytes() for frame in frames}) == 40


def check(
    behaviour: Behaviour, kind: str = "vllm", **server: Any
) -> tuple[ServedModel, ChatServer]:
    with serving(behaviour, PAGES[kind]) as chat:
        config = served("m", chat.base_url, backoff_seconds=0.001, retries=1)
        return with_checked_frames(find_served_model(config, shows_videos=True)), chat


def keeps(most: int) -> Behaviour:
    """Return a server that ignores what it is asked of frames, and keeps the first so many."""
    return lambda content, number: counted(content, "A", num_seen=min(most, num_frames(content)))


@pytest.mark.parametrize("kind", ["vllm", "openai"])
def test_a_frame_has_its_price(kind: str) -> None:
    model, server = check(keeps(10_000), kind)
    assert model.tokens_per_frame == 40.0
    assert model.describe()["tokens_per_frame"] == 40.0
    assert "tokens_per_frame" not in model.identity()["model"]
    assert [num_frames(sent) for sent in server.requests] == [8, 24, 40]
    assert questions(server) == []
    assert {sent["max_tokens"] for sent in server.requests} == {1}
    if kind == "vllm":
        known = server.requests[2]["media_io_kwargs"]["video"]
        assert known == {
            "num_frames": -1,
            "frames_indices": list(range(40)),
            "total_num_frames": 40,
            "fps": 1.0,
        }


@pytest.mark.parametrize("kind", ["vllm", "openai"])
def test_a_server_that_keeps_fewer_frames_is_refused(kind: str) -> None:
    with pytest.raises(CheckpointError, match=r"8, 24, 40 frames count 340, 980, 1300 tokens"):
        check(keeps(32), kind)
    with pytest.raises(CheckpointError, match="does not show the model every frame"):
        check(keeps(1), kind)


def test_a_server_that_counts_nothing() -> None:
    with pytest.raises(CheckpointError, match="does not show the model every frame"):
        check(lambda content, number: reply("A"))
    with pytest.raises(CheckpointError, match="does not count the prompt's tokens"):
        check(lambda content, number: reply("A", usage=None))


def test_images_that_are_not_counted_are_not_taken_for_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        model, server = check(lambda content, number: reply("A"), "openai")
    assert model.tokens_per_frame is None
    assert [num_frames(sent) for sent in server.requests] == [8, 24, 40, 0, 8]
    assert "it does not count images" in caplog.text


@pytest.mark.parametrize(
    ("fault", "told"), [(failure(400, "no"), "HTTP 400"), (failure(500), "500")]
)
def test_a_probe_that_fails(fault: Answer, told: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CheckpointError, match=f"does not answer a probe: HTTP {fault.status}"):
        check(lambda content, number: fault)
    with caplog.at_level(logging.WARNING):
        model, _ = check(lambda content, number: fault, "openai")
    assert model.tokens_per_frame is None  # images: each question will tell
    assert f"HTTP {fault.status}" in caplog.text


@pytest.mark.parametrize("kind", ["vllm", "openai"])
def test_a_refused_key_ends_the_probe(kind: str) -> None:
    with pytest.raises(CheckpointError, match=r"refuses model\.checkpoint=m: HTTP 401"):
        check(lambda content, number: failure(401), kind)


def test_nothing_is_probed_without_need() -> None:
    with serving(keeps(1), PAGES["vllm"]) as server:
        with_checked_frames(find_served_model(served("m", server.base_url)))
        by_address = served("m", server.base_url, video_as="url")
        with_checked_frames(find_served_model(by_address, shows_videos=True))
        assert server.requests == []


@pytest.mark.parametrize("kind", ["vllm", "openai"])
def test_each_reply_is_held_to_its_frames(kind: str) -> None:
    """The server is honest at first, and later keeps 32 of 64 frames."""
    with serving(keeps(10_000), PAGES[kind]) as server:
        config = served("m", server.base_url)
        runner = ServedRunner(with_checked_frames(find_served_model(config, shows_videos=True)))
        whole, short = (runner.prepare("video", video_clip(frames)) for frames in (64, 32))
        settings = GenerationSettings()
        asked = [
            Request("whole", (whole, "what?"), settings),
            Request("short", (short, "what?"), settings),
            Request("two", (short, short, "what?"), settings),
            Request("none", ("what?",), settings),
        ]
        honest = {request.id: found for request, found in runner.generate(asked)}
        server.behaviour = keeps(32)
        found = ask(runner, asked)
    assert {found.error for found in honest.values()} == {None}
    assert honest["whole"].num_input_tokens == 20 + 64 * 40
    assert found["short"].error is None
    assert found["none"].error is None
    least = {"vllm": 2304, "openai": 1920}[kind]
    for name in ("whole", "two"):
        assert found[name].text is None
        assert found[name].error == (
            f"ServerError: the server counts 1300 prompt tokens for 64 frames, expected at least "
            f"{least}: the model did not see all of them"
        )


def test_a_count_that_is_missing_later() -> None:
    with serving(keeps(10_000), PAGES["vllm"]) as server:
        config = served("m", server.base_url)
        runner = ServedRunner(with_checked_frames(find_served_model(config, shows_videos=True)))
        video = runner.prepare("video", video_clip(4))
        server.behaviour = lambda content, number: reply("A", usage=None)
        found = ask(runner, [Request("a", (video, "what?"), GenerationSettings())])["a"]
    assert found.error == "ServerError: the server did not count the prompt's tokens"


def overrides(folder: Path, server: ChatServer, *more: str) -> list[str]:
    return [
        "model=openai_server",
        "model.checkpoint=m",
        f"model.base_url={server.base_url}",
        "sampler.num_frames=4",
        "benchmark.limit=6",
        f"output_dir={folder}",
        *more,
    ]


@pytest.mark.slow
def test_runs_against_an_honest_and_a_lying_server(tmp_path: Path) -> None:
    with serving(keeps(10_000), PAGES["vllm"]) as server:
        done = pipeline.run(compose_config(overrides(tmp_path / "honest", server)))
        assert (done.exit_code, len(server.requests)) == (0, NUM_PROBES + 6)
        again = pipeline.run(compose_config(overrides(tmp_path / "honest", server)))
        assert (again.exit_code, len(server.requests)) == (0, NUM_PROBES + 6)
        server.behaviour = keeps(32)
        with pytest.raises(CheckpointError, match="media-io-kwargs"):
            pipeline.run(compose_config(overrides(tmp_path / "lying", server)))
        assert len(server.requests) == 2 * NUM_PROBES + 6
    lines = read_lines(tmp_path / "honest" / "samples.jsonl")
    assert {line["generation"]["num_input_tokens"] for line in lines} == {20 + 4 * 40}
    manifest = json.loads((tmp_path / "honest" / "manifest.json").read_text())
    assert manifest["model"]["tokens_per_frame"] == 40.0
    assert not (tmp_path / "lying" / "samples.jsonl").exists()
