"""From the configuration to a model that answers: which one it is, then the model itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from llava_eval.benchmarks import resolve_package_path
from llava_eval.config.schema import ModelConfig, RunConfig, RunnerConfig
from llava_eval.errors import ConfigError
from llava_eval.timing import StageClock

if TYPE_CHECKING:
    from llava_eval.models.backend import Plan, Runner
    from llava_eval.models.conversation import Conversation
    from llava_eval.models.loading import ModelPlan
    from llava_eval.models.served.plan import ServedPlan
    from llava_eval.models.served.settings import ServerSettings

#: Keys that say how a checkpoint is loaded and run; with a server that is the server's to say.
_LOADING_KEYS = ("revision", "dtype", "attention", "device", "rope_scaling", "trust_remote_code")
_RUNNING_KEYS = ("max_batch_tokens", "share_prefixes", "num_threads")


def check_backend(config: RunConfig) -> None:
    """Raise ConfigError for settings that mean nothing to the chosen model.

    Args:
        config: of the run; nothing is loaded or asked.
    """
    model = config.model
    if model.base_url is None:
        for key, _ in _changed(model, ModelConfig(), ("api_key_env", "server")):
            raise ConfigError(f"model.{key} is for served models: model=openai_server")
        return
    _server_settings(config)  # first: an address that holds a secret must not get into a message
    if config.engine.name != "local":
        raise ConfigError(
            f"engine={config.engine.name} with a served model: a server is asked from one process "
            "(engine=local); it has machines of its own"
        )
    strange = [
        *((f"model.{key}", value) for key, value in _changed(model, ModelConfig(), _LOADING_KEYS)),
        *(
            (f"runner.{key}", value)
            for key, value in _changed(config.runner, RunnerConfig(), _RUNNING_KEYS)
        ),
    ]
    if config.quantization.method is not None:
        strange.append(("quantization", config.quantization.name))
    for key, value in strange:
        raise ConfigError(
            f"{key}={value} means nothing to a served model: {model.base_url} decides how it runs"
        )
    if config.conversation.template is not None:
        raise ConfigError(
            f"conversation={config.conversation.name} is a literal template, but a server applies "
            "the checkpoint's own; expected conversation=chat_template"
        )


def plan_model(config: RunConfig, *, asks_likelihoods: bool) -> Plan:
    """Find the checkpoint and choose how it runs here, or find the server; no weights are read.

    Args:
        config: of the run.
        asks_likelihoods: the samples have options, which not every server can compare.

    Raises:
        CheckpointError: there is no such checkpoint or server, or it cannot be used.
        ConfigError: the server does not offer what the protocol needs.
    """
    if config.model.base_url is not None:
        return _plan_served(config, asks_likelihoods)
    return _plan_loaded(config)


def _plan_served(config: RunConfig, asks_likelihoods: bool) -> ServedPlan:
    from llava_eval.models.served.plan import plan_served

    plan = plan_served(_server_settings(config))
    plan.check_protocol(
        has_prefill=bool(config.benchmark.assistant_prefill), has_options=asks_likelihoods
    )
    return plan


def _server_settings(config: RunConfig) -> ServerSettings:
    from llava_eval.models.served.settings import ServerSettings

    model = config.model
    assert model.base_url is not None
    return ServerSettings(
        model.checkpoint, model.base_url, model.api_key_env, **asdict(model.server)
    )


def _plan_loaded(config: RunConfig) -> ModelPlan:
    from llava_eval.models.checkpoint import find_checkpoint

    model, quantization = config.model, config.quantization
    checkpoint = find_checkpoint(resolve_package_path(model.checkpoint), model.revision)

    # Read with torch's first tensor: large ones lie on huge pages then, which spares a model on a
    # CPU 8 % of its time in page faults.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

    # These import torch and transformers, for seconds; a wrong path is known before.
    from llava_eval.models import loading
    from llava_eval.models.quantization import Quantization

    return loading.plan_model(
        checkpoint,
        device=model.device,
        dtype=model.dtype,
        attention=model.attention,
        quantization=Quantization(
            method=quantization.method,
            double_quant=quantization.double_quant,
            compute_dtype=quantization.compute_dtype,
            group_size=quantization.group_size,
            skip_modules=tuple(quantization.skip_modules),
        ),
        rope_scaling=model.rope_scaling,
        trust_remote_code=model.trust_remote_code,
    )


def make_runner(
    plan: Plan, config: RunConfig, conversation: Conversation, clock: StageClock
) -> Runner:
    """Load the model, unless the run before used the same, and put a runner around it."""
    from llava_eval.models.served.plan import ServedPlan

    if isinstance(plan, ServedPlan):
        from llava_eval.models.served.runner import ServedRunner

        return ServedRunner(plan, batch_size=config.runner.batch_size, clock=clock)

    import torch

    from llava_eval.models.loading import ModelPlan, load_model_once
    from llava_eval.models.runner import DEFAULT_BATCH_SIZE, ModelRunner

    assert isinstance(plan, ModelPlan)
    if config.runner.num_threads is not None:
        torch.set_num_threads(config.runner.num_threads)
    with clock.stage("load_model"):
        loaded = load_model_once(plan)
    return ModelRunner(
        loaded=loaded,
        conversation=conversation,
        batch_size=config.runner.batch_size or DEFAULT_BATCH_SIZE,
        max_batch_tokens=config.runner.max_batch_tokens,
        share_prefixes=config.runner.share_prefixes,
        clock=clock,
    )


def _changed(given: Any, default: Any, keys: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield which of these keys differ from their defaults, with their values."""
    for key in keys:
        value = getattr(given, key)
        if value != getattr(default, key):
            yield key, value
