"""What is sent to each kind of server, and what is read from its replies."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from transformers.video_utils import VideoMetadata

from llava_eval.config.schema import ServerConfig
from llava_eval.errors import CheckpointError, ConfigError, MediaError, StorageError
from llava_eval.models.backend import Needs
from llava_eval.models.chat_client import RefusedError
from llava_eval.models.served.media_encoder import ClipFolder, MediaEncoder
from llava_eval.models.served.served_model import (
    ServedModel,
    _video_as,
    find_served_model,
    open_client,
)
from llava_eval.models.served.served_runner import ServedRunner
from llava_eval.models.served.server import DIALECTS, Server
from llava_eval.types import Clip, Generation, GenerationSettings, Media, Request
from tests.models.chat_server import Answer, Behaviour, failure, reply, serving
from tests.models.served.fakes import (
    PAGES,
    ask,
    echo,
    make_questions,
    make_runner,
    served,
    video_clip,
)


def decoded(images: list[str]) -> torch.Tensor:
    """Return the pixels (N, 3, H, W) of images in base64."""
    pixels = []
    for image in images:
        with Image.open(io.BytesIO(base64.b64decode(image))) as opened:
            pixels.append(torch.from_numpy(np.array(opened)).permute(2, 0, 1))
    return torch.stack(pixels)


@pytest.mark.parametrize("kind", PAGES)
def test_a_server_says_what_it_is(kind: str) -> None:
    with serving(echo, PAGES[kind]) as server:
        plan = find_served_model(served("m", server.base_url), Needs())
    versions = {"vllm": "0.12.0", "sglang": "0.5.5"}
    assert plan.server.kind == kind
    assert plan.server.version == versions.get(kind)
    assert plan.video_as == ("video" if kind in ("vllm", "transformers") else "images")
    assert len(server.requests) == (kind == "transformers")  # the trial
    told = json.dumps([plan.identity(), plan.describe()])
    assert "sk-in-the-open" not in told
    assert '"created"' not in told


def test_settings_of_the_runner() -> None:
    with serving(echo) as server:
        config = served("m", server.base_url, concurrency=3, retries=5, timeout_seconds=9.0)
        model = find_served_model(config, Needs())
    asked = {"concurrency": 3, "retries": 5, "timeout_seconds": 9.0}
    assert ServedRunner(model).settings() == {"batch_size": 12, **asked}
    assert ServedRunner(model, batch_size=7).settings() == {"batch_size": 7, **asked}


@pytest.mark.slow
def test_whose_frames_nobody_confirms() -> None:
    """A still image is none of a video's; frames that stand as images in a prompt are."""
    still, frame = (
        dataclasses.replace(video_clip(1), video=video) for video in (None, Media("video", "v.mp4"))
    )
    with serving(echo) as server:
        model = find_served_model(served("m", server.base_url), Needs())
    for of_videos, of_images, of_still, of_frame in (
        (None, None, [], []),
        ("of videos", None, [], ["of videos"]),
        (None, "of images", ["of images"], ["of images"]),
        ("of videos", "i", ["i"], ["of videos"]),
    ):
        runner = ServedRunner(
            dataclasses.replace(model, unconfirmed=of_videos, unconfirmed_images=of_images)
        )
        for clip, expected in ((still, of_still), (frame, of_frame)):
            problems = runner.prepare("image", clip).problems
            assert [problem.detail for problem in problems] == expected
        runner.close()


@pytest.mark.slow
def test_identity_is_of_the_model_not_of_the_place() -> None:
    identities = []
    for _ in range(2):
        with serving(echo, PAGES["vllm"]) as server:
            settings = served("m", server.base_url, concurrency=3, timeout_seconds=9.0)
            identities.append(find_served_model(settings, Needs()).identity())
            other = find_served_model(
                served("m", server.base_url, image_format="jpeg"), Needs()
            ).identity()
            assert other != identities[0]
            assert other["model"]["jpeg_quality"] == 95
            coarse = served("m", server.base_url, jpeg_quality=10)
            assert find_served_model(coarse, Needs()).identity() == identities[0]  # of png
    assert identities[0] == identities[1]
    assert (identities[0]["model"]["image_format"], identities[0]["model"]["video_as"]) == (
        "png",
        "video",
    )
    assert identities[0]["model"]["server"] == {
        "kind": "vllm",
        "version": "0.12.0",
        "root": "org/m",
        "max_model_len": 4096,
    }


def test_frames_as_images_hold_the_pixels() -> None:
    with serving(echo) as server:
        runner = make_runner(server)
        clip = video_clip()
        shown = runner.prepare("video", clip)
        settings = GenerationSettings(max_new_tokens=7)
        request = Request("a", ("see: ", shown, "what?"), settings, system="be brief")
        answers = ask(runner, [request])
    assert answers["a"] == Generation("re: what?", 100, 10, "eos")
    (sent,) = server.requests
    content = sent["messages"][1]["content"]
    images = [part["image_url"]["url"].split(",") for part in content[1:-1]]
    assert {head for head, _ in images} == {"data:image/png;base64"}
    assert torch.equal(decoded([image for _, image in images]), clip.frames)
    assert content[0] == {"type": "text", "text": "see: "}
    assert content[-1] == {"type": "text", "text": "what?"}
    assert sent["messages"][0] == {"role": "system", "content": "be brief"}
    assert {name: sent[name] for name in sent if name != "messages"} == {
        "model": "m",
        "stream": False,
        "max_tokens": 7,
        "temperature": 0.0,
    }
    assert runner.first_prompt is not None
    assert "sha256" in runner.first_prompt
    assert images[0][1] not in runner.first_prompt
    assert runner.guards == {"answered_by": {"model-1": 1}, "num_requests": 1}


@pytest.mark.slow
def test_vllm_is_asked_for_the_token_that_begins_a_prompt() -> None:
    def tokens(content: dict[str, object]) -> dict[str, object]:
        return {"tokens": [1, 381] if content["add_special_tokens"] else [381]}

    for give, asked in ((tokens, True), (lambda content: {"tokens": []}, None)):
        with serving(echo, {**PAGES["vllm"], "POST /tokenize": give}) as server:
            runner = make_runner(server)
            shown = runner.prepare("video", video_clip())
            ask(
                runner,
                [
                    Request("a", (shown, "what?"), GenerationSettings()),
                    Request("b", ("what?",), GenerationSettings()),
                ],
            )
        assert [sent.get("add_special_tokens") for sent in server.requests] == [asked, asked]


def test_vllm_behind_a_gateway_tells_the_tokens_in_its_replies() -> None:
    def tokens(content: dict[str, Any], number: int) -> Answer:
        assert content["return_token_ids"]
        ids = [1, 381] if content["add_special_tokens"] else [381]
        return reply("a", "m", prompt_token_ids=ids)

    pages = {"/v1/models": PAGES["vllm"]["/v1/models"]}
    with serving(tokens, pages) as server:
        plan = find_served_model(served("m", server.base_url), Needs())
    assert plan.server.describe()["special_tokens"] == "asked for"
    assert [sent["max_tokens"] for sent in server.requests] == [1, 1]


def test_vllm_takes_the_frames_as_one_video() -> None:
    with serving(echo, PAGES["vllm"]) as server:
        runner = make_runner(server)
        clip = dataclasses.replace(video_clip(), frame_indices=(2, 5, 9), num_source_frames=20)
        one = runner.prepare("video", clip)
        settings = GenerationSettings()
        ask(
            runner,
            [Request("a", (one, "what?"), settings), Request("b", (one, one, "what?"), settings)],
        )
    by_size = sorted(server.requests, key=lambda sent: len(sent["messages"][0]["content"]))
    first, second = by_size
    head, *images = first["messages"][0]["content"][0]["video_url"]["url"].split(",")
    assert head == "data:video/jpeg;base64"  # vLLM's name for a list of images of any format
    assert torch.equal(decoded(images), clip.frames)
    more = dataclasses.replace(clip, num_source_frames=2, fps=None)  # some are shown again
    assert runner.prepare("video", more).metadata == {"frames_indices": [2, 5, 9]}
    assert {part["type"] for part in runner.prepare("image", video_clip(1)).parts} == {"image_url"}
    known = {"frames_indices": [2, 5, 9], "total_num_frames": 20, "fps": 8.0}
    assert first["media_io_kwargs"] == {"video": {"num_frames": -1, **known}}
    assert second["media_io_kwargs"] == {"video": {"num_frames": -1}}


def test_vllm_is_told_the_times_of_frames_that_are_shown_again() -> None:
    """It refuses 3 frames in all where it is sent 8; a rate so much higher gives the same times.

    Of what is told here vLLM 0.33's own renderer made 0.375 seconds for Qwen2.5-VL's pairs of
    frames, as transformers does of 3 frames at 2 a second.
    """
    clip = dataclasses.replace(
        video_clip(8), frame_indices=(0, 0, 0, 1, 1, 2, 2, 2), num_source_frames=3, fps=2.0
    )
    with serving(echo, PAGES["vllm"]) as server:
        runner = make_runner(server)
        told = runner.prepare("video", clip).metadata
        runner.close()
    assert told == {"frames_indices": [0, 0, 0, 3, 3, 6, 6, 6], "total_num_frames": 9, "fps": 6.0}
    video = VideoMetadata(total_num_frames=3, fps=2.0, frames_indices=list(clip.frame_indices))
    as_told = VideoMetadata(**told)
    assert as_told.timestamps == video.timestamps == [0, 0, 0, 0.5, 0.5, 1, 1, 1]
    assert 2 / as_told.sampled_fps == 2 / video.sampled_fps == 0.375


@pytest.mark.slow
@pytest.mark.parametrize("is_named", [True, False])
def test_a_clip_file_holds_the_pixels_and_goes_away(
    is_named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with serving(echo, PAGES["transformers"]) as server:
        runner = make_runner(server, clip_dir=str(tmp_path) if is_named else None)
        trial = server.requests.pop()
        assert trial["max_tokens"] == 16
        clip = video_clip(5)
        shown, left = (runner.prepare("video", clip) for _ in range(2))
        path = Path(shown.parts[0]["video_url"]["url"])
        assert set(path.parent.iterdir()) == {path, Path(left.parts[0]["video_url"]["url"])}
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
            assert container.streams.audio
        pixels = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
        assert torch.equal(pixels, clip.frames)
        list(runner.generate([Request("a", (shown, "what?"), GenerationSettings())]))
        assert not path.exists()
        runner.close()
    kwargs = {"num_frames": None, "do_sample_frames": False}
    assert server.requests[0]["chat_template_kwargs"] == kwargs
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_cannot_read_files_is_shown_images(tmp_path: Path) -> None:
    def broken(content: dict[str, Any], number: int) -> Answer:
        return failure(500) if "chat_template_kwargs" in content else echo(content, number)

    with serving(broken, PAGES["transformers"]) as server:
        plan = find_served_model(served("m", server.base_url), Needs())
        assert plan.video_as == "images"
        assert len(server.requests) == 1


@pytest.mark.parametrize("clip_dir", ["~/clips", "clips"])
def test_the_folder_of_clips_may_lie_in_the_home_folder(
    clip_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips").mkdir()
    with serving(echo, PAGES["transformers"]) as server:
        plan = find_served_model(
            served("m", server.base_url, clip_dir=clip_dir), Needs(videos=True)
        )
    assert plan.video_as == "video"
    (trial,) = server.requests
    address = trial["messages"][0]["content"][0]["video_url"]["url"]
    assert address.startswith(f"{tmp_path}/clips/")


@pytest.mark.parametrize(
    ("fps", "num_source_frames", "num_cut_frames", "apart"),
    # two frames of 8 at 10 a second last 0.8 s; of an unknown length a second each
    [
        (10.0, 8, None, 0.4),
        (10.0, 8, 4, 0.2),
        (30.0, None, None, 1.0),
        (None, 8, None, 1.0),
        (1.0, 9000, None, 100.0),  # no frame lasts longer
    ],
)
def test_clips_of_odd_sizes(
    fps: float | None,
    num_source_frames: int | None,
    num_cut_frames: int | None,
    apart: float,
    tmp_path: Path,
) -> None:
    frames = torch.randint(0, 256, (2, 3, 5, 7), dtype=torch.uint8)
    clip = Clip(frames, (0, 1), (0.0, 0.1), fps=fps, num_source_frames=num_source_frames)
    clip = dataclasses.replace(clip, num_cut_frames=num_cut_frames)
    path = str(ClipFolder(tmp_path).write(clip))
    with av.open(path) as container:
        shown = list(container.decode(video=0))
    with av.open(path) as container:  # a second of silence
        assert sum(sound.samples for sound in container.decode(audio=0)) == 16_000
    assert [frame.time for frame in shown] == pytest.approx([0.0, apart], abs=0.002)
    found = np.stack([frame.to_ndarray(format="rgb24") for frame in shown])
    assert torch.equal(torch.from_numpy(found).permute(0, 3, 1, 2), frames)


def test_frames_as_jpeg_are_pillows_of_the_given_quality() -> None:
    clip = video_clip(1)
    for quality in (95, 30):
        content = io.BytesIO()
        Image.fromarray(clip.frames[0].permute(1, 2, 0).numpy()).save(
            content, "JPEG", quality=quality, subsampling=0
        )
        config = ServerConfig(image_format="jpeg", jpeg_quality=quality)
        encoder = MediaEncoder(config, DIALECTS["openai"], "images")
        (part,) = encoder.encode("video", clip).parts
        head, _, image = part["image_url"]["url"].partition(",")
        assert head == "data:image/jpeg;base64"
        assert base64.b64decode(image) == content.getvalue()


def test_an_image_beside_clips_in_files_is_an_image(tmp_path: Path) -> None:
    config = ServerConfig(clip_dir=str(tmp_path))
    encoder = MediaEncoder(config, DIALECTS["transformers"], "video")
    image, clip = (encoder.encode(kind, video_clip(1)) for kind in ("image", "video"))
    assert [part["type"] for part in (*image.parts, *clip.parts)] == ["image_url", "video_url"]
    encoder.release(image)
    encoder.close()
    assert list(tmp_path.iterdir()) == []
    for video_as in ("images", "url"):  # no file is needed
        MediaEncoder(config, DIALECTS["transformers"], video_as)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("transformers", {}, "images"),  # it sees no folder of this machine
        ("transformers", {"clip_dir": "."}, "video"),
        ("transformers", {"video_as": "url"}, "url"),
        ("transformers", {"video_as": "video"}, "clip_dir names a folder"),
        ("openai", {"clip_dir": "."}, "images"),
        ("openai", {"clip_dir": "/nowhere"}, "clip_dir=/nowhere is no folder"),
        ("vllm", {}, "video"),
    ],
)
def test_how_a_server_on_another_machine_is_shown_videos(
    kind: str, settings: dict[str, str], expected: str
) -> None:
    if settings.get("clip_dir"):  # asked for, so that no trial is needed
        settings = {**settings, "video_as": expected} if kind == "transformers" else settings
    config = served("m", "http://gpu-box.example:8000/v1", **settings)
    server = Server(kind, DIALECTS[kind], None, {})
    client = open_client(config)
    try:
        if " " in expected:
            with pytest.raises(ConfigError, match=expected):
                _video_as(config, server, client)
        else:
            assert _video_as(config, server, client) == expected
    finally:
        client.close()


def test_a_refusal_names_the_model_and_what_the_address_may_lack() -> None:
    config = served("m", "http://localhost:8000")
    model = ServedModel(config, Server("openai", DIALECTS["openai"], None, {}), "images", Needs())
    assert str(model.refused(RefusedError("HTTP 404: no", 404))) == (
        "http://localhost:8000 refuses model.checkpoint=m: HTTP 404: no; http://localhost:8000 may "
        "lack its end, most addresses end in /v1"
    )


def test_who_continues_the_assistants_turn() -> None:
    config = served("m", "http://localhost:8000/v1")
    for kind in ("openai", "transformers", "vllm", "sglang"):
        server = Server(kind, DIALECTS[kind], None, {})
        model = ServedModel(config, server, "images", Needs())
        model.check_protocol(has_prefill=False)
        if kind in ("vllm", "sglang"):
            model.check_protocol(has_prefill=True)
        else:
            with pytest.raises(ConfigError, match=r"assistant_prefill\), which .* cannot continue"):
                model.check_protocol(has_prefill=True)


def test_a_clip_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no folder for clips can be made: .*No such file"):
        ClipFolder(tmp_path / "gone")
    clips = ClipFolder(tmp_path)
    clips.close()
    with pytest.raises(StorageError, match=r"mkv cannot be written: .*No such file"):
        clips.write(video_clip())


def test_clips_are_read_by_a_server_of_another_user(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        path = ClipFolder(tmp_path).write(video_clip())
    finally:
        os.umask(before)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o644, 0o755)


@pytest.mark.slow
def test_a_video_by_its_own_address(tmp_path: Path) -> None:
    def shown(video: Media | None, kind: str = "vllm") -> str:
        with serving(echo, PAGES[kind]) as server:
            runner = make_runner(server, video_as="url")
            medium = runner.prepare("video", dataclasses.replace(video_clip(), video=video))
            runner.close()
            assert medium.frame_indices == ()  # the server chooses them
            (part,) = medium.parts
            return str(part["video_url"]["url"])

    path = tmp_path / "a b.mp4"
    for scheme in ("http", "https"):
        address = f"{scheme}://host/a.mp4"
        assert shown(Media("video", address), "openai") == address
    assert shown(Media("video", "a.mp4"), "transformers") == str(Path.cwd() / "a.mp4")
    assert shown(Media("video", str(path))) == f"file://{tmp_path}/a%20b.mp4"
    assert shown(Media("video", str(path)), "transformers") == str(path)
    with pytest.raises(MediaError, match="reads no files of its own"):
        shown(Media("video", str(path)), "openai")
    for part in ((1.0, 2.0), (1.0, None), (None, 2.0)):
        with pytest.raises(MediaError, match="a part of this video"):
            shown(Media("video", str(path), *part))
    with pytest.raises(MediaError, match="red and blue exchanged"):
        shown(Media("video", str(path), swap_red_blue=True))
    with pytest.raises(MediaError, match="folder of images"):
        shown(Media("video", str(tmp_path)))


@pytest.mark.slow
def test_sglang_is_told_the_system_text_as_a_part() -> None:
    """Its templates see a message's content as it was sent, and many show parts alone."""
    with serving(echo, PAGES["sglang"]) as server:
        request = Request("a", ("what?",), GenerationSettings(), system="be brief")
        ask(make_runner(server), [request])
    (sent,) = server.requests
    parts = [{"type": "text", "text": "be brief"}]
    assert sent["messages"][0] == {"role": "system", "content": parts}


@pytest.mark.slow
def test_settings_of_generation_and_the_beginning_of_a_turn() -> None:
    settings = GenerationSettings(
        max_new_tokens=5, temperature=0.5, top_p=0.9, stop_strings=("\n", "end"), seed=3
    )
    sent = []
    for kind in ("sglang", "vllm", "transformers"):
        with serving(echo, PAGES[kind]) as server:
            prefill = "" if kind == "transformers" else "The answer is ("
            questions = make_questions(2, settings=settings, assistant_prefill=prefill)
            ask(make_runner(server), questions)
            asked = [one for one in server.requests if "chat_template_kwargs" not in one]
            ordered = sorted(asked, key=lambda one: str(one["messages"]))
            sent.append(ordered)
    for first, second in sent:
        assert first["seed"] != second["seed"]
        assert 0 <= first["seed"] < 2**31
        assert (first["temperature"], first["top_p"], first["max_tokens"]) == (0.5, 0.9, 5)
    for first, _ in sent[:2]:
        assert first["messages"][1] == {"role": "assistant", "content": "The answer is ("}
        assert first["continue_final_message"] is True
        assert first["add_generation_prompt"] is False
        assert first["stop"] == ["\n", "end"]
    plain = sent[2][0]
    assert json.loads(plain["generation_config"]) == {"do_sample": True, "top_k": 0}
    assert "stop" not in plain
    assert [one[0]["seed"] for one in sent] == [sent[0][0]["seed"]] * 3


@pytest.mark.slow
def test_what_samples_from_one_generator_is_asked_one_at_a_time() -> None:
    def slow(content: dict[str, Any], number: int) -> Answer:
        return dataclasses.replace(echo(content, number), wait_seconds=0.01)

    settings = GenerationSettings(temperature=1.0)
    most = {}
    for kind in ("transformers", "vllm"):
        with serving(slow, PAGES[kind]) as server:
            ask(make_runner(server, concurrency=3), make_questions(9, settings=settings))
            most[kind] = server.most_at_once
    assert most["transformers"] == 1
    assert 1 < most["vllm"] <= 3


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("a b", {"finish_reason": "stop"}, ("a b", "eos")),
        ("a b", {"finish_reason": "length"}, ("a b", "length")),
        ("a b", {"finish_reason": None}, ("a b", None)),
        ("a#b#c", {"finish_reason": "stop"}, ("a", "stop_string")),
        ("a;b#c", {"finish_reason": "length"}, ("a", "stop_string")),
        ("a", {"finish_reason": "stop", "stop_reason": "#"}, ("a", "stop_string")),
        ("a", {"finish_reason": "stop", "matched_stop": "#"}, ("a", "stop_string")),
        ("a", {"finish_reason": "stop", "matched_stop": 2}, ("a", "eos")),
        (None, {"finish_reason": "stop"}, ("", "eos")),
        ("a \ud83d", {"finish_reason": "stop"}, ("a ?", "eos")),
    ],
)
def test_why_a_reply_ended(
    text: str | None, fields: dict[str, Any], expected: tuple[str, str | None]
) -> None:
    choice = {"message": {"content": text}, **fields}
    with serving(lambda content, count: reply("", choices=[choice])) as server:
        settings = GenerationSettings(stop_strings=("#", ";"))
        found = ask(make_runner(server), make_questions(1, settings=settings))["q0"]
    assert (found.text, found.stop_reason) == expected
    assert (found.num_input_tokens, found.num_output_tokens) == (100, 10)


@pytest.mark.parametrize("reason", ["content_filter", "tool_calls", "abort"])
def test_a_reply_that_was_held_back_is_an_error(reason: str) -> None:
    choice = {"message": {"content": "a"}, "finish_reason": reason}
    with serving(lambda content, count: reply("", choices=[choice])) as server:
        found = ask(make_runner(server), make_questions(1))["q0"]
    assert found.text is None
    assert found.error == f"ServerError: the server ended the reply for {reason!r}"
    assert len(server.requests) == 1


@pytest.mark.parametrize("text", ["", "half of a rep"])
@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"message": "out of memory", "code": 400}, "out of memory"),
        ("out of memory", "out of memory"),
        ({"code": "oom", "message": None}, '{"code": "oom", "message": null}'),
    ],
)
def test_an_error_beside_a_reply_is_no_answer(text: str, error: object, told: str) -> None:
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    of_message = {**choice, "message": {"content": text, "error": error}}
    answers = [
        reply(text, error=error),
        reply("", choices=[{**choice, "error": error}]),
        reply("", choices=[of_message]),
    ]
    with serving(lambda content, count: answers[count]) as server:
        runner = make_runner(server, concurrency=1)
        for found in ask(runner, make_questions(3)).values():
            assert found.text is None
            assert found.error == f"ServerError: the server ended the reply for 'error': {told}"


@pytest.mark.parametrize("error", [None, {}, "", {"code": None, "message": None}, [], False])
def test_an_empty_error_beside_a_reply_says_nothing(error: object) -> None:
    choice = {"message": {"content": "a"}, "finish_reason": "stop", "error": error}
    with serving(lambda content, count: reply("", choices=[choice], error=error)) as server:
        assert ask(make_runner(server), make_questions(1))["q0"].text == "a"


def test_another_model_than_the_server_has() -> None:
    with (
        serving(echo, PAGES["vllm"]) as server,
        pytest.raises(CheckpointError, match=r"other: http://\S+ serves m$"),
    ):
        find_served_model(served("other", server.base_url), Needs())


@pytest.mark.slow
def test_no_video_for_a_server_that_takes_none() -> None:
    with serving(echo, PAGES["openai"]) as server:
        settings = served("m", server.base_url, video_as="video")
        with pytest.raises(ConfigError, match="takes no video of given frames"):
            find_served_model(settings, Needs())
        with pytest.raises(ConfigError, match="is no folder"):
            find_served_model(
                served("m", server.base_url, video_as="video", clip_dir="/nowhere"), Needs()
            )


def test_openai_itself_needs_a_key_and_another_server_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        find_served_model(served("m", "https://api.openai.com/v1"), Needs())
    with serving(echo) as server:
        ask(make_runner(server), make_questions(1))
    assert server.keys == ["Bearer no-key"]


def with_logprobs(tokens: list[tuple[str, float]]) -> Behaviour:
    """Return a behaviour that lists the likeliest tokens, as vLLM, SGLang and OpenAI do."""
    listed = [{"token": text, "logprob": value, "bytes": None} for text, value in tokens]

    def behaviour(content: dict[str, Any], number: int) -> Answer:
        answer = json.loads(reply("A").body)
        first = {"token": "A", "logprob": -0.1, "top_logprobs": listed}
        answer["choices"][0]["logprobs"] = {"content": [first, {"top_logprobs": []}]}
        return Answer(body=json.dumps(answer).encode())

    return behaviour


@pytest.mark.slow
def test_a_server_is_asked_for_the_letters_logprobs() -> None:
    tokens = [("A", -0.25), (" B", -2.0), ("B", -1.75), ("the", -3.0), (" D", -5.5)]
    with serving(with_logprobs(tokens)) as server:
        (request,) = make_questions(1, letters=("A", "B", "C", "D"))
        (answer,) = ask(make_runner(server), [request]).values()
    # C is not among the likeliest: it is no likelier than the last of them.
    assert answer.choice_logprobs == (-0.25, -1.75, -5.5, -5.5)
    (sent,) = server.requests
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 20)
    with serving(with_logprobs([("The", -0.1)])) as server:
        (answer,) = ask(make_runner(server), [request]).values()
    assert answer.choice_logprobs is None


@pytest.mark.slow
def test_a_server_without_logprobs_is_told_of_in_one_line() -> None:
    with (
        serving(echo) as server,
        pytest.raises(CheckpointError, match=r"keep_choice_logprobs=true: .* returned no log-prob"),
    ):
        ask(make_runner(server, concurrency=1), make_questions(5, letters=("A", "B")))
    assert len(server.requests) == 1
    with serving(with_logprobs([("A", float("nan"))])) as server:
        (answer,) = ask(make_runner(server, retries=0), make_questions(1, letters=("A",))).values()
    assert "malformed response" in (answer.error or "")


@pytest.mark.slow
def test_one_reply_without_logprobs_among_others_fails_alone() -> None:
    good = with_logprobs([("A", -0.25), ("B", -1.5)])
    with serving(lambda content, n: reply("A") if n == 1 else good(content, n)) as server:
        runner = make_runner(server, concurrency=1)
        found = ask(runner, make_questions(3, letters=("A", "B")))
    assert [one.choice_logprobs for one in found.values()] == [(-0.25, -1.5), None, (-0.25, -1.5)]
    told = "ServerError: the server returned no log-probabilities with this reply"
    assert (found["q1"].text, found["q1"].error) == (None, told)
    assert len(server.requests) == 3


@pytest.mark.slow
@pytest.mark.parametrize("written", ["1" + "0" * 400, "NaN", "2.5", "true"])
def test_a_reply_whose_logprobs_are_none_fails_alone(written: str) -> None:
    good = with_logprobs([("A", -0.25), ("B", -1.5)])

    def behaviour(content: dict[str, Any], number: int) -> Answer:
        answer = good(content, number)
        if number == 1:
            answer.body = answer.body.replace(b"-0.25", written.encode())
        return answer

    with serving(behaviour) as server:
        runner = make_runner(server, concurrency=1, retries=0)
        found = ask(runner, make_questions(3, letters=("A", "B")))
    assert [found[name].choice_logprobs for name in ("q0", "q1", "q2")] == [
        (-0.25, -1.5),
        None,
        (-0.25, -1.5),
    ]
    error = str(found["q1"].error)
    assert error.startswith("ServerError: malformed response (ValueError: ")
    assert error.endswith(" is no log-probability)")


@pytest.mark.slow
def test_an_empty_reply_has_no_logprobs_and_does_not_end_the_run() -> None:
    with serving(lambda content, number: reply("", "model-1")) as server:
        (answer,) = ask(make_runner(server), make_questions(1, letters=("A", "B"))).values()
    assert (answer.text, answer.choice_logprobs, answer.error) == ("", None, None)
