"""Checks, finds and loads the model that a configuration names, and makes its runner."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from llava_eval.config.checks import meaningless_settings
from llava_eval.config.schema import RunConfig
from llava_eval.errors import ConfigError
from llava_eval.models.backend import Needs, Plan, Runner
from llava_eval.models.clock import StageClock

if TYPE_CHECKING:
    from llava_eval.models.local.model import LoadedModel

log = logging.getLogger(__name__)


def check_model(config: RunConfig) -> None:
    """Raise ConfigError for settings that do not apply to the chosen model and engine.

    Args:
        config: configuration of the run; nothing is loaded or requested.
    """
    model = config.model
    if model.arguments and not model.is_own:
        raise ConfigError("model.arguments are those of a class of your own: model=own")
    kind, method, engine = _kind(config), config.quantization.method, config.engine.name
    if not model.is_loaded and engine == "ray":
        raise ConfigError(
            f"engine=ray with {kind}: {'it' if model.is_own else 'a server'} is asked from one "
            "process (engine=local); it has machines of its own"
        )
    if engine == "ray" and model.device not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"model.device={model.device}: with engine=ray every worker is given its own device; "
            "expected auto, cpu or cuda"
        )
    decides = model._target_ or model.base_url
    for key, value, setting in meaningless_settings(config):
        if setting.only_for == "served":
            part = "model.server" if key.startswith("model.server.") else key
            raise ConfigError(f"{part} is for served models: model=openai_server")
        if setting.only_for == "loaded":
            raise ConfigError(
                f"{key}={value} means nothing to {kind}: {decides} decides how it runs"
            )
        if setting.only_for == "literal":
            raise ConfigError(
                f"{key}={value} means nothing to conversation={config.conversation.name}"
            )
        if setting.only_for == "ray":
            unless = " unless this machine has several GPUs" if engine == "auto" else ""
            raise ConfigError(
                f"{key}={value} is for engine=ray; engine={engine} works in this process{unless}"
            )
        # Only a warning: in a sweep over quantizations some of the runs need such settings.
        log.warning("%s=%s means nothing to quantization=%s", key, value, config.quantization.name)
    if model.is_loaded:
        return
    if method is not None:
        raise ConfigError(
            f"quantization={config.quantization.name} means nothing to {kind}: {decides} decides "
            "how it runs"
        )
    if config.conversation.template is not None:
        raise ConfigError(
            f"conversation={config.conversation.name} is a literal template, but {kind} has a "
            "conversation of its own; expected conversation=chat_template"
        )


def plan_model(config: RunConfig, needs: Needs) -> Plan:
    """Find the checkpoint and plan how to run it, or find the server; no weights are read.

    Args:
        config: configuration of the run.
        needs: capabilities that the samples need.

    Raises:
        CheckpointError: there is no such checkpoint or server, or it cannot be used.
        ConfigError: the server does not offer what the protocol needs.
    """
    model = config.model
    if model.is_own:
        from llava_eval.models.own import OwnModel

        return OwnModel.build(model)
    if not model.is_loaded:
        from llava_eval.models.served.served_model import find_served_model

        served = find_served_model(model, needs)
        served.check_protocol(has_prefill=bool(config.benchmark.assistant_prefill))
        return served

    from llava_eval.models.local.checkpoint import find_checkpoint

    checkpoint = find_checkpoint(model.checkpoint, model.revision)

    # torch reads this at its first tensor, and then puts large tensors on huge pages, which saves a
    # model on a CPU 8 % of its time by fewer page faults.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

    # Imported late, because torch and transformers take seconds; a wrong path is found before that.
    from llava_eval.models.local.plan import plan_checkpoint

    kept = model.generation_settings or config.benchmark.generation_settings
    keeps = kept == "checkpoint"
    return plan_checkpoint(checkpoint, model, config.quantization, keeps_generation_settings=keeps)


def load_checkpoint(config: RunConfig) -> LoadedModel:
    """Load the checkpoint that a configuration names, for inspection.

    Raises:
        CheckpointError: it cannot be loaded.
        ConfigError: the model is not loaded in this process.
    """
    if not config.model.is_loaded:
        raise ConfigError(
            f"{_kind(config)} cannot be looked at; model=hf model.checkpoint= names what can"
        )
    plan = plan_model(config, Needs())

    from llava_eval.models.local.model import load_model_once
    from llava_eval.models.local.plan import ModelPlan

    assert isinstance(plan, ModelPlan)
    return load_model_once(plan)


def _kind(config: RunConfig) -> str:
    return "a model of your own" if config.model.is_own else "a served model"


def make_runner(plan: Plan, config: RunConfig, clock: StageClock) -> Runner:
    """Load the model, unless the previous run used the same one, and return its runner."""
    from llava_eval.models.own import OwnModel, OwnRunner
    from llava_eval.models.served.served_model import ServedModel, with_checked_frames

    if isinstance(plan, OwnModel):
        return OwnRunner(plan, config.runner.batch_size, clock)
    if isinstance(plan, ServedModel):
        from llava_eval.models.served.served_runner import ServedRunner

        with clock.stage("load_model"):
            num_frames = config.sampler.get("num_frames")
            plan = with_checked_frames(plan, num_frames if type(num_frames) is int else None)
        return ServedRunner(plan, batch_size=config.runner.batch_size, clock=clock)

    from llava_eval.models.local.model import load_model_once
    from llava_eval.models.local.plan import ModelPlan
    from llava_eval.models.local.runner import DEFAULT_BATCH_SIZE, ModelRunner

    assert isinstance(plan, ModelPlan)
    with clock.stage("load_model"):
        loaded = load_model_once(plan)
    return ModelRunner(
        loaded=loaded,
        conversation=config.conversation,
        batch_size=config.runner.batch_size or DEFAULT_BATCH_SIZE,
        max_batch_tokens=config.runner.max_batch_tokens,
        share_prefixes=config.runner.share_prefixes,
        num_threads=config.runner.num_threads,
        clock=clock,
    )
