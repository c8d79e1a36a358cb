"""What the schema declares of its keys: a change of any of these is seen by every user."""

from __future__ import annotations

from typing import Any

import pytest

from llava_eval.config.checks import check_constraints
from llava_eval.config.roles import declared_settings
from llava_eval.config.schema import RunConfig
from llava_eval.errors import ConfigError

#: Of the keys whose default is a number, true or false: what runs had before a key was given.
DEFAULTS = {
    "benchmark.version": 1,
    "benchmark.generation.max_new_tokens": 16,
    "benchmark.generation.temperature": 0.0,
    "benchmark.generation.top_p": 1.0,
    "benchmark.reply.strip": False,
    "benchmark.subsample.seed": 0,
    "benchmark.prepare.max_unpacked_gib": 500.0,
    "benchmark.prepare.max_members": 1_000_000,
    "model.trust_remote_code": False,
    "model.server.jpeg_quality": 95,
    "model.server.concurrency": 8,
    "model.server.retries": 5,
    "model.server.backoff_seconds": 1.0,
    "model.server.timeout_seconds": 300.0,
    "quantization.double_quant": True,
    "quantization.group_size": 64,
    "runner.decode_workers": 2,
    "runner.decode_timeout_seconds": 600.0,
    "runner.keep_choice_logprobs": False,
    "engine.max_tries": 4,
    "engine.start_timeout_seconds": 600.0,
    "engine.allow_version_differences": False,
    "errors.max": 0,
    "judge.concurrency": 8,
    "judge.retries": 5,
    "judge.backoff_seconds": 1.0,
    "judge.timeout_seconds": 60.0,
    "seed": 0,
}
#: Smallest allowed numbers.
MINIMA = {
    "benchmark.generation.max_new_tokens": 1,
    "benchmark.generation.temperature": 0,
    "benchmark.limit": 1,
    "benchmark.version": 0,
    "benchmark.num_rows": 1,
    "benchmark.subsample.size": 1,
    "benchmark.prepare.max_unpacked_gib": 0,
    "benchmark.prepare.max_members": 1,
    "model.server.jpeg_quality": 1,
    "model.server.concurrency": 1,
    "model.server.retries": 0,
    "model.server.backoff_seconds": 0,
    "model.server.timeout_seconds": 0.001,
    "runner.batch_size": 1,
    "runner.max_batch_tokens": 1,
    "runner.decode_workers": 1,
    "runner.decode_timeout_seconds": 0.001,
    "runner.num_threads": 1,
    "engine.num_workers": 1,
    "engine.gpus_per_worker": 0,
    "engine.cpus_per_worker": 1,
    "engine.max_tries": 2,
    "engine.start_timeout_seconds": 1,
    "errors.max": 0,
    "judge.temperature": 0,
    "judge.max_tokens": 1,
    "judge.concurrency": 1,
    "judge.retries": 0,
    "judge.backoff_seconds": 0,
    "judge.timeout_seconds": 0.001,
    "judge.max_requests": 0,
    "judge.max_cost": 0,
    "judge.price_per_million_input_tokens": 0,
    "judge.price_per_million_output_tokens": 0,
}
NOT_EMPTY = {
    "benchmark.name",
    "benchmark.source",
    "model.checkpoint",
    "model.base_url",
    "model.server.clip_dir",
    "model.server.end_token",
    "model._target_",
    "engine.address",
    "output_dir",
}
LOADED = {
    *(f"model.{name}" for name in ("revision", "dtype", "attention", "device", "rope_scaling")),
    *(f"model.{name}" for name in ("processor", "generation_settings", "video_as")),
    "model.trust_remote_code",
    *(f"runner.{name}" for name in ("max_batch_tokens", "share_prefixes", "num_threads")),
}


def refusal(key: str, value: Any) -> str | None:
    """Return what is said of one key's value; None where it is allowed."""
    config = node = RunConfig()
    *sections, name = key.split(".")
    for section in sections:
        node = getattr(node, section)
    setattr(node, name, value)
    try:
        check_constraints(config)
    except ConfigError as error:
        return str(error)
    return None


def test_defaults_that_are_numbers_or_switches() -> None:
    declared = {
        key: setting.default
        for key, setting in declared_settings().items()
        if isinstance(setting.default, bool | int | float)
    }
    assert declared == DEFAULTS
    assert {key: type(value) for key, value in declared.items()} == {
        key: type(value) for key, value in DEFAULTS.items()
    }


def test_every_number_is_refused_below_its_smallest_alone() -> None:
    for key in declared_settings():
        if key in MINIMA:
            least = MINIMA[key]
            below = least - 1 if isinstance(least, int) else least / 2
            assert refusal(key, least) is None
            assert refusal(key, below) == f"{key}: got {below}, expected at least {least}"


def test_numbers_without_a_minimum_may_be_below_zero() -> None:
    numbers = DEFAULTS.keys() - MINIMA.keys()
    switches = {key for key in numbers if isinstance(DEFAULTS[key], bool)}
    assert {key for key in numbers - switches if refusal(key, -1) is not None} == set()


def test_texts_that_may_not_be_empty() -> None:
    texts = [key for key, setting in declared_settings().items() if not setting.is_free]
    refused = {key for key in texts if key not in MINIMA and refusal(key, "") == f"{key} is empty"}
    assert refused == NOT_EMPTY


def test_keys_that_name_files_that_are_open_and_that_only_some_models_have() -> None:
    settings = declared_settings()
    assert {key for key, setting in settings.items() if setting.is_path} == {
        "benchmark.source",
        "benchmark.media_root",
        "model.checkpoint",
        "model.server.clip_dir",
        "output_dir",
    }
    assert {key for key, setting in settings.items() if setting.is_open} == {
        "benchmark.where",
        "model.rope_scaling",
        "model.processor",
        "model.arguments",
        "judge.response_format",
    }
    assert {key for key, setting in settings.items() if setting.only_for == "loaded"} == LOADED
    served = {key for key, setting in settings.items() if setting.only_for == "served"}
    servers = {key for key in settings if key.startswith("model.server.")}
    assert served == {"model.api_key_env", *servers}


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("model.dtype", "flot16", "got 'flot16' (did you mean 'float16'?); expected one of "),
        ("model.video_as", "frames", "got 'frames'; expected one of video, images"),
        ("quantization.method", "int3", "got 'int3'"),
        ("model.video_as", None, None),
        ("model.video_as", "images", None),
    ],
)
def test_a_choice_is_one_of_those_declared(key: str, value: Any, said: str | None) -> None:
    found = refusal(key, value)
    assert found is None if said is None else str(found).startswith(f"{key}: {said}")
