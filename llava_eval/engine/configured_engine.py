"""Opens the engine that a configuration names."""

from __future__ import annotations

import importlib.util
import logging

from llava_eval.config.schema import RunConfig
from llava_eval.engine.base import Engine
from llava_eval.models.backend import Needs
from llava_eval.models.clock import StageClock
from llava_eval.models.configured_model import plan_model
from llava_eval.models.own import Model, OwnModel

log = logging.getLogger(__name__)


def open_engine(
    config: RunConfig, clock: StageClock, needs: Needs, model: Model | None = None
) -> Engine:
    """Open the engine, with a checked plan of the model and the device it runs on.

    Args:
        config: configuration of the run.
        clock: records the seconds of every stage.
        needs: needs of the samples, see :func:`llava_eval.models.configured_model.plan_model`.
        model: a user's own model object, used instead of the configured model.

    Raises:
        LlavaEvalError: the checkpoint or the machines cannot be used as configured.
    """
    if _works_on_ray(config):
        from llava_eval.engine.ray.engine import RayEngine

        return RayEngine(config, clock)  # never used for served models
    from llava_eval.engine.local import LocalEngine

    with clock.stage("load_model"):
        plan = plan_model(config, needs) if model is None else OwnModel.of(model)
    return LocalEngine(config, clock, plan)


def _works_on_ray(config: RunConfig) -> bool:
    """Return whether to use Ray; with ``engine=auto``, log the choice if there are several GPUs."""
    if config.engine.name != "auto" or not config.model.is_loaded:
        return config.engine.name == "ray"
    if config.model.device not in ("auto", "cuda"):
        return False
    import torch

    num_gpus = torch.cuda.device_count()
    if num_gpus < 2:
        return False
    has_ray = importlib.util.find_spec("ray") is not None
    use = (
        "Ray puts a worker on each (engine=local works on one)"
        if has_ray
        else "one of them is used; pip install 'llava-eval[ray]' for all"
    )
    log.info("this machine has %d GPUs: %s", num_gpus, use)
    return has_ray
