"""Sweeps: one run for each combination of values, one after the other or as jobs of a cluster."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import shlex
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from llava_eval import run
from llava_eval.borders.paths import local_path
from llava_eval.config.checks import check_choices
from llava_eval.config.choices import quoted, search_path_override
from llava_eval.config.compose import compose_config, expand_sweep, sweep_options, take_path
from llava_eval.config.hydra_session import (
    compose_root,
    hydra_session,
    parse_overrides,
    plain_values,
)
from llava_eval.config.roles import short_keys
from llava_eval.engine.configured_benchmark import Parts
from llava_eval.engine.console import ended_by, messages_shown, say
from llava_eval.engine.outcome import print_outcome
from llava_eval.engine.ray.worker_pool import pool_kept
from llava_eval.errors import ConfigError, EngineError, LlavaEvalError, without_secrets
from llava_eval.results.columns import VALUE_COLUMNS, value_cells
from llava_eval.results.compare.seeds import Seeds, over_seeds, seeds_text
from llava_eval.results.formatting import (
    Table,
    duration,
    printable,
    terminal_width,
    write_out,
)
from llava_eval.results.runs import RunReader
from llava_eval.results.tables import read_tables

#: The largest number of seeds that is accepted; nobody has the time for more.
_MOST_SEEDS = 1000

#: Width of the table at the end: settings cut to a terminal's width could look the same.
_UNCUT = 10_000

#: Submitit's name of the cluster that each launcher submits to; None: this process runs them.
_CLUSTERS = {"BasicLauncher": None, "SlurmLauncher": "slurm", "LocalLauncher": "local"}


@dataclass(frozen=True)
class SweepRun:
    """One run of a sweep; it can be called here or in the process that unpickles it.

    Attributes:
        number: the run's number, from 0.
        overrides: its settings, as on the command line.
        directory: its run directory, unless ``overrides`` has an ``output_dir``.
        config_dir: a user's folder of configurations.
        verbosity: see :func:`llava_eval.engine.console.messages_shown`.
    """

    number: int
    overrides: tuple[str, ...]
    directory: Path
    config_dir: Path | None
    verbosity: int = 0

    @property
    def shown(self) -> str:
        """Its settings, printable and without secrets."""
        return printable(without_secrets(" ".join(self.overrides)))

    def __call__(self) -> int:
        """Run it and return its exit code; print the error that ends it."""
        # First, so that an output_dir among the settings wins.
        overrides = [f"output_dir={quoted(self.directory)}", *self.overrides]
        try:
            with messages_shown(self.verbosity):
                return print_outcome(run.run(compose_config(overrides, self.config_dir)))
        except (Exception, SystemExit) as error:  # a defect ends this run, not the sweep
            if isinstance(error, OSError) and error.filename is None:  # stdout cannot be written
                raise
            return ended_by(error)

    def checkpoint(self) -> Any:
        """Return the job that Submitit queues again when the cluster preempts this one."""
        import submitit

        return submitit.helpers.DelayedSubmission(self)


def run_sweep(overrides: Sequence[str], config_dir: Path | None, verbosity: int = 0) -> int:
    """Run every combination and return the worst exit code.

    All values are checked before the first run starts. A run that fails does not stop the others.

    Args:
        overrides: as on the command line; ``key=a,b`` gives a key several values, ``seeds=5`` runs
            sampled decoding with five seeds and prints their spread, and the keys of ``hydra`` set
            the folder of the runs and the cluster that executes them.
        config_dir: a user's folder of configurations.
        verbosity: see :func:`llava_eval.engine.console.messages_shown`.

    Raises:
        ConfigError: a mistake in one of the values, or a launcher that cannot be used.
        EngineError: the cluster rejects the jobs.
    """
    num_seeds, overrides = take_seeds(overrides)
    runs, launcher = plan_sweep(overrides, config_dir, samples=num_seeds is not None)
    runs = [dataclasses.replace(each, verbosity=verbosity) for each in runs]
    cluster = _cluster(launcher)
    if cluster is None:
        codes = _run_here(runs)
    else:
        codes = _run_as_jobs(runs, cluster, launcher)
        for each, code in zip(runs, codes, strict=True):
            print(f"[{each.number}] {each.shown}: exit code {code}")
    if num_seeds is not None and max(codes) < ConfigError.exit_code:
        write_out(f"\n{_over_seeds([each.directory for each in runs], config_dir)}")
    elif len(runs) > 1:
        write_out("\n" + results_table(runs, codes).to_text(_UNCUT))
        if command := _next_command(runs, codes):
            write_out(f"\n{command}")
    return max(codes)


def _next_command(runs: Sequence[SweepRun], codes: Sequence[int]) -> str | None:
    """Return the command that compares a sweep's runs; None if there is nothing to compare.

    Args:
        runs: the runs of one sweep.
        codes: the exit code of each.
    """
    folder, *others = {each.directory.parent for each in runs}
    if others or 0 not in codes:
        return None
    settings = (text.partition("=") for each in runs for text in each.overrides)
    probes = [value for key, _, value in settings if key in ("probe", "benchmark.probe")]
    num_plain = sum(value in ("none", "null") for value in probes)
    return f"llava-eval {'probes' if num_plain == 1 else 'compare'} {shlex.quote(str(folder))}"


def take_seeds(overrides: Sequence[str]) -> tuple[int | None, list[str]]:
    """Replace ``seeds=N`` in overrides by N values of ``seed``.

    Args:
        overrides: as on the command line.

    Returns:
        N, or None without ``seeds``, and the overrides; an ``output_dir`` becomes their parent.

    Raises:
        ConfigError: N is not a number from 2 to 1000, or ``seed`` is given, too.
    """
    given = [text for text in overrides if text.partition("=")[0] == "seeds"]
    others = [text for text in overrides if text not in given]
    if not given:
        return None, others
    number = given[-1].partition("=")[2]
    if not number.isdecimal() or not 2 <= int(number) <= _MOST_SEEDS:
        raise ConfigError(f"{given[-1]!r}: expected a number of seeds, 2 to {_MOST_SEEDS}")
    if any(text.partition("=")[0].lstrip("+") == "seed" for text in others):
        raise ConfigError(f"{given[-1]} runs the seeds from 0 on; expected no seed= beside it")
    folder, others = take_path("output_dir", others)
    if folder is not None:  # each run gets a folder below it
        others.append(f"hydra.sweep.dir={quoted(folder)}")
    return int(number), [*others, f"seed={','.join(map(str, range(int(number))))}"]


def _over_seeds(directories: Sequence[Path], config_dir: Path | None) -> str:
    """Return the spread over the seeds of a sweep, for each combination of its other settings."""
    reader = RunReader(config_dir)
    try:
        groups = over_seeds([reader.read(path) for path in directories])
        return "\n\n".join(seeds_text(Seeds.of(group), width=terminal_width()) for group in groups)
    except LlavaEvalError as error:
        return str(error)


def _run_here(runs: Sequence[SweepRun]) -> list[int]:
    """Run one after the other in this process, and print the progress of the sweep."""
    codes: list[int] = []
    start = time.monotonic()
    with pool_kept():
        for each in runs:
            position = f"run {each.number + 1} of {len(runs)}"
            if codes:
                seconds = (time.monotonic() - start) / len(codes) * (len(runs) - len(codes))
                position += f", about {duration(seconds)} left"
            print(f"\n[{each.number}] {each.shown} ({position})")
            codes.append(each())
    return codes


def results_table(runs: Sequence[SweepRun], codes: Sequence[int]) -> Table:
    """Return a table with each run's varied settings, headline metric and exit code.

    Args:
        runs: the runs of one sweep.
        codes: the exit code of each.
    """
    constant = set.intersection(*(set(each.overrides) for each in runs))
    rows = []
    for each, code in zip(runs, codes, strict=True):
        varied = [text.partition("=") for text in each.overrides if text not in constant]
        named = short_keys({key.lstrip("+"): value for key, _, value in varied})
        settings = [f"{key}={value}" for key, value in named.items()]
        # after a refused command the directory may contain a run with other settings
        came = _headline(each.directory) if code < ConfigError.exit_code else ["-"] * 3
        rows.append([str(each.number), " ".join(settings), *came, str(code)])
    return Table(["run", "settings", "metric", *VALUE_COLUMNS[:2], "exit code"], rows, 3)


def _headline(directory: Path) -> list[str]:
    """Return name, value and interval of a run's first metric; dashes if it has none."""
    try:
        name, value = next(iter(read_tables(directory).metrics.items()))
    except (LlavaEvalError, StopIteration):
        return ["-", "-", "-"]
    return [name, *value_cells(value)[:2]]


def plan_sweep(
    overrides: Sequence[str], config_dir: Path | None, *, samples: bool = False
) -> tuple[list[SweepRun], dict[str, Any]]:
    """Check a sweep and return its runs and the settings of its launcher.

    Args:
        overrides: see :func:`run_sweep`.
        config_dir: see :func:`run_sweep`.
        samples: the runs must decode by sampling, as their seeds are varied.

    Raises:
        ConfigError: a mistake in one of the values.
    """
    search = search_path_override(config_dir)
    parsed = parse_overrides(overrides)
    about_sweep = [str(item.input_line) for item in parsed if _is_about_sweep(item)]
    about_runs = [str(item.input_line) for item in parsed if not _is_about_sweep(item)]
    fixed = [str(item.input_line) for item in parsed if not item.is_sweep_override()]
    _check_launcher([item for item in parsed if _is_about_sweep(item)])
    check_choices([item for item in parsed if not item.is_sweep_override()], config_dir)
    with hydra_session():
        root = _run_of_sweep([*search, *fixed], 0)
        hydra = root.hydra
        values = _mapping(hydra, "sweeper").get("params") or {}
        if not isinstance(values, Mapping):
            raise ConfigError(f"hydra.sweeper.params: got {values!r}, expected key: values")
        presets = [f"{key}={value}" for key, value in values.items()]
        launcher = _mapping(hydra, "launcher")
        folder = local_path(_mapping(hydra, "sweep")["dir"])
        given = {str(item.key_or_group) for item in parsed}
        if root.resume and "resume" in given and not given & {"hydra.sweep.dir", "output_dir"}:
            newest = max(folder.parent.glob("*/"), default=folder.parent / "FOLDER")
            raise ConfigError(
                "resume=true: a sweep continues in its own folder, set by hydra.sweep.dir; the "
                f"newest is hydra.sweep.dir={newest}"
            )
    options = [*presets, *about_runs]
    for variant in expand_sweep(options, config_dir):
        config = compose_config(variant, config_dir).config
        Parts.build(config)
        if samples and not config.benchmark.generation.temperature > 0:
            raise ConfigError(
                f"seeds: {config.benchmark.name} decodes greedily, where every seed gives the same "
                "texts; benchmark.generation.temperature=0.7 samples"
            )
    runs = []
    with hydra_session():
        for number, chosen in enumerate(itertools.product(*sweep_options(options, config_dir))):
            root = _run_of_sweep([*search, *chosen, *about_sweep], number)
            root.hydra.sweep.dir = str(folder)  # one time stamp for all runs
            sweep = _mapping(root.hydra, "sweep")
            named, _ = take_path("output_dir", chosen)
            below = Path(str(sweep["dir"]), str(sweep["subdir"]))
            runs.append(SweepRun(number, chosen, named or below, config_dir))
    _check_directories([each.directory for each in runs])
    return runs, launcher


def _run_of_sweep(overrides: Sequence[str], number: int) -> DictConfig:
    """Compose a run of a sweep with Hydra's own configuration, and set the run's number there.

    The number is not an override, for then Hydra would read the files again for every run.
    """
    root = compose_root(overrides)
    root.hydra.job.num = number
    return root


def _check_directories(directories: Sequence[Path]) -> None:
    """Raise ConfigError if two runs of a sweep would have the same run directory."""
    directory, number = Counter(directories).most_common(1)[0]
    if number > 1:
        raise ConfigError(
            f"{directory} would be the run directory of {number} runs of the sweep; "
            f"hydra.sweep.dir={directory} keeps each below it"
        )


def _mapping(hydra: DictConfig, name: str) -> dict[str, Any]:
    """Return a part of Hydra's own configuration as plain values."""
    part = hydra.get(name)
    if not isinstance(part, DictConfig):
        raise ConfigError(f"hydra.{name}: got {part!r}, expected a mapping")
    return plain_values(part)


def _is_about_sweep(override: Override) -> bool:
    """Return whether an override sets a key of ``hydra``: where and how a sweep runs."""
    return override.key_or_group.partition(".")[0].partition("/")[0] == "hydra"


def _check_launcher(about_sweep: Sequence[Override]) -> None:
    """Raise ConfigError for Hydra overrides that a sweep cannot use to start its runs."""
    for override in about_sweep:
        key, value = str(override.key_or_group), override.value()
        if "/" not in key and not override.is_delete():
            continue
        if key != "hydra/launcher" or not isinstance(value, str):
            raise ConfigError(
                f"{override.input_line!r}: of Hydra's parts a sweep takes hydra/launcher, by name"
            )
        if value != "basic" and importlib.util.find_spec("submitit") is None:
            raise ConfigError(
                f"{override.input_line} needs a package: pip install 'llava-eval[slurm]'"
            )


def _cluster(launcher: Mapping[str, Any]) -> str | None:
    """Return Submitit's name of the cluster that a launcher submits to; None for this process."""
    target = str(launcher.get("_target_")).rpartition(".")[2]
    if target not in _CLUSTERS:
        raise ConfigError(
            f"hydra/launcher: a sweep cannot use {target}; expected basic (one run after the "
            "other), slurm or submitit_local"
        )
    return _CLUSTERS[target]


def _run_as_jobs(runs: Sequence[SweepRun], cluster: str, launcher: Mapping[str, Any]) -> list[int]:
    """Submit every run to a cluster, wait for all, and return their exit codes.

    ``launcher`` has Submitit's settings under the names of hydra-submitit-launcher.
    """
    import submitit
    from hydra_plugins.hydra_submitit_launcher.config import BaseQueueConf

    of_any_cluster = {entry.name for entry in dataclasses.fields(BaseQueueConf)}
    settings = {
        name if name in of_any_cluster else f"{cluster}_{name}": value
        for name, value in launcher.items()
        if name not in ("_target_", "submitit_folder")
    }
    retries = f"{cluster}_max_num_timeout"  # the one setting of the executor itself
    of_executor = {retries: settings.pop(retries)} if retries in settings else {}
    try:
        executor = submitit.AutoExecutor(launcher["submitit_folder"], cluster, **of_executor)
        executor.update_parameters(**settings)
        with executor.batch():
            jobs = [executor.submit(each) for each in runs]
    except (RuntimeError, NameError, OSError) as error:  # no srun, an unknown setting, ...
        raise EngineError(f"hydra/launcher: the jobs cannot be submitted: {error}") from error
    return [_exit_code(job) for job in jobs]


def _exit_code(job: Any) -> int:
    """Wait for a job and return its run's exit code; print a remark if it did not succeed."""
    import submitit

    try:
        code = int(job.results()[0])
        if code:
            say(f"job {job.job_id}: exit code {code}; what it said is in {job.paths.folder}")
        return code
    except submitit.core.utils.UncompletedJobError as error:
        reason = " ".join(str(error).split())
        say(f"job {job.job_id} did not end by itself: {reason}")
        return EngineError.exit_code
