"""The engine of a single process: threads decode ahead of one model."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from llava_eval.config.schema import RunConfig
from llava_eval.engine.base import Engine
from llava_eval.engine.batches import (
    GroupContent,
    MediaGroup,
    PromptSettings,
    ask_batch,
    decode_group,
    frame_cache,
    media_groups,
    plan_batches,
)
from llava_eval.errors import MediaError
from llava_eval.models.backend import Plan
from llava_eval.models.clock import PREPARE_STAGE, StageClock
from llava_eval.models.configured_model import make_runner
from llava_eval.results import environment
from llava_eval.types import Sample, SampleResult

if TYPE_CHECKING:
    from llava_eval.models.backend import Runner
    from llava_eval.video.frame_cache import FrameCache


class LocalEngine(Engine):
    """Runs all stages in this process; threads read media ahead of the model.

    Args:
        config: configuration of the run.
        clock: records the seconds of every stage.
        plan: plan of the model that answers.
    """

    def __init__(self, config: RunConfig, clock: StageClock, plan: Plan) -> None:
        self._config = config
        self._clock = clock
        self._plan = plan
        self._runner: Runner | None = None
        self._cache: FrameCache | None = None

    def identity(self) -> dict[str, Any]:
        return self._plan.identity()

    def versions(self) -> Mapping[str, str]:
        return environment.versions()

    def load(self) -> dict[str, Any]:
        self._runner = make_runner(self._plan, self._config, self._clock)
        return self._runner.describe()

    def answer(self, samples: Sequence[Sample]) -> Generator[SampleResult, None, None]:
        from llava_eval.video import decode_ahead

        runner, config = self._runner, self._config.runner
        settings = PromptSettings.of(self._config)
        assert runner is not None
        cache = self._cache = frame_cache(runner.frame_preprocessor)

        def prepare(group: MediaGroup) -> GroupContent:
            clips = decode_group(group, settings.sampler, cache)
            return GroupContent.of(group.samples, clips, runner.prepare)

        groups = media_groups(samples)
        outcomes = decode_ahead(
            groups,
            prepare,
            num_workers=config.decode_workers,
            max_pending=2 * config.decode_workers,
            timeout_seconds=config.decode_timeout_seconds,
        )
        for batch in plan_batches(groups, runner.batch_size):
            ready: list[GroupContent] = []
            for group in batch:
                with self._clock.stage("decode_wait"):
                    outcome = next(outcomes)
                self._clock.seconds[PREPARE_STAGE] += outcome.seconds
                if isinstance(outcome.error, MediaError):
                    yield from group.failed(outcome.error)
                else:
                    ready.append(outcome.unwrap())
            num_answered = 0
            for result in ask_batch(ready, settings, runner):
                num_answered += result.generation.error is None
                yield result
            self._clock.end_warm_up(num_answered)

    def record(self) -> dict[str, Any]:
        assert self._runner is not None
        return self._runner.record()

    def work(self) -> dict[str, Any]:
        assert self._runner is not None
        return {
            "peak_device_memory_bytes": self._runner.peak_device_memory_bytes(),
            **({} if self._cache is None else {"frames": dict(self._cache.counts)}),
        }

    def close(self) -> None:
        if self._runner is not None:
            self._runner.close()
