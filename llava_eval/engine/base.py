"""An engine answers samples; a watch may end the run early."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from llava_eval.config.schema import EngineConfig, RunConfig
from llava_eval.errors import ConfigError
from llava_eval.models.clock import StageClock
from llava_eval.models.configured_model import Needs, plan_model
from llava_eval.models.own import Model, OwnModel
from llava_eval.types import Sample, SampleResult

log = logging.getLogger(__name__)


class Engine(Protocol):
    """Runs the stages between samples and results, and says how it did.

    It is opened before anything is written, so that a mistake leaves no run directory.
    """

    def identity(self) -> dict[str, Any]:
        """Return what about the model can change a generation."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the packages that generate."""
        ...

    def load(self) -> dict[str, Any]:
        """Load the model, and return the manifest's record of it.

        Raises:
            LlavaEvalError: it cannot be loaded.
        """
        ...

    def answer(self, samples: Sequence[Sample]) -> Generator[SampleResult, None, None]:
        """Yield a result for every sample, as they come; they are not scored yet.

        Raises:
            LlavaEvalError: no further sample can be answered.
        """
        ...

    def record(self) -> dict[str, Any]:
        """Return what the manifest holds of the generation, once there was some."""
        ...

    def work(self) -> dict[str, Any]:
        """Return what the manifest holds of this session's work."""
        ...

    def close(self) -> None:
        """Let go of everything; called once, whatever happened."""
        ...


class Watch(Protocol):
    """Watches a run, and may end it early."""

    def begin(
        self, samples: Sequence[Sample], config: Mapping[str, Any], scorer: object, label: str
    ) -> None:
        """See what will run, before anything is written."""
        ...

    def order(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return samples in the order in which they are to be answered."""
        ...

    def sees(self, result: SampleResult) -> bool:
        """Take a scored result, and return whether the run may end."""
        ...


class AnswerAll:
    """Watches nothing: every sample is answered, in the order of the rows."""

    def begin(
        self, samples: Sequence[Sample], config: Mapping[str, Any], scorer: object, label: str
    ) -> None:
        """Do nothing."""

    def order(self, samples: Sequence[Sample]) -> list[Sample]:
        """Return them as they are."""
        return list(samples)

    def sees(self, result: SampleResult) -> bool:
        """Return that the run goes on."""
        return False


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
    if config.engine.name != "auto" or not config.model.is_loaded:
        return config.engine.name == "ray"
    if config.model.device not in ("auto", "cuda"):
        return False
    import torch

    has_ray = importlib.util.find_spec("ray") is not None
    return uses_all_gpus(torch.cuda.device_count(), has_ray=has_ray)


def uses_all_gpus(num_gpus: int, *, has_ray: bool) -> bool:
    """Return whether Ray does the work where nobody chose; say so where there is a choice.

    Args:
        num_gpus: of this machine.
        has_ray: it is installed.
    """
    if num_gpus < 2:
        return False
    use = (
        "Ray puts a worker on each (engine=local works on one)"
        if has_ray
        else "one of them is used; pip install 'llava-eval[ray]' for all"
    )
    log.info("this machine has %d GPUs: %s", num_gpus, use)
    return has_ray


@contextmanager
def engines_kept() -> Iterator[None]:
    """Let the runs in the block share workers that were started for one of them."""
    if importlib.util.find_spec("ray") is None:
        yield
        return
    from llava_eval.engine.ray.worker_pool import pool_kept

    with pool_kept():
        yield


def check_engine(config: RunConfig) -> None:
    """Raise ConfigError for settings that mean nothing to the chosen engine."""
    name = config.engine.name
    if name != "ray":
        default = EngineConfig(name=name)
        for key, value in vars(config.engine).items():
            if value != getattr(default, key):
                raise ConfigError(
                    f"engine.{key}={value} is for engine=ray; engine={name} works in this process"
                    + (" unless this machine has several GPUs" if name == "auto" else "")
                )
    elif config.model.device not in ("auto", "cpu", "cuda"):
        raise ConfigError(
            f"model.device={config.model.device}: with engine=ray every worker is given its own "
            "device; expected auto, cpu or cuda"
        )
