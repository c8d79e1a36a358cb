"""The Ray engine's interface to the program."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Mapping, Sequence
from typing import Any

from llava_eval.config.schema import RunConfig
from llava_eval.engine.base import Engine
from llava_eval.engine.batches import media_groups, plan_batches
from llava_eval.engine.ray.cluster import cluster_errors, import_ray, node_facts
from llava_eval.engine.ray.dispatch import Dispatch
from llava_eval.engine.ray.worker import warm_up
from llava_eval.engine.ray.worker_messages import Loaded, Report, WorkerSettings, joint_versions
from llava_eval.engine.ray.worker_pool import Worker, close_pool, open_pool, release_pool
from llava_eval.models.clock import StageClock, joint_warm_up
from llava_eval.types import Sample, SampleResult


class RayEngine(Engine):
    """Runs on a Ray cluster; the model counts as loaded once the first worker has loaded it.

    Args:
        config: configuration of the run.
        clock: records the seconds of every stage, summed over all workers.

    Raises:
        LlavaEvalError: there is no such cluster, or the model cannot run on it.
    """

    def __init__(self, config: RunConfig, clock: StageClock) -> None:
        self._clock = clock
        self._loaded: Loaded | None = None
        self._dispatch: Dispatch | None = None
        with clock.stage("start_workers"), cluster_errors():
            self._pool = open_pool(config.engine, config.model.device)
            self._settings = WorkerSettings.of(config, self._pool.share)
            num_decoding = config.runner.decode_workers * self._pool.share.num_workers
            try:
                warm = import_ray().remote(num_cpus=0, scheduling_strategy="SPREAD")(warm_up)
                self._warming = [warm.remote() for _ in range(num_decoding)]
                self._facts = self._pool.plan(self._settings)
            except BaseException:
                close_pool()
                raise

    def identity(self) -> dict[str, Any]:
        return dict(self._facts[0].identity)

    def versions(self) -> Mapping[str, str]:
        return joint_versions(self._facts)

    def load(self) -> dict[str, Any]:
        end = time.monotonic() + self._settings.config.engine.start_timeout_seconds
        with self._clock.stage("load_model"), cluster_errors():
            self._loaded = self._pool.load()
            # A decode task that found these processes busy would start and import in another one.
            left = max(0.0, end - time.monotonic())
            import_ray().wait(self._warming, num_returns=len(self._warming), timeout=left)
        return dict(self._loaded.model)

    def answer(self, samples: Sequence[Sample]) -> Generator[SampleResult, None, None]:
        assert self._loaded is not None
        self._dispatch = Dispatch(self._pool, self._settings, self._loaded, self._clock)
        self._pool.is_idle = False
        try:
            with cluster_errors():
                yield from self._dispatch.run(
                    plan_batches(media_groups(samples), self._loaded.batch_size)
                )
            self._pool.is_idle = True
        finally:
            for report in self._reports():
                for stage, seconds in report.stage_seconds.items():
                    self._clock.seconds[stage] += seconds
            warm_ups = [report.warm_up for report in self._reports()]
            self._clock.warm_up = joint_warm_up(warm_ups)

    def record(self) -> dict[str, Any]:
        if self._dispatch is None or self._dispatch.first_reply is None:
            return {"first_prompt": None, "guards": {}, "runner": {}}
        return dict(self._dispatch.first_reply.report.record)

    def work(self) -> dict[str, Any]:
        reports = self._reports()
        on_device = [report.peak_device_memory_bytes or 0 for report in reports]
        on_host = [report.peak_host_memory_bytes for report in reports]
        return {
            "engine": "ray",
            "nodes": node_facts(),
            "workers": [_describe(worker) for worker in self._pool.all],
            "peak_device_memory_bytes": max(on_device, default=0) or None,
            "peak_host_memory_bytes": max(on_host, default=0),
        }

    def close(self) -> None:
        release_pool()

    def _reports(self) -> list[Report]:
        return [worker.report for worker in self._pool.all if worker.report is not None]


def _describe(worker: Worker) -> dict[str, Any]:
    """Return the manifest's record of a worker."""
    described: dict[str, Any] = {
        "num_generated": worker.num_samples,
        "device_name": worker.model.get("device_name"),
        "ended": worker.end,
    }
    if worker.facts is not None:
        described |= dataclasses.asdict(worker.facts)
        del described["identity"]
    if worker.report is not None:
        seconds = worker.report.stage_seconds
        described |= {
            "stage_seconds": {name: round(value, 3) for name, value in seconds.items()},
            "peak_device_memory_bytes": worker.report.peak_device_memory_bytes,
            "peak_host_memory_bytes": worker.report.peak_host_memory_bytes,
        }
    return described
