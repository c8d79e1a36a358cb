"""What can and cannot be configured for a served model, and what tables and commands say of it."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from llava_eval.config.compose import compose_config
from llava_eval.engine.configured_benchmark import Parts
from llava_eval.errors import ConfigError
from llava_eval.types import Media
from llava_eval.video import read_media
from tests.conftest import read_lines, slow, write_lines
from tests.models.chat_server import Answer, serving
from tests.models.served.fakes import NUM_PROBES, PAGES, counted, questions
from tests.processes import Command, run_command

SERVED = ["model=openai_server", "model.checkpoint=org/m"]


def check(*overrides: str) -> None:
    Parts.build(compose_config([*SERVED, *overrides]).config)


@pytest.mark.parametrize(
    "override",
    [
        "model.dtype=float16",
        slow("model.device=cpu"),
        slow("model.attention=eager"),
        slow("model.revision=main"),
        slow("model.trust_remote_code=true"),
        slow("model.rope_scaling={rope_type: linear, factor: 2.0}"),
        slow("quantization=bnb_nf4"),
        "runner.share_prefixes=false",
        slow("runner.max_batch_tokens=100"),
        slow("runner.num_threads=1"),
    ],
)
def test_what_is_the_servers_to_decide_is_refused(override: str) -> None:
    key = override.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"^{key}=.* means nothing to a served model"):
        check(override)


@pytest.mark.slow
def test_a_literal_conversation_is_refused() -> None:
    with pytest.raises(ConfigError, match="conversation=vicuna_v1 is a literal template"):
        check("conversation=vicuna_v1")


@pytest.mark.slow
def test_ray_and_a_server_are_refused() -> None:
    with pytest.raises(ConfigError, match="a server is asked from one process"):
        check("engine=ray")


@pytest.mark.slow
def test_a_server_needs_a_name_and_a_good_address() -> None:
    with pytest.raises(ConfigError, match=r"model\.checkpoint is not set"):
        compose_config(["model=openai_server"])
    check()
    for address in ("localhost:8000", "ftp://host/v1", "http://me:secret@host/v1", "http://h?k=1"):
        with pytest.raises(ConfigError, match=r"model\.base_url") as caught:
            check(f"model.base_url='{address}'")
        assert "secret" not in str(caught.value)


@pytest.mark.slow
def test_a_key_in_the_place_of_its_variable_is_not_repeated() -> None:
    for model in (SERVED, ["model=demo"]):
        with pytest.raises(ConfigError, match="api_key_env") as caught:
            Parts.build(compose_config([*model, "model.api_key_env=sk-0123-abc"]).config)
        assert "sk-0123" not in str(caught.value)


@pytest.mark.slow
def test_settings_of_a_server_mean_nothing_without_one() -> None:
    with pytest.raises(ConfigError, match=r"^model\.server is for served models"):
        Parts.build(compose_config(["model=demo", "model.server.concurrency=3"]).config)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.server.video_as=movie", "expected one of auto, images, video, url"),
        slow("model.server.image_format=gif", "expected one of png, jpeg"),
        slow("model.server.concurrency=0", "at least 1"),
        slow("model.timeout_seconds=3", "model.server.timeout_seconds"),
    ],
)
def test_mistakes_are_told_in_one_line(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(override)


def test_a_clip_knows_its_video(demo: Path) -> None:
    video = Media("video", str(demo / "videos" / "demo_001.mp4"), 1.0, 3.0)
    assert read_media(video, lambda info: [0, 1]).video == video


def letter(content: dict[str, Any], number: int) -> Answer:
    return counted(content, "A")


def arguments(base_url: str, *more: str) -> list[str]:
    return [
        *SERVED,
        f"model.base_url={base_url}",
        "benchmark.limit=6",
        "sampler.num_frames=2",
        "output_dir=out",
        *more,
    ]


@pytest.mark.slow
def test_a_command_from_questions_to_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = "sk-test-0123456789abcdef"
    monkeypatch.setenv("MY_KEY", key)
    with serving(letter, {"/v1/models": {"data": [{"id": "org/m"}]}}) as server:
        done = run_command(arguments(server.base_url, "model.api_key_env=MY_KEY"), tmp_path)
        assert done.exit_code == 0, done.stderr
        again = run_command(
            arguments(server.base_url, "resume=true", "model.server.concurrency=1"), tmp_path
        )
        assert again.exit_code == 0, again.stderr
        assert len(questions(server)) == 6
        assert set(server.keys) == {f"Bearer {key}"}
        jpeg = run_command(arguments(server.base_url, "model.server.image_format=jpeg"), tmp_path)
        assert jpeg.exit_code == 2
        assert "model.image_format was png there and is jpeg here" in jpeg.stderr
    assert "model: m (video_as=images)" in done.stdout
    assert "one image for each sampled frame" in done.stderr
    written = [path.read_text(encoding="utf-8") for path in (tmp_path / "out").iterdir()]
    assert not any(key in text for text in [*written, done.stdout, done.stderr])
    lines = read_lines(tmp_path / "out" / "samples.jsonl")
    assert {line["generation"]["num_input_tokens"] for line in lines} == {100}
    assert all(len(line["frame_indices"]) == 2 for line in lines)


@pytest.mark.slow
def test_protocols_that_the_server_cannot_follow_are_refused(tmp_path: Path) -> None:
    prefill = ["benchmark.assistant_prefill='The answer is ('"]
    with serving(letter, PAGES["openai"]) as server:
        done = run_command(arguments(server.base_url, *prefill), tmp_path)
        assert done.exit_code == 2
        assert "cannot continue" in done.stderr
        assert server.requests == []
    gone = run_command(arguments(server.base_url), tmp_path)
    assert gone.exit_code == 2
    assert "no server answers there" in gone.stderr
    assert len(gone.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_ctrl_c_does_not_wait_for_the_server(tmp_path: Path) -> None:
    def hanging(content: dict[str, Any], number: int) -> Answer:
        answer = counted(content, "A")
        answer.wait_seconds = 0.0 if number < NUM_PROBES + 2 else 600.0
        return answer

    ledger = tmp_path / "out" / "samples.jsonl"
    with serving(hanging) as server:
        command = Command(arguments(server.base_url, "model.server.concurrency=2"), tmp_path)
        while not ledger.exists() or ledger.read_bytes().count(b"\n") < 2:
            assert command.is_running
            time.sleep(0.01)
        command.send(signal.SIGINT)
        done = command.finish(300)  # half of what the server takes
    assert done.exit_code == 130, done.stderr
    assert len(read_lines(ledger)) == 2


@pytest.mark.slow
def test_a_protocol_that_the_server_cannot_serve_asks_nothing(tmp_path: Path) -> None:
    options = [f"{letter}. {text}" for letter, text in zip("ABCDE", "vwxyz", strict=True)]
    row = {"video_idx": "demo_001", "question": "Which?", "option": options, "answer": "3"}
    source = write_lines(tmp_path / "rows.jsonl", [row])
    chosen = ["benchmark=egoschema/mc_ppl", f"benchmark.source={source}"]
    with serving(letter, {"/v1/models": {"data": [{"id": "org/m"}]}}) as server:
        done = run_command(arguments(server.base_url, *chosen), tmp_path)
        assert not server.requests
    assert done.exit_code == 2
    (line,) = [text for text in done.stderr.splitlines() if "likelihoods" in text]
    assert line.startswith("llava-eval: this protocol compares likelihoods")
    assert not (tmp_path / "out").exists()
