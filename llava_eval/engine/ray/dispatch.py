"""Distributes batches: decodes ahead, sends them to free workers, and retries after deaths."""

from __future__ import annotations

import contextlib
import logging
import pickle
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import Any

from llava_eval.borders.paths import is_there
from llava_eval.engine.batches import Batch
from llava_eval.engine.ray.cluster import check_alive, import_ray, is_loss, own_error, reason_of
from llava_eval.engine.ray.task import BatchTask
from llava_eval.engine.ray.worker import decode
from llava_eval.engine.ray.worker_messages import (
    BatchReply,
    DecodeStatus,
    Loaded,
    WorkerSettings,
)
from llava_eval.engine.ray.worker_pool import Worker, WorkerPool
from llava_eval.errors import ConfigError, EngineError, MediaError
from llava_eval.models.clock import PREPARE_STAGE, StageClock
from llava_eval.types import SampleResult

log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0


class Dispatch:
    """The loop of one run on a cluster.

    Args:
        pool: the model workers.
        settings: settings of all workers.
        loaded: message of the first worker that has loaded the model.
        clock: records the seconds for which free workers waited for media.

    Attributes:
        first_reply: reply to the answered batch that comes first in the order of the samples.
    """

    def __init__(
        self, pool: WorkerPool, settings: WorkerSettings, loaded: Loaded, clock: StageClock
    ) -> None:
        ray = import_ray()
        engine = settings.config.engine
        self._pool = pool
        self._clock = clock
        self._max_tries = engine.max_tries
        self._timeout_seconds = engine.start_timeout_seconds
        self._max_decoding = settings.config.runner.decode_workers * pool.share.num_workers
        self._max_opened = pool.share.num_workers + 1
        self._decode_settings = ray.put(pickle.dumps((settings, loaded.resize)))
        self._decode = ray.remote(
            num_cpus=0,
            num_returns=2,
            max_retries=engine.max_tries - 1,
            scheduling_strategy="SPREAD",
        )(decode)
        self._waiting: deque[BatchTask] = deque()
        self._opened: list[BatchTask] = []  # being decoded, or decoded and waiting for a worker
        self._decoding: dict[Any, tuple[BatchTask, int, Any]] = {}
        self._asked: dict[Any, tuple[Worker, BatchTask]] = {}
        self._first_number: int | None = None
        self.first_reply: BatchReply | None = None

    def run(self, batches: Sequence[Batch]) -> Generator[SampleResult, None, None]:
        """Yield the results of all batches, in the order in which they finish.

        Args:
            batches: batches in the order of the samples.

        Raises:
            LlavaEvalError: no worker can answer any more.
        """
        ray = import_ray()
        self._waiting.extend(BatchTask(number, batch) for number, batch in enumerate(batches))
        last_event = time.monotonic()
        try:
            while self._waiting or self._opened or self._asked:
                self._hand_out()
                loading = {w.loading: w for w in self._pool.alive if w.loading is not None}
                references = [*self._asked, *self._decoding, *loading]
                if not references:
                    continue  # all media of a batch were unreadable
                start = time.monotonic()
                done, _ = ray.wait(references, num_returns=1, timeout=_POLL_SECONDS)
                if self._decoding:  # count the time of workers that wait for media
                    idle = sum(w.is_ready and not w.tasks for w in self._pool.alive)
                    self._clock.seconds["decode_wait"] += idle * (time.monotonic() - start)
                check_alive()
                if done or self._asked:
                    last_event = time.monotonic()
                elif time.monotonic() - last_event > self._timeout_seconds:
                    raise EngineError(
                        f"no worker has come back for {self._timeout_seconds:g} s "
                        "(engine.start_timeout_seconds)"
                    )
                for reference in done:
                    if reference in self._asked:
                        yield from self._take_reply(reference)
                    elif reference in self._decoding:
                        yield from self._take_decoded(reference)
                    else:
                        self._pool.take_loaded(loading[reference])
        finally:
            for reference in self._decoding:
                with contextlib.suppress(Exception):  # the task or the cluster may have ended
                    ray.cancel(reference, force=True)

    def _hand_out(self) -> None:
        """Open batches, start decode tasks, and send decoded batches to free workers."""
        while self._waiting and len(self._opened) < self._max_opened:
            self._opened.append(self._waiting.popleft())
        for task in self._opened:
            while task.undecoded and len(self._decoding) < self._max_decoding:
                index = task.undecoded.popleft()
                status, content = self._decode.remote(self._decode_settings, task.groups[index])
                task.num_decoding += 1
                self._decoding[status] = (task, index, content)
        for task in [task for task in self._opened if task.is_decoded]:
            if not task.decoded:
                self._opened.remove(task)  # nothing could be read; its results are errors already
                continue
            # Near the end, no batch should wait behind another while a worker is free.
            may_queue = len(self._waiting) + len(self._opened) > len(self._pool.alive)
            able = [w for w in self._pool.alive if w.can_take(task, may_queue=may_queue)]
            if able:
                self._opened.remove(task)
                worker = min(able, key=lambda worker: len(worker.tasks))
                decoded = task.keep_decoded()
                worker.tasks.append(task)
                self._asked[worker.actor.answer.remote(task.groups, *decoded)] = (worker, task)

    def _take_decoded(self, reference: Any) -> Iterator[SampleResult]:
        ray = import_ray()
        task, index, content = self._decoding.pop(reference)
        task.num_decoding -= 1
        group = task.groups[index]
        try:
            status: DecodeStatus = ray.get(reference)
        except ray.exceptions.WorkerCrashedError:
            # Ray has already retried it.
            text = f"{group.path}: decoding it ended its process {self._max_tries} times"
            yield from group.failed(MediaError(text))
            return
        except ray.exceptions.RayError as error:
            if self._is_lost_too_often(task, error):
                lost = MediaError(f"{group.path}: lost on its way: {reason_of(error)}")
                yield from group.failed(lost)
            else:
                log.warning("%s is decoded again: %s", group.path, reason_of(error))
                task.undecoded.append(index)
            return
        self._clock.seconds[PREPARE_STAGE] += status.seconds
        if status.error is None:
            task.decoded[index] = content
            return
        if status.unseen is not None:
            _check_unseen([status.unseen], status.host)
        yield from group.failed(status.error)

    def _take_reply(self, reference: Any) -> Iterator[SampleResult]:
        ray = import_ray()
        worker, task = self._asked.pop(reference)
        try:
            reply: BatchReply = ray.get(reference)
        except ray.exceptions.RayActorError as error:
            yield from self._try_elsewhere(worker, task, reason_of(error))
            return
        except ray.exceptions.RayError as error:
            worker.tasks.remove(task)
            if self._is_lost_too_often(task, error):
                raise EngineError(f"media are lost on their way: {reason_of(error)}") from error
            log.warning("a batch is decoded again: %s", reason_of(error))
            self._waiting.appendleft(task.again())
            return
        worker.tasks.remove(task)
        assert worker.facts is not None
        _check_unseen(reply.unseen, worker.facts.host)
        worker.report = reply.report
        worker.num_samples += len(reply.results)
        if self._first_number is None or task.number < self._first_number:
            self._first_number, self.first_reply = task.number, reply
        for level, text in reply.messages:
            log.log(level, "%s", text)
        yield from reply.results

    def _is_lost_too_often(self, task: BatchTask, error: Exception) -> bool:
        """Count a loss of a batch's media; raise the error if it is not a loss."""
        own = own_error(error)
        if own is not None:
            raise own from None
        if not is_loss(error):
            raise error
        task.num_losses += 1
        return task.num_losses >= self._max_tries * len(task.groups)

    def _try_elsewhere(
        self, worker: Worker, task: BatchTask, reason: str
    ) -> Iterator[SampleResult]:
        """Replace a dead worker, and queue its batch again."""
        if worker.end is None:
            self._pool.replace(worker, reason)
        tasks, given_up = task.after_death(self._max_tries)
        self._waiting.extendleft(reversed(tasks))
        error = EngineError(f"ended its worker {self._max_tries} times, last: {reason}")
        yield from (SampleResult.failed(sample, error) for sample in given_up)


def _check_unseen(paths: Sequence[str], host: str) -> None:
    """Raise ConfigError if a node cannot see a file of samples that this machine has."""
    for path in paths:
        if is_there(path):
            raise ConfigError(
                f"node {host} cannot see {path}, which is there on this machine; media and "
                "subtitles have to lie at the same path on every node"
            )
