"""The engine of a Ray cluster, as the pipeline sees it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from llava_eval.config.schema import RunConfig
from llava_eval.engine.batches import media_groups, plan_batches
from llava_eval.engine.ray.agreement import joint_versions
from llava_eval.engine.ray.cluster import Share, check_alive, failures_told, import_ray, node_facts
from llava_eval.engine.ray.dispatch import Dispatch
from llava_eval.engine.ray.remote import Facts, Loaded, Setting, warm_up
from llava_eval.engine.ray.session import close_sessions, open_session, release_sessions
from llava_eval.engine.ray.work import as_work
from llava_eval.engine.ray.workers import Worker
from llava_eval.errors import EngineError
from llava_eval.models.clock import StageClock
from llava_eval.types import Sample, SampleResult

log = logging.getLogger(__name__)


class RayEngine:
    """Works on a Ray cluster.

    Args:
        config: of the run.
        clock: gets the seconds of every stage, added up over all workers.
    """

    def __init__(self, config: RunConfig, clock: StageClock) -> None:
        self._clock = clock
        self._engine = config.engine
        self._loaded: Loaded | None = None
        self._dispatch: Dispatch | None = None
        with clock.stage("start_workers"), failures_told():
            self._session = open_session(config.engine, config.model.device)
            self._setting = setting_of(config, self._session.share)
            try:
                self._facts = self._plan()
            except BaseException:
                close_sessions()
                raise

    def _plan(self) -> list[Facts]:
        warm = import_ray().remote(num_cpus=0, scheduling_strategy="SPREAD")(warm_up)
        self._warming = [warm.remote() for _ in range(self._setting.num_decoding)]
        return self._session.crew.plan(self._setting)

    def identity(self) -> dict[str, Any]:
        """See :class:`llava_eval.engine.base.Engine`."""
        return dict(self._facts[0].identity)

    def versions(self) -> Mapping[str, str]:
        """See :class:`llava_eval.engine.base.Engine`."""
        return joint_versions(self._facts)

    def load(self) -> dict[str, Any]:
        """See :class:`llava_eval.engine.base.Engine`; returns when the first worker is ready."""
        ray = import_ray()
        end = time.monotonic() + self._engine.start_timeout_seconds
        with self._clock.stage("load_model"), failures_told():
            self._session.crew.load()
            while self._loaded is None:
                loading = {worker.loading: worker for worker in self._session.crew.alive}
                done, _ = ray.wait(list(loading), num_returns=1, timeout=1.0)
                check_alive()
                for reference in done:
                    self._loaded = self._session.crew.loaded(loading[reference])
                if time.monotonic() > end:
                    raise EngineError(
                        "no worker has loaded the model within "
                        f"{self._engine.start_timeout_seconds:g} s (engine.start_timeout_seconds)"
                    )
            # A decode task that found these busy would start, and import, in yet another process.
            left = max(0.0, end - time.monotonic())
            ray.wait(self._warming, num_returns=len(self._warming), timeout=left)
        return dict(self._loaded.model)

    def answer(self, samples: Sequence[Sample]) -> Generator[SampleResult, None, None]:
        """See :class:`llava_eval.engine.base.Engine`."""
        assert self._loaded is not None
        self._dispatch = Dispatch(self._session.crew, self._setting, self._loaded, self._clock)
        batches = plan_batches(media_groups(samples), self._loaded.batch_size)
        self._session.is_idle = False
        with failures_told():
            yield from self._dispatch.run(as_work(batches))
        self._session.is_idle = True
        for worker in self._session.crew.all:
            if worker.report is not None:
                for stage, seconds in worker.report.stage_seconds.items():
                    self._clock.seconds[stage] += seconds

    def record(self) -> dict[str, Any]:
        """See :class:`llava_eval.engine.base.Engine`."""
        reply = None if self._dispatch is None else self._dispatch.first_reply
        report = None if reply is None else reply.report
        return {
            "first_prompt": None if report is None else report.first_prompt,
            "guards": {} if report is None else dict(report.guards),
            "runner": {} if report is None else dict(report.runner),
        }

    def work(self) -> dict[str, Any]:
        """See :class:`llava_eval.engine.base.Engine`."""
        reports = [worker.report for worker in self._session.crew.all if worker.report is not None]
        return {
            "engine": "ray",
            "nodes": node_facts(),
            "workers": [_describe(worker) for worker in self._session.crew.all],
            **{
                name: max((n for r in reports if (n := getattr(r, name)) is not None), default=None)
                for name in ("peak_device_memory_bytes", "peak_host_memory_bytes")
            },
        }

    def close(self) -> None:
        """See :class:`llava_eval.engine.base.Engine`."""
        release_sessions()


def setting_of(config: RunConfig, share: Share) -> Setting:
    checkpoint = Path(config.model.checkpoint).expanduser()
    num_threads = config.runner.num_threads
    return Setting(
        config=config,
        num_decoding=config.runner.decode_workers * share.num_workers,
        folder=os.getcwd(),
        checkpoint_folder=str(checkpoint.resolve()) if checkpoint.is_dir() else None,
        num_threads=share.cpus if num_threads is None and share.gpus == 0 else num_threads,
    )


def _describe(worker: Worker) -> dict[str, Any]:
    """Return what the manifest says of a worker."""
    facts, report = worker.facts, worker.report
    described: dict[str, Any] = {
        "num_generated": worker.num_samples,
        "device_name": worker.model.get("device_name"),
        "ended": worker.end,
    }
    if facts is not None:
        described |= {
            "node": facts.node,
            "host": facts.host,
            "process_id": facts.process_id,
            "machine": dict(facts.machine),
            "versions": dict(facts.versions),
            "git_commit": facts.git_commit,
        }
    if report is not None:
        described |= {
            "stage_seconds": {name: round(s, 3) for name, s in report.stage_seconds.items()},
            "peak_device_memory_bytes": report.peak_device_memory_bytes,
            "peak_host_memory_bytes": report.peak_host_memory_bytes,
        }
    return described
