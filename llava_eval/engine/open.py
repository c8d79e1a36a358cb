"""From the configuration to the engine that it names."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from llava_eval.config.schema import EngineConfig, RunConfig
from llava_eval.engine.base import Engine
from llava_eval.errors import ConfigError
from llava_eval.models.base import Needs
from llava_eval.models.clock import StageClock


def open_engine(config: RunConfig, clock: StageClock, needs: Needs) -> Engine:
    """Open the engine: which model runs, and on what, is known and checked afterwards.

    Args:
        config: of the run.
        clock: gets the seconds of every stage.
        needs: of the samples, see :func:`llava_eval.models.base.plan_model`.

    Raises:
        LlavaEvalError: the checkpoint or the machines cannot be used as asked.
    """
    if config.engine.name == "ray":
        from llava_eval.engine.ray.engine import RayEngine

        return RayEngine(config, clock)  # asks no server
    from llava_eval.engine.local import LocalEngine

    return LocalEngine(config, clock, needs)


@contextmanager
def engines_kept() -> Iterator[None]:
    """Let the runs in the block share workers that were started for one of them."""
    if importlib.util.find_spec("ray") is None:
        yield
        return
    from llava_eval.engine.ray.pool import pool_kept

    with pool_kept():
        yield


def check_engine(config: RunConfig) -> None:
    """Raise ConfigError for settings that mean nothing to the chosen engine."""
    if config.engine.name == "local":
        default = EngineConfig(name="local")
        for key, value in vars(config.engine).items():
            if value != getattr(default, key):
                raise ConfigError(
                    f"engine.{key}={value} is for engine=ray; engine=local works in this process"
                )
    elif config.model.device not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"model.device={config.model.device}: with engine=ray every worker is given its own "
            "device; expected auto, cpu or cuda"
        )
