"""The model workers: started, watched, and replaced when they die."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass, field
from typing import Any

from llava_eval.config.schema import EngineConfig
from llava_eval.engine.ray.agreement import check_agreement
from llava_eval.engine.ray.cluster import Share, import_ray, short
from llava_eval.engine.ray.remote import Facts, Loaded, ModelWorker, Report, Setting, own_error
from llava_eval.engine.ray.work import Work
from llava_eval.errors import EngineError

log = logging.getLogger(__name__)

#: Batches that a worker has at once: one is generated while the next is unpacked.
_BATCHES_AT_ONCE = 2


@dataclass(eq=False)
class Worker:
    """One model worker.

    Attributes:
        actor: Ray's handle.
        loading: what :meth:`ModelWorker.load` will return; None once it has.
        facts: what it said of itself.
        model: the manifest's record of its model.
        works: what it has to do.
        report: the last one.
        num_samples: answered by it.
        end: why it is gone; None while it lives.
    """

    actor: Any
    loading: Any = None
    facts: Facts | None = None
    model: dict[str, Any] = field(default_factory=dict)
    works: list[Work] = field(default_factory=list)
    report: Report | None = None
    num_samples: int = 0
    end: str | None = None

    @property
    def is_ready(self) -> bool:
        """Whether its model is loaded."""
        return self.end is None and self.loading is None and bool(self.model)

    def can_take(self, work: Work, *, may_queue: bool) -> bool:
        """Whether a batch may be given to it now.

        Args:
            work: the batch.
            may_queue: behind the one that it works on.
        """
        if not self.is_ready or any(own.wants_to_be_alone for own in self.works):
            return False
        if work.wants_to_be_alone or not may_queue:
            return not self.works
        return len(self.works) < _BATCHES_AT_ONCE


class Crew:
    """All model workers of a run.

    Args:
        share: how many, and what each may use.
        config: of the engine.
    """

    def __init__(self, share: Share, config: EngineConfig) -> None:
        self._config = config
        self._num_failed_starts = 0
        self._setting: Setting | None = None
        self._first: Facts | None = None
        options: dict[str, Any] = {
            "num_cpus": share.cpus,
            "num_gpus": share.gpus,
            "max_restarts": 0,
            "max_concurrency": _BATCHES_AT_ONCE,
        }
        self._kind = import_ray().remote(**options)(ModelWorker)
        self.all: list[Worker] = [Worker(self._kind.remote()) for _ in range(share.num_workers)]

    @property
    def alive(self) -> list[Worker]:
        """Those that are not known to be dead."""
        return [worker for worker in self.all if worker.end is None]

    def plan(self, setting: Setting) -> list[Facts]:
        """Let every worker choose how the model runs there, and hold them to each other.

        Raises:
            LlavaEvalError: it cannot run on one of them, or as on the others, or a worker does not
                start.
        """
        ray = import_ray()
        timeout_seconds = self._config.start_timeout_seconds
        self._setting = setting
        self.all = [Worker(worker.actor) for worker in self.alive]
        asked = [worker.actor.plan.remote(setting) for worker in self.alive]
        try:
            facts: list[Facts] = ray.get(asked, timeout=timeout_seconds)
        except ray.exceptions.GetTimeoutError as error:
            raise EngineError(
                f"not all of {len(asked)} workers started within {timeout_seconds:g} s "
                "(engine.start_timeout_seconds)"
            ) from error
        except ray.exceptions.RayTaskError as error:
            raise own_error(error) or error from None
        except ray.exceptions.RayActorError as error:
            raise EngineError(f"a worker died while it started: {short(error)}") from error
        for worker, found in zip(self.alive, facts, strict=True):
            worker.facts = found
        self._first = facts[0]
        self._check_agreement(facts)
        return facts

    def load(self) -> None:
        """Let every worker load the model; :meth:`loaded` takes note of each."""
        for worker in self.alive:
            self._load(worker)

    def _check_agreement(self, facts: list[Facts]) -> None:
        check_agreement(facts, allow_version_differences=self._config.allow_version_differences)

    def _load(self, worker: Worker) -> None:
        worker.loading = worker.actor.load.remote(self._setting)

    def loaded(self, worker: Worker) -> Loaded | None:
        """Take note of a worker that has loaded; one that died is replaced, and None returned.

        Raises:
            LlavaEvalError: the model cannot be loaded there, or is not that of the others, or
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
                    f"model: {short(error)}"
                ) from error
            self.replace(worker, short(error))
            return None
        assert self._first is not None
        self._check_agreement([self._first, loaded.facts])
        self._num_failed_starts = 0
        worker.loading = None
        worker.facts = loaded.facts
        worker.model = dict(loaded.model)
        return loaded

    def replace(self, worker: Worker, reason: str) -> None:
        """Put a new worker in the place of a dead one."""
        facts = worker.facts
        place = "" if facts is None else f" (process {facts.process_id} on node {facts.host})"
        log.warning("a worker%s died and is replaced: %s", place, reason)
        worker.end = reason
        self._kill(worker)
        worker.works = []
        successor = Worker(self._kind.remote())
        self._load(successor)
        self.all.append(successor)

    def close(self) -> None:
        """End all workers."""
        for worker in self.alive:
            self._kill(worker)

    def _kill(self, worker: Worker) -> None:
        with contextlib.suppress(Exception):  # it is dead already, or the cluster is
            import_ray().kill(worker.actor, no_restart=True)
