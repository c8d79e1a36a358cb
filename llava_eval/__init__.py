"""Benchmark evaluation of LLaVA-NeXT-Video and other image-text-to-text models.

    import llava_eval

    run = llava_eval.evaluate("benchmark=demo/multiple_choice", "sampler.num_frames=8")
    run.metrics                                    # pandas: one row per metric, facet and level
    run.samples[["id", "answer", "value"]]         # pandas: one row per sample
    llava_eval.compare(llava_eval.load_run("runs/full"), run).headline.estimate

The functions import their dependencies when they are called.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llava_eval.models.own import Model
    from llava_eval.results.compare.comparison import RunComparison
    from llava_eval.results.runs import Run

__all__ = ["compare", "evaluate", "load_run", "load_runs"]

__version__ = "0.1.0"


def evaluate(
    *overrides: str, model: Model | None = None, config_dir: str | Path | None = None
) -> Run:
    """Evaluate as ``llava-eval OVERRIDES`` does, and read the run back.

    Args:
        overrides: for instance "benchmark=videomme/official"; without any, the embedded benchmark.
        model: a model of your own, see :class:`llava_eval.models.own.Model`; None uses the model
            that the overrides name.
        config_dir: a folder with your own configuration files; None uses ``llava_eval_local`` if
            it exists.

    Raises:
        LlavaEvalError: a mistake in the configuration or its files, or a full disk. Failed samples
            raise nothing; they are counted in the run.
    """
    from llava_eval.config.compose import compose_config
    from llava_eval.errors import ConfigError
    from llava_eval.results.runs import RunReader
    from llava_eval.run import run

    for override in overrides:
        if not isinstance(override, str):
            raise ConfigError(f'evaluate takes texts, evaluate("a=b", "c=d"), got {override!r}')
    folder = _users_folder(config_dir)
    reader = RunReader(folder)  # raises for a damaged file before any work is done
    if model is not None:
        from llava_eval.config.choices import quoted
        from llava_eval.models.own import OwnModel

        named = {"model._target_": OwnModel.of(model).target, "model.name": type(model).__name__}
        texts = (f"{key}={quoted(value)}" for key, value in named.items())
        overrides = ("model=own", *texts, *overrides)
    return reader.read(run(compose_config(overrides, folder), model=model).directory)


def load_run(path: str | Path, config_dir: str | Path | None = None) -> Run:
    """Read one run directory.

    Args:
        path: the directory.
        config_dir: as in :func:`evaluate`; metrics named by files there may be called.

    Raises:
        ComparisonError, RunDirectoryError: it is not a run directory, or a file of it is damaged.
    """
    from llava_eval.borders.paths import local_path
    from llava_eval.results.runs import RunReader

    return RunReader(_users_folder(config_dir)).read(local_path(path))


def load_runs(folder: str | Path, config_dir: str | Path | None = None) -> list[Run]:
    """Read every run directory below a folder, in natural order.

    Args:
        folder: the folder that contains them.
        config_dir: as in :func:`load_run`.

    Raises:
        ComparisonError, RunDirectoryError: there is no run, or a file of a run is damaged.
    """
    from llava_eval.borders.paths import local_path
    from llava_eval.results.runs import RunReader

    return RunReader(_users_folder(config_dir)).read_all([local_path(folder)])


def _users_folder(config_dir: str | Path | None) -> Path:
    from llava_eval.borders.paths import local_path
    from llava_eval.config.choices import USERS_FOLDER

    return USERS_FOLDER if config_dir is None else local_path(config_dir)


def compare(left: Run | str | Path, right: Run | str | Path) -> RunComparison:
    """Compare two runs of the same questions, sample by sample.

    Args:
        left: a run, or a run directory.
        right: another one.

    Raises:
        ComparisonError: a run is incomplete, or their questions or prompts differ.
    """
    from llava_eval.results.compare.comparison import compare_runs

    runs = [load_run(side) if isinstance(side, str | Path) else side for side in (left, right)]
    return compare_runs(runs)[0]
