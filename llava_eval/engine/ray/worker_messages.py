"""Messages to and from workers, as plain values, and the check that workers agree."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llava_eval.borders.paths import local_path
from llava_eval.config.build import forget_edited
from llava_eval.config.schema import RunConfig
from llava_eval.engine.ray.cluster import Share
from llava_eval.errors import ConfigError, MediaError
from llava_eval.results import environment
from llava_eval.results.identity import first_difference
from llava_eval.types import SampleResult


@dataclass(frozen=True)
class WorkerSettings:
    """Settings that are the same for all workers.

    Attributes:
        config: configuration of the run.
        working_folder: the driver's working folder, to which relative paths refer.
        module_folders: the driver's module search path, including the user's configuration folder.
        checkpoint_folder: the checkpoint's folder on the driver's machine; None if it has none.
        num_threads: torch's number of threads on a CPU; None keeps torch's default.
    """

    config: RunConfig
    working_folder: str
    module_folders: tuple[str, ...]
    checkpoint_folder: str | None
    num_threads: int | None

    @classmethod
    def of(cls, config: RunConfig, share: Share) -> WorkerSettings:
        """Return the settings for all workers of a run.

        Args:
            config: configuration of the run.
            share: resources of each worker; its CPUs are the threads of a model on a CPU.
        """
        checkpoint = local_path(config.model.checkpoint)
        num_threads = config.runner.num_threads
        return cls(
            config=config,
            working_folder=str(Path.cwd()),
            module_folders=tuple(sys.path),
            checkpoint_folder=str(checkpoint.resolve()) if checkpoint.is_dir() else None,
            num_threads=share.cpus if num_threads is None and share.gpus == 0 else num_threads,
        )

    def enter_folder(self) -> None:
        """Resolve relative paths and module names as the driver does."""
        if Path(self.working_folder).is_dir():
            os.chdir(self.working_folder)
        sys.path += [folder for folder in self.module_folders if folder not in sys.path]
        forget_edited()


@dataclass(frozen=True)
class WorkerFacts:
    """A worker's description of itself.

    Attributes:
        node: Ray's id of the node that it runs on.
        host: host name of the node.
        process_id: id of the worker's process.
        identity: everything about its model that can change a generation.
        versions: versions of its packages.
        git_commit: commit of its code, if that is a checkout.
        machine: its processor and system.
    """

    node: str
    host: str
    process_id: int
    identity: Mapping[str, Any]
    versions: Mapping[str, str]
    git_commit: str | None
    machine: Mapping[str, Any]


@dataclass(frozen=True)
class Loaded:
    """A worker's message that it has loaded the model.

    Attributes:
        facts: the worker's description of itself.
        model: the manifest's record of the model.
        batch_size: most questions that it processes together.
        resize: the pickled frame preprocessor for decode tasks; None if the processor cannot
            resize frames separately.
    """

    facts: WorkerFacts
    model: Mapping[str, Any]
    batch_size: int
    resize: bytes | None


@dataclass(frozen=True)
class Report:
    """A worker's work so far.

    Attributes:
        stage_seconds: seconds spent in each stage.
        warm_up: see :attr:`llava_eval.models.clock.StageClock.warm_up`.
        peak_device_memory_bytes: peak memory on the device; None on a CPU.
        peak_host_memory_bytes: peak memory of its process.
        record: see :meth:`llava_eval.engine.base.Engine.record`.
    """

    stage_seconds: Mapping[str, float]
    warm_up: Mapping[str, Any]
    peak_device_memory_bytes: int | None
    peak_host_memory_bytes: int
    record: Mapping[str, Any]


@dataclass(frozen=True)
class BatchReply:
    """The results of one batch.

    Attributes:
        results: one unscored result for each sample.
        report: report on the worker's work so far.
        messages: (level, text) of the worker's log messages.
        unseen: further files, such as subtitles, that do not exist on its node.
    """

    results: list[SampleResult]
    report: Report
    messages: list[tuple[int, str]]
    unseen: list[str]


@dataclass(frozen=True)
class DecodeStatus:
    """The outcome of a decode task; the frames themselves stay in Ray's object store.

    Attributes:
        error: the error; None if the media were decoded.
        unseen: a path of the group that does not exist on that node.
        host: host name of the node.
        seconds: duration of the task.
    """

    error: MediaError | None = None
    unseen: str | None = None
    host: str = ""
    seconds: float = 0.0


def check_agreement(workers: Sequence[WorkerFacts], *, allow_version_differences: bool) -> None:
    """Check that all workers would run the same model with the package versions of the driver.

    A package that the driver lacks is compared only between workers: the driver generates nothing.

    Args:
        workers: each worker's description of itself.
        allow_version_differences: whether versions may differ.

    Raises:
        ConfigError: two workers would not run the same model, or versions differ.
    """
    first = workers[0]
    for other in workers[1:]:
        if other.identity != first.identity:
            difference = first_difference(
                first.identity,
                other.identity,
                "{key} is {ours} for the first and {theirs} for the other",
            )
            raise ConfigError(
                f"node {other.host} would not run the same model as the first worker, on "
                f"{first.host}: {difference}"
            )
    if allow_version_differences:
        return
    here = environment.versions()
    for worker in workers:
        on_driver = {name: text for name, text in here.items() if name in worker.versions}
        # None for packages that only this worker has.
        on_first = {**dict.fromkeys(worker.versions), **first.versions}
        for host, versions in (("this machine", on_driver), (first.host, on_first)):
            for name, version in versions.items():
                theirs = worker.versions.get(name)
                if theirs != version:
                    raise ConfigError(
                        f"node {worker.host} has {name} {theirs or '(none)'}, but {host} has "
                        f"{version or 'none'}; engine.allow_version_differences=true continues "
                        "anyway"
                    )


def joint_versions(workers: Sequence[WorkerFacts]) -> dict[str, str]:
    """Return every package's version, or several versions if workers differ."""
    names = dict.fromkeys(name for worker in workers for name in worker.versions)
    return {
        name: " and ".join(sorted({worker.versions.get(name, "none") for worker in workers}))
        for name in names
    }
