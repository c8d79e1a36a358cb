"""Sweeps: one run for each combination of values, driven by Hydra's sweeper and launcher."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from omegaconf import DictConfig

from llava_eval import cli
from llava_eval import run as pipeline
from llava_eval.config.compose import compose_config, expand_sweep, opened
from llava_eval.config.composition import register_schema
from llava_eval.config.groups import ROOT_NAME, config_folder, search_path_override
from llava_eval.engine.job import check_parts
from llava_eval.engine.open import engines_kept
from llava_eval.errors import ConfigError, EngineError, LlavaEvalError

_LAUNCHER = "hydra/launcher="
#: Launchers that run jobs in processes of their own, whose output is not seen here.
_SUBMITIT = ("slurm", "submitit_slurm", "submitit_local")


def run_sweep(overrides: Sequence[str], config_dir: Path | None) -> int:
    """Run every combination and return the worst exit code.

    All values are checked before the first run starts. A run that fails does not stop the others.

    Raises:
        ConfigError: a mistake in one of the values, or a launcher that is not installed.
    """
    own = [opened(text) for text in overrides if not text.startswith("hydra.")]
    for variant in expand_sweep(own):
        chosen = [text for text in variant if not text.startswith("hydra/")]
        check_parts(compose_config(chosen, config_dir))
    launchers = [text.removeprefix(_LAUNCHER) for text in overrides if text.startswith(_LAUNCHER)]
    is_elsewhere = bool(launchers) and launchers[-1] in _SUBMITIT
    if is_elsewhere and importlib.util.find_spec("submitit") is None:
        raise ConfigError(
            f"{_LAUNCHER}{launchers[-1]} needs a package: pip install 'llava-eval[slurm]'"
        )
    register_schema()
    GlobalHydra.instance().clear()
    search = create_config_search_path(str(config_folder()))
    hydra = Hydra.create_main_hydra2(task_name="llava-eval", config_search_path=search)
    try:
        with engines_kept():
            batches = hydra.multirun(
                config_name=ROOT_NAME,
                task_function=functools.partial(_run_job, config_dir),
                overrides=[*search_path_override(config_dir), *map(opened, overrides)],
            )
    except HydraException as error:
        raise ConfigError(str(error)) from error
    except RuntimeError as error:
        if not type(error).__module__.startswith("submitit."):
            raise
        raise EngineError(f"a job of the sweep did not end by itself: {error}") from error
    finally:
        GlobalHydra.instance().clear()
    jobs: list[JobReturn] = [job for batch in batches for job in batch]
    if is_elsewhere:
        for number, job in enumerate(jobs):
            print(f"[{number}] {' '.join(job.overrides or ())}: exit code {job.return_value}")
    return max((int(job.return_value) for job in jobs), default=0)


def _run_job(config_dir: Path | None, _: DictConfig) -> int:
    """Run the job that Hydra has just composed, wherever its launcher has put it."""
    cli.set_up_logging()
    job = HydraConfig.get()
    overrides = [text for text in job.overrides.task if not text.startswith("hydra")]
    if not any(text.startswith("output_dir=") for text in overrides):
        overrides.append(f"output_dir='{job.runtime.output_dir}'")
    print(f"\n[{job.job.num}] {' '.join(job.overrides.task)}")
    try:
        outcome = pipeline.run(compose_config(overrides, config_dir))
    except LlavaEvalError as error:
        print(f"llava-eval: {error}", file=sys.stderr)
        return error.exit_code
    return cli.report(outcome)
