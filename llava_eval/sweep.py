"""Sweeps: one run for each combination of values, driven by Hydra's sweeper and launcher."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from llava_eval import cli, pipeline
from llava_eval.config import compose_config, config_folder
from llava_eval.config.compose import expand_sweep, opened
from llava_eval.config.composition import register_schema
from llava_eval.config.groups import ROOT_NAME, search_path_override
from llava_eval.errors import LlavaEvalError
from llava_eval.job import check_parts


def run_sweep(overrides: Sequence[str], config_dir: Path | None) -> int:
    """Run every combination and return the worst exit code.

    All values are checked before the first run starts. A run that fails does not stop the others.

    Raises:
        ConfigError: a mistake in one of the values.
    """
    own = [opened(text) for text in overrides if not text.startswith("hydra.")]
    for variant in expand_sweep(own):
        chosen = [text for text in variant if not text.startswith("hydra/")]
        check_parts(compose_config(chosen, config_dir))
    exit_codes: list[int] = []

    def task(_: DictConfig) -> None:
        exit_codes.append(_run_job(config_dir))

    register_schema()
    decorated = hydra.main(
        config_path=str(config_folder()), config_name=ROOT_NAME, version_base="1.3"
    )(task)
    command = [*search_path_override(config_dir), *map(opened, overrides)]
    previous = sys.argv
    sys.argv = [previous[0], "--multirun", *command]
    try:
        decorated()
    finally:
        sys.argv = previous
    return max(exit_codes, default=0)


def _run_job(config_dir: Path | None) -> int:
    """Run the job that Hydra has just composed."""
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
