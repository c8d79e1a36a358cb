"""What is looked at before a model is loaded."""

from __future__ import annotations

import dataclasses
import functools
import logging
import shutil
import socket
from pathlib import Path

import pytest
import torch

from llava_eval.config.compose import compose_config
from llava_eval.config.schema import JudgeConfig, RunConfig
from llava_eval.engine import preflight
from llava_eval.errors import ConfigError
from llava_eval.models.backend import Needs
from llava_eval.models.configured_model import plan_model
from llava_eval.models.local.plan import ModelPlan
from llava_eval.types import Media, Sample


@functools.cache
def config() -> RunConfig:
    return compose_config([]).config


def said(
    caplog: pytest.LogCaptureFixture, directory: Path, judge: JudgeConfig | None = None
) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        preflight.check_before_loading(config(), [], judge, directory)
    return caplog.messages


@pytest.mark.slow
def test_a_judge_that_is_away_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        assert said(caplog, tmp_path, JudgeConfig(model="m", base_url=address)) == []
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # alone it names no proxy
    (message,) = said(caplog, tmp_path, JudgeConfig(model="m", base_url=address))
    assert message.startswith(f"the judge at {address} cannot be reached now (Connection refused)")
    assert message.endswith(f"the same command with output_dir={tmp_path} asks it later")


def test_media_that_are_all_missing_are_an_error(tmp_path: Path) -> None:
    videos = [Media("video", str(tmp_path / f"{number}.mp4")) for number in range(20)]
    samples = [Sample(video.path, 0, "g", (video, "Why?"), ("A",)) for video in videos]
    with pytest.raises(ConfigError, match="none of the 20 media files"):
        preflight.check_before_loading(config(), samples, None, tmp_path)


def test_a_judge_without_a_key_is_an_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY is not set"):
        said(caplog, tmp_path, JudgeConfig(model="m"))


@pytest.mark.slow
def test_a_disk_with_little_space_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAVA_EVAL_CACHE", "off")
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(preflight, "_LEAST_FREE_BYTES", free / 2)
    assert said(caplog, tmp_path / "not" / "there") == []
    monkeypatch.setattr(preflight, "_LEAST_FREE_BYTES", 2 * free)
    (message,) = said(caplog, tmp_path / "not" / "there")
    assert message.endswith(f"GB are free for {tmp_path / 'not' / 'there'}")
    monkeypatch.setenv("LLAVA_EVAL_CACHE", str(tmp_path / "cache"))
    _, message = said(caplog, tmp_path)
    assert message.endswith(f"GB are free for {tmp_path / 'cache'}")


@pytest.mark.slow
def test_weights_larger_than_what_is_free_are_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_model(compose_config(["model.device=cpu"]).config, Needs())
    assert isinstance(plan, ModelPlan)
    size = sum(path.stat().st_size for path in plan.checkpoint.path.glob("*.safetensors"))
    assert plan.checkpoint.weights_bytes == size > 1e6
    fits = plan.memory_warning
    assert fits is None
    monkeypatch.setattr("llava_eval.models.local.plan.free_bytes", lambda device: 10**6)
    message = dataclasses.replace(plan).memory_warning
    assert message is not None
    assert message.startswith("the weights take 0.0 GB, and 0.0 GB are free")
    assert (plan.stored_dtype, plan.dtype) == (torch.float16, torch.float32)  # twice the size
    monkeypatch.setattr("llava_eval.models.local.plan.free_bytes", lambda device: 1.5 * size)
    assert plan.memory_warning is not None
    assert dataclasses.replace(plan, dtype=torch.float16).memory_warning is None
    assert dataclasses.replace(plan, stored_dtype=torch.float32).memory_warning is None
    assert dataclasses.replace(plan, stored_quantization="awq").memory_warning is None
    smaller = dataclasses.replace(plan.quantization, method="bnb_nf4")
    assert dataclasses.replace(plan, quantization=smaller).memory_warning is None


def test_weights_that_are_too_large_for_one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_model(compose_config(["model.device=cpu"]).config, Needs())
    assert isinstance(plan, ModelPlan)
    needed = 2 * plan.checkpoint.weights_bytes  # float16 in its file, float32 here
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    first = dataclasses.replace(plan, device=torch.device("cuda:0"))
    both = dataclasses.replace(first, is_spread=True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(0.6 * needed), needed))
    hint = " are free on GPU 0; model.device=all spreads them where there are several GPUs"
    assert (first.memory_warning or "").endswith(hint)
    assert both.memory_warning is None
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (needed, needed))
    assert first.memory_warning is None  # they fit to the byte
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (int(0.4 * needed), needed))
    message = dataclasses.replace(both).memory_warning
    assert (message or "").endswith(" are free on GPU 0 and GPU 1")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://judge/v1", ("judge", 80)),
        ("https://judge/v1", ("judge", 443)),
        ("https://judge:8443/v1", ("judge", 8443)),
    ],
)
def test_where_a_judge_is_looked_for(
    address: str,
    expected: tuple[str, int],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, int]] = []

    def refuse(place: tuple[str, int], timeout_seconds: float) -> socket.socket:
        asked.append(place)
        raise TimeoutError("no route")

    monkeypatch.setattr("urllib.request.getproxies", dict)
    monkeypatch.setattr("socket.create_connection", refuse)
    messages = said(caplog, tmp_path, JudgeConfig(model="m", base_url=address))
    assert asked == [expected]
    assert [message.partition("now (")[2][:8] for message in messages] == ["no route"]
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy:1"})
    assert said(caplog, tmp_path, JudgeConfig(model="m", base_url=address)) == []
