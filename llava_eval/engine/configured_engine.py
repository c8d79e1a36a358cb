"""The engine that a configuration names, opened."""

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
    """Open the engine: which model runs, and on what, is known and checked afterwards.

    Args:
        config: of the run.
        clock: gets the seconds of every stage.
        needs: of the samples, see :func:`llava_eval.models.configured_model.plan_model`.
        model: an object of the user's own, instead of what the configuration names.

    Raises:
        LlavaEvalError: the checkpoint or the machines cannot be used as asked.
    """
    if _works_on_ray(config):
        from llava_eval.engine.ray.engine import RayEngine

        return RayEngine(config, clock)  # asks no server
    from llava_eval.engine.local import LocalEngine

    with clock.stage("load_model"):
        plan = plan_model(config, needs) if model is None else OwnModel.of(model)
    return LocalEngine(config, clock, plan)


def _works_on_ray(config: RunConfig) -> bool:
    """Return whether Ray does the work; where nobody chose, say so if there are several GPUs."""
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
