"""A server is checked, not believed: its count of tokens must grow with the frames it is sent."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from llava_eval import run as pipeline
from llava_eval.borders.http_client import RequestError
from llava_eval.config.compose import compose_config
from llava_eval.errors import CheckpointError
from llava_eval.models.backend import Needs
from llava_eval.models.chat_client import RejectedError
from llava_eval.models.served.frame_cost import (
    LARGE,
    QUESTION,
    SMALL,
    FrameCost,
    Frames,
    FramesMissingError,
    measure_frame_cost,
    numbered_clip,
)
from llava_eval.models.served.served_model import (
    FrameTrial,
    ServedModel,
    find_served_model,
    open_client,
    with_checked_frames,
)
from llava_eval.models.served.served_runner import ServedRunner, is_same_model
from llava_eval.types import Generation, GenerationSettings, Media, Request
from tests.conftest import read_lines, slow
from tests.models.chat_server import Answer, Behaviour, ChatServer, failure, reply, serving
from tests.models.served.fakes import (
    NUM_PROBES,
    PAGES,
    ask,
    counted,
    make_questions,
    make_runner,
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
    cost = measure_frame_cost(lambda frames, size, text: count(frames), 64)
    assert cost.per_frame == pytest.approx(expected, rel=0.02)
    assert (cost.is_constant, cost.num_proven) == (True, 64)
    for frames in (2, 16, 63, 64, 128, 512):
        assert cost.proven(frames, count(frames)).num_proven == max(64, frames)
        assert cost.least_tokens(frames, 10, 0.9) <= count(frames)


@pytest.mark.parametrize("most", [1, 4, 8, 16, 20, 24, 30, 32, 33])
@pytest.mark.parametrize("per_frame", [1, 2, 144])
def test_servers_that_keep_some_frames(most: int, per_frame: int) -> None:
    with pytest.raises(FramesMissingError, match="prompts with 8, 24, 40 frames count"):
        measure_frame_cost(lambda frames, size, text: 30 + per_frame * min(frames, most))


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
        measure_frame_cost(lambda frames, size, text: count(frames))


def by_frames(count: Callable[[int], int]) -> Callable[[int, tuple[int, int], str], int]:
    return lambda frames, size, text: count(frames)


def test_a_short_context_is_told_from_lost_frames() -> None:
    def short(limit: int) -> Callable[[int], int]:
        def count(frames: int) -> int:
            asked.append(frames)
            if frames > limit:
                raise RejectedError("HTTP 400: at most so many")
            return 30 + 144 * frames

        return count

    for limit, most, lengths in (
        (39, 24, [8, 24, 40, 16, 8, 8, 64]),
        (8, 6, [8, 24, 16, 2, 4, 6, 2, 2, 64]),
    ):
        asked: list[int] = []
        count = short(limit)

        def counted(
            frames: int, size: object, text: str, count: Callable[[int], int] = count
        ) -> int:
            return count(frames)

        cost = measure_frame_cost(counted, 64)
        assert (cost.per_frame, cost.others, cost.num_proven) == (144.0, 30.0, most)
        assert asked == lengths
    with pytest.raises(RequestError, match="at most"):
        measure_frame_cost(lambda frames, size, text: short(5)(frames))


@pytest.mark.parametrize("most", [41, 48, 60, 63])
def test_the_runs_own_number_of_frames_is_tried(most: int) -> None:
    def count(frames: int, size: tuple[int, int], text: str) -> int:
        return 30 + 144 * min(frames, most)

    assert measure_frame_cost(count).num_proven == 40
    with pytest.raises(FramesMissingError, match=r"with 64 frames count \d+ tokens, expected 9246"):
        measure_frame_cost(count, 64)


def test_a_model_whose_tokens_depend_on_the_size() -> None:
    def count(frames: int, size: tuple[int, int], text: str) -> int:
        return 30 + frames * size[0] * size[1] // 1024

    cost = measure_frame_cost(count, 64)
    assert (cost.per_frame, cost.is_constant) == (SMALL[0] * SMALL[1] / 1024, False)
    assert cost.least_tokens(64, 100, 0.9) == round(0.9 * 4 * 64)


def test_a_word_has_its_price_where_words_are_counted() -> None:
    def count(frames: int, size: tuple[int, int], text: str) -> int:
        return 30 + 144 * frames + 2 * len(text.split())

    cost = measure_frame_cost(count)
    assert cost.per_word == 2.0
    assert cost.least_tokens(64, 100, 0.9) == 144 * 64 + 100
    assert numbered_clip(2, LARGE).frames.shape == (2, 3, *LARGE)


def test_frames_of_the_probe_differ() -> None:
    frames = numbered_clip(40).frames
    assert frames.shape == (40, 3, 64, 64)
    assert len({frame.numpy().tobytes() for frame in frames}) == 40


def check(
    behaviour: Behaviour, kind: str = "vllm", **server: Any
) -> tuple[ServedModel, ChatServer]:
    with serving(behaviour, PAGES[kind]) as chat:
        config = served("m", chat.base_url, backoff_seconds=0.001, retries=1)
        return with_checked_frames(find_served_model(config, Needs(videos=True))), chat


def keeps(most: int) -> Behaviour:
    """Return a server that ignores what it is asked of frames, and keeps the first so many."""
    return lambda content, number: counted(content, "A", num_seen=min(most, num_frames(content)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vllm", "openai"])
def test_a_frame_has_its_price(kind: str) -> None:
    model, server = check(keeps(10_000), kind)
    assert model.frame_cost is not None
    assert model.frame_cost.per_frame == 40.0
    assert model.describe()["tokens_per_frame"] == 40.0
    assert model.describe()["answers_as"] == "model-1"
    assert "tokens_per_frame" not in model.identity()["model"]
    assert [num_frames(sent) for sent in server.requests] == [8, 24, 40, 8, 8]
    assert questions(server) == []
    assert {sent["max_tokens"] for sent in server.requests} == {16}
    if kind == "vllm":
        known = server.requests[2]["media_io_kwargs"]["video"]
        assert known == {
            "num_frames": -1,
            "frames_indices": list(range(40)),
            "total_num_frames": 40,
            "fps": 1.0,
        }


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vllm", "openai"])
def test_a_server_that_keeps_fewer_frames_is_refused(kind: str) -> None:
    with pytest.raises(CheckpointError, match=r"8, 24, 40 frames count 340, 980, 1300") as told:
        check(keeps(32), kind)
    assert ("--media-io-kwargs" in str(told.value)) == (kind == "vllm")  # it concerns videos alone
    with pytest.raises(CheckpointError, match="does not show the model every frame"):
        check(keeps(1), kind)


@pytest.mark.slow
def test_a_server_that_counts_nothing() -> None:
    with pytest.raises(CheckpointError, match="does not show the model every frame"):
        check(lambda content, number: reply("A"))
    with pytest.raises(CheckpointError, match="does not count the prompt's tokens"):
        check(lambda content, number: reply("A", usage=None))


@pytest.mark.slow
def test_images_that_are_not_counted_are_not_taken_for_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        model, server = check(lambda content, number: reply("A"), "openai")
    assert model.frame_cost is None
    assert [num_frames(sent) for sent in server.requests] == [8, 24, 40, 0, 8]
    assert "it does not count images" in caplog.text


@pytest.mark.slow
def test_a_server_without_counts_of_images_that_refuses_prompts_without_any() -> None:
    def needs_image(content: dict[str, Any], number: int) -> Answer:
        return reply("A") if num_frames(content) else failure(400, "an image is needed")

    model, _ = check(needs_image, "openai")
    assert model.unconfirmed == "HTTP 400: an image is needed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "told"), [(failure(400, "no"), "HTTP 400"), (failure(500), "500")]
)
def test_a_probe_that_fails(fault: Answer, told: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(CheckpointError, match=f"does not answer a probe: HTTP {fault.status}"):
        check(lambda content, number: fault)
    with caplog.at_level(logging.WARNING):
        model, _ = check(lambda content, number: fault, "openai")
    assert model.frame_cost is None  # images: each question will tell
    assert f"HTTP {fault.status}" in caplog.text


@pytest.mark.parametrize("kind", ["vllm", "openai"])
def test_a_refused_key_ends_the_probe(kind: str) -> None:
    with pytest.raises(CheckpointError, match=r"refuses model\.checkpoint=m: HTTP 401"):
        check(lambda content, number: failure(401), kind)


@pytest.mark.slow
def test_a_probe_that_fails_once_is_sent_again() -> None:
    model, server = check(
        lambda content, number: failure(500) if number == 0 else counted(content, "A")
    )
    assert model.frame_cost is not None
    assert [num_frames(sent) for sent in server.requests] == [8, 8, 24, 40, 8, 8]


@pytest.mark.slow
def test_as_many_frames_as_a_run_shows_are_tried_before_it() -> None:
    with serving(keeps(48), PAGES["vllm"]) as server:
        model = find_served_model(served("m", server.base_url), Needs(videos=True))
        with pytest.raises(CheckpointError, match="with 64 frames count"):
            with_checked_frames(model, 64)


@pytest.mark.slow
def test_a_probe_of_a_size_that_is_refused_is_sent_once() -> None:
    """The question itself tells whether the server takes such frames."""
    honest = by_area(lambda c, w, h: False)

    def behaviour(content: dict[str, Any], number: int) -> Answer:
        is_probe = content["messages"][-1]["content"][-1]["text"] == QUESTION
        return failure(400) if is_probe and num_frames(content) == 12 else honest(content, number)

    with serving(behaviour, PAGES["openai"]) as server:
        config = served("m", server.base_url)
        runner = ServedRunner(with_checked_frames(find_served_model(config, Needs(videos=True))))
        shown = runner.prepare("video", numbered_clip(12, (336, 560)))
        asked = [Request(name, (shown, LONG), GenerationSettings()) for name in ("a", "b", "c")]
        answers = ask(runner, asked)
        assert len(server.requests) == NUM_PROBES + 1 + 3
    assert [answer.error for answer in answers.values()] == [None] * 3


@pytest.mark.slow
def test_nothing_is_probed_without_need() -> None:
    with serving(keeps(1), PAGES["vllm"]) as server:
        with_checked_frames(find_served_model(served("m", server.base_url), Needs()))
        by_address = served("m", server.base_url, video_as="url")
        with_checked_frames(find_served_model(by_address, Needs(videos=True)))
        assert server.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vllm", "openai"])
def test_each_reply_is_held_to_its_frames(kind: str) -> None:
    """The server is honest at first, and later keeps 32 of 64 frames."""
    with serving(keeps(10_000), PAGES[kind]) as server:
        config = served("m", server.base_url)
        runner = ServedRunner(with_checked_frames(find_served_model(config, Needs(videos=True))))
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
    for name in ("whole", "two"):
        assert found[name].text is None
        assert found[name].error == (
            "ServerError: the server counts 1300 prompt tokens for 64 frames, expected at least "
            "2560: the model did not see all of them"
        )


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "num_trials"), [("vllm", 0), ("openai", 1)])
def test_two_videos_are_tried_as_so_many_images_or_as_the_longer_one(
    kind: str, num_trials: int
) -> None:
    """Forty frames were tried before the run: two times 32 are more only as images."""
    with serving(keeps(10_000), PAGES[kind]) as server:
        config = served("m", server.base_url)
        runner = ServedRunner(with_checked_frames(find_served_model(config, Needs(videos=True))))
        short = runner.prepare("video", video_clip(32))
        asked = [Request("two", (short, short, "what?"), GenerationSettings())]
        assert ask(runner, asked)["two"].error is None
        assert len(server.requests) == NUM_PROBES + num_trials + 1
        assert num_frames(server.requests[-1 - num_trials]) == 64  # of the trial, else the question


def kept(content: dict[str, Any], most: int, *, only_above: int = 0) -> int:
    """Return how many frames a server keeps of those that it is sent."""
    frames = num_frames(content)
    return min(most, frames) if frames > only_above else frames


def words_of(content: dict[str, Any]) -> int:
    """Return a count of the prompt's text tokens: one each word, and the template's."""
    parts = [part for message in content["messages"] for part in message["content"]]
    return 20 + sum(len(part["text"].split()) for part in parts if part["type"] == "text")


LONG = "what is shown in these frames? " * 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vllm", "openai"])
@pytest.mark.parametrize(
    ("lie", "told"),
    [
        # Of frames: all are seen by a probe with as many frames as the question.
        (lambda c: words_of(c) + 144 * kept(c, 60), "with 64 frames count 8666 tokens"),
        (lambda c: words_of(c) + 144 * kept(c, 63), "with 64 frames count 9098 tokens"),
        (lambda c: min(words_of(c) + 144 * num_frames(c), 8192), "with 64 frames count 8192"),
        # Only of real questions: each reply is held to its frames and words.
        (
            lambda c: words_of(c) + 144 * (num_frames(c) - ("these" in str(c))),
            "the server counts 9152 prompt tokens for 64 frames, expected at least 9246",
        ),
        (
            lambda c: min(words_of(c), 25) + 144 * (num_frames(c) - (LONG in str(c))),
            "the server counts 9097 prompt tokens for 64 frames",
        ),
    ],
)
def test_lies_about_one_frame_of_many(
    lie: Callable[[dict[str, Any]], int], told: str, kind: str
) -> None:
    def behaviour(content: dict[str, Any], number: int) -> Answer:
        usage = {"prompt_tokens": lie(content), "completion_tokens": 1}
        return reply("A", "m", usage=usage)

    with serving(behaviour, PAGES[kind]) as server:
        config = served("m", server.base_url)
        runner = ServedRunner(with_checked_frames(find_served_model(config, Needs(videos=True))))
        settings = GenerationSettings()
        whole, short = (runner.prepare("video", video_clip(frames)) for frames in (64, 16))
        asked = [Request(f"q{number}", (whole, LONG), settings) for number in range(3)]
        asked.append(Request("short", (short, "who?"), settings))
        found = ask(runner, asked)
        num_probes = len(server.requests) - len(questions(server))
    assert found.pop("short").error is None
    for generation in found.values():
        assert generation.text is None
        assert told in str(generation.error)
    assert num_probes == NUM_PROBES + 1


@pytest.mark.parametrize(
    ("asked", "answering", "is_same"),
    [
        ("gpt-4o", "gpt-4o-2024-08-06", True),
        ("gemini-2.0-flash", "models/gemini-2.0-flash-001", True),
        ("Qwen/Qwen2-VL-7B-Instruct", "Qwen2-VL-7B-Instruct", True),
        ("gpt-4o", "gpt-4o-mini-2024-07-18", False),
        ("gpt-4o-mini", "gpt-4o", False),
        ("gpt-5", "gpt-5.1-2025-11-13", False),
        ("org/my-gpt-4o", "gpt-4o", False),
        ("o1", "pro1", False),
        ("claude-sonnet-4", "claude-sonnet-4@20250514", True),
        ("claude-sonnet-4", "claude-sonnet-4-5-20250929", False),
        ("gemini-2.5-pro-preview", "gemini-2.5-pro-preview-05-20", True),
        ("gpt-4", "gpt-4-0613", True),
        ("a.c", "abc", False),
    ],
)
def test_names_of_one_model(asked: str, answering: str, is_same: bool) -> None:
    assert is_same_model(asked, answering) == is_same


@pytest.mark.slow
def test_another_model_answers(caplog: pytest.LogCaptureFixture) -> None:
    names = iter(["m", "m-2024-08-06", "other", "other", "m"])

    def behaviour(content: dict[str, Any], number: int) -> Answer:
        return reply("A", next(names))

    with serving(behaviour, PAGES["openai"]) as server, caplog.at_level(logging.WARNING):
        runner = make_runner(server, concurrency=1)
        ask(runner, make_questions(5))
    assert "question 0" in str(runner.first_prompt)
    assert runner.guards["answered_by"] == {"m": 2, "m-2024-08-06": 1, "other": 2}
    told = [record.getMessage() for record in caplog.records]
    assert [text.partition("asked for ")[2] for text in told] == [
        "m, and says that m-2024-08-06 answers, as others did before",
        "m, and says that other answers, as others did before",
    ]


@pytest.mark.slow
def test_a_count_that_is_missing_later() -> None:
    with serving(keeps(10_000), PAGES["vllm"]) as server:
        config = served("m", server.base_url)
        runner = ServedRunner(with_checked_frames(find_served_model(config, Needs(videos=True))))
        video = runner.prepare("video", video_clip(4))
        server.behaviour = lambda content, number: reply("A", usage=None)
        found = ask(runner, [Request("a", (video, "what?"), GenerationSettings())])["a"]
    assert found.error == "ServerError: the server did not count the prompt's tokens"


@pytest.mark.slow
def test_frames_of_a_video_are_not_held_to_the_cost_of_an_image() -> None:
    """Nothing is known of the frames, and 100 tokens at least of an image."""
    with serving(
        lambda content, number: counted(content, "A", num_seen=1), PAGES["vllm"]
    ) as server:
        found = find_served_model(served("m", server.base_url), Needs())
        runner = ServedRunner(replace(found, image_tokens=400))
        video = runner.prepare("video", numbered_clip(2))
        image = runner.prepare("image", numbered_clip(1))
        asked = [
            Request(kind, (medium, "what?"), GenerationSettings())
            for kind, medium in (("video", video), ("image", image))
        ]
        answers = ask(runner, asked)
    assert answers["video"].error is None
    assert "60 prompt tokens for 1 images, expected at least 100" in str(answers["image"].error)


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
        assert len(server.requests) == NUM_PROBES + 6 + 3  # the first three tell
    lines = read_lines(tmp_path / "honest" / "samples.jsonl")
    assert {line["generation"]["num_input_tokens"] for line in lines} == {20 + 4 * 40}
    manifest = json.loads((tmp_path / "honest" / "manifest.json").read_text())
    assert manifest["model"]["tokens_per_frame"] == 40.0
    assert not (tmp_path / "lying" / "samples.jsonl").exists()


@pytest.mark.slow
def test_the_folder_of_clips_goes_with_the_run(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    shown = []

    def behaviour(content: dict[str, Any], number: int) -> Answer:
        path = content["messages"][-1]["content"][0]["video_url"]["url"]
        assert list(clips.iterdir()) == [Path(path).parent]
        with av.open(path) as container:
            shown.append(sum(1 for _ in container.decode(video=0)))
        return counted(content, "A", num_seen=shown[-1])

    with serving(behaviour, PAGES["transformers"]) as server:
        more = [f"model.server.clip_dir={clips}", "model.server.video_as=video"]
        done = pipeline.run(compose_config(overrides(tmp_path / "run", server, *more)))
    assert done.exit_code == 0
    assert shown[-6:] == [4] * 6
    assert list(clips.iterdir()) == []


def by_area(shrinks: Callable[[dict[str, Any], int, int], bool]) -> Behaviour:
    """Return a server that counts a token for each 28 x 28 pixels of a frame.

    Args:
        shrinks: whether it halves the sides of a frame, by the request, width and height.
    """

    def behaviour(content: dict[str, Any], number: int) -> Answer:
        tokens = words_of(content)
        for part in (part for turn in content["messages"] for part in turn["content"]):
            if part["type"] == "text":
                continue
            for image in part[part["type"]]["url"].partition("base64,")[2].split(","):
                width, height = Image.open(io.BytesIO(base64.b64decode(image))).size
                if shrinks(content, width, height):
                    width, height = width // 2, height // 2
                tokens += max(4, width * height // 28**2)
        return reply("A", "m", usage={"prompt_tokens": tokens, "completion_tokens": 1})

    return behaviour


def ask_about_large_frames(
    shrinks: Callable[[dict[str, Any], int, int], bool], kind: str
) -> tuple[Generation, ServedRunner]:
    clip = replace(numbered_clip(12, (336, 560)), video=Media("video", "a.mp4"))
    with serving(by_area(shrinks), PAGES[kind]) as server:
        config = served("m", server.base_url)
        runner = ServedRunner(with_checked_frames(find_served_model(config, Needs(videos=True))))
        shown = runner.prepare("video", clip)
        asked = [Request(name, (shown, LONG), GenerationSettings()) for name in ("a", "b")]
        found = ask(runner, asked)
        assert len(server.requests) - len(questions(server)) == NUM_PROBES + 1
    assert found["a"] == found["b"]
    return found["a"], runner


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vllm", "openai"])
def test_frames_of_the_runs_own_size(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    honest, runner = ask_about_large_frames(lambda c, w, h: False, kind)
    assert (honest.error, honest.num_input_tokens) == (None, 20 + 60 + 12 * 240)
    assert runner.model.frame_cost is not None
    tokens = runner.model.frame_cost.clips[(12, (336, 560))]
    assert tokens == pytest.approx(12 * 240, abs=8)
    assert "smaller" not in caplog.text
    # Only frames of real questions lose half of their width and height.
    shrunk, _ = ask_about_large_frames(lambda c, w, h: "these" in str(c), kind)
    assert shrunk.text is None
    assert "the server counts 800 prompt tokens for 12 frames, expected at least 26" in str(
        shrunk.error
    )
    assert "smaller" not in caplog.text
    # All large frames do, as a model's own processor may have it.
    small, _ = ask_about_large_frames(lambda c, w, h: w > 500, kind)
    assert small.error is None
    assert "makes frames of 560 x 336 pixels smaller: 12 of them cost 720 tokens" in caplog.text


@pytest.mark.slow
def test_a_probe_that_a_busy_server_refuses_is_tried_again() -> None:
    honest = by_area(lambda c, w, h: False)

    def busy_once(content: dict[str, Any], number: int) -> Answer:
        is_first = len(server.requests) == NUM_PROBES + 1  # of a probe of the clip's own size
        return failure(503, "busy") if is_first else honest(content, number)

    clip = replace(numbered_clip(12, (336, 560)), video=Media("video", "a.mp4"))
    with serving(busy_once, PAGES["openai"]) as server:
        config = served("m", server.base_url, retries=0, concurrency=1)
        runner = ServedRunner(with_checked_frames(find_served_model(config, Needs(videos=True))))
        shown = runner.prepare("video", clip)
        asked = [Request(name, (shown, LONG), GenerationSettings()) for name in ("a", "b", "c")]
        answers = ask(runner, asked)
        assert len(server.requests) - len(questions(server)) == NUM_PROBES + 2
    assert [answer.error for answer in answers.values()] == [None] * 3
    assert runner.model.frame_cost is not None
    assert list(runner.model.frame_cost.clips) == [(12, (336, 560))]


def test_a_probe_that_lost_frames_too_does_not_lower_what_a_prompt_holds() -> None:
    clip = (12, (336, 560))
    lost = FrameCost(100.0, 20.0, False, 1.0, 40, 110.0, {clip: 220.0})  # two of twelve are seen
    whole = replace(lost, clips={clip: 1320.0})
    with serving(lambda content, number: reply("A", "m"), PAGES["openai"]) as server:
        model = find_served_model(served("m", server.base_url), Needs(videos=True))
    assert model.video_as == "images"
    assert replace(model, frame_cost=lost).least_tokens([clip], 60) == 900  # 3/4 of 12 small ones
    assert replace(model, frame_cost=whole).least_tokens([clip], 60) == 1218
    of_videos = replace(model, video_as="video", frame_cost=lost)
    assert of_videos.least_tokens([clip], 60) == 1080  # 9/10: as many tokens, whatever the way
    alone = replace(model, frame_cost=whole, image_tokens=400)
    assert alone.least_tokens([], 60, num_images=2) == 200  # a quarter
    assert alone.least_tokens([], 60) is None


def test_a_probe_of_more_frames_tells_of_fewer_of_their_size() -> None:
    clips = {(40, (336, 560)): 4000.0, (12, (336, 560)): 1320.0, (64, (64, 64)): 640.0}
    cost = FrameCost(10.0, 20.0, False, 1.0, 64, 110.0, clips)
    assert cost.tokens_of((40, (336, 560))) == 4000
    assert cost.tokens_of((20, (336, 560))) == 2000
    assert cost.tokens_of((6, (336, 560))) == 660  # by the nearest of them
    assert cost.tokens_of((41, (336, 560))) is None
    merged = replace(cost, clips={(5, (336, 560)): 3 * 240.0, (5, (64, 64)): 3 * 24.0})
    assert merged.tokens_of((5, (336, 560))) == 720
    assert merged.tokens_of((4, (336, 560))) is None  # two pairs are less than 4/5 of three
    assert cost.tokens_of((6, (560, 336))) is None
    assert cost.least_tokens_of([(20, (336, 560)), (32, (64, 64))], 10) == 2093  # 0.9 x 2320 + 5
    assert cost.least_tokens_of([(20, (336, 560)), (65, (64, 64))], 10) is None


@pytest.mark.slow
def test_frames_that_nobody_confirms_are_counted_beside_the_number(tmp_path: Path) -> None:
    with serving(lambda content, number: reply("A", "m"), PAGES["openai"]) as server:
        done = pipeline.run(compose_config(overrides(tmp_path, server)))
    assert done.exit_code == 0
    assert "6 with frames that the server does not confirm" in (tmp_path / "metrics.md").read_text()
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["flags"]["unconfirmed_frames"] == 6
    for line in read_lines(tmp_path / "samples.jsonl"):
        assert [
            problem["detail"] for medium in line["inputs"] for problem in medium["problems"]
        ] == ["its counts are the same with any number of images: it does not count images"]


def answers_by_images(tokens_per_image: int, *, probe_only: bool = False) -> Behaviour:
    """Return a server that counts so many tokens for each image, perhaps for a probe's alone."""

    def behaviour(content: dict[str, Any], number: int) -> Answer:
        is_probe = content["messages"][-1]["content"][-1]["text"] == QUESTION
        num_images = num_frames(content) if is_probe or not probe_only else 0
        tokens = words_of(content) + tokens_per_image * num_images
        return reply("A", "m", usage={"prompt_tokens": tokens, "completion_tokens": 1})

    return behaviour


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behaviour", "is_confirmed", "error"),
    [
        (answers_by_images(400), True, None),
        (answers_by_images(0), False, None),
        (
            answers_by_images(400, probe_only=True),
            True,
            "the server counts 23 prompt tokens for 2 images, expected at least 200",
        ),
    ],
)
def test_still_images(behaviour: Behaviour, is_confirmed: bool, error: str | None) -> None:
    with serving(behaviour, PAGES["vllm"]) as server:
        found = find_served_model(served("m", server.base_url), Needs(images=True))
        runner = ServedRunner(with_checked_frames(found))
        images = [runner.prepare("image", numbered_clip(1, (480, 640))) for _ in range(2)]
        shown = Request("a", (*images, "what is it?"), GenerationSettings())
        answer = ask(runner, [shown])["a"]
        assert len(server.requests) == 3  # two of them before the run
        parts = [part for sent in server.requests for part in sent["messages"][-1]["content"]]
        assert {part["type"] for part in parts} == {"image_url", "text"}
    assert [len(image.problems) for image in images] == ([0, 0] if is_confirmed else [1, 1])
    assert (error or "") in str(answer.error)
    assert (answer.text is None) == (error is not None)


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 503])
def test_a_server_that_answers_no_probe_with_an_image(status: int) -> None:
    """Nothing is known of its images then, and it is asked all the same."""

    def behaviour(content: dict[str, Any], number: int) -> Answer:
        is_probe = content["messages"][-1]["content"][-1]["text"] == QUESTION
        return failure(status, "not now") if is_probe else counted(content, "A", num_seen=0)

    with serving(behaviour, PAGES["vllm"]) as server:
        config = served("m", server.base_url, retries=1, backoff_seconds=0.001)
        model = with_checked_frames(find_served_model(config, Needs(images=True)))
        assert model.image_tokens == 0
        assert (model.unconfirmed_images or "").startswith(f"HTTP {status}: not now")
        assert model.unconfirmed is None
        runner = ServedRunner(model)
        image = runner.prepare("image", numbered_clip(1, (480, 640)))
        answer = ask(runner, [Request("a", (image, "what?"), GenerationSettings())])["a"]
    assert [problem.kind for problem in image.problems] == ["unconfirmed_frames"]
    assert answer.text == "A"


@pytest.mark.parametrize("status", [401, slow(404)])
def test_a_server_that_refuses_every_request_ends_the_probe(status: int) -> None:
    with serving(lambda content, number: failure(status), PAGES["vllm"]) as server:
        model = find_served_model(served("m", server.base_url), Needs(images=True))
        with pytest.raises(
            CheckpointError, match=rf"refuses model\.checkpoint=m: HTTP {status}: no$"
        ):
            with_checked_frames(model)


#: A server counts 30 tokens a small frame and 8 of text; one probe of eight frames of 480 x 640
#: pixels cost 800, one of sixteen 1440, one of four 404.
COST = FrameCost(
    per_frame=30.0,
    others=8.0,
    is_constant=False,
    per_word=2.0,
    num_proven=40,
    per_large=60.0,
    clips={(8, (480, 640)): 800.0, (16, (480, 640)): 1440.0, (4, (480, 640)): 404.0},
)


@pytest.mark.parametrize(
    ("video", "tokens"),
    [
        ((8, (480, 640)), 800.0),
        ((16, (480, 640)), 1440.0),
        ((10, (480, 640)), 900.0),  # ten of the sixteen
        ((5, (480, 640)), 450.0),  # not by eight: an odd frame may count as two
        ((4, (480, 640)), 404.0),
        ((17, (480, 640)), None),
        ((8, (640, 480)), None),
    ],
)
def test_what_frames_cost_by_the_nearest_longer_probe(video: Frames, tokens: float | None) -> None:
    assert COST.tokens_of(video) == tokens
    expected = None if tokens is None else int(0.9 * tokens + 2.0 * 5 / 2)
    assert COST.least_tokens_of([video], 5) == expected
    doubled = None if tokens is None else int(0.9 * 2 * tokens)
    assert COST.least_tokens_of([video, video], 0) == doubled
    assert COST.least_tokens_of([video, (99, (1, 1))], 5) is None


@pytest.mark.slow
def test_the_system_text_has_its_words_too() -> None:
    """Eight frames of 30 tokens, and five words of one token at least."""
    counts = iter([244, 245])

    def behaviour(content: dict[str, Any], number: int) -> Answer:
        return reply("A", "m", usage={"prompt_tokens": next(counts), "completion_tokens": 1})

    with serving(behaviour, PAGES["vllm"]) as server:
        found = find_served_model(served("m", server.base_url, concurrency=1), Needs())
        runner = ServedRunner(replace(found, frame_cost=replace(COST, is_constant=True)))
        shown = runner.prepare("video", video_clip(8))
        system = "Be brief and exact."
        few, enough = ask(
            runner,
            [Request(name, (shown, "what?"), GenerationSettings(), system=system) for name in "ab"],
        ).values()
    assert "expected at least 245" in str(few.error)
    assert enough.error is None


def test_the_least_that_small_frames_say() -> None:
    assert COST.least_tokens(8, 100, 0.75) == 180  # words are not counted: sizes may cost less
    constant = replace(COST, is_constant=True)
    assert constant.least_tokens(8, 10, 0.75) == 250


@pytest.mark.parametrize(
    ("tokens", "is_smaller"),
    # By area eight frames of 480 x 640 cost 8 x 60 x 307,200 / 112,896 = 1306; three quarters: 980.
    [(979.0, True), (980.0, False), (1306.0, False)],
)
def test_frames_that_are_made_smaller(tokens: float, is_smaller: bool) -> None:
    video = (8, (480, 640))
    cost = replace(COST, clips={video: tokens})
    assert cost.makes_smaller(video) is is_smaller
    assert not replace(cost, per_large=None).makes_smaller(video)
    assert not cost.makes_smaller((9, (480, 640)))


def test_one_more_number_of_frames() -> None:
    assert COST.proven(64, 8 + 64 * 30).num_proven == 64
    assert COST.proven(10, 8 + 10 * 30).num_proven == 40
    assert COST.proven(64, 8 + 64 * 30 - 15).num_proven == 64  # half a frame is not missing
    said = r"^prompts with 64 frames count 1912 tokens, expected 1928$"
    with pytest.raises(FramesMissingError, match=said):
        COST.proven(64, 8 + 64 * 30 - 16)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("side", "num_tokens", "is_enough"),
    [(480, 200, True), (64, 199, False), (63, 1, True)],
)
def test_the_least_that_is_believed(side: int, num_tokens: int, is_enough: bool) -> None:
    """Two images have at least a quarter of what two of a probe's had: 2 x 400 / 4 tokens.

    Nothing is known of images that are smaller than a probe's.
    """

    def behaviour(content: dict[str, Any], number: int) -> Answer:
        is_probe = content["messages"][-1]["content"][-1]["text"] == QUESTION
        tokens = 400 * num_frames(content) if is_probe else num_tokens
        return reply("A", "m", usage={"prompt_tokens": tokens, "completion_tokens": 1})

    with serving(behaviour, PAGES["vllm"]) as server:
        model = with_checked_frames(
            find_served_model(served("m", server.base_url), Needs(images=True))
        )
        runner = ServedRunner(model)
        images = [runner.prepare("image", numbered_clip(1, (side, 640))) for _ in range(2)]
        asked = [Request("a", (*images, "what?"), GenerationSettings())]
        assert (ask(runner, asked)["a"].text == "A") is is_enough


@pytest.mark.parametrize(("num_tokens", "is_smaller"), [(100, True), slow(248, False)])
def test_frames_that_are_made_smaller_are_told_of(
    num_tokens: int, is_smaller: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Four large frames cost 240 tokens by their area, and 8 of text."""
    usage = {"prompt_tokens": num_tokens, "completion_tokens": 1}
    with serving(lambda content, number: reply("A", "m", usage=usage), PAGES["vllm"]) as server:
        model = replace(
            find_served_model(served("m", server.base_url), Needs()),
            frame_cost=replace(COST, clips={(5, SMALL): 150.0}),
        )
        client = open_client(model.config)
        proven = FrameTrial(model, client).with_proven(4, [(4, LARGE), (4, LARGE)])
        client.close()
        assert len(server.requests) == 1
    assert proven.frame_cost is not None
    assert proven.frame_cost.clips == {(5, SMALL): 150.0, (4, LARGE): num_tokens - 8}
    told = "makes frames of 448 x 252 pixels smaller: 4 of them cost 92 tokens"
    assert (told in caplog.text) is is_smaller


def test_a_server_that_refuses_large_frames() -> None:
    def count(frames: int, size: tuple[int, int], text: str) -> int:
        if size == LARGE:
            raise RejectedError("too large")
        return 30 + 4 * frames

    cost = measure_frame_cost(count)
    assert (cost.per_frame, cost.per_large, cost.is_constant) == (4.0, None, False)


@pytest.mark.slow
@pytest.mark.parametrize("shown", ["images", "videos"])
def test_a_server_that_hangs_ends_the_probe(shown: str) -> None:
    hung = replace(reply("A"), wait_seconds=0.4)
    with serving(lambda content, number: hung, PAGES["openai"]) as server:
        config = served("m", server.base_url, retries=0, timeout_seconds=0.1)
        model = find_served_model(config, Needs(**{shown: True}))
        with pytest.raises(CheckpointError, match=r"answer a probe: no answer within 0\.1 s"):
            with_checked_frames(model)
        assert len(server.requests) == 1
