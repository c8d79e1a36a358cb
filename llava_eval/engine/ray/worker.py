"""Code that runs in worker processes: decode tasks, and actors with a model."""

from __future__ import annotations

import functools
import logging
import os
import pickle
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from logging.handlers import BufferingHandler
from pathlib import Path
from typing import TYPE_CHECKING

from llava_eval.benchmarks.prepare.media_files import subtitle_files
from llava_eval.borders.paths import is_there
from llava_eval.engine.batches import (
    Batch,
    GroupContent,
    MediaGroup,
    PromptSettings,
    ask_batch,
    decode_group,
    frame_cache,
)
from llava_eval.engine.ray.cluster import import_ray
from llava_eval.engine.ray.worker_messages import (
    BatchReply,
    DecodeStatus,
    Loaded,
    Report,
    WorkerFacts,
    WorkerSettings,
)
from llava_eval.errors import CheckpointError, MediaError
from llava_eval.models.backend import Needs
from llava_eval.models.clock import StageClock
from llava_eval.models.configured_model import make_runner, plan_model
from llava_eval.results import environment
from llava_eval.types import Clip, Media, SampleResult

if TYPE_CHECKING:
    from llava_eval.models.backend import Plan, Runner
    from llava_eval.video.frame_cache import FrameCache
    from llava_eval.video.media import Sampler


@dataclass
class ModelWorker:
    """A process with one model; a Ray actor, whose methods may run in two threads at once.

    While one batch is generated the next is unpacked and preprocessed.
    """

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _clock: StageClock = field(default_factory=StageClock)
    _messages: BufferingHandler = field(default_factory=lambda: BufferingHandler(sys.maxsize))
    _settings: WorkerSettings | None = None
    _plan: Plan | None = None
    _facts: WorkerFacts | None = None
    _prompts: PromptSettings | None = None
    _runner: Runner | None = None

    def plan(self, settings: WorkerSettings) -> WorkerFacts:
        """Plan how to run the model; no weights are read.

        Args:
            settings: settings of the run.

        Raises:
            LlavaEvalError: the model cannot run on this node.
        """
        with self._lock:
            return self._facts_for(settings)

    def load(self, settings: WorkerSettings) -> Loaded:
        """Load the model.

        Args:
            settings: settings of the run.

        Raises:
            LlavaEvalError: the model cannot be loaded on this node.
        """
        with self._lock:
            facts = self._facts_for(settings)
            assert self._plan is not None
            config = settings.config
            self._runner = make_runner(self._plan, config, self._clock)
            resize = self._runner.frame_preprocessor
            return Loaded(
                facts,
                self._runner.describe(),
                self._runner.batch_size,
                None if resize is None else pickle.dumps(resize),
            )

    def answer(self, batch: Batch, *decoded: Mapping[Media, Clip]) -> BatchReply:
        """Answer the questions of a batch.

        Args:
            batch: groups whose media could be read.
            decoded: decoded clips of each group.

        Raises:
            CheckpointError: model and processor do not fit.
        """
        runner, prompts = self._runner, self._prompts
        assert runner is not None
        assert prompts is not None
        ready: list[GroupContent] = []
        failed: list[SampleResult] = []
        files = subtitle_files(sample for group in batch for sample in group.samples)
        unseen = [path for path in files if not is_there(path)]  # prompts would silently lack them
        for group, clips in zip(batch, decoded, strict=True):
            try:
                ready.append(GroupContent.of(group.samples, clips, runner.prepare))
            except MediaError as error:  # affects only these samples
                failed += group.failed(error)
        with self._lock:
            answered = list(ask_batch(ready, prompts, runner))
            results = [*failed, *answered]
            self._clock.end_warm_up(sum(item.generation.error is None for item in answered))
            report = Report(
                dict(self._clock.seconds),
                self._clock.warm_up,
                runner.peak_device_memory_bytes(),
                environment.peak_host_memory_bytes(),
                runner.record(),
            )
            logged, self._messages.buffer = self._messages.buffer, []
            messages = [(record.levelno, record.getMessage()) for record in logged]
            return BatchReply(results, report, messages, unseen)

    def _facts_for(self, settings: WorkerSettings) -> WorkerFacts:
        """Prepare this process for a run, if necessary, and return its description of itself."""
        settings.enter_folder()
        logger = logging.getLogger("llava_eval")
        logger.setLevel(logging.INFO)
        if self._messages not in logger.handlers:
            logger.addHandler(self._messages)
        machine = environment.machine()
        host = str(machine["hostname"])
        folder = settings.checkpoint_folder
        if folder is not None and not Path(folder).is_dir():
            raise CheckpointError(
                f"node {host} cannot see {folder}, the folder of the checkpoint; it has to lie at "
                "the same path on every node"
            )
        if settings == self._settings and self._facts is not None:
            return self._facts
        if settings.num_threads is not None:
            import torch

            torch.set_num_threads(settings.num_threads)
        self._clock = StageClock()
        with self._clock.stage("load_model"):
            # Needs matter only for servers, which Ray workers never use.
            self._plan = plan_model(settings.config, Needs())
        self._settings, self._prompts = settings, PromptSettings.of(settings.config)
        self._facts = WorkerFacts(
            node=str(import_ray().get_runtime_context().get_node_id()),
            host=host,
            process_id=os.getpid(),
            identity=self._plan.identity(),
            versions=environment.versions(),
            git_commit=environment.git_commit(),
            machine=machine,
        )
        return self._facts


def warm_up() -> None:
    """Import the modules for decoding while models are still being loaded."""
    import torchvision  # noqa: F401
    import transformers.video_processing_utils  # noqa: F401

    import llava_eval.video  # noqa: F401


@functools.lru_cache(maxsize=1)
def _decoder(settings: bytes) -> tuple[Sampler, FrameCache | None, float]:
    """Return the sampler, frame cache and time limit for decoding in this process."""
    worker: WorkerSettings
    resize: bytes | None
    worker, resize = pickle.loads(settings)
    worker.enter_folder()
    cache = frame_cache(None if resize is None else pickle.loads(resize))
    sampler = PromptSettings.of(worker.config).sampler
    return sampler, cache, worker.config.runner.decode_timeout_seconds


def decode(settings: bytes, group: MediaGroup) -> tuple[DecodeStatus, dict[Media, Clip] | None]:
    """Decode the media of a group.

    Args:
        settings: pickled :class:`WorkerSettings` and :attr:`Loaded.resize`; each process unpickles
            them once.
        group: samples with the same media.

    Returns:
        The outcome, and the decoded clips.
    """
    from llava_eval.video import decode_ahead

    sampler, cache, timeout_seconds = _decoder(settings)
    (outcome,) = decode_ahead(
        [group],
        lambda item: decode_group(item, sampler, cache),
        num_workers=1,
        max_pending=1,
        timeout_seconds=timeout_seconds,
    )
    error = outcome.error
    if not isinstance(error, MediaError):
        return DecodeStatus(seconds=outcome.seconds), outcome.unwrap()
    paths = [media.path for media in group.media if media.data is None]
    missing = [path for path in paths if "://" not in path and not os.path.exists(path)]
    host = str(environment.machine()["hostname"])
    return DecodeStatus(error, missing[0] if missing else None, host), None
