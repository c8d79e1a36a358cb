"""The model workers of a run: starts them, compares them, and replaces those that die.

A run opens a pool and closes it. The runs of a sweep share one pool, so that workers start once and
a checkpoint that several runs use is loaded once.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from llava_eval.config.schema import EngineConfig
from llava_eval.engine.ray.cluster import (
    check_alive,
    choose_share,
    connect,
    disconnect,
    import_ray,
    own_error,
    reason_of,
    wait_for_resources,
)
from llava_eval.engine.ray.task import BatchTask
from llava_eval.engine.ray.worker import ModelWorker
from llava_eval.engine.ray.worker_messages import (
    Loaded,
    Report,
    WorkerFacts,
    WorkerSettings,
    check_agreement,
)
from llava_eval.errors import EngineError

log = logging.getLogger(__name__)

#: Batches per worker: one is generated while the next is unpacked.
_BATCHES_AT_ONCE = 2


@dataclass(eq=False)
class Worker:
    """The driver's view of a model worker.

    Attributes:
        actor: Ray's handle.
        loading: reference to the result of :meth:`ModelWorker.load`; None once it has returned.
        facts: the worker's description of itself.
        model: the manifest's record of its model; empty until it is loaded.
        tasks: batches that it currently has.
        report: its last report.
        num_samples: number of samples that it has answered.
        end: why it died; None while it is alive.
    """

    actor: Any
    loading: Any = None
    facts: WorkerFacts | None = None
    model: dict[str, Any] = field(default_factory=dict)
    tasks: list[BatchTask] = field(default_factory=list)
    report: Report | None = None
    num_samples: int = 0
    end: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether its model is loaded."""
        return self.end is None and self.loading is None and bool(self.model)

    def can_take(self, task: BatchTask, *, may_queue: bool) -> bool:
        """Return whether the worker can receive a batch now.

        Args:
            task: the batch.
            may_queue: whether the batch may wait behind the one that the worker is busy with.
        """
        if not self.is_ready or any(own.runs_alone for own in self.tasks):
            return False
        if task.runs_alone or not may_queue:
            return not self.tasks
        return len(self.tasks) < _BATCHES_AT_ONCE


class WorkerPool:
    """All model workers, and the cluster that they run on.

    Args:
        config: configuration of the engine.
        device: ``model.device``: auto, cpu or cuda.

    Attributes:
        share: number of workers, and the resources of each.
        all: every worker that was started for the current run, including dead ones.
        is_idle: whether no worker has a batch; a pool that an aborted run left is not reused.

    Raises:
        LlavaEvalError: there is no such cluster, or it lacks what the workers need.
    """

    def __init__(self, config: EngineConfig, device: str) -> None:
        self._config = config
        self._device = device
        self._num_failed_starts = 0
        self._settings: WorkerSettings | None = None
        self._first: WorkerFacts | None = None
        self.is_idle = True
        connect(config)
        try:
            nodes = [node["Resources"] for node in import_ray().nodes() if node["Alive"]]
            self.share = choose_share(config, device, nodes)
            wait_for_resources(self.share, config.start_timeout_seconds)
            options: dict[str, Any] = {
                "num_cpus": self.share.cpus,
                "num_gpus": self.share.gpus,
                "max_restarts": 0,
                "max_concurrency": _BATCHES_AT_ONCE,
            }
            self._actor_class = import_ray().remote(**options)(ModelWorker)
            self.all = [Worker(self._actor_class.remote()) for _ in range(self.share.num_workers)]
        except BaseException:
            disconnect()
            raise

    def suits(self, config: EngineConfig, device: str) -> bool:
        """Return whether a run with these settings can reuse the pool."""
        return self.is_idle and (self._config, self._device) == (config, device)

    @property
    def alive(self) -> list[Worker]:
        """Workers that are not known to be dead."""
        return [worker for worker in self.all if worker.end is None]

    def plan(self, settings: WorkerSettings) -> list[WorkerFacts]:
        """Let every worker plan how to run the model; all plans must be equal.

        Args:
            settings: settings of the run.

        Returns:
            Each worker's description of itself.

        Raises:
            LlavaEvalError: a worker cannot run the model, or would run it differently from the
                others, or does not start.
        """
        ray = import_ray()
        timeout_seconds = self._config.start_timeout_seconds
        self._settings = settings
        self.all = [Worker(worker.actor) for worker in self.alive]
        asked = [worker.actor.plan.remote(settings) for worker in self.all]
        try:
            facts: list[WorkerFacts] = ray.get(asked, timeout=timeout_seconds)
        except ray.exceptions.GetTimeoutError as error:
            raise EngineError(
                f"not all of {len(asked)} workers started within {timeout_seconds:g} s "
                "(engine.start_timeout_seconds)"
            ) from error
        except ray.exceptions.RayTaskError as error:
            raise own_error(error) or error from None
        except ray.exceptions.RayActorError as error:
            raise EngineError(f"a worker died while it started: {reason_of(error)}") from error
        for worker, result in zip(self.all, facts, strict=True):
            worker.facts = result
        self._first = facts[0]
        check_agreement(facts, allow_version_differences=self._config.allow_version_differences)
        return facts

    def load(self) -> Loaded:
        """Let every worker load the model, and wait for the first one that has loaded it.

        Raises:
            LlavaEvalError: the model cannot be loaded, or no worker has loaded it in time.
        """
        timeout_seconds = self._config.start_timeout_seconds
        end = time.monotonic() + timeout_seconds
        for worker in self.alive:
            worker.loading = worker.actor.load.remote(self._settings)
        while True:
            loading = {worker.loading: worker for worker in self.alive}
            done, _ = import_ray().wait(list(loading), num_returns=1, timeout=1.0)
            check_alive()
            for reference in done:
                loaded = self.take_loaded(loading[reference])
                if loaded is not None:
                    return loaded
            if time.monotonic() > end:
                raise EngineError(
                    f"no worker has loaded the model within {timeout_seconds:g} s "
                    "(engine.start_timeout_seconds)"
                )

    def take_loaded(self, worker: Worker) -> Loaded | None:
        """Record that a worker has loaded the model; replace it if it died while loading.

        Args:
            worker: the worker whose :attr:`Worker.loading` has finished.

        Returns:
            The worker's message; None if it died.

        Raises:
            LlavaEvalError: the model cannot be loaded there, or differs from that of the others, or
                workers keep dying.
        """
        ray = import_ray()
        try:
            loaded: Loaded = ray.get(worker.loading)
        except ray.exceptions.RayTaskError as error:
            raise own_error(error) or error from None
        except ray.exceptions.RayActorError as error:
            self._num_failed_starts += 1
            if self._num_failed_starts >= self._config.max_tries:
                raise EngineError(
                    f"{self._num_failed_starts} workers in a row died while they loaded the "
                    f"model: {reason_of(error)}"
                ) from error
            self.replace(worker, reason_of(error))
            return None
        assert self._first is not None
        workers = [self._first, loaded.facts]
        check_agreement(workers, allow_version_differences=self._config.allow_version_differences)
        self._num_failed_starts = 0
        worker.loading = None
        worker.facts = loaded.facts
        worker.model = dict(loaded.model)
        return loaded

    def replace(self, worker: Worker, reason: str) -> None:
        """Start a new worker for a dead one.

        Args:
            worker: the dead worker.
            reason: why it died.
        """
        facts = worker.facts
        where = "" if facts is None else f" (process {facts.process_id} on node {facts.host})"
        log.warning("a worker%s died and is replaced: %s", where, reason)
        worker.end = reason
        worker.tasks = []
        _kill(worker)
        actor = self._actor_class.remote()
        self.all.append(Worker(actor, actor.load.remote(self._settings)))

    def close(self) -> None:
        """Stop all workers, and disconnect from the cluster."""
        for worker in self.alive:
            _kill(worker)
        disconnect()


def _kill(worker: Worker) -> None:
    with contextlib.suppress(Exception):  # it is dead already, or the cluster is
        import_ray().kill(worker.actor, no_restart=True)


_open: WorkerPool | None = None
_is_kept = False


def open_pool(config: EngineConfig, device: str) -> WorkerPool:
    """Return the open pool if it can be reused, or open a new one.

    Args:
        config: configuration of the engine.
        device: ``model.device``.

    Raises:
        LlavaEvalError: there is no such cluster, or it lacks the resources for the workers.
    """
    global _open
    if _open is None or not _open.suits(config, device):
        close_pool()
        _open = WorkerPool(config, device)
    return _open


def release_pool() -> None:
    """Close the open pool, unless a sweep keeps it for its next run."""
    if not _is_kept:
        close_pool()


def close_pool() -> None:
    """Close the open pool, if there is one."""
    global _open
    if _open is not None:
        pool, _open = _open, None
        pool.close()


@contextlib.contextmanager
def pool_kept() -> Iterator[None]:
    """Keep the pool open between the runs inside the block."""
    global _is_kept
    _is_kept = True
    try:
        yield
    finally:
        _is_kept = False
        close_pool()
