"""Handing out batches: decoded ahead, given to whoever is free, tried again where workers die."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from llava_eval.engine.batches import MediaGroup
from llava_eval.engine.ray.cluster import check_alive, import_ray, short
from llava_eval.engine.ray.remote import (
    DecodeOrder,
    Loaded,
    Reply,
    Setting,
    Status,
    decode,
    own_error,
)
from llava_eval.engine.ray.work import Work, again
from llava_eval.engine.ray.workers import Crew, Worker
from llava_eval.errors import ConfigError, EngineError, MediaError
from llava_eval.models.clock import StageClock
from llava_eval.types import SampleResult

log = logging.getLogger(__name__)

_POLL_SECONDS = 1.0


@dataclass(eq=False)
class _Opened:
    """A batch whose media are being decoded.

    Attributes:
        work: the batch.
        waiting: groups that are not handed to a decode task yet.
        num_running: decode tasks under way.
        pieces: references to what was decoded, by place of the group.
    """

    work: Work
    waiting: deque[int] = field(default_factory=deque)
    num_running: int = 0
    pieces: dict[int, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.waiting.extend(range(len(self.work.groups)))

    @property
    def is_ready(self) -> bool:
        return not self.waiting and self.num_running == 0


class Dispatch:
    """One run's way through the cluster.

    Args:
        crew: the model workers.
        setting: of all workers.
        loaded: what the first of them said.
        clock: gets the seconds that free workers waited for media.
    """

    def __init__(self, crew: Crew, setting: Setting, loaded: Loaded, clock: StageClock) -> None:
        ray = import_ray()
        engine = setting.config.engine
        self._crew = crew
        self._clock = clock
        self._max_tries = engine.max_tries
        self._timeout_seconds = engine.start_timeout_seconds
        self._max_decoding = setting.num_decoding
        self._max_opened = len(crew.alive) + 1
        self._order = ray.put(pickle.dumps(DecodeOrder(setting, loaded.resize)))
        self._decode = ray.remote(
            num_cpus=0,
            num_returns=2,
            max_retries=engine.max_tries - 1,
            scheduling_strategy="SPREAD",
        )(decode)
        self._todo: deque[Work] = deque()
        self._opened: list[_Opened] = []
        self._decoding: dict[Any, tuple[_Opened, int, Any]] = {}
        self._asked: dict[Any, tuple[Worker, _Opened]] = {}
        self._lost: Counter[int] = Counter()  # by batch, media lost on the way
        self._first_number: int | None = None
        self.first_reply: Reply | None = None

    def run(self, works: Sequence[Work]) -> Generator[SampleResult, None, None]:
        """Yield the results of all batches, as they come."""
        ray = import_ray()
        self._todo.extend(works)
        last_event = time.monotonic()
        try:
            while self._todo or self._opened or self._asked:
                self._hand_out()
                loading = {w.loading: w for w in self._crew.alive if w.loading is not None}
                references = [*self._asked, *self._decoding, *loading]
                if not references:
                    continue  # a batch without any readable medium
                start = time.monotonic()
                done, _ = ray.wait(references, num_returns=1, timeout=_POLL_SECONDS)
                self._count_waiting(time.monotonic() - start)
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
                        self._crew.loaded(loading[reference])
        finally:
            for reference in self._decoding:
                with contextlib.suppress(Exception):  # it has ended, or the cluster has
                    ray.cancel(reference, force=True)

    def _hand_out(self) -> None:
        """Open batches, start decode tasks, and give what is decoded to free workers."""
        while self._todo and len(self._opened) < self._max_opened:
            self._opened.append(_Opened(self._todo.popleft()))
        for opened in self._opened:
            while opened.waiting and len(self._decoding) < self._max_decoding:
                self._start_decoding(opened, opened.waiting.popleft())
        for opened in [one for one in self._opened if one.is_ready]:
            if not opened.pieces:
                self._opened.remove(opened)  # nothing could be read; that was told
                continue
            # At the end no batch waits behind another while a worker is free.
            may_queue = len(self._todo) + len(self._opened) > len(self._crew.alive)
            able = [w for w in self._crew.alive if w.can_take(opened.work, may_queue=may_queue)]
            if not able:
                continue
            self._opened.remove(opened)
            self._ask(min(able, key=lambda worker: len(worker.works)), opened)

    def _start_decoding(self, opened: _Opened, place: int) -> None:
        status, pieces = self._decode.remote(self._order, opened.work.groups[place])
        opened.num_running += 1
        self._decoding[status] = (opened, place, pieces)

    def _ask(self, worker: Worker, opened: _Opened) -> None:
        places = sorted(opened.pieces)
        groups = tuple(opened.work.groups[place] for place in places)
        # What could not be read is answered; whoever tries again tries the rest.
        opened.work = Work(opened.work.number, groups, opened.work.num_deaths)
        reference = worker.actor.answer.remote(groups, *(opened.pieces[place] for place in places))
        worker.works.append(opened.work)
        self._asked[reference] = (worker, opened)

    def _take_decoded(self, reference: Any) -> Iterator[SampleResult]:
        ray = import_ray()
        opened, place, pieces = self._decoding.pop(reference)
        opened.num_running -= 1
        group = opened.work.groups[place]
        try:
            status: Status = ray.get(reference)
        except ray.exceptions.WorkerCrashedError:
            # Ray has tried again already.
            text = f"{group.path}: decoding it ended its process {self._max_tries} times"
            yield from group.failed(MediaError(text))
            return
        except ray.exceptions.RayError as error:
            yield from self._lost_media(opened, place, group, error)
            return
        if status.error is None:
            opened.pieces[place] = pieces
            return
        if status.unseen is not None and os.path.exists(status.unseen):
            raise ConfigError(
                f"node {status.host} cannot see {status.unseen}, which is there on this machine; "
                "media have to lie at the same path on every node"
            )
        yield from group.failed(status.error)

    def _lost_media(
        self, opened: _Opened, place: int, group: MediaGroup, error: Any
    ) -> Iterator[SampleResult]:
        """Decode a group again whose pieces were lost, or for which there was no room."""
        own = own_error(error)
        if own is not None:
            raise own
        if not _is_loss(error):
            raise error
        if self._is_lost_too_often(opened.work):
            yield from group.failed(MediaError(f"{group.path}: lost on its way: {short(error)}"))
            return
        log.warning("%s is decoded again: %s", group.path, short(error))
        opened.waiting.append(place)

    def _is_lost_too_often(self, work: Work) -> bool:
        """Count one more loss of a batch's media."""
        self._lost[work.number] += 1
        return self._lost[work.number] >= self._max_tries * len(work.groups)

    def _take_reply(self, reference: Any) -> Iterator[SampleResult]:
        ray = import_ray()
        worker, opened = self._asked.pop(reference)
        try:
            reply: Reply = ray.get(reference)
        except ray.exceptions.RayActorError as error:
            yield from self._bury(worker, opened, short(error))
            return
        except ray.exceptions.RayError as error:
            own = own_error(error)
            if own is not None:
                raise own from None
            if not _is_loss(error):
                raise
            worker.works.remove(opened.work)
            if self._is_lost_too_often(opened.work):
                raise EngineError(f"media are lost on their way: {short(error)}") from error
            log.warning("a batch is decoded again: %s", short(error))
            self._todo.appendleft(opened.work)
            return
        worker.works.remove(opened.work)
        worker.report = reply.report
        worker.num_samples += len(reply.results)
        if self._first_number is None or opened.work.number < self._first_number:
            self._first_number, self.first_reply = opened.work.number, reply
        for level, text in reply.messages:
            log.log(level, "%s", text)
        yield from reply.results

    def _bury(self, worker: Worker, opened: _Opened, reason: str) -> Iterator[SampleResult]:
        """Replace a dead worker, and put what it had back."""
        if worker.end is None:
            self._crew.replace(worker, reason)
        works, given_up = again(opened.work, self._max_tries)
        self._todo.extendleft(reversed(works))
        if given_up:
            text = f"ended its worker {self._max_tries} times, last: {reason}"
            yield from (SampleResult.failed(sample, EngineError(text)) for sample in given_up)

    def _count_waiting(self, seconds: float) -> None:
        """Count the time of workers that are free while media are being decoded."""
        if self._decoding:
            idle = sum(worker.is_ready and not worker.works for worker in self._crew.alive)
            self._clock.seconds["decode_wait"] += seconds * idle


def _is_loss(error: Any) -> bool:
    """Whether an object or its place was lost, and not the code at fault."""
    exceptions = import_ray().exceptions
    kinds = (
        exceptions.ObjectLostError,
        exceptions.ObjectStoreFullError,
        exceptions.OutOfDiskError,
        exceptions.OutOfMemoryError,
        exceptions.NodeDiedError,
        exceptions.RaySystemError,
        exceptions.RpcError,
    )
    return isinstance(error, kinds) or isinstance(getattr(error, "cause", None), kinds)
